use mercury_bindings::mercury::plugin::permissions::Host;

use crate::plugins::state::State;

impl Host for State {
    async fn has(&mut self, _person: String, _space: String, _permission: String) -> wasmtime::Result<bool> {
        self.count_call()?;
        Ok(false)
    }
}
