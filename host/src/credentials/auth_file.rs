//! A file of credentials by provider, as `pi` lays it out: `auth.json`.
//!
//! Written so that a crash at any point leaves the old file or the new one, closed to other users.
//! Whoever changes it holds the lock from reading to writing. The lock is a file of its own beside
//! it, since the file itself is replaced; it is not `auth.json.lock`, which is a folder where `pi`
//! uses the file.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value as Json};

use super::token_set::TokenSet;

/// Held from reading to writing; other processes wait. Dropping it lets go.
#[derive(Debug)]
pub struct Locked {
    _lock: File,
}

#[derive(Clone, Debug)]
pub struct AuthFile {
    path: PathBuf,
}

impl AuthFile {
    /// However `path` is spelled, one file has one name here (oauth.md 5.5).
    pub fn new(path: &Path) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let resolved = fs::canonicalize(&absolute).ok().or_else(|| {
            let folder = fs::canonicalize(absolute.parent()?).ok()?;
            Some(folder.join(absolute.file_name()?))
        });
        Self { path: resolved.unwrap_or(absolute) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every entry. A missing file is empty, and so is one that is no JSON object.
    pub fn read(&self) -> Map<String, Json> {
        match fs::read(&self.path) {
            Ok(bytes) => parse(&bytes).unwrap_or_else(|| {
                tracing::warn!(path = %self.path.display(), "the credentials file is malformed and counts as empty");
                Map::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "the credentials file cannot be read and counts as empty");
                Map::new()
            }
        }
    }

    /// The sign-in of `provider`, if it is complete.
    pub fn tokens(&self, provider: &str) -> Option<TokenSet> {
        self.read().get(provider).and_then(TokenSet::from_entry)
    }

    /// The lock, or `None` while another process has it.
    pub fn try_lock(&self) -> io::Result<Option<Locked>> {
        let file = self.open_lock()?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Locked { _lock: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Waits for the lock. Blocks: for a thread that may.
    pub fn lock(&self) -> io::Result<Locked> {
        let file = self.open_lock()?;
        file.lock()?;
        Ok(Locked { _lock: file })
    }

    fn open_lock(&self) -> io::Result<File> {
        self.make_folder()?;
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(self.beside("flock"))
    }

    /// Replaces the entry of `provider`, or removes it, and leaves every other as it is by now.
    /// When this returns, the change survives a power cut.
    pub fn replace(&self, provider: &str, entry: Option<Json>) -> io::Result<()> {
        self.stage(provider, entry)?.commit()
    }

    fn stage(&self, provider: &str, entry: Option<Json>) -> io::Result<Staged<'_>> {
        self.make_folder()?;
        let mut entries = match fs::read(&self.path) {
            Ok(bytes) => match parse(&bytes) {
                Some(entries) => entries,
                None => {
                    // Somebody's typing error, perhaps: it is set aside, not destroyed.
                    fs::rename(&self.path, self.beside("damaged"))?;
                    Map::new()
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
            Err(error) => return Err(error),
        };
        match entry {
            Some(entry) => drop(entries.insert(provider.to_owned(), entry)),
            None => drop(entries.remove(provider)),
        }
        self.sweep();
        let staged = Staged { file: self, path: self.beside(&format!("{}.tmp", std::process::id())) };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged.path)?;
        file.write_all(&serde_json::to_vec_pretty(&entries)?)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        Ok(staged)
    }

    /// Removes what crashed writers left. The lock is held, so nobody else writes.
    fn sweep(&self) {
        let (Some(folder), Some(name)) = (self.path.parent(), self.path.file_name()) else { return };
        let prefix = format!("{}.", name.to_string_lossy());
        for found in fs::read_dir(folder).into_iter().flatten().flatten() {
            let found_name = found.file_name();
            let found_name = found_name.to_string_lossy();
            if found_name.starts_with(&prefix) && found_name.ends_with(".tmp") {
                let _ = fs::remove_file(found.path());
            }
        }
    }

    fn make_folder(&self) -> io::Result<()> {
        match self.path.parent() {
            Some(folder) => fs::DirBuilder::new().recursive(true).mode(0o700).create(folder),
            None => Ok(()),
        }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(suffix);
        self.path.with_file_name(name)
    }
}

/// Written and synced under another name.
struct Staged<'a> {
    file: &'a AuthFile,
    path: PathBuf,
}

impl Staged<'_> {
    fn commit(self) -> io::Result<()> {
        fs::rename(&self.path, &self.file.path)?;
        match self.file.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // After a commit there is nothing under this name.
        let _ = fs::remove_file(&self.path);
    }
}

fn parse(bytes: &[u8]) -> Option<Map<String, Json>> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Some(Map::new());
    }
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    fn entry(access: &str) -> Json {
        json!({ "type": "oauth", "access": access, "refresh": "r", "expires": 1 })
    }

    fn in_new_folder() -> (tempfile::TempDir, AuthFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = AuthFile::new(&folder.path().join("global/auth.json"));
        (folder, file)
    }

    fn names(file: &AuthFile) -> Vec<String> {
        let entries = fs::read_dir(file.path().parent().unwrap()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// oauth.md #33: other entries stay, mode 0600, nothing else is left.
    #[test]
    fn one_entry_is_replaced() {
        let (_folder, file) = in_new_folder();
        file.replace("anthropic", Some(entry("a"))).unwrap();
        let foreign = json!({ "type": "api_key", "key": "k" });
        file.replace("other", Some(foreign.clone())).unwrap();
        file.replace("anthropic", Some(entry("b"))).unwrap();
        assert_eq!(file.read()["other"], foreign);
        assert_eq!(file.read()["anthropic"]["access"], "b");
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(&file), ["auth.json"]);
        assert!(fs::read_to_string(file.path()).unwrap().contains("\n  \"anthropic\": {\n"), "two spaces");
        file.replace("anthropic", None).unwrap();
        assert!(file.tokens("anthropic").is_none() && file.read().contains_key("other"));
    }

    /// oauth.md #40: a crash between the writing and the renaming leaves the old file, and the next
    /// writer clears up.
    #[test]
    fn a_crash_before_the_rename() {
        let (_folder, file) = in_new_folder();
        file.replace("anthropic", Some(entry("old"))).unwrap();
        std::mem::forget(file.stage("anthropic", Some(entry("new"))).unwrap());
        assert_eq!(names(&file).len(), 2, "the process is gone, its temporary file is not");
        assert_eq!(file.read()["anthropic"]["access"], "old");
        file.replace("anthropic", Some(entry("newer"))).unwrap();
        assert_eq!(file.read()["anthropic"]["access"], "newer");
        assert_eq!(names(&file), ["auth.json"]);
    }

    /// oauth.md #29: missing and malformed files are empty; a malformed one is not destroyed.
    #[test]
    fn missing_and_malformed() {
        let (_folder, file) = in_new_folder();
        assert!(file.read().is_empty());
        file.replace("anthropic", Some(entry("a"))).unwrap();
        fs::write(file.path(), "{oops").unwrap();
        assert!(file.read().is_empty());
        file.replace("anthropic", Some(entry("b"))).unwrap();
        assert_eq!(fs::read_to_string(file.path().with_file_name("auth.json.damaged")).unwrap(), "{oops");
        assert_eq!(file.read()["anthropic"]["access"], "b");
    }

    /// oauth.md #37: one name, however it is spelled.
    #[test]
    fn one_name() {
        let folder = tempfile::tempdir().unwrap();
        let plain = AuthFile::new(&folder.path().join("auth.json"));
        fs::create_dir(folder.path().join("sub")).unwrap();
        assert_eq!(AuthFile::new(&folder.path().join("sub/../auth.json")).path(), plain.path());
    }
}
