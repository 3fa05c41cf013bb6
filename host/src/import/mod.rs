//! Brings a project of the replaced system over: its spaces, conversations, people, what was said and
//! spent, files, sign-ins and settings.
//!
//! Reads the old project and changes nothing there. May be run again: what is there already stays, and
//! only what is new is taken. What cannot be taken is named, with the reason.

mod aliases;
mod known;
mod old;
mod rows;
mod tasks;
mod tree;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub use old::Old;

use crate::{
    backup::Places,
    clock, data_dir,
    store::{Store, StoreError},
};

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{} is no project of the replaced system: {why}. Name the folder with its `.env` or `mercury.yaml`", path.display())]
    NoProject { path: PathBuf, why: String },
    #[error("{} is the project itself. Make a new one (`mercury --project NEW init`) and import into that", path.display())]
    Itself { path: PathBuf },
    #[error("the database {} cannot be read: {message}. Stop the old host first; if it is stopped, the file is damaged", path.display())]
    Database { path: PathBuf, message: String },
    #[error("a host uses the data directory {}. Stop it first: mercury stop", path.display())]
    InUse { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it was broken off. What was copied stays; run it again to go on")]
    Cancelled,
}

impl ImportError {
    fn io(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path: path.clone(), source }
    }
}

/// How many of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    pub taken: u64,
    /// They were there already.
    pub known: u64,
}

/// What was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    pub what: String,
    pub why: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub dry_run: bool,
    /// Where the same database lay when it was brought over before, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// By kind: `spaces`, `messages`, `files`, …
    pub counts: BTreeMap<&'static str, Count>,
    pub left: Vec<Left>,
}

impl Report {
    fn count(&mut self, what: &'static str, taken: bool) {
        let count = self.counts.entry(what).or_default();
        if taken { count.taken += 1 } else { count.known += 1 }
    }

    fn leave(&mut self, what: impl Into<String>, why: &str) {
        self.left.push(Left { what: what.into(), why: why.into() });
    }
}

/// Brings the project in `folder` over. With `dry_run` nothing is changed, and the report says what would be.
///
/// # Errors
/// Where there is no old project, a host is at work, or a disk refuses.
pub async fn import(
    folder: &Path,
    places: &Places,
    dry_run: bool,
    cancel: CancellationToken,
) -> Result<Report, ImportError> {
    let old = Old::open(folder)?;
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if old.data_dir == real(&places.data_dir) || old.folder == real(&places.project) {
        return Err(ImportError::Itself { path: old.folder });
    }
    let mut report = Report { dry_run, ..Report::default() };
    let fail = ImportError::io(&places.data_dir);
    // A dry run has no data directory to make, and may look beside a host.
    let lock = match dry_run {
        true => None,
        false => Some(
            data_dir::try_claim(&places.data_dir)
                .map_err(&fail)?
                .ok_or_else(|| ImportError::InUse { path: places.data_dir.clone() })?,
        ),
    };
    report = files(&old, places, report, &cancel).await?;
    if cancel.is_cancelled() {
        return Err(ImportError::Cancelled);
    }
    report = database(old, places, report).await?;
    drop(lock);
    Ok(report)
}

async fn files(old: &Old, places: &Places, report: Report, cancel: &CancellationToken) -> Result<Report, ImportError> {
    let (old, places, cancel) = (old.paths(), places.clone(), cancel.clone());
    let fail = ImportError::io(&old.folder);
    let copied = tokio::task::spawn_blocking(move || tree::bring(&old, &places, report, &cancel));
    let copied = copied.await.map_err(|error| fail(io::Error::other(error)))?;
    copied.map_err(|error| match error.get_ref().is_some_and(|inner| inner.is::<tree::BrokenOff>()) {
        true => ImportError::Cancelled,
        false => fail(error),
    })
}

/// All rows in one transaction.
async fn database(old: Old, places: &Places, report: Report) -> Result<Report, ImportError> {
    let path = places.data_dir.join("state.db");
    let fail = ImportError::io(&path);
    // A dry run works on a copy, which is thrown away.
    let scratch = tempfile::tempdir().map_err(&fail)?;
    let path = match (report.dry_run, path.exists()) {
        (false, _) => path.clone(),
        (true, there) => {
            let copy = scratch.path().join("state.db");
            if there {
                let failed = |error: &dyn std::error::Error| fail(io::Error::other(error.to_string()));
                let present = crate::store::open_for_reading(&path)?;
                crate::store::copy(&present, &copy).map_err(|error| failed(&error))?;
            }
            copy
        }
    };
    let store = Store::open(&path)?;
    let from = old.database.clone();
    let brought = store.write(move |db| rows::bring(&old, db, report, clock::millis())).await;
    brought.map_err(|error| match error {
        // Of the two, the one that is not ours is the likelier to be strange.
        StoreError::Sqlite { source, .. } => ImportError::Database { path: from, message: source.to_string() },
        other => other.into(),
    })
}

#[cfg(test)]
mod tests;
