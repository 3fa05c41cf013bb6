use mercury_bindings::mercury::plugin::credentials::{Error, Host};

use crate::plugins::state::State;

impl Host for State {
    async fn present(&mut self, _name: String) -> wasmtime::Result<bool> {
        self.count_call()?;
        Ok(false)
    }

    async fn matches(&mut self, name: String, _candidate: String) -> wasmtime::Result<Result<bool, Error>> {
        self.count_call()?;
        Ok(Err(Error::Missing(name)))
    }

    async fn hmac_sha256(&mut self, name: String, _message: Vec<u8>) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        self.count_call()?;
        Ok(Err(Error::Missing(name)))
    }
}
