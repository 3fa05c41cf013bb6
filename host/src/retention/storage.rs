//! How much room each space's files take, and what is left on the disk.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use crate::{
    backup::walk::{Step, walk},
    removal,
};

/// For how long a measurement holds: agents may ask in a loop, and it reads every folder of every space.
const HOLDS: Duration = Duration::from_secs(30);
/// Walks at once over files that somebody asked for.
const WALKS: usize = 2;

/// Bytes of the disk that the data directory is on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    pub total_bytes: u64,
    pub used_bytes: u64,
    /// What is left for the host: file systems keep a part for root.
    pub free_bytes: u64,
    /// With one digit behind the point.
    pub used_percent: f64,
}

/// Bytes of a space's files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpaceSizes {
    pub space_id: String,
    /// Received files.
    pub inbox_bytes: u64,
    /// Produced files.
    pub outbox_bytes: u64,
    /// The whole workspace.
    pub total_bytes: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    pub disk: Disk,
    /// By id. A folder that is no space's (any more) is among them: it takes room as well.
    pub spaces: Vec<SpaceSizes>,
    /// With its log and copies of before migrations.
    pub database_bytes: u64,
}

impl Measured {
    /// Of one space; zeros where it has no folder yet.
    pub fn of(&self, space: &str) -> SpaceSizes {
        let found = self.spaces.iter().find(|sizes| sizes.space_id == space).cloned();
        found.unwrap_or_else(|| SpaceSizes { space_id: space.to_owned(), ..SpaceSizes::default() })
    }
}

/// When it was measured, and what was found.
type Known = Option<(Instant, Arc<Measured>)>;

/// Measures the data directory when somebody asks, and not more often than every 30 s.
#[derive(Debug)]
pub struct Storage {
    data_dir: PathBuf,
    /// Held while measuring, so that many who ask at once measure once.
    measured: Arc<Mutex<Known>>,
    walks: Arc<Semaphore>,
}

impl Storage {
    pub fn new(data_dir: PathBuf) -> Self {
        Self { data_dir, measured: Arc::default(), walks: Arc::new(Semaphore::new(WALKS)) }
    }

    /// What cannot be read counts as nothing, with a word in the log.
    pub async fn measured(&self) -> Arc<Measured> {
        let mut measured = self.measured.clone().lock_owned().await;
        if let Some((at, known)) = &*measured
            && at.elapsed() < HOLDS
        {
            return known.clone();
        }
        let data_dir = self.data_dir.clone();
        // The work has the lock, not who waits for it: one who asks and goes away must not let another one in.
        let measuring = tokio::task::spawn_blocking(move || {
            let now = Arc::new(measure(&data_dir));
            *measured = Some((Instant::now(), now.clone()));
            now
        });
        measuring.await.unwrap_or_default()
    }

    /// Does something with files that somebody asked for, when its turn comes.
    pub async fn walk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.turn().await.walk(work).await
    }

    /// Waits for a turn at files that somebody asked for: as often as people and agents ask, the host's other work
    /// on files goes on.
    pub async fn turn(&self) -> Turn {
        Turn { _permit: self.walks.clone().acquire_owned().await.ok() }
    }
}

/// One's turn at files; the next one's when it is dropped.
#[derive(Debug)]
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// Does something with files off the async threads.
    pub async fn walk<T: Send + 'static>(self, work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
        let walking = tokio::task::spawn_blocking(move || {
            let _turn = self;
            work()
        });
        walking.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

fn measure(data_dir: &Path) -> Measured {
    let told = |what: &'static str| move |error: &io::Error| tracing::warn!(path = %data_dir.display(), %error, "{what} cannot be measured");
    Measured {
        disk: disk(data_dir).inspect_err(told("the disk")).unwrap_or_default(),
        spaces: spaces(&data_dir.join("spaces")).inspect_err(told("the spaces' files")).unwrap_or_default(),
        database_bytes: database(data_dir).inspect_err(told("the database")).unwrap_or_default(),
    }
}

fn disk(path: &Path) -> io::Result<Disk> {
    let found = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    let (used, free) = (bytes(found.f_blocks.saturating_sub(found.f_bfree)), bytes(found.f_bavail));
    // As `df` reckons: of what the host could fill.
    let percent = if used + free == 0 { 0.0 } else { used as f64 * 100.0 / (used + free) as f64 };
    Ok(Disk {
        total_bytes: bytes(found.f_blocks),
        used_bytes: used,
        free_bytes: free,
        used_percent: (percent * 10.0).round() / 10.0,
    })
}

fn spaces(folder: &Path) -> io::Result<Vec<SpaceSizes>> {
    let mut spaces = BTreeMap::<String, SpaceSizes>::new();
    let walked = walk(folder, |found| {
        let mut parts = found.path.iter().map(|part| part.to_string_lossy());
        let (Some(space), inside) = (parts.next(), parts.next()) else { return Ok(Step::On) };
        if space == removal::ASIDE {
            return Ok(Step::Over);
        }
        let bytes = if found.metadata.is_file() { found.metadata.len() } else { 0 };
        if inside.is_none() && !found.metadata.is_dir() {
            return Ok(Step::Over);
        }
        let sizes = spaces
            .entry(space.clone().into_owned())
            .or_insert_with(|| SpaceSizes { space_id: space.into_owned(), ..SpaceSizes::default() });
        sizes.total_bytes += bytes;
        match inside.as_deref() {
            Some("inbox") => sizes.inbox_bytes += bytes,
            Some("outbox") => sizes.outbox_bytes += bytes,
            _ => {}
        }
        Ok(Step::On)
    });
    match walked {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(spaces.into_values().collect()),
    }
}

fn database(data_dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(data_dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("state.db") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_takes_room_where() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, bytes: usize| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, vec![0; bytes]).unwrap();
        };
        let storage = Storage::new(folder.path().to_owned());
        put("state.db", 100);
        put("state.db-wal", 20);
        put("elsewhere", 1);
        put("spaces/main/inbox/a", 3);
        put("spaces/main/inbox/deep/b", 4);
        put("spaces/main/outbox/c", 5);
        put("spaces/main/notes", 6);
        put("spaces/team/inbox/d", 7);
        put("spaces/.removed/old.0123/inbox/e", 8);
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("spaces/team/outbox")).unwrap();
        let found = storage.measured().await;
        let sizes = |id: &str, inbox_bytes, outbox_bytes, total_bytes| SpaceSizes {
            space_id: id.into(),
            inbox_bytes,
            outbox_bytes,
            total_bytes,
        };
        assert_eq!(found.spaces, [sizes("main", 7, 5, 18), sizes("team", 7, 0, 7)], "no link is followed");
        assert_eq!((found.of("main").total_bytes, found.of("x")), (18, sizes("x", 0, 0, 0)));
        assert_eq!(found.database_bytes, 120);
        let disk = &found.disk;
        assert!(disk.total_bytes >= disk.used_bytes && (0.0..=100.0).contains(&disk.used_percent), "{disk:?}");
        put("spaces/main/inbox/e", 1);
        assert_eq!(storage.measured().await, found, "asked again at once, nothing is read again");
        let nothing = Storage::new(folder.path().join("absent")).measured().await;
        assert_eq!(*nothing, Measured::default());
    }
}
