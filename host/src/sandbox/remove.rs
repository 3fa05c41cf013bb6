//! Removes what an agent may have filled, however it did that.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Component, Path},
};

use cap_fs_ext::DirExt;
use cap_std::{ambient_authority, fs::Dir};

/// Entries that are looked at between two reads of a folder, so that no listing grows with it.
const AT_ONCE: usize = 1024;

/// Removes `path` with all that is below it; nothing there counts as removed. No link is followed.
///
/// An agent can make folders deeper than any stack, and hold more of them than there are descriptors,
/// so this neither descends nor keeps them open: a folder's folders are moved up beside it, until none
/// is left in another.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(Component::Normal(name))) = (path.parent(), path.components().next_back()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "names no entry of a folder"));
    };
    let parent = match Dir::open_ambient_dir(parent, ambient_authority()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    remove_entry(&parent, name)
}

/// The same for an entry of a folder that is open already: whatever becomes of its path meanwhile.
pub fn remove_entry(parent: &Dir, name: &OsStr) -> io::Result<()> {
    match parent.symlink_metadata(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.is_dir() => parent.remove_file(name),
        Ok(_) => {
            let root = open(parent, name.as_ref())?;
            // Unpredictable, so that nothing can lie in the way.
            let prefix = format!(".removing-{:016x}", rand::random::<u64>());
            let mut moved = 0_u64;
            loop {
                let entries = listed(&root)?;
                if entries.is_empty() {
                    break;
                }
                for (name, is_folder) in entries {
                    if is_folder {
                        flatten(&root, &name, &prefix, &mut moved)?;
                    } else {
                        root.remove_file(&name)?;
                    }
                }
            }
            parent.remove_dir(name)
        }
    }
}

/// Empties a folder of `root`, moving its own folders up into `root`, and removes it.
fn flatten(root: &Dir, name: &OsString, prefix: &str, moved: &mut u64) -> io::Result<()> {
    let folder = open(root, name.as_ref())?;
    loop {
        let entries = listed(&folder)?;
        if entries.is_empty() {
            return root.remove_dir(name);
        }
        for (inner, is_folder) in entries {
            if is_folder {
                *moved += 1;
                folder.rename(&inner, root, format!("{prefix}-{moved}"))?;
            } else {
                folder.remove_file(&inner)?;
            }
        }
    }
}

fn open(parent: &Dir, name: &Path) -> io::Result<Dir> {
    match parent.open_dir_nofollow(name) {
        // Its owner may have closed it; where the host is no root, that counts.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            use cap_std::fs::PermissionsExt;
            parent.set_permissions(name, cap_std::fs::Permissions::from_mode(0o700))?;
            parent.open_dir_nofollow(name)
        }
        opened => opened,
    }
}

fn listed(folder: &Dir) -> io::Result<Vec<(OsString, bool)>> {
    let entry = |entry: io::Result<cap_std::fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.file_name(), entry.file_type()?.is_dir()))
    };
    folder.entries()?.take(AT_ONCE).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deeper than a recursion survives, and with more levels than descriptors.
    #[test]
    fn a_bottomless_tree_is_removed() {
        let data = tempfile::tempdir().unwrap();
        let top = data.path().join("io");
        std::fs::create_dir(&top).unwrap();
        let mut at = Dir::open_ambient_dir(&top, ambient_authority()).unwrap();
        for _ in 0..20_000 {
            at.create_dir("d").unwrap();
            at = at.open_dir("d").unwrap();
        }
        drop(at);
        remove_tree(&top).unwrap();
        assert!(!top.exists());
        remove_tree(&top).unwrap();
    }

    #[test]
    fn links_lead_nowhere_and_wide_folders_are_emptied() {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir(data.path().join("kept")).unwrap();
        std::fs::write(data.path().join("kept/file"), "x").unwrap();
        let top = data.path().join("io");
        std::fs::create_dir_all(top.join("a/b/c")).unwrap();
        std::os::unix::fs::symlink(data.path().join("kept"), top.join("link")).unwrap();
        std::os::unix::fs::symlink(data.path().join("kept"), top.join("a/link")).unwrap();
        for n in 0..3000 {
            std::fs::write(top.join(format!("a/b/{n}")), "").unwrap();
        }
        remove_tree(&top).unwrap();
        assert!(!top.exists() && data.path().join("kept/file").exists());
        // A link in the folder's own place is removed, and not what it leads to.
        std::os::unix::fs::symlink(data.path().join("kept"), &top).unwrap();
        remove_tree(&top).unwrap();
        assert!(std::fs::symlink_metadata(&top).is_err() && data.path().join("kept/file").exists());
    }
}
