use mercury_bindings::mercury::plugin::history::{Entry, Error, Host};

use crate::plugins::{capabilities::not_granted, state::State};

impl Host for State {
    async fn spaces(&mut self) -> wasmtime::Result<Result<Vec<String>, Error>> {
        self.count_call()?;
        Ok(Err(Error::Denied(not_granted("history", "[history] read = true"))))
    }

    async fn entries(
        &mut self,
        _space: String,
        _after: Option<u64>,
        _limit: u32,
    ) -> wasmtime::Result<Result<Vec<Entry>, Error>> {
        self.count_call()?;
        Ok(Err(Error::Denied(not_granted("history", "[history] read = true"))))
    }
}
