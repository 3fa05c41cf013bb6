use mercury_bindings::mercury::plugin::settings::Host;

use crate::plugins::state::State;

impl Host for State {
    /// Per-space values come with the per-space settings of the store; until then every space sees
    /// the operator's value, else the manifest's default.
    async fn get(&mut self, key: String, _space: Option<String>) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.settings.get(&key).cloned())
    }
}
