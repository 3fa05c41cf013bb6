use mercury_bindings::mercury::plugin::{
    media::{Error, Host},
    types::{Media, MediaKind},
};

use super::MOST_NAME;
use crate::{
    media::{Lent, MediaError},
    plugins::{capabilities::not_granted, state::State},
};

/// The most that one call reads: 4 MiB, as `wit/capabilities.wit` says.
const MOST_READ: u32 = 4 << 20;

impl State {
    /// The file of a handle that this plugin made, or that came with the present call. Any other is
    /// as good as none.
    pub(in crate::plugins) async fn file(&mut self, handle: &str) -> Result<Lent, MediaError> {
        if let Some(lent) = self.lent.get(handle) {
            return Ok(lent.clone());
        }
        match &self.services.media {
            Some(media) => media.lend(&self.manifest.name, handle).await,
            None => Err(MediaError::NotFound),
        }
    }
}

impl Host for State {
    async fn read(&mut self, handle: String, offset: u64, length: u32) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        self.count_call()?;
        if !self.manifest.media.read {
            return Ok(Err(Error::Denied(not_granted("media", "[media] read = true"))));
        }
        if length > MOST_READ {
            return Ok(Err(Error::TooLarge(MOST_READ.into())));
        }
        let lent = match self.file(&handle).await {
            Ok(lent) => lent,
            Err(error) => return Ok(Err(told(error))),
        };
        Ok(lent.read(offset, length as usize).await.map_err(|error| told(error.into())))
    }

    async fn create(
        &mut self,
        kind: MediaKind,
        mime_type: String,
        file_name: String,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<Media, Error>> {
        self.count_call()?;
        let grant = self.manifest.media;
        if !grant.create {
            return Ok(Err(Error::Denied(not_granted("media", "[media] create = true"))));
        }
        if mime_type.len() > MOST_NAME || file_name.len() > MOST_NAME {
            return Ok(Err(Error::Other(format!("a file's name and type have at most {MOST_NAME} bytes"))));
        }
        let Some(media) = &self.services.media else {
            return Ok(Err(Error::Storage("this host keeps no files".into())));
        };
        let quota = grant.quota_bytes();
        let made = async {
            let mut incoming = media.begin(&self.manifest.name, quota, quota).await?;
            incoming.write(&bytes).await?;
            incoming.finish(kind.into(), mime_type, Some(file_name).filter(|name| !name.is_empty())).await
        };
        match made.await {
            Ok(description) => {
                let media = Media::from(&description);
                self.made.insert(description.handle);
                Ok(Ok(media))
            }
            Err(error) => Ok(Err(told(error))),
        }
    }
}

/// The guest learns that the disk failed; where it lies is the operator's business.
fn told(error: MediaError) -> Error {
    match error {
        MediaError::NotFound => Error::NotFound,
        MediaError::TooLarge { most } => Error::TooLarge(most),
        MediaError::Quota { quota } => Error::Storage(MediaError::Quota { quota }.to_string()),
        MediaError::Io(error) => {
            tracing::error!(%error, "a plugin's file could not be read or written");
            Error::Storage("the host's disk does not answer".into())
        }
    }
}
