//! Brings a backup back: unpacked beside the data directory, checked there, and put in its place at once.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{ABOUT, About, BackupError, DATA, DATABASE, ENVIRONMENT, FORM, Interrupted, PROJECT, Places, SETTINGS};
use crate::{
    clock, data_dir,
    store::{self, Kind},
};

/// What a backup says of itself is small: 64 KiB.
const MOST_ABOUT: u64 = 64 << 10;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    pub backup: About,
    /// Where what was there before lies now.
    pub previous: Option<PathBuf>,
    /// Settings that were written; beside the present ones where those differ.
    pub settings: Vec<PathBuf>,
}

/// What the archive says of itself.
///
/// # Errors
/// Where it is no backup, or one of a newer version.
pub fn about(archive: &Path) -> Result<About, BackupError> {
    let no_backup = |message: String| BackupError::NoBackup { path: archive.to_owned(), message };
    let file = File::open(archive).map_err(BackupError::io(archive))?;
    let mut unpacked = tar::Archive::new(GzDecoder::new(file));
    let mut entries = unpacked.entries().map_err(|error| no_backup(error.to_string()))?;
    let first = entries.next().transpose().map_err(|error| no_backup(error.to_string()))?;
    let entry = first.filter(|entry| entry.path_bytes().as_ref() == ABOUT.as_bytes());
    let entry = entry.ok_or_else(|| no_backup(format!("it does not begin with {ABOUT}")))?;
    let about: About = serde_json::from_reader(entry.take(MOST_ABOUT)).map_err(|error| no_backup(error.to_string()))?;
    if about.form > FORM || about.schema > store::LATEST {
        return Err(BackupError::Newer { path: archive.to_owned(), version: about.version });
    }
    Ok(about)
}

/// Restores `archive`, all of it or nothing. `progress` is told how much of the archive is read, and its
/// size. Blocks until it is done.
///
/// # Errors
/// Where a host is at work, something is there already (unless `replace`), or the backup is no whole one.
/// Then nothing was changed.
pub fn restore(
    archive: &Path,
    places: &Places,
    replace: bool,
    cancel: &CancellationToken,
    progress: impl FnMut(u64, u64),
) -> Result<Restored, BackupError> {
    let restored = bring_back(archive, places, replace, cancel, progress);
    if restored.is_err() && cancel.is_cancelled() { Err(BackupError::Cancelled) } else { restored }
}

fn bring_back(
    archive: &Path,
    places: &Places,
    replace: bool,
    cancel: &CancellationToken,
    progress: impl FnMut(u64, u64),
) -> Result<Restored, BackupError> {
    let about = about(archive)?;
    let data_dir = &places.data_dir;
    let fail = BackupError::io(data_dir);
    let occupied = match present(data_dir).map_err(&fail)? {
        Present::Nothing => None,
        found => {
            let lock = data_dir::try_claim(data_dir).map_err(&fail)?;
            Some((lock.ok_or_else(|| BackupError::InUse { path: data_dir.clone() })?, found))
        }
    };
    if matches!(occupied, Some((_, Present::Something))) && !replace {
        return Err(BackupError::NotEmpty { path: data_dir.clone() });
    }
    let parent = data_dir.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent).map_err(&fail)?;
    // Beside it, so that it is put in its place by a rename; gone again where something fails.
    let staging = tempfile::TempDir::with_prefix_in(".mercury-restore-", parent).map_err(&fail)?;
    unpack(archive, staging.path(), cancel, progress)?;
    let fresh = staging.path().join(DATA);
    check(archive, &fresh.join(DATABASE))?;
    close(&fresh).map_err(&fail)?;
    if cancel.is_cancelled() {
        return Err(BackupError::Cancelled);
    }
    // All of it is on disk before it counts.
    File::open(&fresh).and_then(|folder| Ok(rustix::fs::syncfs(folder)?)).map_err(&fail)?;
    let previous = occupied.as_ref().map(|_| aside(data_dir));
    put_in_place(&fresh, data_dir, previous.as_deref()).map_err(&fail)?;
    let settings =
        settings(&staging.path().join(PROJECT), &places.project).map_err(BackupError::io(&places.project))?;
    let previous = previous.filter(|old| match occupied {
        Some((_, Present::Nothing | Present::Empty)) => std::fs::remove_dir_all(old).is_err(),
        _ => true,
    });
    Ok(Restored { backup: about, previous, settings })
}

enum Present {
    Nothing,
    /// A folder with no more than a lock.
    Empty,
    Something,
}

fn present(data_dir: &Path) -> io::Result<Present> {
    match std::fs::read_dir(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Present::Nothing),
        Err(error) => Err(error),
        Ok(entries) => {
            let names = entries.map(|entry| entry.map(|it| it.file_name())).collect::<io::Result<Vec<_>>>()?;
            Ok(if names.iter().all(|name| name == "lock") { Present::Empty } else { Present::Something })
        }
    }
}

fn unpack(
    archive: &Path,
    to: &Path,
    cancel: &CancellationToken,
    progress: impl FnMut(u64, u64),
) -> Result<(), BackupError> {
    let file = File::open(archive).map_err(BackupError::io(archive))?;
    let size = file.metadata().map_err(BackupError::io(archive))?.len();
    let source = Source { file, read: 0, size, cancel, progress };
    let mut unpacked = tar::Archive::new(GzDecoder::new(source));
    unpacked.set_preserve_permissions(true);
    // Workspaces belong to the agents' user; only root may give them away.
    unpacked.set_preserve_ownerships(rustix::process::geteuid().is_root());
    let unpacking = unpacked.unpack(to).and_then(|()| {
        // The archive's end comes before that of the compressed file, where the checksum of all is.
        io::copy(&mut unpacked.into_inner(), &mut io::sink()).map(drop)
    });
    unpacking.map_err(|error| {
        let mut message = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            message = format!("{message}: {source}");
        }
        BackupError::Damaged { path: archive.to_owned(), message }
    })
}

/// The database is whole, and one that this version knows.
fn check(archive: &Path, database: &Path) -> Result<(), BackupError> {
    let damaged = |message: String| BackupError::Damaged { path: archive.to_owned(), message };
    if !database.is_file() {
        return Err(damaged(format!("it holds no {DATABASE}")));
    }
    let connection = store::open_for_reading(database).map_err(|error| damaged(error.to_string()))?;
    let of_sqlite = |error: rusqlite::Error| damaged(format!("{DATABASE}: {error}"));
    match store::kind(&connection).map_err(of_sqlite)? {
        Kind::Ours(schema) if schema <= store::LATEST => {}
        _ => return Err(damaged(format!("{DATABASE} is no database of this version of Mercury"))),
    }
    match store::fault(&connection).map_err(of_sqlite)? {
        Some(message) => Err(damaged(format!("{DATABASE}: {message}"))),
        None => Ok(()),
    }
}

fn close(folder: &Path) -> io::Result<()> {
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))
}

/// `.mercury.before-restore-1700000000000`.
fn aside(data_dir: &Path) -> PathBuf {
    let mut name = data_dir.as_os_str().to_owned();
    name.push(format!(".before-restore-{}", clock::millis()));
    name.into()
}

/// By one exchange, where the file system can do that: then the data directory is there at any moment, the
/// old one or the new one. Else by two renames, between which it is missing, and never half there.
fn put_in_place(fresh: &Path, data_dir: &Path, previous: Option<&Path>) -> io::Result<()> {
    use rustix::{
        fs::{CWD, RenameFlags, renameat_with},
        io::Errno,
    };
    let Some(previous) = previous else {
        std::fs::rename(fresh, data_dir)?;
        return sync_parent(data_dir);
    };
    let exchange = || renameat_with(CWD, fresh, CWD, data_dir, RenameFlags::EXCHANGE);
    match exchange() {
        Ok(()) => {
            // What was there lies in the staging folder now, which must not go with it.
            if let Err(error) = std::fs::rename(fresh, previous) {
                exchange()?;
                return Err(error);
            }
        }
        Err(Errno::INVAL | Errno::NOSYS) => {
            std::fs::rename(data_dir, previous)?;
            if let Err(error) = std::fs::rename(fresh, data_dir) {
                std::fs::rename(previous, data_dir)?;
                return Err(error);
            }
        }
        Err(error) => return Err(error.into()),
    }
    sync_parent(data_dir)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// The operator's own are never overwritten: what differs is put beside them.
fn settings(from: &Path, project: &Path) -> io::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for name in SETTINGS.iter().copied().chain([ENVIRONMENT]) {
        let Ok(content) = std::fs::read(from.join(name)) else { continue };
        let present = std::fs::read(project.join(name));
        if present.as_ref().is_ok_and(|present| *present == content) {
            continue;
        }
        let target = project.join(if present.is_ok() { format!("{name}.restored") } else { name.to_owned() });
        let mode = if name == ENVIRONMENT { 0o600 } else { 0o644 };
        let mut options = File::options();
        std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create(true).truncate(true), mode);
        io::Write::write_all(&mut options.open(&target)?, &content)?;
        written.push(target);
    }
    Ok(written)
}

/// The archive's bytes, as long as nobody breaks it off.
struct Source<'a, P> {
    file: File,
    read: u64,
    size: u64,
    cancel: &'a CancellationToken,
    progress: P,
}

impl<P: FnMut(u64, u64)> Read for Source<'_, P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other(Interrupted));
        }
        let read = self.file.read(buffer)?;
        self.read += read as u64;
        (self.progress)(self.read, self.size);
        Ok(read)
    }
}
