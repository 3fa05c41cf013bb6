//! Replies as sound.
//!
//! Pure: what is read ([`script`]), by which voice and request ([`voice`]), and when at all
//! ([`policy`]). The component does the calls.

pub mod policy;
pub mod script;
pub mod voice;

#[cfg(target_family = "wasm")]
mod component;
