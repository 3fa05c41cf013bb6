//! The credentials room against a provider and a console over real sockets, and the commands and
//! the host that stand on it. oauth.md section 11.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod auth_file;
mod commands;
mod host;
mod processes;
mod provisioned;
mod runs;
mod setup;
