use mercury_bindings::mercury::plugin::{
    credentials::Credential,
    http::{Error, ErrorKind, Headers},
    sockets::{Frame, Host},
};

use crate::plugins::{capabilities::not_granted, state::State};

impl Host for State {
    async fn open(
        &mut self,
        _name: String,
        _uri: String,
        _headers: Headers,
        _credentials: Vec<Credential>,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.count_call()?;
        Ok(Err(denied()))
    }

    async fn send(
        &mut self,
        _name: String,
        _frame: Frame,
        _credentials: Vec<Credential>,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.count_call()?;
        Ok(Err(denied()))
    }

    async fn close(&mut self, _name: String) -> wasmtime::Result<()> {
        self.count_call()
    }
}

fn denied() -> Error {
    let line = not_granted("sockets", "[[sockets]] hosts = […]");
    Error { kind: ErrorKind::Denied(line.clone()), message: line, request_sent: false }
}
