//! What a guest may ask of the host: one folder for each capability, with its grant and wiring in
//! `mod.rs` and the functions of `wit/capabilities.wit` in `host.rs`.

pub(super) mod credentials;
pub(super) mod folders;
pub(super) mod history;
pub(super) mod http;
pub(super) mod identities;
pub(super) mod inbox;
pub(super) mod kv;
pub(super) mod log;
pub(super) mod media;
pub(super) mod messenger;
pub(super) mod permissions;
pub(super) mod settings;
pub(super) mod signatures;
pub(super) mod sockets;
pub(super) mod tasks;
pub(super) mod timers;

use super::{meter, state::State};

impl mercury_bindings::mercury::plugin::types::Host for State {}
impl mercury_bindings::mercury::plugin::verdicts::Host for State {}
impl mercury_bindings::mercury::plugin::trouble::Host for State {}
impl mercury_bindings::mercury::plugin::deliveries::Host for State {}

/// For a capability that was not granted: the error that names the missing line. Counts the refusal.
fn not_granted(capability: &str, line: &str) -> String {
    meter::count_denial();
    format!("{capability} is not granted; add `{line}` to plugin.toml")
}
