use mercury_bindings::mercury::plugin::{
    media::{Error, Host},
    types::{Media, MediaKind},
};

use crate::plugins::{capabilities::not_granted, state::State};

impl Host for State {
    async fn read(&mut self, _handle: String, _offset: u64, _length: u32) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        self.count_call()?;
        Ok(Err(Error::Denied(not_granted("media", "[media] read = true"))))
    }

    async fn create(
        &mut self,
        _kind: MediaKind,
        _mime_type: String,
        _file_name: String,
        _bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<Media, Error>> {
        self.count_call()?;
        Ok(Err(Error::Denied(not_granted("media", "[media] create = true"))))
    }
}
