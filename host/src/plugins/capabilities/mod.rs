//! What a guest may ask of the host: one file for each interface of `wit/capabilities.wit`.

mod kv;
mod log;
mod settings;

use super::state::State;

impl mercury_bindings::mercury::plugin::types::Host for State {}
impl mercury_bindings::mercury::plugin::verdicts::Host for State {}
