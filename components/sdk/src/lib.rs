//! Write Mercury plugins in Rust.
//!
//! A plugin is a WebAssembly component that exports one or more interfaces of the package
//! `mercury:plugin` (the WIT files in `wit/`). This crate owns the bindings to that contract,
//! one module for each kind of plugin, and nothing else: it makes no decision and holds no
//! state.
//!
//! | module | an author implements | and writes |
//! |---|---|---|
//! | [`guard`] | [`guard::PromptGuard`], [`guard::ToolGuard`] | `guard::export!(Guard)` |
//! | [`egress`] | [`egress::EgressGuard`] | `egress::export!(Guard)` |
//! | [`processor`] | [`processor::ResultProcessor`] | `processor::export!(Processor)` |
//!
//! A guard that refuses the tool `bash` to everybody but admins:
//!
//! ```
//! use mercury_plugin::guard::{self, Caller, Media, PromptGuard, ToolGuard, Verdict};
//!
//! struct NoShell;
//!
//! impl PromptGuard for NoShell {
//!     fn check(_: Caller, _: String, _: Vec<Media>) -> Verdict {
//!         Verdict::Allow
//!     }
//! }
//!
//! impl ToolGuard for NoShell {
//!     fn check(caller: Caller, tool: String, _arguments: String) -> Verdict {
//!         if tool == "bash" && caller.role != "admin" {
//!             return Verdict::Deny("the shell is for admins".to_owned());
//!         }
//!         Verdict::Allow
//!     }
//! }
//!
//! # #[cfg(target_family = "wasm")]
//! guard::export!(NoShell);
//! # fn main() {}
//! ```
//!
//! Build it as a `cdylib` with `cargo build --release --target wasm32-wasip2` and put the
//! `.wasm` beside a `plugin.toml` that names it. Keep the decision in a module of its own: it
//! can then be tested with plain `cargo test`, while the imports work only inside the host.

pub mod egress;
pub mod guard;
pub mod processor;
