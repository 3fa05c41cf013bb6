//! A profile's archive from its address. It may be anybody's: bounded in size and time, and encrypted all the way.

use std::{io::Write, time::Duration};

use reqwest::{Client, redirect};
use tempfile::NamedTempFile;
use url::Url;

/// Bytes of an archive: 64 MiB, plugins that come along included.
const MOST_BYTES: u64 = 64 << 20;
/// How often it may be sent on.
const MOST_HOPS: usize = 5;
/// Without a byte.
const SILENCE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("{url} is not encrypted. Name an https address, or fetch the archive yourself and name the file")]
    Open { url: Url },
    #[error("{url} cannot be fetched: {source}")]
    Unreachable { url: Url, source: reqwest::Error },
    #[error("{url} is answered with status {status}. Look whether it is the address of the archive itself")]
    Status { url: Url, status: u16 },
    #[error("{url} has more than {} MiB, and no profile has that", MOST_BYTES >> 20)]
    TooLarge { url: Url },
    #[error("{url} cannot be stored: {source}")]
    Store { url: Url, source: std::io::Error },
}

/// Fetches into a file that is gone when it is dropped. Without encryption only from this machine.
pub(super) async fn download(url: &Url) -> Result<NamedTempFile, DownloadError> {
    let is_local = url.host_str().is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host));
    if url.scheme() != "https" && !is_local {
        return Err(DownloadError::Open { url: url.clone() });
    }
    let unreachable =
        |source: reqwest::Error| DownloadError::Unreachable { url: url.clone(), source: source.without_url() };
    let client = Client::builder()
        .connect_timeout(SILENCE)
        .read_timeout(SILENCE)
        .https_only(!is_local)
        .redirect(if is_local { redirect::Policy::none() } else { redirect::Policy::limited(MOST_HOPS) })
        .build()
        .map_err(unreachable)?;
    let mut answer = client.get(url.clone()).send().await.map_err(unreachable)?;
    if !answer.status().is_success() {
        return Err(DownloadError::Status { url: url.clone(), status: answer.status().as_u16() });
    }
    let store = |source| DownloadError::Store { url: url.clone(), source };
    let mut file = NamedTempFile::new().map_err(store)?;
    let mut bytes = 0;
    while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
        bytes += piece.len() as u64;
        if bytes > MOST_BYTES {
            return Err(DownloadError::TooLarge { url: url.clone() });
        }
        file.write_all(&piece).map_err(store)?;
    }
    file.flush().map_err(store)?;
    Ok(file)
}
