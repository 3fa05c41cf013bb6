//! The folders of a run: made before its container, read after it, swept when it is over.
//!
//! What an agent may have written is opened without following links and without waiting (it could
//! have left a pipe), and read up to a limit.

use std::{
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions, OpenOptionsExt as _},
};
use mercury_protocol::{io as protocol, paths};

use super::{create::AgentUser, remove::remove_tree, seal};
use crate::domain::{
    confinement::Confinement,
    ids::{RunId, SpaceId},
    json,
    outcome::Found,
};

/// The largest `result.json`: 16 MiB.
const MOST_RESULT: u64 = 16 << 20;
/// Values in it, about: it is an object of two texts.
const MOST_PARTS: usize = 100;
/// The largest file of a reply: 25 MiB, as in the replaced system.
const MOST_FILE: u64 = 25 << 20;
/// Files that one reply may carry.
const MOST_FILES: usize = 50;
/// All files of one reply together: they are copied out of the space, where no quota of it counts.
const MOST_OF_A_REPLY: u64 = 100 << 20;
/// The file of a space that its agents read.
const GUIDE: &str = "AGENTS.md";

/// Where a run's folders are on the host.
#[derive(Clone, Debug)]
pub struct Directories {
    pub workspace: PathBuf,
    pub io: PathBuf,
    /// Holds the run's socket.
    pub run: PathBuf,
    /// What the result must be sealed with.
    pub seal: protocol::Seal,
}

/// A file that the run left in its outbox, copied to where no agent can change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    pub filename: String,
    pub path: PathBuf,
    pub size_bytes: u64,
}

impl Directories {
    pub fn new(data_dir: &Path, space: &SpaceId, run: &RunId, container: &str, seal: protocol::Seal) -> Self {
        Self {
            seal,
            workspace: data_dir.join("spaces").join(space.as_str()),
            io: data_dir.join("io").join(container),
            run: data_dir.join("run").join(run.as_str()),
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.run.join(paths::SOCKET)
    }

    pub fn result(&self) -> PathBuf {
        self.io.join(paths::RESULT)
    }

    /// Makes them, owned by the agent's user and closed to everybody else.
    pub fn make(&self, user: AgentUser) -> io::Result<()> {
        for folder in [&self.workspace, &self.io, &self.run] {
            make_private(folder, user)?;
        }
        for folder in ["inbox", "outbox"].map(|name| self.workspace.join(name)) {
            make_folder(&folder)?;
            own(&folder, user)?;
        }
        make_guide(&self.workspace, user)
    }

    /// Makes the folders of which alone a confined run is given any. Docker follows a link in a folder's
    /// place, so one that an agent left there is moved aside; the space's agents are gone by now.
    pub fn make_granted(&self, user: AgentUser, confinement: &Confinement) -> io::Result<()> {
        for folder in confinement.folders.iter().flatten() {
            let path = self.workspace.join(&folder.name);
            make_folder(&path)?;
            own(&path, user)?;
        }
        Ok(())
    }

    /// Writes the request and the credentials, which `entry` deletes once it has read them.
    pub fn write_request(
        &self,
        user: AgentUser,
        request: &protocol::Request,
        credentials: &protocol::Credentials,
    ) -> io::Result<()> {
        write_private(&self.io.join(paths::INPUT), user, &serde_json::to_vec(request)?)?;
        if !credentials.environment.is_empty() {
            write_private(&self.io.join(paths::CREDENTIALS), user, &serde_json::to_vec(credentials)?)?;
        }
        Ok(())
    }

    /// What lies in the IO directory as the result. The agent can write there as well, so a result
    /// that is not sealed with the run's seal is none.
    pub fn read_result(&self) -> Found {
        match read_bounded(&self.io, paths::RESULT, MOST_RESULT) {
            Ok(bytes) => self
                .unsealed(&bytes)
                .unwrap_or_else(|error| Found::Unusable(format!("result.json is not what is expected: {error}"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
            Err(error) => Found::Unusable(format!("result.json: {error}")),
        }
    }

    fn unsealed(&self, bytes: &[u8]) -> serde_json::Result<Found> {
        // Before a tree is made of what an agent may have written: two texts are what is expected.
        if json::structure(bytes) > MOST_PARTS {
            return Ok(Found::Forged);
        }
        // By way of an object: a derived reader would take a list for one, too.
        let object: serde_json::Map<_, _> = serde_json::from_slice(bytes)?;
        match serde_json::from_value::<protocol::Sealed>(object.into()) {
            Ok(found) if seal::is_genuine(&self.seal, &found) => {
                serde_json::from_str(&found.sealed).map(|result| Found::Result(Box::new(result)))
            }
            _ => Ok(Found::Forged),
        }
    }

    /// Copies the files that the run's manifest names from its outbox to `store`. What is no
    /// regular file, hidden, too large or not there is left out with a warning.
    pub fn collect(&self, manifest: &[String], store: &Path) -> io::Result<Vec<Collected>> {
        if manifest.is_empty() {
            return Ok(Vec::new());
        }
        let workspace = Dir::open_ambient_dir(&self.workspace, ambient_authority())?;
        let outbox = workspace.open_dir_nofollow("outbox")?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(store)?;
        let mut collected = Vec::new();
        let mut left = MOST_OF_A_REPLY;
        for (index, name) in manifest.iter().take(MOST_FILES).enumerate() {
            // Numbered: what the agent called it is never a path of the host.
            match copy_regular(&outbox, name, &store.join(index.to_string()), left.min(MOST_FILE)) {
                Ok(size_bytes) => {
                    left = left.saturating_sub(size_bytes);
                    collected.push(Collected {
                        filename: name.clone(),
                        path: store.join(index.to_string()),
                        size_bytes,
                    });
                }
                Err(error) => tracing::warn!(file = ?name, %error, "a file of the outbox is left out"),
            }
        }
        if manifest.len() > MOST_FILES {
            tracing::warn!(files = manifest.len(), "only the first {MOST_FILES} files of the outbox are sent");
        }
        Ok(collected)
    }

    /// Removes what belongs to the run alone. The workspace stays.
    pub fn sweep(&self) {
        for folder in [&self.io, &self.run] {
            if let Err(error) = remove_tree(folder) {
                tracing::warn!(folder = %folder.display(), %error, "a run's folder could not be removed");
            }
        }
    }
}

/// Makes a folder of the host's own tree, owned by the agent's user and closed to everybody else.
pub(super) fn make_private(folder: &Path, user: AgentUser) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => own(folder, user),
    }
}

/// Makes a folder where there is none. An agent may have put a link or a file in its place, which
/// is moved aside: it must not close the space for whoever comes next.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => {
            let aside = folder.with_extension(format!("replaced-{:08x}", rand::random::<u32>()));
            tracing::warn!(folder = %folder.display(), "something else lies in the folder's place and is moved aside");
            std::fs::rename(folder, aside)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    std::fs::create_dir(folder)
}

/// Where people and agents write down what holds in a space: empty at first. What lies there stays, whatever it
/// is; an empty file of the host's own is given to the agents.
fn make_guide(workspace: &Path, user: AgentUser) -> io::Result<()> {
    let path = workspace.join(GUIDE);
    let file = match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match ungiven_guide(workspace)? {
            Some(file) => file,
            None => return Ok(()),
        },
        Err(error) => return Err(error),
    };
    let found = file.metadata()?;
    if found.uid() == user.uid && found.gid() == user.gid {
        return Ok(());
    }
    // By its handle: the folder is the agents', where a name may mean something else a moment later.
    std::os::unix::fs::fchown(&file, Some(user.uid), Some(user.gid)).map_err(|error| not_given(&path, user, &error))
}

/// What a host has made that ended before it gave it away: no agent could ever write it. All else is none.
fn ungiven_guide(workspace: &Path) -> io::Result<Option<std::fs::File>> {
    let folder = Dir::open_ambient_dir(workspace, ambient_authority())?;
    let Ok(file) = open_untrusted(&folder, GUIDE) else { return Ok(None) };
    let file = file.into_std();
    let found = file.metadata()?;
    // Under one name only: with another it could be a file from somewhere else.
    let is_ungiven = found.uid() == rustix::process::geteuid().as_raw() && found.len() == 0 && found.nlink() == 1;
    Ok(is_ungiven.then_some(file))
}

/// Gives `path` to the agent's user. Loud where it cannot: an agent that may not write its own
/// workspace fails later and worse.
pub fn own(path: &Path, user: AgentUser) -> io::Result<()> {
    let found = std::fs::symlink_metadata(path)?;
    if found.uid() == user.uid && found.gid() == user.gid {
        return Ok(());
    }
    std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid)).map_err(|error| not_given(path, user, &error))
}

fn not_given(path: &Path, user: AgentUser, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot give {} to uid {}: {error}", path.display(), user.uid))
}

fn write_private(path: &Path, user: AgentUser, content: &[u8]) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    own(path, user)
}

fn open_untrusted(folder: &Dir, name: &str) -> io::Result<cap_std::fs::File> {
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    let file = folder.open_with(name, &options)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
    }
    Ok(file)
}

fn read_bounded(folder: &Path, name: &str, most: u64) -> io::Result<Vec<u8>> {
    let folder = Dir::open_ambient_dir(folder, ambient_authority())?;
    let mut bytes = Vec::new();
    let read = open_untrusted(&folder, name)?.take(most + 1).read_to_end(&mut bytes)?;
    if read as u64 > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("is larger than {most} bytes")));
    }
    Ok(bytes)
}

fn copy_regular(folder: &Dir, name: &str, to: &Path, most: u64) -> io::Result<u64> {
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
    if !plain {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a plain, visible file name"));
    }
    let from = open_untrusted(folder, name)?;
    if from.metadata()?.len() > most {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("is larger than the {most} bytes that are left"),
        ));
    }
    let mut to = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    // The kernel copies (copy_file_range); the bound holds also for a file that grows meanwhile.
    io::copy(&mut from.into_std().take(most), &mut to)
}

#[cfg(test)]
mod tests {
    use super::{seal::tests::sealed, *};
    use crate::domain::confinement::Folder;

    fn make() -> (tempfile::TempDir, Directories) {
        let data = tempfile::tempdir().unwrap();
        let space = SpaceId::try_from("main".to_owned()).unwrap();
        let directories = Directories::new(
            data.path(),
            &space,
            &RunId::from_stored("r1".into()),
            "mercury-r1",
            protocol::Seal("s3al".into()),
        );
        let user = AgentUser { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        directories.make(user).unwrap();
        (data, directories)
    }

    /// container.md #69: a result that is a link, a pipe, too large, no result or not sealed is refused.
    #[test]
    fn a_hostile_result_is_refused() {
        let (data, directories) = make();
        let result = directories.result();
        assert_eq!(directories.read_result(), Found::Nothing);
        std::fs::write(data.path().join("secret"), r#"{"reply":"leaked"}"#).unwrap();
        for target in [data.path().join("secret"), directories.io.join("input.json")] {
            std::fs::write(directories.io.join("input.json"), r#"{"reply":"leaked"}"#).unwrap();
            std::os::unix::fs::symlink(&target, &result).unwrap();
            assert!(matches!(directories.read_result(), Found::Unusable(_)), "{}", target.display());
            std::fs::remove_file(&result).unwrap();
        }
        rustix::fs::mknodat(rustix::fs::CWD, &result, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(matches!(directories.read_result(), Found::Unusable(_)), "a pipe");
        std::fs::remove_file(&result).unwrap();
        for content in ["", "not JSON", r#"["{}","00"]"#, "[]"] {
            std::fs::write(&result, content).unwrap();
            assert!(matches!(directories.read_result(), Found::Unusable(_)), "{content}");
        }
        let genuine = sealed("s3al", r#"{"reply":"true"}"#);
        std::fs::write(&result, &genuine).unwrap();
        let Found::Result(found) = directories.read_result() else { panic!("the genuine result") };
        assert_eq!(found.reply.as_deref(), Some("true"));
        std::fs::write(&result, sealed("s3al", "{")).unwrap();
        assert!(matches!(directories.read_result(), Found::Unusable(_)), "sealed, but no result");
        let edited = String::from_utf8(genuine).unwrap().replace("true", "mine");
        let foreign = String::from_utf8(sealed("another run", r#"{"reply":"mine"}"#)).unwrap();
        let bearer = r#"{"reply":"mine","seal":"s3al"}"#;
        let unsealed = [r#"{"reply":"mine"}"#, r#"{"reply":5}"#, r#"{"sealed":"{}"}"#, r#"{"sealed":"{}","mac":""}"#];
        // Of a few MiB a tree of a GiB could be made.
        let sealed = String::from_utf8(sealed("s3al", r#"{"reply":"true"}"#)).unwrap();
        let many = format!(r#"{},"a":[{}0]}}"#, sealed.trim_end_matches('}'), r#"{"":0},"#.repeat(100_000));
        for content in [&edited, &foreign, &many, bearer].into_iter().chain(unsealed) {
            std::fs::write(&result, content).unwrap();
            assert_eq!(directories.read_result(), Found::Forged, "{content}");
        }
        std::fs::write(&result, vec![b' '; MOST_RESULT as usize + 1]).unwrap();
        assert!(matches!(directories.read_result(), Found::Unusable(text) if text.contains("larger")));
    }

    /// container.md #46, pipeline.md #47: only plain, visible, regular files of the outbox are taken, and none above
    /// the cap.
    #[test]
    fn the_outbox_is_picked_by_manifest() {
        let (data, directories) = make();
        let outbox = directories.workspace.join("outbox");
        std::fs::write(outbox.join("a.txt"), "A").unwrap();
        std::fs::write(outbox.join("unlisted.txt"), "U").unwrap();
        std::fs::write(data.path().join("secret"), "S").unwrap();
        std::os::unix::fs::symlink(data.path().join("secret"), outbox.join("link")).unwrap();
        std::fs::create_dir(outbox.join("folder")).unwrap();
        std::fs::write(outbox.join(".hidden"), "H").unwrap();
        // Of holes, so that it takes no room.
        std::fs::File::create(outbox.join("huge")).unwrap().set_len(MOST_FILE + 1).unwrap();
        let names = ["a.txt", "link", "folder", ".hidden", "../../secret", "missing", "huge"].map(str::to_owned);
        let store = data.path().join("delivery");
        let collected = directories.collect(&names, &store).unwrap();
        assert_eq!(collected.len(), 1);
        assert_eq!(std::fs::read_to_string(&collected[0].path).unwrap(), "A");
        assert!(directories.collect(&[], &data.path().join("none")).unwrap().is_empty());
    }

    /// container.md #46: an outbox that is a link leads nowhere.
    #[test]
    fn an_outbox_that_is_a_link_is_refused() {
        let (data, directories) = make();
        let outbox = directories.workspace.join("outbox");
        std::fs::remove_dir(&outbox).unwrap();
        std::os::unix::fs::symlink("/etc", &outbox).unwrap();
        assert!(directories.collect(&["passwd".to_owned()], &data.path().join("d")).is_err());
    }

    /// A link in the outbox's place is moved aside, and leads nowhere.
    #[test]
    fn a_replaced_folder_does_not_close_the_space() {
        let (_data, directories) = make();
        let user = AgentUser { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        for (name, target) in [("outbox", "/nowhere"), ("inbox", "/etc")] {
            let folder = directories.workspace.join(name);
            std::fs::remove_dir(&folder).unwrap();
            std::os::unix::fs::symlink(target, &folder).unwrap();
            directories.make(user).unwrap();
            assert!(std::fs::symlink_metadata(&folder).unwrap().is_dir(), "{name}");
        }
        let granted = directories.workspace.join("knowledge");
        std::os::unix::fs::symlink("/etc", &granted).unwrap();
        let folders = vec![Folder { name: "knowledge".into(), write: true }];
        let confinement = Confinement { folders: Some(folders), ..Confinement::default() };
        directories.make_granted(user, &confinement).unwrap();
        assert!(std::fs::symlink_metadata(&granted).unwrap().is_dir(), "it would be mounted");
    }

    /// storage.md #25: a workspace is named by its space; made again it stays as it is. That one may be missing when it
    /// is removed is shown in `removal`.
    #[test]
    fn a_workspace_is_made_once() {
        let (data, directories) = make();
        let user = AgentUser { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        assert_eq!(directories.workspace, data.path().join("spaces/main"));
        let guide = directories.workspace.join("AGENTS.md");
        assert_eq!(std::fs::read_to_string(&guide).unwrap(), "");
        assert!(directories.workspace.join("inbox").is_dir() && directories.workspace.join("outbox").is_dir());
        std::fs::write(&guide, "be kind").unwrap();
        std::fs::write(directories.workspace.join("inbox/1"), "x").unwrap();
        directories.make(user).unwrap();
        assert_eq!(std::fs::read_to_string(&guide).unwrap(), "be kind");
        assert!(directories.workspace.join("inbox/1").exists());
        // An agent may have put a link there: nothing is made where it leads.
        std::fs::remove_file(&guide).unwrap();
        std::os::unix::fs::symlink(data.path().join("elsewhere"), &guide).unwrap();
        directories.make(user).unwrap();
        assert!(std::fs::read_link(&guide).is_ok() && !data.path().join("elsewhere").exists());
    }

    /// A host that was killed between making the guide and giving it away leaves one that no agent may write; the next
    /// run's host gives it away. What somebody wrote or put there stays. Only root can give files away.
    #[test]
    fn a_guide_that_was_not_given_away_is() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let (data, directories) = make();
        let user = AgentUser { uid: 12_345, gid: 12_345 };
        let guide = directories.workspace.join("AGENTS.md");
        let owner = |path: &Path| std::fs::symlink_metadata(path).map(|found| (found.uid(), found.gid())).unwrap();
        assert_eq!(owner(&guide), (0, 0));
        directories.make(user).unwrap();
        assert_eq!(owner(&guide), (user.uid, user.gid));
        std::fs::remove_file(&guide).unwrap();
        directories.make(user).unwrap();
        assert_eq!(owner(&guide), (user.uid, user.gid), "made anew");

        let elsewhere = data.path().join("elsewhere");
        let put: [(&str, &dyn Fn()); 4] = [
            ("the operator's words", &|| std::fs::write(&guide, "be kind").unwrap()),
            ("a file from elsewhere", &|| std::fs::hard_link(&elsewhere, &guide).unwrap()),
            ("a link", &|| std::os::unix::fs::symlink(&elsewhere, &guide).unwrap()),
            ("a folder", &|| std::fs::create_dir(&guide).unwrap()),
        ];
        std::fs::write(&elsewhere, "").unwrap();
        for (what, put) in put {
            std::fs::remove_file(&guide).unwrap();
            put();
            directories.make(user).unwrap();
            assert_eq!((owner(&guide), owner(&elsewhere)), ((0, 0), (0, 0)), "{what}");
        }
    }

    /// container.md #65: what is written for the agent is closed to others.
    #[test]
    fn requests_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let (_data, directories) = make();
        let user = AgentUser { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        let request: protocol::Request = serde_json::from_str(
            r#"{"runId":"r","spaceId":"main","spaceWorkspace":"/spaces/main","prompt":"p","callerId":"c"}"#,
        )
        .unwrap();
        let credentials = protocol::Credentials { environment: [("K".to_owned(), "canary".to_owned())].into() };
        directories.write_request(user, &request, &credentials).unwrap();
        for name in [paths::INPUT, paths::CREDENTIALS] {
            let mode = std::fs::metadata(directories.io.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{name}");
        }
        assert!(!std::fs::read_to_string(directories.io.join(paths::INPUT)).unwrap().contains("canary"));
        directories.sweep();
        assert!(!directories.io.exists() && directories.workspace.exists());
    }
}
