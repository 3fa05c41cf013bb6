//! Mercury's host: a message comes in, a sandboxed agent's answer goes out.
//!
//! One room for each concern; arrows only downwards (see `docs/decisions/0001-rooms.md`).

pub mod agent;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod delivery;
pub mod domain;
pub mod http;
pub mod intake;
pub mod plugins;
pub mod runs;
pub mod sandbox;
pub mod store;
pub mod telemetry;
