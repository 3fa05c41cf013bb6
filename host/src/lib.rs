//! Mercury's host: a message comes in, a sandboxed agent's answer goes out.
//!
//! One room for each concern, arrows only downwards: `cli` → `app`, `profiles` → `api` → `intake`, `schedule` → `runs` →
//! `agent`, `egress` → `approvals` → `delivery` → `gateway`, `plugins` → `media` → `removal` → `sandbox`, `credentials` →
//! `store` → `domain`, `project` → `config`.

pub mod adapters;
pub mod agent;
pub mod api;
pub mod app;
pub mod approvals;
pub mod backup;
pub mod callers;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod data_dir;
pub mod delivery;
pub mod demo;
pub mod domain;
pub mod egress;
pub mod gateway;
pub mod http;
pub mod import;
pub mod intake;
pub mod media;
pub mod plugins;
pub mod profiles;
pub mod project;
pub mod removal;
pub mod resolve;
pub mod retention;
pub mod runs;
pub mod sandbox;
pub mod schedule;
pub mod store;
pub mod telemetry;

/// `MERCURY_VERSION` at build time, for packagers; else the crate's.
pub const VERSION: &str = match option_env!("MERCURY_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};
