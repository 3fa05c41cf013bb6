//! How much of the disk the spaces' files may take.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

/// For how long a measurement holds: what an agent writes meanwhile counts a little later.
const HOLDS: Duration = Duration::from_secs(30);

/// Measures one folder, when somebody asks and not more often than every 30 s.
#[derive(Debug)]
pub struct Quota {
    folder: Arc<Path>,
    most: Option<u64>,
    /// Held while measuring, so that many who ask at once measure once.
    measured: tokio::sync::Mutex<Option<(Instant, u64)>>,
    /// Bytes that were added since.
    added: std::sync::Mutex<u64>,
}

impl Quota {
    /// `most` bytes for what lies in `folder`; without, any amount.
    pub fn new(folder: PathBuf, most: Option<u64>) -> Self {
        Self { folder: folder.into(), most, measured: tokio::sync::Mutex::new(None), added: std::sync::Mutex::new(0) }
    }

    /// Bytes that are left; `None` where there is no limit, or where the folder cannot be read: then
    /// the disk itself is the limit.
    pub async fn left(&self) -> Option<u64> {
        let most = self.most?;
        let mut measured = self.measured.lock().await;
        let used = match *measured {
            Some((at, used)) if at.elapsed() < HOLDS => used,
            _ => {
                let folder = self.folder.clone();
                let used = tokio::task::spawn_blocking(move || size_of(&folder)).await;
                let used = used.unwrap_or_else(|error| Err(io::Error::other(error)));
                let used = used.inspect_err(|error| {
                    tracing::warn!(folder = %self.folder.display(), %error, "the files of the spaces cannot be measured");
                });
                *measured = Some((Instant::now(), used.ok()?));
                *self.added.lock().unwrap_or_else(PoisonError::into_inner) = 0;
                measured.as_ref()?.1
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

/// Bytes of the regular files below. Links are not followed: what they point to is not the space's.
fn size_of(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0_u64;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            // Agents make and remove folders meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) if metadata.is_file() => bytes = bytes.saturating_add(metadata.len()),
                _ => {}
            }
        }
    }
    Ok(bytes)
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
}
