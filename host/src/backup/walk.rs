//! Everything below a folder, in order of its names. No link is followed: agents write there while it
//! is read, and may put one anywhere at any time.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::{
    ambient_authority,
    fs::{Dir, File, Metadata, OpenOptions, OpenOptionsExt},
};

/// Folders in folders; each holds a descriptor while what is below it is read.
const MOST_DEPTH: usize = 100;
const CLOSED: &str = "the host may not read it";

/// What was not walked, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Below the folder that is walked.
    pub path: PathBuf,
    pub reason: &'static str,
}

/// Whether a folder's own entries follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    On,
    Over,
}

/// An entry.
#[derive(Debug)]
pub struct Found<'a> {
    parent: &'a Dir,
    name: &'a OsStr,
    /// Below the folder that is walked.
    pub path: PathBuf,
    /// Its own, also where it is a link.
    pub metadata: Metadata,
}

impl Found<'_> {
    /// The plain file that it is; an error where something else lies there by now.
    pub fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).follow(FollowSymlinks::No).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        let file = self.parent.open_with(self.name, &options)?;
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::new(io::ErrorKind::NotFound, "is no plain file any more")),
        }
    }

    /// Where the link that it is points to, as it says.
    pub fn target(&self) -> io::Result<PathBuf> {
        self.parent.read_link_contents(self.name)
    }
}

/// Calls `visit` with each entry below `root`, a folder before what is in it. What vanishes meanwhile is
/// left out. Returns folders that are too deep, and those that their owner closed to the host.
///
/// # Errors
/// Where `root` or a disk cannot be read, and what `visit` says.
pub fn walk(root: &Path, mut visit: impl FnMut(&Found<'_>) -> io::Result<Step>) -> io::Result<Vec<Skipped>> {
    let mut skipped = Vec::new();
    let root = Dir::open_ambient_dir(root, ambient_authority())?;
    let names = names(&root)?;
    descend(&root, names, Path::new(""), 0, &mut skipped, &mut visit)?;
    Ok(skipped)
}

fn names(folder: &Dir) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = folder.entries()?.map(|entry| entry.map(|it| it.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn descend(
    folder: &Dir,
    names: Vec<std::ffi::OsString>,
    path: &Path,
    depth: usize,
    skipped: &mut Vec<Skipped>,
    visit: &mut dyn FnMut(&Found<'_>) -> io::Result<Step>,
) -> io::Result<()> {
    for name in names {
        let metadata = match folder.symlink_metadata(&name) {
            // A folder that can be listed, and not entered.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                skipped.push(Skipped { path: path.join(&name), reason: CLOSED });
                continue;
            }
            other => unless_gone(other)?,
        };
        let Some(metadata) = metadata else { continue };
        let found = Found { parent: folder, name: &name, path: path.join(&name), metadata };
        if visit(&found)? == Step::Over || !found.metadata.is_dir() {
            continue;
        }
        if depth == MOST_DEPTH {
            skipped.push(Skipped { path: found.path, reason: "too many folders in folders" });
            continue;
        }
        let below = folder.open_dir_nofollow(&name).and_then(|below| self::names(&below).map(|names| (below, names)));
        match below {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                skipped.push(Skipped { path: found.path, reason: CLOSED });
            }
            below => {
                if let Some((below, names)) = unless_gone(below)? {
                    descend(&below, names, &found.path, depth + 1, skipped, visit)?;
                }
            }
        }
    }
    Ok(())
}

/// What an agent removed or replaced by a link meanwhile is none of the caller's troubles.
fn unless_gone<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    use rustix::io::Errno;
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => Ok(None),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_seen_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::create_dir_all(folder.path().join("outside")).unwrap();
        std::fs::write(folder.path().join("outside/secret"), "x").unwrap();
        std::fs::write(root.join("a/b/file"), "12").unwrap();
        std::os::unix::fs::symlink("../outside", root.join("link")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("a/passwd")).unwrap();
        let mut seen = Vec::new();
        let skipped = walk(&root, |found| {
            assert_eq!(found.open().is_ok(), found.metadata.is_file());
            seen.push(found.path.display().to_string());
            Ok(Step::On)
        });
        assert_eq!(seen, ["a", "a/b", "a/b/file", "a/passwd", "link"]);
        assert!(skipped.unwrap().is_empty());
    }

    #[test]
    fn depth_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let deep: PathBuf = std::iter::repeat_n("d", MOST_DEPTH + 20).collect();
        std::fs::create_dir_all(folder.path().join(deep)).unwrap();
        let mut seen = 0;
        let skipped = walk(folder.path(), |_| {
            seen += 1;
            Ok(Step::On)
        });
        assert_eq!((seen, skipped.unwrap().len()), (MOST_DEPTH + 1, 1));
    }
}
