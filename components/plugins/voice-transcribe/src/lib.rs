//! Voice messages as text, behind the prompt.
//!
//! Sans I/O: [`hook::additions`] decides what is asked of whom and what is said of the outcome; all
//! it does to the world goes through [`exchange::Exchange`], which the component implements with
//! the host's calls and the tests with a table.

pub mod exchange;
pub mod hook;
pub mod provider;
pub mod settings;

#[cfg(target_family = "wasm")]
mod component;
