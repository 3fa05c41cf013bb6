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
    walk(Path::new(&root(space)), "", &mut files)?;
    Ok(files)
}

fn walk(folder: &Path, prefix: &str, files: &mut Files) -> Result<(), String> {
    let shown = folder.display().to_string();
    for entry in fs::read_dir(folder).map_err(failed(&shown))? {
        let entry = entry.map_err(failed(&shown))?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().map_err(failed(&path))?;
        if files.len() > vault::MOST_FILES {
            return Ok(());
        }
        if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).map_err(failed(&path))?;
            let exported = path.starts_with(".messages/");
            files.insert(path, Entry::File(if exported { signatures::sha256(&bytes) } else { bytes }));
        } else {
            files.insert(path, Entry::Other);
        }
    }
    Ok(())
}

/// The notes only, as text.
pub(super) fn notes(files: &Files) -> Vec<(&str, &str)> {
    let notes = files.iter().filter(|(path, _)| path.ends_with(".md"));
    notes.filter_map(|(path, entry)| Some((path.as_str(), as_text(entry)?))).collect()
}

fn as_text(entry: &Entry) -> Option<&str> {
    match entry {
        Entry::File(bytes) => std::str::from_utf8(bytes).ok(),
        Entry::Other => None,
    }
}

/// Puts a file into the vault as a whole: who reads it sees the old one or the new one.
pub(super) fn write(space: &str, path: &str, content: &[u8]) -> Result<(), String> {
    let target = format!("{}/{path}", root(space));
    if let Some(folder) = Path::new(&target).parent() {
        fs::create_dir_all(folder).map_err(failed(path))?;
    }
    let aside = format!("{target}.new");
    fs::write(&aside, content).map_err(failed(path))?;
    fs::rename(&aside, &target).map_err(failed(path))
}

pub(super) fn remove(space: &str, path: &str) -> Result<(), String> {
    match fs::remove_file(format!("{}/{path}", root(space))) {
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
