//! Removing a space: its rows and its folder, both or neither.
//!
//! The folder is moved aside within the transaction that removes the rows, which also notes where the folder
//! lies. Killed at any point, the next start finds a folder that is noted, and deletes it, or one that is not,
//! and puts it back: its space was not removed. So no later space of the same name ever finds a file of this
//! one. Agents wrote in the folder: no link in it is followed.

use std::{
    fs::File,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use cap_fs_ext::DirExt;
use cap_std::{ambient_authority, fs::Dir};
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use crate::{
    clock,
    domain::ids::SpaceId,
    sandbox::remove_tree,
    store::{Removal, Removed, Store, StoreError},
};

/// Among the spaces' folders, so on the same disk; no space has such a name.
pub const ASIDE: &str = ".removed";

/// Why a space is still there.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    #[error("The space {} cannot be removed: it is where everything begins", SpaceId::MAIN)]
    Main,
    #[error("There is no space {0}")]
    Unknown(SpaceId),
    #[error("A run of {0} is queued or at work")]
    Busy(SpaceId),
    #[error("The folder {} cannot be moved, so nothing was removed: {message}", path.display())]
    NotMoved { path: PathBuf, message: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whoever keeps something of spaces in memory.
pub trait Forgets: Send + Sync {
    fn forget_space<'a>(&'a self, space: &'a SpaceId) -> BoxFuture<'a, ()>;
}

/// Removes spaces. Cheap to clone.
#[derive(Clone)]
pub struct Removals {
    store: Store,
    told: Option<Arc<dyn Forgets>>,
    /// Where the spaces' folders are.
    spaces: PathBuf,
    /// Held while folders are deleted: two at once would pull them away from under each other.
    deleting: Arc<Mutex<()>>,
}

impl Removals {
    pub fn new(store: Store, spaces: PathBuf) -> Self {
        Self { store, told: None, spaces, deleting: Arc::default() }
    }

    /// Whoever removes a space, `told` forgets it.
    pub fn telling(self, told: Arc<dyn Forgets>) -> Self {
        Self { told: Some(told), ..self }
    }

    /// Removes a space in which nothing is at work. Once this returns nothing of it is found again; what
    /// could not be deleted yet is tried again later.
    pub async fn remove(&self, space: &SpaceId) -> Result<Removed, RemovalError> {
        // A task of its own: a client that no longer waits must not leave it half done.
        let (removals, of) = (self.clone(), space.clone());
        let removing = tokio::spawn(async move { removals.remove_whole(&of).await });
        removing.await.unwrap_or_else(|error| {
            let path = self.spaces.join(space.as_str());
            Err(RemovalError::NotMoved { path, message: error.to_string() })
        })
    }

    async fn remove_whole(&self, space: &SpaceId) -> Result<Removed, RemovalError> {
        if space.as_str() == SpaceId::MAIN {
            return Err(RemovalError::Main);
        }
        let aside = Aside::of(&self.spaces, space);
        let moving = aside.clone();
        let removed = self.store.remove_space(space, &aside.name, clock::millis(), move || moving.take()).await;
        let path = self.spaces.join(space.as_str());
        match removed {
            Ok(Removal::Done(removed)) => {
                if let Some(told) = &self.told {
                    told.forget_space(space).await;
                }
                self.delete(vec![aside]).await;
                Ok(removed)
            }
            Ok(Removal::Unknown) => Err(RemovalError::Unknown(space.clone())),
            Ok(Removal::Busy) => Err(RemovalError::Busy(space.clone())),
            Ok(Removal::NotMoved(message)) => {
                // It may have been moved, and only that not been put on the disk.
                self.put_back(vec![aside]).await;
                Err(RemovalError::NotMoved { path, message })
            }
            Err(error) => {
                // Whether the commit reached the disk is the disk's to say.
                if let Ok(noted) = self.store.removals().await
                    && !noted.contains(&aside.name)
                {
                    self.put_back(vec![aside]).await;
                }
                Err(error.into())
            }
        }
    }

    /// Puts back the folders of spaces that were not removed after all: the host ended in between. Before
    /// anything is done in a space.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn recover(&self) -> Result<(), StoreError> {
        let spaces = self.spaces.clone();
        let found = match blocking(move || Aside::all(&spaces)).await {
            Ok(found) => found,
            Err(error) => {
                let folder = self.spaces.join(ASIDE);
                tracing::error!(folder = %folder.display(), %error, "folders of removed spaces cannot be looked for");
                return Ok(());
            }
        };
        let noted = self.store.removals().await?;
        let mut back = Vec::new();
        for aside in found.into_iter().filter(|aside| !noted.contains(&aside.name)) {
            match self.store.space_exists(&aside.space).await? {
                true => back.push(aside),
                // Of another database than this one: neither put where a space would find it, nor deleted.
                false => {
                    tracing::warn!(folder = %aside.path().display(), "a folder of no space; delete it, if nobody needs it")
                }
            }
        }
        self.put_back(back).await;
        Ok(())
    }

    /// Deletes what is left of removed spaces. What cannot be deleted is logged, and stays noted.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn finish(&self) -> Result<(), StoreError> {
        let noted = self.store.removals().await?;
        self.delete(noted.into_iter().filter_map(|name| Aside::named(&self.spaces, name)).collect()).await;
        Ok(())
    }

    async fn delete(&self, folders: Vec<Aside>) {
        let _deleting = self.deleting.lock().await;
        for aside in folders {
            let (name, path) = (aside.name.clone(), aside.path());
            let deleted = blocking(move || remove_tree(&aside.path())).await;
            let outcome = match deleted {
                Ok(()) => self.store.forget_removal(&name).await.map_err(io::Error::other),
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                tracing::error!(folder = %path.display(), %error, "what is left of a removed space cannot be deleted; it is tried again");
            }
        }
    }

    async fn put_back(&self, folders: Vec<Aside>) {
        for aside in folders {
            let (space, path) = (aside.space.clone(), aside.path());
            match blocking(move || aside.put_back()).await {
                Ok(()) => tracing::warn!(%space, "the space was not removed; its folder is in its place again"),
                Err(error) => {
                    let place = self.spaces.join(space.as_str());
                    tracing::error!(%space, folder = %path.display(), %error, "the space's folder cannot be put back; move it to {}", place.display());
                }
            }
        }
    }
}

/// A removed space's folder: `.removed/<space>.<random>`.
#[derive(Clone, Debug)]
struct Aside {
    spaces: PathBuf,
    space: SpaceId,
    name: String,
}

impl Aside {
    fn of(spaces: &Path, space: &SpaceId) -> Self {
        let name = format!("{space}.{:016x}", rand::random::<u64>());
        Self { spaces: spaces.to_owned(), space: space.clone(), name }
    }

    /// `None` where the name is of nothing that was moved aside.
    fn named(spaces: &Path, name: String) -> Option<Self> {
        let (space, random) = name.split_once('.')?;
        let plain = random.bytes().all(|byte| byte.is_ascii_hexdigit());
        let space = SpaceId::try_from(space.to_owned()).ok().filter(|_| plain)?;
        Some(Self { spaces: spaces.to_owned(), space, name })
    }

    fn all(spaces: &Path) -> io::Result<Vec<Self>> {
        let entries = match std::fs::read_dir(spaces.join(ASIDE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name().into_string();
            found.extend(name.ok().and_then(|name| Self::named(spaces, name)));
        }
        Ok(found)
    }

    fn path(&self) -> PathBuf {
        self.spaces.join(ASIDE).join(&self.name)
    }

    /// Moves the space's folder here, if it has one: on disk when this returns.
    fn take(&self) -> io::Result<()> {
        let spaces = match open(&self.spaces) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        match std::fs::DirBuilder::new().mode(0o700).create(self.spaces.join(ASIDE)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let aside = spaces.open_dir_nofollow(ASIDE)?;
        match spaces.rename(self.space.as_str(), &aside, &self.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved.and_then(|()| self.sync()),
        }
    }

    /// Moves the folder back to the space, where nothing has taken its place.
    fn put_back(&self) -> io::Result<()> {
        let spaces = open(&self.spaces)?;
        let aside = match spaces.open_dir_nofollow(ASIDE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        match aside.symlink_metadata(&self.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found.map(drop)?,
        }
        // A folder that is empty would be replaced without a word.
        match spaces.symlink_metadata(self.space.as_str()) {
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something lies in its place")),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        aside.rename(&self.name, &spaces, self.space.as_str())?;
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        File::open(self.spaces.join(ASIDE))?.sync_all()?;
        File::open(&self.spaces)?.sync_all()
    }
}

fn open(folder: &Path) -> io::Result<Dir> {
    Dir::open_ambient_dir(folder, ambient_authority())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests;
