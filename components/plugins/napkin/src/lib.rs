//! A knowledge vault for each space: Markdown notes that the agent reads and writes, filled every
//! day from the conversations.
//!
//! What needs judgement is an agent run in a container of its own; everything else is decided here:
//! which days are due ([`plan`]), what they look like for the agent ([`export`]), which weeks and
//! months are complete ([`periods`]), how episodes age ([`episode`]), what the map says ([`map`]),
//! whether a run left the vault as it was allowed to ([`check`]), and what is kept of it meanwhile
//! ([`copy`]).

pub mod check;
pub mod copy;
pub mod episode;
pub mod export;
pub mod map;
pub mod note;
pub mod options;
pub mod periods;
pub mod plan;
pub mod prompts;
pub mod vault;

#[cfg(target_family = "wasm")]
mod component;
