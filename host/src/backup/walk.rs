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
/// left out. Returns folders that are too deep.
///
/// # Errors
/// Where a folder cannot be read, and what `visit` says.
pub fn walk(root: &Path, mut visit: impl FnMut(&Found<'_>) -> io::Result<Step>) -> io::Result<Vec<PathBuf>> {
    let mut too_deep = Vec::new();
    let root = Dir::open_ambient_dir(root, ambient_authority())?;
    descend(&root, Path::new(""), 0, &mut too_deep, &mut visit)?;
    Ok(too_deep)
}

fn descend(
    folder: &Dir,
    path: &Path,
    depth: usize,
    too_deep: &mut Vec<PathBuf>,
    visit: &mut dyn FnMut(&Found<'_>) -> io::Result<Step>,
) -> io::Result<()> {
    let mut names = folder.entries()?.map(|entry| entry.map(|it| it.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let Some(metadata) = unless_gone(folder.symlink_metadata(&name))? else { continue };
        let found = Found { parent: folder, name: &name, path: path.join(&name), metadata };
        if visit(&found)? == Step::Over || !found.metadata.is_dir() {
            continue;
        }
        if depth == MOST_DEPTH {
            too_deep.push(found.path);
            continue;
        }
        if let Some(below) = unless_gone(folder.open_dir_nofollow(&name))? {
            descend(&below, &found.path, depth + 1, too_deep, visit)?;
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
        let too_deep = walk(&root, |found| {
            assert_eq!(found.open().is_ok(), found.metadata.is_file());
            seen.push(found.path.display().to_string());
            Ok(Step::On)
        });
        assert_eq!(seen, ["a", "a/b", "a/b/file", "a/passwd", "link"]);
        assert!(too_deep.unwrap().is_empty());
    }

    #[test]
    fn depth_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let deep: PathBuf = std::iter::repeat_n("d", MOST_DEPTH + 20).collect();
        std::fs::create_dir_all(folder.path().join(deep)).unwrap();
        let mut seen = 0;
        let too_deep = walk(folder.path(), |_| {
            seen += 1;
            Ok(Step::On)
        });
        assert_eq!((seen, too_deep.unwrap().len()), (MOST_DEPTH + 1, 1));
    }
}
