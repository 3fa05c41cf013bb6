//! Backups: what is kept of a project, in one file, taken while the host runs, and brought back whole.
//!
//! A backup is a `.tar.gz`: first what it is (`mercury-backup.json`), then a copy of the database, then
//! the files of the data directory and the settings. It holds no secret unless that is asked for.

mod restore;
pub mod walk;
mod write;

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::store::CopyError;

pub use restore::{Restored, about, restore};
pub use write::write;

/// The archive's first entry.
const ABOUT: &str = "mercury-backup.json";
/// Of the archive's form.
const FORM: u32 = 1;
/// Where in the archive the data directory's files are, and the project folder's.
const DATA: &str = "data";
const PROJECT: &str = "project";
const DATABASE: &str = "state.db";

/// Of the data directory: what cannot be made again.
const KEPT: &[&str] =
    &["active-profile.json", "delivery", "extensions", "global", "model-capabilities.yaml", "plugins", "spaces"];
/// What the host makes again by itself, or what belongs to one process or one machine.
const REMADE: &[&str] =
    &["cache", "hidden-program", "instance", "io", "lock", "media", "run", "seal.key", "skills", "tools"];
/// What opens something elsewhere. `auth.json` may lie in another place, which the configuration names.
const SECRET_FILES: &[&str] = &["credentials.json", SIGN_INS];
/// Where sign-ins are, unless the configuration says otherwise; in a backup also those of another place.
const SIGN_INS: &str = "global/auth.json";
const SECRET_FOLDER: &str = "whatsapp-auth";
/// Of the project folder.
const SETTINGS: &[&str] = &["mercury.yaml", "mercury.yml"];
const ENVIRONMENT: &str = ".env";

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("it was broken off; nothing is left of it")]
    Cancelled,
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is there already. Name another file, or say --force", path.display())]
    Exists { path: PathBuf },
    #[error("the database {} cannot be copied: {source}", path.display())]
    Database { path: PathBuf, source: CopyError },
    #[error("there is no database {}: nothing is to be backed up. Name the project with --project", path.display())]
    Nothing { path: PathBuf },
    #[error("{} is no backup of Mercury: {message}", path.display())]
    NoBackup { path: PathBuf, message: String },
    #[error("{} is damaged: {message}. Nothing was changed; use another backup", path.display())]
    Damaged { path: PathBuf, message: String },
    #[error("{} was made by a newer Mercury ({version}). Use that version to restore it", path.display())]
    Newer { path: PathBuf, version: String },
    #[error("a host uses the data directory {}. Stop it first: mercury stop", path.display())]
    InUse { path: PathBuf },
    #[error(
        "the data directory {} is not empty. With --replace the backup takes its place, and what is there is kept beside it",
        path.display()
    )]
    NotEmpty { path: PathBuf },
    /// The data directory is the backup's by now; not all around it is.
    #[error("{} was restored{}, but {what}", data_dir.display(), before(previous.as_deref()))]
    Unfinished { data_dir: PathBuf, previous: Option<PathBuf>, what: String },
    #[error(
        "the backup could not be put in the place of {}: {source}. What was there lies in {}; put it back with: mv {} {}",
        data_dir.display(), previous.display(), previous.display(), data_dir.display()
    )]
    Torn { data_dir: PathBuf, previous: PathBuf, source: io::Error },
}

fn before(previous: Option<&Path>) -> String {
    previous.map_or_else(String::new, |path| format!(" (what was there before is in {})", path.display()))
}

impl BackupError {
    fn io(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path: path.clone(), source }
    }
}

/// Somebody broke it off.
#[derive(Debug, thiserror::Error)]
#[error("broken off")]
struct Interrupted;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    form: u32,
    /// Of Mercury.
    pub version: String,
    /// Of the database.
    pub schema: usize,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    pub secrets: bool,
    /// Where the sign-ins are among the data directory's files, unless in the usual place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sign_ins: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Credentials and `.env` go in, too.
    pub secrets: bool,
    /// What is there already is replaced.
    pub replace: bool,
}

/// Where a project's parts are.
#[derive(Clone, Debug)]
pub struct Places {
    pub project: PathBuf,
    pub data_dir: PathBuf,
    pub auth_path: PathBuf,
}

impl Places {
    /// Where the sign-ins lie below the data directory, if the configuration puts them there.
    fn sign_ins_inside(&self) -> Option<PathBuf> {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let inside = real(&self.auth_path).strip_prefix(real(&self.data_dir)).ok().map(Path::to_owned);
        // Of what is not there yet no real path is known.
        inside.or_else(|| self.auth_path.strip_prefix(&self.data_dir).ok().map(Path::to_owned))
    }
}

/// What was done. Files and their bytes, and what was left out with the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub files: usize,
    /// Before compression.
    pub bytes: u64,
    pub left_out: Vec<String>,
}

#[cfg(test)]
mod tests;
