//! Brings a backup back: unpacked beside the data directory, checked there, and put in its place at once.
//!
//! Whoever made the archive chose its names and its links. What was unpacked is used by way of its own folder, out of
//! which no link leads.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

use cap_fs_ext::DirExt;
use cap_std::{ambient_authority, fs::Dir};
use flate2::read::GzDecoder;
use serde::Serialize;
use tempfile::{NamedTempFile, TempDir};
use tokio_util::sync::CancellationToken;

use super::{
    ABOUT, About, BackupError, DATA, DATABASE, ENVIRONMENT, FORM, Interrupted, PROJECT, Places, SETTINGS, SIGN_INS,
    walk::{Step, walk},
    write::is_the_operators,
};
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
    /// Where the backup's sign-ins are now, if it has any: where the configuration says, or beside what is
    /// there already.
    pub sign_ins: Option<PathBuf>,
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
/// Then nothing was changed; but for [`BackupError::Unfinished`] and [`BackupError::Torn`], which say what is
/// where.
pub fn restore(
    archive: &Path,
    places: &Places,
    replace: bool,
    cancel: &CancellationToken,
    progress: impl FnMut(u64, u64),
) -> Result<Restored, BackupError> {
    match bring_back(archive, places, replace, cancel, progress) {
        Err(error @ (BackupError::Unfinished { .. } | BackupError::Torn { .. })) => Err(error),
        Err(_) if cancel.is_cancelled() => Err(BackupError::Cancelled),
        outcome => outcome,
    }
}

fn bring_back(
    archive: &Path,
    places: &Places,
    replace: bool,
    cancel: &CancellationToken,
    progress: impl FnMut(u64, u64),
) -> Result<Restored, BackupError> {
    let about = about(archive)?;
    // A link to it stays, and what it points to is replaced.
    let data_dir = &places.data_dir.canonicalize().unwrap_or_else(|_| places.data_dir.clone());
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
    let staging = TempDir::with_prefix_in(".mercury-restore-", parent).map_err(&fail)?;
    unpack(archive, staging.path(), cancel, progress)?;
    let unpacked = Dir::open_ambient_dir(staging.path(), ambient_authority()).map_err(&fail)?;
    let data = unpacked.open_dir_nofollow(DATA).map_err(|error| BackupError::Damaged {
        path: archive.to_owned(),
        message: format!("its folder {DATA} cannot be used: {error}"),
    })?;
    let fresh = staging.path().join(DATA);
    check_links(archive, &fresh)?;
    check(archive, &data, &fresh.join(DATABASE))?;
    close(&fresh).map_err(&fail)?;
    // All that may fail for want of room or rights comes before the data directory is changed.
    let (sign_ins, elsewhere) = sign_ins(&about, &data, places)?;
    let mut beside = settings(archive, &unpacked, &places.project)?;
    beside.extend(elsewhere);
    if cancel.is_cancelled() {
        return Err(BackupError::Cancelled);
    }
    // All of it is on disk before it counts.
    File::open(&fresh).and_then(|folder| Ok(rustix::fs::syncfs(folder)?)).map_err(&fail)?;
    let wanted = occupied.as_ref().map(|_| aside(data_dir));
    let previous = put_in_place(staging, &fresh, data_dir, wanted)?;
    let previous = previous.filter(|old| match occupied {
        Some((_, Present::Nothing | Present::Empty)) => std::fs::remove_dir_all(old).is_err(),
        _ => true,
    });
    let unfinished =
        |what: String| BackupError::Unfinished { data_dir: data_dir.clone(), previous: previous.clone(), what };
    let mut settings = publish(beside).map_err(unfinished)?;
    settings.retain(|path| Some(path) != sign_ins.as_ref());
    sync_parent(data_dir).map_err(|error| {
        unfinished(format!("the disk does not confirm it: {error}. See to the disk before you start the host"))
    })?;
    Ok(Restored { backup: about, previous, settings, sign_ins })
}

enum Present {
    Nothing,
    /// A folder with no more than a lock.
    Empty,
    /// What `mercury init` makes, before anything was said or done here: it is kept beside like all else.
    Blank,
    Something,
}

fn present(data_dir: &Path) -> io::Result<Present> {
    match std::fs::read_dir(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Present::Nothing),
        Err(error) => Err(error),
        Ok(entries) => {
            let names = entries.map(|entry| entry.map(|it| it.file_name())).collect::<io::Result<Vec<_>>>()?;
            let only = |known: &[&str]| names.iter().all(|name| known.iter().any(|known| name == known));
            let spaces = data_dir.join("spaces");
            let in_use = spaces.is_dir() && std::fs::read_dir(spaces)?.next().is_some();
            Ok(if only(&["lock"]) {
                Present::Empty
            } else if only(&["lock", "global", "spaces"]) && !in_use {
                Present::Blank
            } else {
                Present::Something
            })
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

/// A backup follows links where only the operator can have put them, so what it has there is none: a host would take
/// such a link for the operator's, and work where it leads.
fn check_links(archive: &Path, data: &Path) -> Result<(), BackupError> {
    let walked = walk(data, |found| match found.metadata.is_symlink() && is_the_operators(&found.path) {
        true => Err(io::Error::other(format!("{} is a link", Path::new(DATA).join(&found.path).display()))),
        false if found.path.components().nth(1).is_some() => Ok(Step::Over),
        false => Ok(Step::On),
    });
    let damaged = |error: io::Error| BackupError::Damaged { path: archive.to_owned(), message: error.to_string() };
    walked.map(drop).map_err(damaged)
}

/// The database is whole, and one that this version knows.
fn check(archive: &Path, data: &Dir, database: &Path) -> Result<(), BackupError> {
    let damaged = |message: String| BackupError::Damaged { path: archive.to_owned(), message };
    if !data.symlink_metadata(DATABASE).is_ok_and(|found| found.is_file()) {
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
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

/// `.mercury.before-restore-1700000000000`.
fn aside(data_dir: &Path) -> PathBuf {
    let mut name = data_dir.as_os_str().to_owned();
    name.push(format!(".before-restore-{}", clock::millis()));
    name.into()
}

/// By one exchange, where the file system can do that: then the data directory is there at any moment, the
/// old one or the new one. Else by two renames, between which it is missing, and never half there.
///
/// Returns where what was there lies now: in `previous`, if that can be.
fn put_in_place(
    staging: TempDir,
    fresh: &Path,
    data_dir: &Path,
    previous: Option<PathBuf>,
) -> Result<Option<PathBuf>, BackupError> {
    use rustix::{
        fs::{CWD, RenameFlags, renameat_with},
        io::Errno,
    };
    let fail = BackupError::io(data_dir);
    let Some(previous) = previous else {
        std::fs::rename(fresh, data_dir).map_err(&fail)?;
        return Ok(None);
    };
    let exchange = || renameat_with(CWD, fresh, CWD, data_dir, RenameFlags::EXCHANGE);
    match exchange() {
        // What was there lies in the staging folder now, which must not go with it.
        Ok(()) => match std::fs::rename(fresh, &previous) {
            Ok(()) => Ok(Some(previous)),
            Err(error) if exchange().is_ok() => Err(fail(error)),
            Err(_) => Ok(Some(staging.keep().join(DATA))),
        },
        Err(Errno::INVAL | Errno::NOSYS) => {
            std::fs::rename(data_dir, &previous).map_err(&fail)?;
            match std::fs::rename(fresh, data_dir) {
                Ok(()) => Ok(Some(previous)),
                Err(error) if std::fs::rename(&previous, data_dir).is_ok() => Err(fail(error)),
                Err(source) => Err(BackupError::Torn { data_dir: data_dir.to_owned(), previous, source }),
            }
        }
        Err(error) => Err(fail(error.into())),
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// A file that is whole under another name, and gets its own once the data directory is in its place.
struct Beside {
    content: NamedTempFile,
    path: PathBuf,
}

/// The operator's own are never overwritten: what differs is put beside them.
fn settings(archive: &Path, unpacked: &Dir, project: &Path) -> Result<Vec<Beside>, BackupError> {
    let mut all = Vec::new();
    for name in SETTINGS.iter().copied().chain([ENVIRONMENT]) {
        let from = Path::new(PROJECT).join(name);
        let content = match unpacked.symlink_metadata(&from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Ok(found) if !found.is_file() => Err(io::Error::other("it is no plain file")),
            found => found.and_then(|_| unpacked.read(&from)),
        };
        let content = content.map_err(|error| BackupError::Damaged {
            path: archive.to_owned(),
            message: format!("{}: {error}", from.display()),
        })?;
        let mode = if name == ENVIRONMENT { 0o600 } else { 0o644 };
        let path = project.join(name);
        all.extend(beside(&path, &content, mode).map_err(BackupError::io(&path))?);
    }
    Ok(all)
}

/// None where the very same is there already.
fn beside(path: &Path, content: &[u8], mode: u32) -> io::Result<Option<Beside>> {
    let path = match std::fs::read(path) {
        Ok(present) if present == content => return Ok(None),
        Ok(_) => {
            let mut name = path.as_os_str().to_owned();
            name.push(".restored");
            name.into()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::with_prefix_in(".mercury-restore-", folder)?;
    io::Write::write_all(&mut file, content)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    Ok(Some(Beside { content: file, path }))
}

/// Sees to it that the backup's sign-ins come to where the configuration keeps them, and returns that place;
/// outside of the data directory with the file that is still to get its name.
fn sign_ins(about: &About, data: &Dir, places: &Places) -> Result<(Option<PathBuf>, Option<Beside>), BackupError> {
    let is_below = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    let stored = about.sign_ins.as_deref().filter(|path| is_below(path)).unwrap_or(Path::new(SIGN_INS));
    // Where a link leads to them they are not the backup's own: those that lie there stay.
    if !data.symlink_metadata(stored).is_ok_and(|found| found.is_file()) {
        return Ok((None, None));
    }
    let fail = BackupError::io(&places.auth_path);
    if let Some(inside) = places.sign_ins_inside() {
        if inside != stored {
            inside.parent().map_or(Ok(()), |folder| data.create_dir_all(folder)).map_err(&fail)?;
            data.rename(stored, data, &inside).map_err(&fail)?;
        }
        return Ok((Some(places.data_dir.join(inside)), None));
    }
    let content = data.read(stored).map_err(&fail)?;
    // A second copy would be read by nobody, and open the accounts all the same.
    data.remove_file(stored).map_err(&fail)?;
    let file = beside(&places.auth_path, &content, 0o600).map_err(&fail)?;
    Ok((Some(file.as_ref().map_or_else(|| places.auth_path.clone(), |file| file.path.clone())), file))
}

/// Gives all of them their names, also where one cannot have its own; the error says what is to be done then.
fn publish(files: Vec<Beside>) -> Result<Vec<PathBuf>, String> {
    let (mut written, mut problems) = (Vec::new(), Vec::new());
    for Beside { content, path } in files {
        let shown = path.display().to_string();
        let failed = match content.persist(&path) {
            Ok(_) => sync_parent(&path).err().map(|error| (error, None)),
            Err(error) => Some((error.error, error.file.keep().ok().map(|(_, kept)| kept))),
        };
        match failed {
            None => written.push(path),
            Some((error, None)) => problems.push(format!("{shown} could not be written: {error}")),
            Some((error, Some(kept))) => {
                let kept = kept.display();
                problems.push(format!(
                    "{shown} could not be written: {error}. What belongs there is in {kept}: mv {kept} {shown}"
                ));
            }
        }
    }
    if problems.is_empty() { Ok(written) } else { Err(problems.join("; ")) }
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
