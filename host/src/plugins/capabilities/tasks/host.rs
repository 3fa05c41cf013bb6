use mercury_bindings::mercury::plugin::tasks::{Error, Host};

use crate::plugins::{capabilities::not_granted, state::State};

impl Host for State {
    async fn start(
        &mut self,
        _id: String,
        _space: String,
        _prompt: String,
        _system_prompt: Option<String>,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.count_call()?;
        Ok(Err(Error::Denied(not_granted("tasks", "[tasks] per-day = …"))))
    }
}
