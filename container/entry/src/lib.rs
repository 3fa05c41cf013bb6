//! `entry`: the first process of a run's container.
//!
//! Reads one request, prepares pi's agent directory, builds the prompts, runs `pi` through the
//! chain of models and publishes one result. The logic is in this library so that it can be
//! tested without a container.
//!
//! It must never: let pi see the request, `credentials.json`, the run's seal or the name of the IO
//! directory, let one run's end go unpublished, or keep anything from one run to the next.

pub mod agent_dir;
pub mod browser;
pub mod bubblewrap;
pub mod chain;
pub mod clock;
pub mod environment;
pub mod events;
pub mod failure;
pub mod gateway;
pub mod init;
pub mod leak;
mod lines;
pub mod memory;
mod message;
pub mod outbox;
pub mod pi;
pub mod place;
mod process;
pub mod prompt;
pub mod publish;
pub mod request;
pub mod settings;
pub mod signals;
pub mod usage;

mod run;

pub use run::{Error, run};
