//! From the host's files into a space, where the agent finds them.

use std::{
    io,
    path::{Path, PathBuf},
};

use cap_fs_ext::DirExt;
use cap_std::{ambient_authority, fs::Dir};

use super::{Description, MediaError};
use crate::{
    domain::media::stored_name,
    sandbox::{AgentUser, make_folder, own},
};

/// Names that are tried before the folder is taken for a strange one.
const MOST_TRIES: i64 = 10_000;

/// A folder of a space that takes files.
#[derive(Clone, Debug)]
pub struct Folder {
    /// The space's folder on the host.
    pub workspace: PathBuf,
    /// `inbox`, `outbox`.
    pub name: &'static str,
    pub user: AgentUser,
}

/// Where a file lies now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its name in the folder.
    pub name: String,
    pub description: Description,
}

/// The agent may have put a link in the folder's place: it is opened without following any. The
/// milliseconds in the name count on until it is free.
pub(super) fn link(from: &Path, description: &Description, folder: &Folder, now: i64) -> Result<Placed, MediaError> {
    let target = open(folder)?;
    let (Some(parent), Some(file_name)) = (from.parent(), from.file_name()) else { return Err(MediaError::NotFound) };
    let source = Dir::open_ambient_dir(parent, ambient_authority())?;
    let file = source.open(file_name).map_err(super::gone)?;
    give(&file, folder.user)?;
    for later in 0..MOST_TRIES {
        let name = stored_name(now + later, description.file_name.as_deref(), description.kind, &description.mime_type);
        match source.hard_link(file_name, &target, &name) {
            Ok(()) => return Ok(Placed { name, description: description.clone() }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // Another disk, or one that has no such links.
            Err(_) => match copy(&file, &target, &name, folder.user) {
                Ok(()) => return Ok(Placed { name, description: description.clone() }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            },
        }
    }
    Err(MediaError::Io(io::Error::new(io::ErrorKind::AlreadyExists, "no name is free in the space's folder")))
}

/// Whatever the agent made of the folder meanwhile, nothing outside of it is removed.
pub(super) fn unlink(folder: &Folder, name: &str) -> io::Result<()> {
    match open(folder)?.remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn open(folder: &Folder) -> io::Result<Dir> {
    std::fs::create_dir_all(&folder.workspace)?;
    own(&folder.workspace, folder.user)?;
    let path = folder.workspace.join(folder.name);
    make_folder(&path)?;
    own(&path, folder.user)?;
    Dir::open_ambient_dir(&folder.workspace, ambient_authority())?.open_dir_nofollow(folder.name)
}

fn copy(mut from: &cap_std::fs::File, to: &Dir, name: &str, user: AgentUser) -> io::Result<()> {
    let mut options = cap_std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = to.open_with(name, &options)?;
    let copied = io::copy(&mut from, &mut file).and_then(|_| give(&file, user));
    if copied.is_err() {
        let _ = to.remove_file(name);
    }
    copied
}

fn give(file: &cap_std::fs::File, user: AgentUser) -> io::Result<()> {
    let (uid, gid) = (rustix::fs::Uid::from_raw(user.uid), rustix::fs::Gid::from_raw(user.gid));
    Ok(rustix::fs::fchown(file, Some(uid), Some(gid))?)
}
