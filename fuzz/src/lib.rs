//! The bodies of the fuzz targets.

pub mod allowlist;
pub mod host_calls;
pub mod manifest;
pub mod queue;
pub mod result;
pub mod webhook;
