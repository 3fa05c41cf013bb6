use std::future::Future;

use mercury_bindings::mercury::plugin::{
    http::{Downloaded, Error, ErrorKind, Host, Request, Response},
    types::MediaKind,
};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::{
    exchange::{self, Destination},
    prepare::{throttle, unsent},
};
use crate::plugins::{capabilities::media::MOST_NAME, meter::count_denial, state::State};

/// Refusals of one call that are logged.
const MOST_NOTED: u32 = 10;

impl Host for State {
    async fn fetch(&mut self, request: Request) -> wasmtime::Result<Result<Response, Error>> {
        self.count_call()?;
        let prepared = match self.prepare(request).await {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(self.note_refusal(error))),
        };
        let access = self.access.clone();
        if let Err(error) = throttle(&access, &prepared) {
            return Ok(Err(error));
        }
        Ok(on_host(self.services.runtime.clone(), exchange::fetch(access, prepared)).await)
    }

    async fn download(
        &mut self,
        request: Request,
        kind: MediaKind,
        file_name: Option<String>,
        most_bytes: Option<u64>,
    ) -> wasmtime::Result<Result<Downloaded, Error>> {
        self.count_call()?;
        // Kept in memory with each file.
        if file_name.as_ref().is_some_and(|name| name.len() > MOST_NAME) {
            let message = format!("http: a file's name has at most {MOST_NAME} bytes");
            return Ok(Err(unsent(ErrorKind::Invalid, message)));
        }
        let prepared = match self.prepare(request).await {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(self.note_refusal(error))),
        };
        let Some(media) = self.services.media.clone() else {
            let message = "http: this host keeps no files".to_owned();
            return Ok(Err(unsent(ErrorKind::Other(message.clone()), message)));
        };
        let access = self.access.clone();
        if let Err(error) = throttle(&access, &prepared) {
            return Ok(Err(error));
        }
        let quota = self.manifest.media.quota_bytes();
        let most = most_bytes.unwrap_or(u64::MAX);
        let to = Destination { media, quota, kind: kind.into(), file_name, most };
        let downloaded = on_host(self.services.runtime.clone(), exchange::download(access, prepared, to)).await;
        if let Ok(downloaded) = &downloaded {
            self.made.insert(downloaded.file.handle.clone());
        }
        Ok(downloaded)
    }
}

/// Sockets belong to the host's runtime: that of the guests has none, and may be held up by one of
/// them. A guest that is stopped takes its request with it.
async fn on_host<T: Send + 'static>(
    runtime: Option<Handle>,
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let Some(runtime) = runtime else {
        let message = "http: this host has no network".to_owned();
        return Err(unsent(ErrorKind::Other(message.clone()), message));
    };
    AbortOnDropHandle::new(runtime.spawn(work)).await.unwrap_or_else(|error| {
        let message = format!("http: the host itself failed: {error}");
        Err(Error { kind: ErrorKind::Other(message.clone()), message, request_sent: true })
    })
}

impl State {
    /// Said to the author by the error, and to the operator who reads the log: the first few of a call,
    /// since a component may ask again and again.
    fn note_refusal(&mut self, error: Error) -> Error {
        if matches!(error.kind, ErrorKind::Denied(_)) {
            count_denial();
            self.refusals += 1;
            if self.refusals <= MOST_NOTED {
                tracing::warn!(plugin = self.manifest.name, reason = error.message, "a request was not sent");
            }
        }
        error
    }
}
