//! Files of a folder that an agent owns: opened without following a link, judged by their own time.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use cap_fs_ext::DirExt;
use cap_std::{ambient_authority, fs::Dir};
use serde::Serialize;

use crate::sandbox::remove_entry;

/// An entry of a folder, which may be a folder itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    pub name: String,
    /// Bytes of a file; 0 of anything else.
    pub size_bytes: u64,
    /// Milliseconds since the epoch.
    pub modified_at: i64,
    pub is_folder: bool,
}

/// The first `most` entries of `folder` below `workspace` behind the name `after`, by name. A folder that
/// is not there has none. Whatever an agent put there, memory is taken for `most` of them.
pub fn list(workspace: &Path, folder: &str, after: &str, most: usize) -> io::Result<Vec<Listed>> {
    let Some(folder) = opened(workspace, folder)? else { return Ok(Vec::new()) };
    let mut found = BTreeMap::new();
    for entry in folder.entries()? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.as_str() <= after {
            continue;
        }
        // Of the entry itself, also where it is a link; what is gone by now is none.
        let Ok(metadata) = entry.metadata() else { continue };
        let modified = metadata.modified().ok().and_then(|at| at.into_std().duration_since(UNIX_EPOCH).ok());
        let listed = Listed {
            name: name.clone(),
            size_bytes: if metadata.is_file() { metadata.len() } else { 0 },
            modified_at: modified.map_or(0, |at| at.as_millis() as i64),
            is_folder: metadata.is_dir(),
        };
        found.insert(name, listed);
        if found.len() > most {
            found.pop_last();
        }
    }
    Ok(found.into_values().collect())
}

/// Removes every entry of `folder` below `workspace` whose name is not to be `kept`, with all that is below it. How
/// many.
pub fn purge(workspace: &Path, folder: &str, kept: impl Fn(&str) -> bool) -> io::Result<usize> {
    let Some(folder) = opened(workspace, folder)? else { return Ok(0) };
    let mut removed = 0;
    for entry in folder.entries()? {
        let name = entry?.file_name();
        if name.to_str().is_some_and(&kept) {
            continue;
        }
        remove_entry(&folder, &name)?;
        removed += 1;
    }
    Ok(removed)
}

/// Without following a link that an agent put in its place.
fn opened(workspace: &Path, folder: &str) -> io::Result<Option<Dir>> {
    let opened = Dir::open_ambient_dir(workspace, ambient_authority()).and_then(|it| it.open_dir_nofollow(folder));
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Removes plain, visible files of `folder` below `workspace` that were changed last before `before`.
/// Returns how many, and their bytes.
pub(super) fn remove_older(workspace: &Path, folder: &str, before: SystemTime) -> io::Result<(usize, u64)> {
    let folder = Dir::open_ambient_dir(workspace, ambient_authority())?.open_dir_nofollow(folder)?;
    let mut removed = (0, 0);
    for entry in folder.entries()? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // Of the entry itself, also where it is a link.
        let Ok(found) = entry.metadata() else { continue };
        let old = found.modified().is_ok_and(|changed| changed.into_std() < before);
        if found.is_file() && old {
            folder.remove_file(&name)?;
            removed = (removed.0 + 1, removed.1 + found.len());
        }
    }
    Ok(removed)
}

pub(super) fn is_older(path: &Path, before: SystemTime) -> bool {
    std::fs::symlink_metadata(path).and_then(|found| found.modified()).is_ok_and(|changed| changed < before)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// http-api.md #20, below the route.
    #[test]
    fn a_folder_is_listed_and_emptied() {
        let place = tempfile::tempdir().unwrap();
        let (workspace, outside) = (place.path().join("main"), place.path().join("outside"));
        std::fs::create_dir_all(workspace.join("inbox/deep/er")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        for path in ["main/inbox/a", "main/inbox/c", "main/inbox/.hidden", "main/inbox/deep/er/x", "outside/safe"] {
            std::fs::write(place.path().join(path), "12").unwrap();
        }
        std::os::unix::fs::symlink(&outside, workspace.join("inbox/link")).unwrap();
        std::os::unix::fs::symlink(&outside, workspace.join("outbox")).unwrap();
        let names = |after: &str, most| {
            let listed = list(&workspace, "inbox", after, most).unwrap();
            listed.into_iter().map(|it| (it.name, it.size_bytes, it.is_folder)).collect::<Vec<_>>()
        };
        let of = |name: &str, bytes, is_folder| (name.to_owned(), bytes, is_folder);
        assert_eq!(names("", 2), [of(".hidden", 2, false), of("a", 2, false)]);
        assert_eq!(names("a", 9), [of("c", 2, false), of("deep", 0, true), of("link", 0, false)]);
        assert!(list(&workspace, "outbox", "", 9).is_err(), "a link in the folder's place leads nowhere");
        assert!(purge(&workspace, "outbox", |_| false).is_err());
        assert_eq!(purge(&workspace, "inbox", |name| name == "c").unwrap(), 4);
        assert_eq!(names("", 9), [of("c", 2, false)]);
        assert!(outside.join("safe").exists());
        assert_eq!(purge(&workspace, "nowhere", |_| false).unwrap(), 0);
        assert_eq!(list(&workspace.join("nowhere"), "inbox", "", 9).unwrap(), []);
    }
}
