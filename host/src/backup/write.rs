//! Makes a backup.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use tar::{Builder, EntryType, Header};
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;

use super::{
    ABOUT, About, BackupError, DATA, DATABASE, ENVIRONMENT, FORM, Interrupted, KEPT, Options, PROJECT, Places, REMADE,
    Report, SECRET_FILES, SECRET_FOLDER, SETTINGS, SIGN_INS,
    walk::{Found, Step, walk},
};
use crate::{
    clock,
    domain::ids::SpaceId,
    removal,
    store::{self, CopyError, Kind},
};

/// From this length on a file that is nearly all hole is left out: 1 GiB.
const HOLLOW: u64 = 1 << 30;
/// Between two looks whether it is to be broken off: 1 MiB.
const PIECE: u64 = 1 << 20;

/// Backs the project up to `target`, which is there whole or not at all. The host may run: the
/// database is copied first, so every file that it names is there when the files follow.
///
/// Blocks until it is done. `progress` is told files and bytes from time to time.
///
/// # Errors
/// [`BackupError::Cancelled`] once `cancel` is cancelled, and what the disk says.
pub fn write(
    target: &Path,
    places: &Places,
    options: Options,
    cancel: &CancellationToken,
    progress: impl FnMut(usize, u64),
) -> Result<Report, BackupError> {
    let written = pack(target, places, options, cancel, progress);
    if written.is_err() && cancel.is_cancelled() { Err(BackupError::Cancelled) } else { written }
}

fn pack(
    target: &Path,
    places: &Places,
    Options { secrets, replace }: Options,
    cancel: &CancellationToken,
    progress: impl FnMut(usize, u64),
) -> Result<Report, BackupError> {
    let folder = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let fail = BackupError::io(target);
    if !replace && target.exists() {
        return Err(BackupError::Exists { path: target.to_owned() });
    }
    // Closed to everybody else, and gone unless it is kept.
    let file = NamedTempFile::with_prefix_in(".mercury-backup-", folder).map_err(&fail)?;
    let staging = tempfile::TempDir::with_prefix_in(".mercury-backup-", folder).map_err(&fail)?;
    let copy = staging.path().join(DATABASE);
    let schema = copy_database(&places.data_dir.join(DATABASE), &copy, cancel)?;
    let packer = GzEncoder::new(BufWriter::new(file), Compression::default());
    let mut archive = Archive { builder: Builder::new(packer), report: Report::default(), cancel, progress };
    let about = About {
        form: FORM,
        version: crate::VERSION.to_owned(),
        schema,
        created_at: clock::millis(),
        secrets,
        sign_ins: places.sign_ins_inside().filter(|inside| secrets && inside != Path::new(SIGN_INS)),
    };
    let about = serde_json::to_vec_pretty(&about).map_err(|error| fail(error.into()))?;
    archive.text(ABOUT, &about).map_err(&fail)?;
    let database = File::open(&copy).map_err(&fail)?;
    archive.plain(&format!("{DATA}/{DATABASE}"), database, 0o600).map_err(&fail)?;
    archive.data(places, secrets).map_err(BackupError::io(&places.data_dir))?;
    archive.settings(places, secrets).map_err(BackupError::io(&places.project))?;
    let Archive { builder, report, .. } = archive;
    let file = builder.into_inner().and_then(GzEncoder::finish).map_err(&fail)?;
    let file = file.into_inner().map_err(|error| fail(error.into_error()))?;
    file.as_file().sync_all().map_err(&fail)?;
    if cancel.is_cancelled() {
        return Err(BackupError::Cancelled);
    }
    let kept = if replace { file.persist(target) } else { file.persist_noclobber(target) };
    kept.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists { path: target.to_owned() },
        _ => fail(error.error),
    })?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(&fail)?;
    Ok(report)
}

/// Returns the schema's version.
fn copy_database(from: &Path, to: &Path, cancel: &CancellationToken) -> Result<usize, BackupError> {
    if !from.exists() {
        return Err(BackupError::Nothing { path: from.to_owned() });
    }
    let fail = |source: CopyError| BackupError::Database { path: from.to_owned(), source };
    let connection = store::open_for_reading(from).map_err(|error| fail(io::Error::other(error).into()))?;
    let schema = match store::kind(&connection).map_err(|error| fail(error.into()))? {
        Kind::Ours(schema) => schema,
        _ => return Err(fail(io::Error::other("it is no database of Mercury").into())),
    };
    // A large database takes its time, and SQLite must be told to stop.
    let (handle, done) = (connection.get_interrupt_handle(), CancellationToken::new());
    let copied = std::thread::scope(|scope| {
        #[allow(clippy::disallowed_methods, reason = "a thread of its own, while the other one copies")]
        scope.spawn(|| {
            while !done.is_cancelled() {
                if cancel.is_cancelled() {
                    handle.interrupt();
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        let copied = store::copy(&connection, to);
        done.cancel();
        copied
    });
    copied.map_err(fail)?;
    Ok(schema)
}

/// Of what the host itself puts in: its own, from now.
fn own_header(mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_uid(rustix::process::geteuid().as_raw().into());
    header.set_gid(rustix::process::getegid().as_raw().into());
    header.set_mtime(clock::millis().unsigned_abs() / 1000);
    header
}

/// Without set-user-id and its like: agents own these files.
fn header(mode: u32, (user, group): (u32, u32), modified: i64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode & 0o777);
    header.set_uid(user.into());
    header.set_gid(group.into());
    header.set_mtime(modified.max(0).unsigned_abs());
    header
}

/// What becomes of something in the data directory.
enum Choice {
    In,
    Over,
    /// Left out, and named.
    Strange,
}

/// Where only the operator can have put a link: agents write in the folders of their spaces, not beside them.
pub(super) fn is_the_operators(path: &Path) -> bool {
    let mut parts = path.iter();
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), None, None) => true,
        (Some(top), Some(space), None) if top == "spaces" => {
            SpaceId::try_from(space.to_string_lossy().into_owned()).is_ok()
        }
        _ => SECRET_FILES.iter().any(|file| path == Path::new(file)),
    }
}

/// Also what the rotation of a credential leaves beside it for a moment: `auth.json.1a2b`.
fn is_secret(path: &Path) -> bool {
    let text = path.to_string_lossy();
    path.starts_with(SECRET_FOLDER) || SECRET_FILES.iter().any(|file| text.starts_with(file))
}

/// The file itself, and what a rotation leaves beside it.
fn begins(path: &Path, file: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().starts_with(file.as_os_str().as_encoded_bytes())
}

struct Archive<'a, W: Write, P> {
    builder: Builder<W>,
    report: Report,
    cancel: &'a CancellationToken,
    progress: P,
}

impl<W: Write, P: FnMut(usize, u64)> Archive<'_, W, P> {
    /// The data directory, but what is a secret (unless asked for) or is made again.
    fn data(&mut self, places: &Places, secrets: bool) -> io::Result<()> {
        let own = places.sign_ins_inside();
        self.tree(places, Path::new(""), &|path| {
            let top = path.iter().next().unwrap_or_default().to_string_lossy();
            let is_secret = is_secret(path) || own.as_ref().is_some_and(|own| begins(path, own));
            let known = REMADE.contains(&top.as_ref()) || top.starts_with(DATABASE) || top.starts_with('.');
            let put_aside = path == Path::new("spaces").join(removal::ASIDE);
            if (is_secret && !secrets) || put_aside {
                Choice::Over
            } else if is_secret || KEPT.contains(&top.as_ref()) {
                Choice::In
            } else if known {
                Choice::Over
            } else {
                Choice::Strange
            }
        })
    }

    /// What is below `at` in the data directory. Agents' links are kept as they are; the operator's own are
    /// followed: what he moved to another disk belongs to the project as before.
    fn tree(&mut self, places: &Places, at: &Path, choose: &dyn Fn(&Path) -> Choice) -> io::Result<()> {
        let mut linked = Vec::new();
        let skipped = walk(&places.data_dir.join(at), |found| {
            let path = at.join(&found.path);
            match choose(&path) {
                Choice::Over => return Ok(Step::Over),
                Choice::Strange => {
                    self.report.left_out.push(format!("{}: nobody knows what it is", path.display()));
                    return Ok(Step::Over);
                }
                Choice::In => {}
            }
            if found.metadata.is_symlink() && is_the_operators(&path) {
                linked.push(path);
                return Ok(Step::Over);
            }
            self.entry(&Path::new(DATA).join(path), found)
        })?;
        self.report
            .left_out
            .extend(skipped.iter().map(|left| format!("{}: {}", at.join(&left.path).display(), left.reason)));
        linked.into_iter().try_for_each(|path| self.linked(places, &path, choose))
    }

    fn linked(&mut self, places: &Places, path: &Path, choose: &dyn Fn(&Path) -> Choice) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt;
        let (target, name) = (places.data_dir.join(path), Path::new(DATA).join(path));
        let opened = std::fs::metadata(&target).and_then(|metadata| match metadata.is_file() || metadata.is_dir() {
            true => Ok((File::open(&target)?, metadata)),
            false => Err(io::Error::other("it is neither a file nor a folder")),
        });
        let (file, metadata) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let left = format!("{}: what its link points to cannot be read: {error}", path.display());
                self.report.left_out.push(left);
                return Ok(());
            }
        };
        let mut header = header(metadata.mode(), (metadata.uid(), metadata.gid()), metadata.mtime());
        if metadata.is_dir() {
            header.set_entry_type(EntryType::Directory);
            header.set_size(0);
            self.builder.append_data(&mut header, &name, io::empty())?;
            self.tree(places, path, choose)
        } else {
            self.append(&name, header, file)
        }
    }

    fn settings(&mut self, places: &Places, secrets: bool) -> io::Result<()> {
        let names = SETTINGS.iter().copied().chain(secrets.then_some(ENVIRONMENT));
        for name in names {
            match File::open(places.project.join(name)) {
                Ok(file) => {
                    self.plain(&format!("{PROJECT}/{name}"), file, if name == ENVIRONMENT { 0o600 } else { 0o644 })?
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if secrets && places.sign_ins_inside().is_none() && places.auth_path.is_file() {
            self.plain(&format!("{DATA}/{SIGN_INS}"), File::open(&places.auth_path)?, 0o600)?;
        }
        Ok(())
    }

    fn entry(&mut self, name: &Path, found: &Found<'_>) -> io::Result<Step> {
        use cap_std::fs::MetadataExt;
        let metadata = &found.metadata;
        let mut header = header(metadata.mode(), (metadata.uid(), metadata.gid()), metadata.mtime());
        if metadata.is_dir() {
            header.set_entry_type(EntryType::Directory);
            header.set_size(0);
            self.builder.append_data(&mut header, name, io::empty())?;
        } else if metadata.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            match found.target() {
                Ok(target) => self.builder.append_link(&mut header, name, target)?,
                Err(error) => self.leave_out(name, &error),
            }
        } else if metadata.is_file() && is_hollow(metadata.len(), metadata.blocks()) {
            self.report.left_out.push(format!(
                "{}: next to nothing is written of its {} bytes",
                name.display(),
                metadata.len()
            ));
        } else if metadata.is_file() {
            match found.open() {
                Ok(file) => self.append(name, header, file.into_std())?,
                Err(error) => self.leave_out(name, &error),
            }
        } else {
            self.report.left_out.push(format!("{}: neither a file nor a folder nor a link", name.display()));
        }
        Ok(Step::On)
    }

    fn leave_out(&mut self, name: &Path, error: &io::Error) {
        self.report.left_out.push(format!("{}: {error}", name.display()));
    }

    fn text(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut header = own_header(0o600);
        header.set_size(bytes.len() as u64);
        self.builder.append_data(&mut header, name, bytes)
    }

    fn plain(&mut self, name: &str, file: File, mode: u32) -> io::Result<()> {
        self.append(Path::new(name), own_header(mode), file)
    }

    /// As many bytes as the file has now: an agent may write to it meanwhile.
    fn append(&mut self, name: &Path, mut header: Header, file: File) -> io::Result<()> {
        let size = file.metadata()?.len();
        header.set_size(size);
        header.set_entry_type(EntryType::Regular);
        let content = Content { file, left: size, piece: 0, cancel: self.cancel };
        self.builder.append_data(&mut header, name, content)?;
        self.report.files += 1;
        self.report.bytes += size;
        (self.progress)(self.report.files, self.report.bytes);
        Ok(())
    }
}

/// Whether a long file is nearly all hole: an agent makes one of a terabyte in a moment, and the archive would have
/// every byte of it.
fn is_hollow(length: u64, blocks: u64) -> bool {
    length > HOLLOW && blocks.saturating_mul(512) < length / 100
}

/// A file's content in exactly the length that was announced, with zeros for what is cut off meanwhile.
struct Content<'a> {
    file: File,
    left: u64,
    piece: u64,
    cancel: &'a CancellationToken,
}

impl io::Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece >= PIECE || self.piece == 0 {
            self.piece = 0;
            if self.cancel.is_cancelled() {
                return Err(io::Error::other(Interrupted));
            }
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..most).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        let read = match self.file.read(buffer)? {
            0 => {
                buffer.fill(0);
                buffer.len()
            }
            read => read,
        };
        self.left -= read as u64;
        self.piece += read as u64;
        Ok(read)
    }
}
