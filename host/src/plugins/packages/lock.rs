//! `plugins.lock`: which packages are installed, and what was agreed to for each.
//!
//! The lock decides: a package's files lie in a folder named for their digest, and writing the lock
//! is what installs, updates or removes it, at once and whole.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::signature::PublicKey;
use crate::plugins::rights::Rights;

pub const LOCK_FILE: &str = "plugins.lock";
/// Of the file's form.
const VERSION: u32 = 1;
const HEADING: &str =
    "# What was agreed to when plugins were installed. Written by `mercury plugins`: do not edit.\n\n";

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} is damaged, so nobody knows which plugins were agreed to: {message}. Restore it, or delete it and add the plugins again", path.display())]
    Damaged { path: PathBuf, message: String },
    #[error("{} was written by a newer Mercury (form {version}, this one knows {VERSION}). Use that one", path.display())]
    Newer { path: PathBuf, version: u32 },
    #[error("{} cannot be written: {source}", path.display())]
    Unwritable { path: PathBuf, source: std::io::Error },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// How many plugins follow: a file that was cut off between two of them would have lost a guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entries: Option<usize>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, Entry>,
}

/// An installed plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    #[serde(flatten)]
    pub current: Agreed,
    /// The version before, for when the current one fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Agreed>,
}

/// One version, as it was agreed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    pub version: String,
    /// `mercury:plugin` in this version.
    pub contract: String,
    /// SHA-256 over all of it, in hexadecimal.
    pub digest: String,
    /// Where it came from, pinned: a folder, an archive, or `oci://…@sha256:…`.
    pub source: String,
    /// Who signed it. Without one, the operator took it unsigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<PublicKey>,
    /// SHA-256 of each file, in hexadecimal.
    pub files: BTreeMap<String, String>,
    pub rights: Rights,
}

impl Agreed {
    /// The name of its folder.
    pub fn folder_name(&self, name: &str) -> String {
        format!("{name}-{}", self.digest.get(..16).unwrap_or(&self.digest))
    }
}

impl Lock {
    /// Of the folder of plugins; empty where there is none.
    pub fn read(plugins: &Path) -> Result<Self, LockError> {
        let path = plugins.join(LOCK_FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { version: VERSION, entries: None, plugins: BTreeMap::new() });
            }
            Err(source) => return Err(LockError::Unreadable { path, source }),
        };
        let damaged = |message: String| LockError::Damaged { path: path.clone(), message };
        // The version first: a newer form may have fields that this one does not know.
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| damaged(error.message().to_owned()))?;
        match table.get("version").and_then(toml::Value::as_integer) {
            Some(version) if version > VERSION.into() => {
                return Err(LockError::Newer { path, version: version.try_into().unwrap_or(u32::MAX) });
            }
            Some(version) if version < VERSION.into() => return Err(damaged(format!("there is no form {version}"))),
            Some(_) => {}
            None => return Err(damaged("it has no version".into())),
        }
        let lock: Self = toml::from_str(&text).map_err(|error| damaged(error.message().to_owned()))?;
        let there = lock.plugins.len();
        match lock.entries {
            Some(said) if said != there => Err(damaged(format!("it says that it has {said} plugins, and has {there}"))),
            _ => Ok(lock),
        }
    }

    /// Replaces the file, whole and durably.
    fn write(&self, plugins: &Path) -> Result<(), LockError> {
        let path = plugins.join(LOCK_FILE);
        let fail = |source| LockError::Unwritable { path: path.clone(), source };
        let counted = Self { entries: Some(self.plugins.len()), ..self.clone() };
        let text = toml::to_string_pretty(&counted).map_err(|error| fail(std::io::Error::other(error)))?;
        let mut file = tempfile::Builder::new().prefix(".lock-").tempfile_in(plugins).map_err(fail)?;
        std::io::Write::write_all(&mut file, format!("{HEADING}{text}").as_bytes()).map_err(fail)?;
        file.as_file().sync_all().map_err(fail)?;
        file.persist(&path).map_err(|error| fail(error.error))?;
        File::open(plugins).and_then(|folder| folder.sync_all()).map_err(fail)
    }
}

/// The lock, held for a change: other processes wait.
pub(super) struct Editing {
    pub lock: Lock,
    plugins: PathBuf,
    _held: File,
}

impl Editing {
    /// Waits for whoever changes it now. Blocks.
    pub(super) fn begin(plugins: &Path) -> Result<Self, LockError> {
        let path = plugins.join(".changing");
        let fail = |source| LockError::Unwritable { path: path.clone(), source };
        std::fs::create_dir_all(plugins).map_err(fail)?;
        let held = File::options().create(true).truncate(false).write(true).open(&path).map_err(fail)?;
        held.lock().map_err(fail)?;
        Ok(Self { lock: Lock::read(plugins)?, plugins: plugins.to_owned(), _held: held })
    }

    pub(super) fn commit(self) -> Result<(), LockError> {
        self.lock.write(&self.plugins)
    }
}
