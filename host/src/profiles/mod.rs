//! Profiles: where they come from, what becomes of them here, and the way out.
//!
//! A profile is read and checked before anything is written. Of what is the operator's, nothing is overwritten: the
//! persona that was there is kept beside the new one. The record of what is active is written last, so that until
//! then the profile before holds.

mod activate;
mod built_in;
mod download;
mod export;
mod source;

use std::{io, path::PathBuf};

use crate::{
    domain::profile::{MOST_MANIFEST, MOST_PERSONA, ProfileError},
    plugins::packages::{ArchiveError, InstallError},
};

pub use activate::{Activated, Persona, activate, check, clear, persona};
pub use built_in::{ALL, BuiltIn};
pub use download::DownloadError;
pub use export::{Exported, export};
pub use source::{Fetched, Source, fetch};

#[derive(Debug, thiserror::Error)]
pub enum ProfilesError {
    #[error(
        "there is no profile `{text}`{nearest} `mercury profiles list` shows those that come along; else name a folder with a mercury-profile.yaml, a `.tar` or `.tar.gz` of one, or the https address of such an archive"
    )]
    Unknown {
        text: String,
        /// The end of the sentence.
        nearest: String,
    },
    #[error("`{text}` is the address of a git repository, and Mercury does not run git. {instead}")]
    Git { text: String, instead: String },
    #[error("{place}: {source}")]
    Profile { place: String, source: ProfileError },
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is no plain file of the profile's own folder", path.display())]
    Special { path: PathBuf },
    #[error("{} is too large: a manifest has at most {} KiB, a persona {} KiB", path.display(), MOST_MANIFEST >> 10, MOST_PERSONA >> 10)]
    TooLarge { path: PathBuf },
    #[error("{place}: {source}")]
    Archive { place: String, source: ArchiveError },
    #[error(transparent)]
    Download(#[from] DownloadError),
    #[error("the plugin `{name}` of the profile: its source {} leads out of the archive", path.display())]
    Outside { name: String, path: PathBuf },
    #[error("{} cannot be written: {source}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{} is there already, and is not empty. Name a new folder", path.display())]
    Occupied { path: PathBuf },
    #[error(transparent)]
    Plugin(#[from] InstallError),
}

impl ProfilesError {
    fn unwritable(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Unwritable { path, source }
    }
}

async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

#[cfg(test)]
mod tests;
