//! Telegram as a chat platform, over the Bot API.
//!
//! What an update means, how a reply is written, and what comes next are decided here without asking
//! anybody ([`inbound`], [`rich`], [`outbound`]); `component` does the calls.

pub mod api;
pub mod batch;
pub mod budget;
pub mod careful;
pub mod cursor;
pub mod entities;
pub mod files;
pub mod handing;
pub mod inbound;
pub mod outbound;
pub mod pace;
pub mod pending;
pub mod problem;
pub mod quote;
pub mod rich;

#[cfg(target_family = "wasm")]
mod component;
