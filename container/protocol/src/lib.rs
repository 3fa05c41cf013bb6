//! What the host and the programs inside a run's container say to each other.
//!
//! Two channels: files in the IO directory ([`io`]), and HTTP on the run's unix socket
//! ([`socket`]). Types only: this crate does no I/O, so both sides can depend on it cheaply.
//! Field names are those that the replaced system used (`input.json`, `result.json`), so an
//! operator's own entry program keeps working; what is new is optional for it.

pub mod io;
pub mod paths;
pub mod socket;
