//! The bodies of the fuzz targets.

pub mod allowlist;
pub mod manifest;
