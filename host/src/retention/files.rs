//! Files of a folder that an agent owns: opened without following a link, judged by their own time.

use std::{io, path::Path, time::SystemTime};

use cap_fs_ext::DirExt;
use cap_std::{ambient_authority, fs::Dir};

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
