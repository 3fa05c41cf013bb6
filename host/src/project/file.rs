//! One of the operator's files: as it was, and in its place another, whole and durably or not at all.

use std::{
    fs::{File, Metadata, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::ProjectError;

/// What the names begin with of files that are not in their place yet.
const CHANGING: &str = ".changing-";
/// Of a file that is made.
const USUAL: u32 = 0o644;

/// A file as it was. There may be secrets in it, so nothing prints it.
pub(super) struct Before {
    pub(super) path: PathBuf,
    /// `None`: it was not there.
    was: Option<(String, Rights)>,
}

/// Whose it is, and who may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rights {
    user: u32,
    group: u32,
    mode: u32,
}

impl Rights {
    fn of(found: &Metadata) -> Self {
        Self { user: found.uid(), group: found.gid(), mode: found.mode() & 0o777 }
    }
}

impl Before {
    pub(super) fn read(path: PathBuf) -> Result<Self, ProjectError> {
        // What a link points to is changed, and the link stays.
        let path = path.canonicalize().unwrap_or(path);
        let read = File::open(&path).and_then(|file| {
            let rights = Rights::of(&file.metadata()?);
            Ok((io::read_to_string(file)?, rights))
        });
        match read {
            Ok(was) => Ok(Self { path, was: Some(was) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { path, was: None }),
            Err(source) => Err(ProjectError::Unreadable { path, source }),
        }
    }

    pub(super) fn text(&self) -> &str {
        self.was.as_ref().map(|(text, _)| text.as_str()).unwrap_or_default()
    }

    pub(super) fn entangled(&self, reason: String) -> ProjectError {
        ProjectError::Entangled { path: self.path.clone(), reason }
    }

    fn rights(&self) -> Option<Rights> {
        self.was.as_ref().map(|(_, rights)| *rights)
    }

    fn bring_back(&self) -> Result<(), ProjectError> {
        match &self.was {
            Some((text, rights)) => self.ready(text, rights.mode)?.put(),
            None => std::fs::remove_file(&self.path).map_err(|source| unwritable(&self.path, source)),
        }
    }

    /// What is to be in its place, beside it. It stays its owner's.
    fn ready(&self, text: &str, mode: u32) -> Result<Ready<'_>, ProjectError> {
        let fail = |source| unwritable(&self.path, source);
        let folder = folder_of(&self.path);
        // Nobody else may open it before it has its mode: that is how these files are made.
        let mut file = tempfile::Builder::new().prefix(CHANGING).tempfile_in(folder).map_err(fail)?;
        file.write_all(text.as_bytes()).map_err(fail)?;
        match self.rights() {
            Some(Rights { user, group, .. }) => give(file.as_file(), user, group)
                .map_err(|source| ProjectError::Owned { path: self.path.clone(), user, group, source })?,
            // A host of root's makes a file that the project's owner can read. Any other host's is its own.
            None => drop(std::fs::metadata(folder).and_then(|of| give(file.as_file(), of.uid(), of.gid()))),
        }
        file.as_file().set_permissions(Permissions::from_mode(mode)).map_err(fail)?;
        file.as_file().sync_all().map_err(fail)?;
        Ok(Ready { path: &self.path, file })
    }
}

/// One file, whole and durably, or not at all. What is there stays its owner's.
pub(crate) fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let was = std::fs::metadata(path).ok().map(|found| (String::new(), Rights::of(&found)));
    let before = Before { path: path.to_owned(), was };
    before.ready(text, mode).and_then(Ready::put).map_err(io::Error::other)?;
    File::open(folder_of(path))?.sync_all()
}

/// A file, and what is to be in its place.
pub(super) struct Change {
    pub(super) before: Before,
    pub(super) text: String,
    /// `None`: as before.
    pub(super) mode: Option<u32>,
}

/// Written beside its place.
struct Ready<'a> {
    path: &'a Path,
    file: NamedTempFile,
}

/// All of them, or none. They are put in their places when all are on disk: who is killed in between was
/// given next to no time for it.
pub(super) fn replace(changes: Vec<Change>) -> Result<(), ProjectError> {
    let ready = changes.iter().map(|change| {
        let usual = change.before.rights().map_or(USUAL, |rights| rights.mode);
        change.before.ready(&change.text, change.mode.unwrap_or(usual))
    });
    let ready = ready.collect::<Result<Vec<_>, _>>()?;
    let mut put = 0;
    let outcome = ready.into_iter().try_for_each(|file| {
        let path = file.path;
        file.put()?;
        put += 1;
        File::open(folder_of(path)).and_then(|folder| folder.sync_all()).map_err(|source| unwritable(path, source))
    });
    if outcome.is_err() {
        for before in changes[..put].iter().map(|change| &change.before) {
            if let Err(error) = before.bring_back() {
                tracing::error!(path = %before.path.display(), %error, "a file of the project could not be put back as it was");
            }
        }
    }
    outcome
}

impl Ready<'_> {
    fn put(self) -> Result<(), ProjectError> {
        self.file.persist(self.path).map(drop).map_err(|error| unwritable(self.path, error.error))
    }
}

/// Removes what lies beside `path` and never came to its place.
pub(super) fn sweep(path: &Path) {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    for entry in std::fs::read_dir(folder_of(&path)).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(CHANGING);
        if is_ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            match std::fs::remove_file(entry.path()) {
                Ok(()) => tracing::info!(path = %entry.path().display(), "a change that was broken off is removed"),
                Err(error) => {
                    tracing::warn!(path = %entry.path().display(), %error, "a change that was broken off stays; there may be secrets in it")
                }
            }
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn give(file: &File, user: u32, group: u32) -> io::Result<()> {
    let now = Rights::of(&file.metadata()?);
    if (now.user, now.group) == (user, group) {
        return Ok(());
    }
    fchown(file, Some(user), Some(group))
}

fn unwritable(path: &Path, source: io::Error) -> ProjectError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::ResourceBusy => ProjectError::Mounted { path },
        _ => ProjectError::Unwritable { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    /// Whoever runs the host, the operator can read the files as before; where that cannot be, nothing is
    /// changed.
    #[test]
    fn a_file_stays_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "before").unwrap();
        let may_give = std::os::unix::fs::chown(&path, Some(4711), Some(4712)).is_ok();
        let before = Before::read(path.clone()).unwrap();
        let now = || Rights::of(&std::fs::metadata(&path).unwrap());
        let was = now();
        if may_give {
            let change = Change { before, text: "after".into(), mode: Some(0o600) };
            replace(vec![change]).unwrap();
            assert_eq!((now(), read(&path).as_str()), (Rights { mode: 0o600, ..was }, "after"));
        } else {
            // As if it were somebody else's.
            let others = Rights { user: 4711, ..was };
            let before = Before { was: Some(("before".into(), others)), ..before };
            let refused = replace(vec![Change { before, text: "after".into(), mode: None }]);
            assert!(matches!(refused, Err(ProjectError::Owned { user: 4711, .. })), "{refused:?}");
            assert_eq!((now(), read(&path).as_str()), (was, "before"));
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        }
    }

    /// A file that was not there is the project owner's, if the host may say so.
    #[test]
    fn a_new_file_is_the_projects() {
        let folder = tempfile::tempdir().unwrap();
        let _ = std::os::unix::fs::chown(folder.path(), Some(4711), Some(4712));
        let path = folder.path().join("new");
        let before = Before::read(path.clone()).unwrap();
        replace(vec![Change { before, text: "text".into(), mode: Some(0o600) }]).unwrap();
        let (of, new) = (std::fs::metadata(folder.path()).unwrap(), std::fs::metadata(&path).unwrap());
        assert_eq!(Rights::of(&new), Rights { user: of.uid(), group: of.gid(), mode: 0o600 });
    }

    /// Where one cannot be put in its place, the one before is as it was, whose it was and for whom.
    #[test]
    fn all_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let (first, new, blocked) = (folder.path().join("a"), folder.path().join("b"), folder.path().join("c"));
        std::fs::write(&first, "before").unwrap();
        std::fs::set_permissions(&first, Permissions::from_mode(0o640)).unwrap();
        let change = |path: &Path| Change {
            before: Before::read(path.to_owned()).unwrap(),
            text: "after".into(),
            mode: Some(0o600),
        };
        let changes = [&first, &new, &blocked].map(|path| change(path)).into();
        // Nothing takes the place of a folder with something in it.
        std::fs::create_dir_all(blocked.join("full")).unwrap();
        let failed = replace(changes);
        assert!(matches!(&failed, Err(ProjectError::Unwritable { path, .. }) if *path == blocked), "{failed:?}");
        assert_eq!((read(&first).as_str(), Rights::of(&std::fs::metadata(&first).unwrap()).mode), ("before", 0o640));
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!new.exists() && left.len() == 2, "{left:?}");
    }

    #[test]
    fn a_mount_says_what_to_do() {
        let busy = unwritable(Path::new("/project/.env"), io::Error::from_raw_os_error(16));
        assert!(busy.to_string().contains("Mount the folder"), "{busy}");
    }
}
