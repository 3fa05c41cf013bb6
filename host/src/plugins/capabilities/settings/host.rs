use mercury_bindings::mercury::plugin::settings::Host;

use crate::plugins::{settings, state::State};

impl Host for State {
    async fn get(&mut self, key: String, space: Option<String>) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        let set = settings::set_value(&self.services, &self.manifest, &key, space.as_deref());
        Ok(set.or_else(|| self.settings.get(&key).cloned()))
    }
}
