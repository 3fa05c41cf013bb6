//! How much of the disk the spaces' files may take.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use cap_std::fs::MetadataExt;
use tokio::sync::Mutex;

use crate::backup::walk;

/// For how long a measurement holds: what an agent writes meanwhile counts a little later.
const HOLDS: Duration = Duration::from_secs(30);

/// Measures one folder, when somebody asks and not more often than every 30 s.
#[derive(Debug)]
pub struct Quota {
    folder: Arc<Path>,
    most: Option<u64>,
    /// Held while measuring, so that many who ask at once measure once.
    measured: Arc<Mutex<Option<(Instant, u64)>>>,
    /// Bytes that were added since.
    added: Arc<std::sync::Mutex<u64>>,
}

impl Quota {
    /// `most` bytes for what lies in `folder`; without, any amount.
    pub fn new(folder: PathBuf, most: Option<u64>) -> Self {
        Self { folder: folder.into(), most, measured: Arc::default(), added: Arc::default() }
    }

    /// Bytes that are left; `None` where there is no limit, or where the folder cannot be read: then
    /// the disk itself is the limit.
    pub async fn left(&self) -> Option<u64> {
        let most = self.most?;
        let mut measured = self.measured.clone().lock_owned().await;
        let used = match *measured {
            Some((at, used)) if at.elapsed() < HOLDS => used,
            _ => {
                let (folder, added) = (self.folder.clone(), self.added.clone());
                // The work has the lock, not who waits for it: one who asks and goes away must not let another
                // one in.
                let measuring = tokio::task::spawn_blocking(move || {
                    let used = size_of(&folder)?;
                    *measured = Some((Instant::now(), used));
                    *added.lock().unwrap_or_else(PoisonError::into_inner) = 0;
                    Ok(used)
                });
                let used = measuring.await.unwrap_or_else(|error| Err(io::Error::other(error)));
                used.inspect_err(|error| {
                    tracing::warn!(folder = %self.folder.display(), %error, "the files of the spaces cannot be measured");
                }).ok()?
            }
        };
        let added = *self.added.lock().unwrap_or_else(PoisonError::into_inner);
        Some(most.saturating_sub(used.saturating_add(added)))
    }

    /// Counts a file that was just put there.
    pub fn add(&self, bytes: u64) {
        let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        *added = added.saturating_add(bytes);
    }
}

/// Bytes that the regular files below take. Links are not followed: what they point to is not the space's. What an
/// agent closes to the host, or puts too deep, costs nobody else the limit; what it makes long without writing takes
/// nothing from anybody.
fn size_of(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0_u64;
    let walked = walk::walk(folder, |found| {
        if found.metadata.is_file() {
            let taken = found.metadata.blocks().saturating_mul(512);
            bytes = bytes.saturating_add(found.metadata.len().min(taken));
        }
        Ok(walk::Step::On)
    });
    match walked {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        walked => walked.map(|_| bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weakness W35: the spaces' own files count, and nothing else that lies on the disk.
    #[tokio::test]
    async fn what_is_there_and_what_comes_count() {
        let folder = tempfile::tempdir().unwrap();
        let spaces = folder.path().join("spaces");
        std::fs::create_dir_all(spaces.join("main/inbox")).unwrap();
        std::fs::write(folder.path().join("elsewhere"), [0; 500]).unwrap();
        std::fs::write(spaces.join("main/inbox/a"), [0; 60]).unwrap();
        std::os::unix::fs::symlink(folder.path(), spaces.join("main/out")).unwrap();
        let quota = Quota::new(spaces.clone(), Some(100));
        assert_eq!(quota.left().await, Some(40));
        quota.add(30);
        assert_eq!(quota.left().await, Some(10));
        quota.add(u64::MAX);
        assert_eq!(quota.left().await, Some(0));
        assert_eq!(Quota::new(spaces, None).left().await, None);
        assert_eq!(Quota::new(folder.path().join("absent"), Some(7)).left().await, Some(7));
    }

    /// One space's agent neither takes the room of the others by a file that is all hole nor lifts the limit by
    /// folders that no path is long enough for.
    #[tokio::test]
    async fn no_agent_steers_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), [1; 60]).unwrap();
        std::fs::File::create(folder.path().join("hole")).unwrap().set_len(1 << 40).unwrap();
        let mut deep = cap_std::fs::Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap();
        for _ in 0..40 {
            deep.create_dir("d".repeat(200)).unwrap();
            deep = deep.open_dir("d".repeat(200)).unwrap();
        }
        deep.write("b", [1; 30]).unwrap();
        assert_eq!(Quota::new(folder.path().to_owned(), Some(100)).left().await, Some(10));
    }
}
