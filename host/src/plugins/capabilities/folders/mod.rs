//! Folders of spaces, for components that keep files there. They see them through WASI.
//!
//! Agents write in the same places. Each folder is opened without following a link and handed over
//! as it was opened; what is below is WASI's to guard, which follows no link out of it. Files that a
//! component made are the agent's afterwards: both keep the same folder.

use std::{
    io,
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
};

use cap_fs_ext::DirExt;
use cap_std::{ambient_authority, fs::Dir};
use serde::Deserialize;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::{
    domain::ids::SpaceId,
    sandbox::{AgentUser, make_folder},
};

/// Entries of one folder that are looked at after a call; a vault has some thousands.
const MOST_ENTRIES: usize = 100_000;

use crate::plugins::manifest::{check, problems::At, problems::Problems};

/// One `[[folders]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grant {
    /// A folder's name in each space: `knowledge` is `/spaces/<space>/knowledge` for the component.
    pub space_folder: String,
    #[serde(default)]
    pub write: bool,
}

impl Grant {
    /// What an operator agrees to.
    pub fn in_words(&self) -> String {
        let how = if self.write { "read and change" } else { "read" };
        format!("{how} the folder `{}` of every space", self.space_folder)
    }

    pub(crate) fn check(&self, at: &At, problems: &mut Problems) {
        check::space_folder(&self.space_folder, &at.field("space-folder"), problems);
    }
}

/// Where the spaces are, and whose.
#[derive(Clone, Debug)]
pub struct Spaces {
    pub folder: PathBuf,
    pub user: AgentUser,
}

/// Gives the component its folders, `/spaces/<space>/<folder>`. One that cannot be opened is left out
/// and said to be. Opens files: not for the async runtime. How many were opened.
pub(in crate::plugins) fn open(wasi: &mut WasiCtxBuilder, grants: &[Grant], spaces: &Spaces) -> usize {
    let mut count = 0;
    for space in names(&spaces.folder) {
        for grant in grants {
            let path = spaces.folder.join(space.as_str()).join(&grant.space_folder);
            let guest = format!("/spaces/{space}/{}", grant.space_folder);
            let given = open_folder(&path, spaces.user).and_then(|folder| {
                let perms = if grant.write { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
                wasi.preopened_dir(opened(&folder), &guest, perms).map(drop).map_err(io::Error::other)
            });
            match given {
                Ok(()) => count += 1,
                Err(error) => {
                    tracing::error!(folder = %path.display(), %error, "the folder cannot be given to a plugin");
                }
            }
        }
    }
    count
}

/// Gives the agent what the component made in its folders. Reads folders: not for the async runtime.
pub(in crate::plugins) fn hand_over(grants: &[Grant], spaces: &Spaces) {
    for space in names(&spaces.folder) {
        for grant in grants.iter().filter(|grant| grant.write) {
            let path = spaces.folder.join(space.as_str()).join(&grant.space_folder);
            if let Err(error) = open_existing(&path).and_then(|folder| give(&folder, spaces.user)) {
                tracing::warn!(folder = %path.display(), %error, "what a plugin made cannot be given to the agent");
            }
        }
    }
}

/// The spaces that have a folder.
fn names(folder: &Path) -> Vec<SpaceId> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.filter_map(|entry| SpaceId::try_from(entry.file_name().into_string().ok()?).ok()).collect()
}

/// A path that leads to the very folder that was opened.
fn opened(folder: &Dir) -> String {
    format!("/proc/self/fd/{}", folder.as_raw_fd())
}

fn open_existing(path: &Path) -> io::Result<Dir> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "names no folder of a space"));
    };
    Dir::open_ambient_dir(parent, ambient_authority())?.open_dir_nofollow(name)
}

fn open_folder(path: &Path, user: AgentUser) -> io::Result<Dir> {
    let is_new = !std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    make_folder(path)?;
    let folder = open_existing(path)?;
    if is_new {
        // The folder that was opened, whatever its path leads to by now.
        rustix::fs::chownat(&folder, "", Some(uid(user)), Some(gid(user)), rustix::fs::AtFlags::EMPTY_PATH)?;
        std::fs::set_permissions(opened(&folder), std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(folder)
}

/// Only what the host itself owns: that is what its component made. A file of several names is left
/// alone, for one of them may lie elsewhere.
fn give(root: &Dir, user: AgentUser) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    if own == user.uid {
        return Ok(());
    }
    let mut folders = vec![PathBuf::from(".")];
    let mut seen = 0;
    while let Some(path) = folders.pop() {
        let folder = match root.open_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        for entry in folder.entries()? {
            let entry = entry?;
            seen += 1;
            if seen > MOST_ENTRIES {
                return Err(io::Error::other(format!("it holds more than {MOST_ENTRIES} files")));
            }
            let name = entry.file_name();
            // Of a link: the link itself.
            let Ok(found) = rustix::fs::statat(&folder, &name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let is_folder = rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir();
            if found.st_uid == own && (is_folder || found.st_nlink == 1) {
                let (uid, gid) = (Some(uid(user)), Some(gid(user)));
                rustix::fs::chownat(&folder, &name, uid, gid, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
            }
            if is_folder {
                folders.push(path.join(name));
            }
        }
    }
    Ok(())
}

fn uid(user: AgentUser) -> rustix::fs::Uid {
    rustix::fs::Uid::from_raw(user.uid)
}

fn gid(user: AgentUser) -> rustix::fs::Gid {
    rustix::fs::Gid::from_raw(user.gid)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const AGENT: AgentUser = AgentUser { uid: 1000, gid: 1000 };

    fn spaces() -> (tempfile::TempDir, Spaces) {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("spaces");
        std::fs::create_dir_all(folder.join("main")).unwrap();
        std::fs::create_dir_all(folder.join("Not A Space")).unwrap();
        std::os::unix::fs::symlink("/etc", folder.join("etc")).unwrap();
        (data, Spaces { folder, user: AGENT })
    }

    fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    #[test]
    fn only_spaces_have_folders() {
        let (_data, spaces) = spaces();
        assert_eq!(names(&spaces.folder).iter().map(SpaceId::as_str).collect::<Vec<_>>(), ["main"]);
        assert!(names(Path::new("/nowhere")).is_empty());
    }

    /// An agent that puts a link in the folder's place opens nothing but a new folder.
    #[test]
    fn a_planted_link_is_moved_aside() {
        if !is_root() {
            return;
        }
        let (data, spaces) = spaces();
        let outside = data.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        let path = spaces.folder.join("main/knowledge");
        std::os::unix::fs::symlink(&outside, &path).unwrap();
        let folder = open_folder(&path, AGENT).unwrap();
        folder.write("x", "x").unwrap();
        assert!(path.join("x").exists() && !outside.join("x").exists());
        assert_eq!(std::fs::metadata(&path).unwrap().uid(), AGENT.uid);
        assert!(open_existing(&spaces.folder.join("main/none")).is_err());
        std::os::unix::fs::symlink(&outside, spaces.folder.join("main/link")).unwrap();
        assert!(open_existing(&spaces.folder.join("main/link")).is_err());
        // Also to another folder of the space: it was not granted.
        std::os::unix::fs::symlink("knowledge", spaces.folder.join("main/sibling")).unwrap();
        assert!(open_existing(&spaces.folder.join("main/sibling")).is_err());
    }

    #[test]
    fn what_a_component_made_is_the_agents() {
        if !is_root() {
            return;
        }
        let (data, spaces) = spaces();
        let grants = [Grant { space_folder: "knowledge".into(), write: true }];
        let path = spaces.folder.join("main/knowledge");
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        std::fs::write(path.join("a/b/note.md"), "n").unwrap();
        let secret = data.path().join("secret");
        std::fs::write(&secret, "s").unwrap();
        std::os::unix::fs::symlink(&secret, path.join("link")).unwrap();
        std::os::unix::fs::symlink(data.path(), path.join("up")).unwrap();
        std::fs::hard_link(&secret, path.join("hard")).unwrap();
        hand_over(&grants, &spaces);
        for made in ["a", "a/b", "a/b/note.md"] {
            assert_eq!(std::fs::metadata(path.join(made)).unwrap().uid(), AGENT.uid, "{made}");
        }
        assert_eq!(std::fs::metadata(&secret).unwrap().uid(), 0, "neither link leads there");
    }

    #[test]
    fn names_of_folders_are_plain() {
        for (name, fits) in [
            ("knowledge", true),
            ("a-1", true),
            ("a.b_c", false),
            ("", false),
            (".hidden", false),
            ("a/b", false),
            ("..", false),
        ] {
            let mut problems = Problems::default();
            Grant { space_folder: name.into(), write: false }.check(&At::root(), &mut problems);
            assert_eq!(problems.is_empty(), fits, "{name}");
        }
    }
}
