use mercury_bindings::mercury::plugin::{
    http::{Downloaded, Error, ErrorKind, Host, Request, Response},
    types::MediaKind,
};

use crate::plugins::{capabilities::not_granted, state::State};

impl Host for State {
    async fn fetch(&mut self, _request: Request) -> wasmtime::Result<Result<Response, Error>> {
        self.count_call()?;
        Ok(Err(denied()))
    }

    async fn download(
        &mut self,
        _request: Request,
        _kind: MediaKind,
        _file_name: Option<String>,
        _most_bytes: Option<u64>,
    ) -> wasmtime::Result<Result<Downloaded, Error>> {
        self.count_call()?;
        Ok(Err(denied()))
    }
}

fn denied() -> Error {
    let line = not_granted("http", "[[http]] hosts = […]");
    Error { kind: ErrorKind::Denied(line.clone()), message: line, request_sent: false }
}
