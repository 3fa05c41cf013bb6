//! Files on their way between platforms, components and spaces: `<data>/media`.
//!
//! Owns what adapters download and components make until somebody takes it, and nothing longer than
//! an hour. A handle is a name, not a key: whoever asks for a file also says for whom, and gets only
//! what that plugin made. Files that somebody else keeps are [`Lent`] for one call.

mod incoming;
mod lent;
mod place;
mod quota;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::domain::media::Kind;

pub use incoming::Incoming;
pub use lent::Lent;
pub use place::{Folder, Placed};
pub use quota::Quota;

/// How long a file stays that nobody takes (`wit/types.wit`, `media`).
pub const LIFE: Duration = Duration::from_hours(1);
/// Between two looks for files whose time is up.
pub const SWEEP_EVERY: Duration = Duration::from_mins(5);
/// Files that one plugin may have at once, however small.
const MOST_FILES: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    #[error("there is no file of this handle: it was never this plugin's, was taken, or its hour is over")]
    NotFound,
    #[error("the file is larger than {most} bytes")]
    TooLarge { most: u64 },
    #[error(
        "the plugin's {quota} bytes for files are used up; they come back as its files are sent, or after an hour. \
         More: quota-mib under [media] of plugin.toml"
    )]
    Quota { quota: u64 },
    #[error("the file cannot be kept: {0}")]
    Io(#[from] io::Error),
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    pub handle: String,
    pub kind: Kind,
    pub mime_type: String,
    pub file_name: Option<String>,
    pub size_bytes: u64,
}

/// A kept file's row, in memory and, as JSON, beside the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    owner: String,
    made_at: i64,
    #[serde(flatten)]
    description: Description,
}

#[derive(Default)]
struct Index {
    entries: HashMap<String, Entry>,
    /// Owner → bytes, those still being written included.
    used: BTreeMap<String, u64>,
}

impl Index {
    fn remove(&mut self, handle: &str) -> Option<Entry> {
        let entry = self.entries.remove(handle)?;
        self.refund(&entry.owner, entry.description.size_bytes);
        Some(entry)
    }

    fn refund(&mut self, owner: &str, bytes: u64) {
        if let Some(used) = self.used.get_mut(owner) {
            *used = used.saturating_sub(bytes);
            if *used == 0 {
                self.used.remove(owner);
            }
        }
    }
}

/// The room. Cheap to clone.
#[derive(Clone)]
pub struct MediaStore {
    folder: Arc<Path>,
    index: Arc<Mutex<Index>>,
}

impl MediaStore {
    /// Opens `folder`, makes it where it is missing, and removes what no row describes or whose time
    /// is up at `now` (milliseconds since the Unix epoch). Reads the folder: not for the async runtime.
    ///
    /// # Errors
    /// Where the folder cannot be made or listed.
    pub fn open(folder: &Path, now: i64) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut index = Index::default();
        let mut strangers = Vec::new();
        for found in std::fs::read_dir(folder)? {
            let path = found?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => match read_entry(&path).filter(|entry| !is_over(entry, now)) {
                    Some(entry) => {
                        *index.used.entry(entry.owner.clone()).or_default() += entry.description.size_bytes;
                        index.entries.insert(entry.description.handle.clone(), entry);
                    }
                    None => strangers.push(path),
                },
                _ => strangers.push(path),
            }
        }
        let described = |path: &PathBuf| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| index.entries.contains_key(name))
        };
        for path in strangers.into_iter().filter(|path| !described(path)) {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "a left-over file cannot be removed");
            }
        }
        Ok(Self { folder: folder.into(), index: Arc::new(Mutex::new(index)) })
    }

    /// Begins a file of the plugin `owner`, whose files may have `quota` bytes together and this one
    /// `most`.
    ///
    /// # Errors
    /// [`MediaError::Quota`] where the plugin has too many files already.
    pub async fn begin(&self, owner: &str, quota: u64, most: u64) -> Result<Incoming, MediaError> {
        let files = self.index().entries.values().filter(|entry| entry.owner == owner).count();
        if files >= MOST_FILES {
            return Err(MediaError::Quota { quota });
        }
        Incoming::begin(self.clone(), owner.to_owned(), quota, most).await
    }

    /// What `owner` has under this handle.
    pub fn find(&self, owner: &str, handle: &str) -> Option<Description> {
        let index = self.index();
        index.entries.get(handle).filter(|entry| entry.owner == owner).map(|entry| entry.description.clone())
    }

    /// The file, for as long as the caller holds it, whatever becomes of the handle.
    ///
    /// # Errors
    /// [`MediaError::NotFound`] for what `owner` does not have.
    pub async fn lend(&self, owner: &str, handle: &str) -> Result<Lent, MediaError> {
        let description = self.find(owner, handle).ok_or(MediaError::NotFound)?;
        let path = self.path(handle);
        blocking(move || Ok(Lent::opened(description, std::fs::File::open(path).map_err(gone)?))).await
    }

    /// What a platform says of its own file counts, where its file server knows less: Telegram's calls
    /// everything `application/octet-stream`. Nothing happens for what `owner` does not have.
    pub fn describe(&self, owner: &str, handle: &str, kind: Kind, mime_type: String, file_name: Option<String>) {
        if let Some(entry) = self.index().entries.get_mut(handle).filter(|entry| entry.owner == owner) {
            let Description { handle, size_bytes, .. } = &entry.description;
            let (handle, size_bytes) = (handle.clone(), *size_bytes);
            entry.description = Description { handle, kind, mime_type, file_name, size_bytes };
        }
    }

    /// Moves the file to `to`, a path of the host's own on the same disk. The handle is gone then.
    ///
    /// # Errors
    /// [`MediaError::NotFound`] for what `owner` does not have.
    pub async fn take(&self, owner: &str, handle: &str, to: &Path) -> Result<Description, MediaError> {
        let description = self.find(owner, handle).ok_or(MediaError::NotFound)?;
        let (from, to) = (self.path(handle), to.to_owned());
        blocking(move || std::fs::rename(from, to).map_err(gone)).await?;
        self.release(owner, handle).await;
        Ok(description)
    }

    /// Puts the file into a folder of a space under a name of its own, for the agent, without copying.
    /// The handle stays until [`MediaStore::release`]: what is to be done with the file may yet fail.
    ///
    /// # Errors
    /// [`MediaError::NotFound`] for what `owner` does not have; I/O errors where the folder is no
    /// folder any more.
    pub async fn place(&self, owner: &str, handle: &str, folder: Folder, now: i64) -> Result<Placed, MediaError> {
        let description = self.find(owner, handle).ok_or(MediaError::NotFound)?;
        let path = self.path(handle);
        blocking(move || place::link(&path, &description, &folder, now)).await
    }

    /// Takes a placed file out of the folder again. One that is not there is as good as taken.
    ///
    /// # Errors
    /// I/O errors where the folder is no folder any more.
    pub async fn displace(&self, folder: Folder, name: &str) -> Result<(), MediaError> {
        let name = name.to_owned();
        blocking(move || Ok(place::unlink(&folder, &name)?)).await
    }

    /// Forgets the handle, and the file with it. Nothing happens for what `owner` does not have.
    pub async fn release(&self, owner: &str, handle: &str) {
        if self.find(owner, handle).is_some() && self.index().remove(handle).is_some() {
            self.remove_files(vec![handle.to_owned()]).await;
        }
    }

    /// Removes what nobody took within [`LIFE`], at `now`. Returns how many files.
    pub async fn sweep(&self, now: i64) -> usize {
        let over: Vec<String> = {
            let mut index = self.index();
            let over: Vec<String> = index
                .entries
                .values()
                .filter(|entry| is_over(entry, now))
                .map(|e| e.description.handle.clone())
                .collect();
            for handle in &over {
                index.remove(handle);
            }
            over
        };
        let count = over.len();
        self.remove_files(over).await;
        count
    }

    /// Removes all files of `owner`. Returns how many.
    pub async fn purge(&self, owner: &str) -> usize {
        let handles: Vec<String> = {
            let mut index = self.index();
            let of_owner = index.entries.iter().filter(|(_, entry)| entry.owner == owner);
            let handles: Vec<String> = of_owner.map(|(handle, _)| handle.clone()).collect();
            for handle in &handles {
                index.remove(handle);
            }
            handles
        };
        let count = handles.len();
        self.remove_files(handles).await;
        count
    }

    /// How many files of `owner` lie in `folder`, for who only wants to know. Reads it: not for the async runtime.
    pub fn count(folder: &Path, owner: &str) -> usize {
        let paths = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let rows = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        rows.filter_map(|path| read_entry(&path)).filter(|entry| entry.owner == owner).count()
    }

    async fn remove_files(&self, handles: Vec<String>) {
        let paths: Vec<PathBuf> = handles.iter().flat_map(|handle| [self.path(handle), self.row(handle)]).collect();
        let remove = move || {
            for path in paths {
                match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        tracing::warn!(path = %path.display(), %error, "a file cannot be removed");
                    }
                    _ => {}
                }
            }
        };
        let _ = tokio::task::spawn_blocking(remove).await;
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, handle: &str) -> PathBuf {
        self.folder.join(handle)
    }

    fn row(&self, handle: &str) -> PathBuf {
        self.folder.join(format!("{handle}.json"))
    }
}

/// 128 random bits: unique, and of no use to who guesses one.
fn new_handle() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn is_over(entry: &Entry, now: i64) -> bool {
    now.saturating_sub(entry.made_at) >= LIFE.as_millis() as i64
}

/// A row that is what it should be, with its file.
fn read_entry(row: &Path) -> Option<Entry> {
    let entry: Entry = serde_json::from_slice(&std::fs::read(row).ok()?).ok()?;
    let handle = &entry.description.handle;
    let file = row.with_extension("");
    let own = file.file_name().is_some_and(|name| name == handle.as_str());
    let size = std::fs::symlink_metadata(&file).ok().filter(std::fs::Metadata::is_file)?.len();
    (own && size == entry.description.size_bytes).then_some(entry)
}

fn gone(error: io::Error) -> MediaError {
    if error.kind() == io::ErrorKind::NotFound { MediaError::NotFound } else { MediaError::Io(error) }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MediaError> + Send + 'static,
) -> Result<T, MediaError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(MediaError::Io(io::Error::other(error))))
}

#[cfg(test)]
mod tests;
