//! What takes how much room in the data directory.

use std::{io, path::Path};

use serde::Serialize;

use crate::backup::walk::{Step, walk};

/// Bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sizes {
    /// With its log and copies of before migrations.
    pub database: u64,
    /// All workspaces.
    pub spaces: u64,
    /// Of those, received files.
    pub inbox: u64,
    /// Of those, produced files.
    pub outbox: u64,
    /// Copies of what is sent.
    pub delivery: u64,
    /// Plugins and what is compiled of them.
    pub plugins: u64,
    pub other: u64,
    pub total: u64,
}

/// Looks through all of the data directory.
pub fn of(data_dir: &Path) -> io::Result<Sizes> {
    let mut sizes = Sizes::default();
    walk(data_dir, |found| {
        let bytes = if found.metadata.is_file() { found.metadata.len() } else { 0 };
        let mut parts = found.path.iter().map(|part| part.to_string_lossy());
        let (top, folder) = (parts.next().unwrap_or_default(), parts.nth(1));
        match top.as_ref() {
            "spaces" => {
                sizes.spaces += bytes;
                match folder.as_deref() {
                    Some("inbox") => sizes.inbox += bytes,
                    Some("outbox") => sizes.outbox += bytes,
                    _ => {}
                }
            }
            "delivery" => sizes.delivery += bytes,
            "plugins" | "cache" => sizes.plugins += bytes,
            name if name.starts_with("state.db") => sizes.database += bytes,
            _ => sizes.other += bytes,
        }
        sizes.total += bytes;
        Ok(Step::On)
    })?;
    Ok(sizes)
}

/// Files below a folder, and their bytes.
pub(super) fn below(folder: &Path) -> io::Result<(usize, u64)> {
    let (mut files, mut bytes) = (0, 0);
    walk(folder, |found| {
        if found.metadata.is_file() {
            files += 1;
            bytes += found.metadata.len();
        }
        Ok(Step::On)
    })?;
    Ok((files, bytes))
}
