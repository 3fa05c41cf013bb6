//! Write Mercury plugins in Rust.
//!
//! A plugin is a WebAssembly component that exports one or more interfaces of the package
//! `mercury:plugin` (the WIT files in `wit/`). This crate owns the bindings to that contract and
//! nothing else: it makes no decision and holds no state.
//!
//! * [`capabilities`]: what a component may ask of the host.
//! * A module for each interface that it may export, [`tool_guard`] for instance: implement its
//!   `Guest`, and name the type in its `export!`.
//!
//! A guard that refuses the tool `bash` to everybody but admins:
//!
//! ```
//! use mercury_plugin::{tool_guard, types::Caller, verdicts::Verdict};
//!
//! struct NoShell;
//!
//! impl tool_guard::Guest for NoShell {
//!     fn check(caller: Caller, tool: String, _arguments: String) -> Verdict {
//!         if tool == "bash" && caller.role != "admin" {
//!             return Verdict::Deny("the shell is for admins".to_owned());
//!         }
//!         Verdict::Allow
//!     }
//! }
//!
//! # #[cfg(target_family = "wasm")]
//! tool_guard::export!(NoShell);
//! # fn main() {}
//! ```
//!
//! Build it as a `cdylib` with `cargo build --release --target wasm32-wasip2` and put the
//! `.wasm` beside a `plugin.toml` that names it. Keep the decision in a module of its own: it
//! can then be tested with plain `cargo test`, while the imports work only inside the host.

pub mod capabilities;
mod exports;

pub use capabilities::*;
pub use exports::*;
