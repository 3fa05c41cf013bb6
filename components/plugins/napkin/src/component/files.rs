//! The vault on disk. Its folder is granted as `/spaces/<space>/knowledge`; an agent writes there, too,
//! so links are never followed.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Seek, SeekFrom, Write},
    path::Path,
};

use mercury_plugin::signatures;

use crate::{
    check::{Entry, Files},
    vault,
};

pub(super) fn root(space: &str) -> String {
    format!("/spaces/{space}/knowledge")
}

/// Bytes of one day's messages that are read at once, to see whether somebody changed them.
const MOST_EXPORTED: u64 = 16 << 20;

fn failed(path: &str) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{path}: {error}")
}

/// Makes what a vault has from its beginning; what is there stays.
pub(super) fn lay_out(space: &str) -> Result<(), String> {
    let root = root(space);
    for folder in vault::FOLDERS {
        let path = format!("{root}/{folder}");
        fs::create_dir_all(&path).map_err(failed(&path))?;
    }
    for (name, content) in vault::FILES {
        let path = format!("{root}/{name}");
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => file.write_all(content.as_bytes()).map_err(failed(&path))?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&path)(error)),
        }
    }
    Ok(())
}

/// Everything in the vault. Of the exported messages only a digest: they can be made again.
pub(super) fn read(space: &str) -> Result<Files, String> {
    let mut files = Files::new();
    walk(Path::new(&root(space)), "", &mut Reading { files: &mut files, bytes: 0, depth: 0 })?;
    Ok(files)
}

/// Agents write here: no size, number or depth is taken for granted.
struct Reading<'a> {
    files: &'a mut Files,
    /// Read so far.
    bytes: u64,
    depth: usize,
}

fn walk(folder: &Path, prefix: &str, reading: &mut Reading<'_>) -> Result<(), String> {
    let shown = folder.display().to_string();
    for entry in fs::read_dir(folder).map_err(failed(&shown))? {
        let entry = entry.map_err(failed(&shown))?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().map_err(failed(&path))?;
        if reading.files.len() > vault::MOST_FILES {
            return Ok(());
        }
        if kind.is_dir() && reading.depth < vault::MOST_DEPTH {
            reading.depth += 1;
            walk(&entry.path(), &format!("{path}/"), reading)?;
            reading.depth -= 1;
        } else if kind.is_file() {
            let found = read_file(&entry, &path, reading)?;
            reading.files.insert(path, found);
        } else {
            reading.files.insert(path, Entry::Other);
        }
    }
    Ok(())
}

fn read_file(entry: &fs::DirEntry, path: &str, reading: &mut Reading<'_>) -> Result<Entry, String> {
    let exported = path.starts_with(".messages/");
    let size = entry.metadata().map_err(failed(path))?.len();
    let most = if exported { MOST_EXPORTED } else { vault::MOST_FILE };
    if size > most || reading.bytes + size > vault::MOST_VAULT + MOST_EXPORTED {
        return Ok(Entry::Large(size));
    }
    reading.bytes += if exported { 0 } else { size };
    let bytes = fs::read(entry.path()).map_err(failed(path))?;
    Ok(Entry::File(if exported { signatures::sha256(&bytes) } else { bytes }))
}

/// The notes only, as text.
pub(super) fn notes(files: &Files) -> Vec<(&str, &str)> {
    let notes = files.iter().filter(|(path, _)| path.ends_with(".md"));
    notes.filter_map(|(path, entry)| Some((path.as_str(), as_text(entry)?))).collect()
}

fn as_text(entry: &Entry) -> Option<&str> {
    match entry {
        Entry::File(bytes) => std::str::from_utf8(bytes).ok(),
        Entry::Large(_) | Entry::Other => None,
    }
}

/// Puts a file into the vault as a whole: who reads it sees the old one or the new one.
pub(super) fn write(space: &str, path: &str, content: &[u8]) -> Result<(), String> {
    let target = format!("{}/{path}", root(space));
    if let Some(folder) = Path::new(&target).parent() {
        fs::create_dir_all(folder).map_err(failed(path))?;
    }
    let aside = format!("{path}.new");
    // An agent may have left a link of that name.
    remove(space, &aside)?;
    let aside = format!("{}/{aside}", root(space));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&aside).map_err(failed(path))?;
    file.write_all(content).map_err(failed(path))?;
    fs::rename(&aside, &target).map_err(failed(path))
}

pub(super) fn remove(space: &str, path: &str) -> Result<(), String> {
    let full = format!("{}/{path}", root(space));
    let folder = fs::symlink_metadata(&full).is_ok_and(|found| found.is_dir());
    match if folder { fs::remove_dir_all(full) } else { fs::remove_file(full) } {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

/// Adds to a file whose first `known` bytes are ours; what a crash left behind them is cut off.
/// `Ok(false)`: the file is shorter than that, so somebody changed it.
pub(super) fn append(space: &str, path: &str, known: u64, text: &str) -> Result<bool, String> {
    let full = format!("{}/{path}", root(space));
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&full).map_err(failed(path))?;
    if file.metadata().map_err(failed(path))?.len() < known {
        return Ok(false);
    }
    file.set_len(known).map_err(failed(path))?;
    file.seek(SeekFrom::Start(known)).map_err(failed(path))?;
    file.write_all(text.as_bytes()).map_err(failed(path))?;
    Ok(true)
}
