//! The data directory: closed to others, and used by one host at a time.
//!
//! Two hosts would answer the same messages, so whoever writes there as a host holds the lock, and
//! the lock's file says which process that is.

use std::{
    fs::{File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::process::Pid;

#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("the data directory {} cannot be used: {source}. Create it, or name another with MERCURY_DATA_DIR", path.display())]
    Unusable { path: PathBuf, source: io::Error },
    #[error("another host already uses the data directory {}. Stop it first (`mercury stop`), or give this one its own with MERCURY_DATA_DIR", path.display())]
    InUse { path: PathBuf },
}

/// The file that is locked.
const LOCK: &str = "lock";

/// Takes the lock, which lasts as long as the file. With `stand_by` it waits for another host to end.
///
/// # Errors
/// [`DataDirError::InUse`] where another host holds it and nobody wants to wait.
pub async fn claim(data_dir: &Path, stand_by: bool) -> Result<File, DataDirError> {
    let fail = |source| DataDirError::Unusable { path: data_dir.to_owned(), source };
    loop {
        if let Some(file) = try_claim(data_dir).map_err(fail)? {
            return Ok(file);
        }
        if !stand_by {
            return Err(DataDirError::InUse { path: data_dir.to_owned() });
        }
        tracing::warn!(data_dir = %data_dir.display(), "another host uses this data directory; standing by until it ends");
        let file = open(data_dir).map_err(fail)?;
        let waiting = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
        let file = waiting.await.map_err(|error| fail(io::Error::other(error)))?.map_err(fail)?;
        // Meanwhile a restored backup may have come in the folder's place: then this is the lock of the old one.
        if is_of(&file, data_dir) {
            return sign(file).map_err(fail);
        }
    }
}

/// Takes the lock if nobody holds it.
pub fn try_claim(data_dir: &Path) -> io::Result<Option<File>> {
    make_private(data_dir)?;
    let file = open(data_dir)?;
    match file.try_lock() {
        Ok(()) => sign(file).map(Some),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The process that holds the lock, if one does. `Err` also where the file does not say which.
pub fn holder(data_dir: &Path) -> io::Result<Option<Pid>> {
    let path = data_dir.join(LOCK);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let pid = std::fs::read_to_string(&path)?.trim().parse().ok().and_then(Pid::from_raw);
            let unsigned = || io::Error::other(format!("{} does not say which process holds it", path.display()));
            pid.map(Some).ok_or_else(unsigned)
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn open(data_dir: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(data_dir.join(LOCK))
}

fn is_of(file: &File, data_dir: &Path) -> bool {
    let key = |found: std::fs::Metadata| (found.dev(), found.ino());
    let present = std::fs::metadata(data_dir.join(LOCK)).map(key);
    matches!((file.metadata().map(key), present), (Ok(held), Ok(present)) if held == present)
}

/// Writes into the lock who holds it, for `mercury stop`.
fn sign(mut file: File) -> io::Result<File> {
    file.set_len(0)?;
    io::Write::write_all(&mut file, format!("{}\n", std::process::id()).as_bytes())?;
    Ok(file)
}

/// Chats lie in there: a new one is closed to everybody else, an open one is said to be open.
pub fn make_private(data_dir: &Path) -> io::Result<()> {
    if let Ok(found) = std::fs::metadata(data_dir) {
        if found.permissions().mode() & 0o077 != 0 {
            tracing::warn!(
                "the data directory {0} is open to other users of this machine; close it with `chmod 700 {0}`",
                data_dir.display()
            );
        }
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// container.md #71: one host for each data directory; the second is told, or stands by.
    #[tokio::test]
    async fn one_host_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let held = claim(&data, false).await.unwrap();
        let error = claim(&data, false).await.unwrap_err();
        assert!(matches!(error, DataDirError::InUse { .. }), "{error}");
        assert_eq!(holder(&data).unwrap().unwrap().as_raw_nonzero().get(), std::process::id().cast_signed());
        let second = tokio::spawn({
            let data = data.clone();
            async move { claim(&data, true).await }
        });
        tokio::task::yield_now().await;
        drop(held);
        let held = second.await.unwrap().unwrap();
        assert!(try_claim(&data).unwrap().is_none());
        drop(held);
        assert_eq!(holder(&data).unwrap(), None);
    }

    /// Who stood by while the folder was replaced holds the lock of the new one, not of the old one.
    #[tokio::test]
    async fn the_lock_is_that_of_the_folder_which_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (data, aside) = (folder.path().join("data"), folder.path().join("aside"));
        let held = claim(&data, false).await.unwrap();
        let old = open(&data).unwrap();
        std::fs::rename(&data, &aside).unwrap();
        make_private(&data).unwrap();
        assert!(!is_of(&old, &data), "there is no lock yet");
        let new = claim(&data, false).await.unwrap();
        assert!(is_of(&new, &data) && !is_of(&held, &data));
    }
}
