//! The built-in permission guard: which CLIs a caller may run, and which paths nobody may touch.
//!
//! It owns the *soft* layer of both boundaries. The hard layer is the host's: a denied CLI is
//! not mounted and its credential is not handed out. This one sees every tool call before it
//! runs and refuses what it recognises, what it cannot read and what it cannot foresee.
//!
//! The decision is plain Rust and never touches the host, so `cargo test` runs it natively;
//! [`component`](self) glue exists for WebAssembly only.

pub mod policy;
pub mod prompt;
pub mod refusal;
pub mod tool;

mod paths;
mod shell;

#[cfg(target_family = "wasm")]
mod component;
