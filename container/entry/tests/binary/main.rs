//! The `entry` binary as a process, with a `pi` that is a shell script.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its fixtures")]

mod chain;
mod run;
mod stage;
