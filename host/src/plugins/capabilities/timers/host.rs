use mercury_bindings::mercury::plugin::timers::{Error, Host};

use crate::plugins::{capabilities::not_granted, state::State};

impl Host for State {
    async fn set(&mut self, _name: String, _after_ms: u64) -> wasmtime::Result<Result<(), Error>> {
        self.count_call()?;
        Ok(Err(Error::Denied(not_granted("timers", "[timers] most = …"))))
    }

    async fn cancel(&mut self, _name: String) -> wasmtime::Result<()> {
        self.count_call()
    }
}
