//! A package as a `.tar` or `.tar.gz`, from anybody: bounded, never outside of its folder, and the same
//! to every program that reads it.
//!
//! Formats of tar overlap, and what they leave open is how one archive shows a reviewer other files than
//! it installs: so whatever two readers could take in two ways is refused.

use std::{
    fs::File,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use super::{MOST_BYTES, MOST_DEPTH, MOST_FILES};

/// Bytes of the archive itself and of what it unpacks to, headers included.
const MOST_UNPACKED: u64 = MOST_BYTES + (16 << 20);
/// Entries of any kind.
const MOST_ENTRIES: usize = MOST_FILES * 2;
/// Bytes of one description of an entry, such as a long name: the library reads it into memory.
const MOST_DESCRIPTION: u64 = 64 << 10;
/// Zeros at an archive's end, in bytes: two blocks (POSIX.1-2017, pax, "ustar Interchange Format").
const END: u64 = 1024;

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("it is no archive that can be read: {0}")]
    Unreadable(#[source] io::Error),
    #[error("it cannot be unpacked to {}: {source}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("`{0}` leads out of the archive")]
    Escape(String),
    #[error("`{0}` is a link or a special file; a package has plain files and folders only")]
    Special(String),
    #[error("`{0}` is in it twice")]
    Twice(String),
    #[error("`{0}` can be read in two ways, depending on the program. Pack it again with `tar --format=ustar`")]
    Ambiguous(String),
    #[error("it breaks off before its end, or something follows its end. Get it again")]
    End,
    #[error("it unpacks to more than {MOST_FILES} files or {} MiB", MOST_BYTES >> 20)]
    TooLarge,
}

/// Unpacks into `folder`, which is new and empty. Files get the usual modes and nobody's ids; what
/// lies in one folder at the archive's top, as `tar` makes it of a folder, is taken out of it.
pub(super) fn unpack(archive: &Path, folder: &Path) -> Result<(), ArchiveError> {
    // A long description is read whole before anybody sees its size, so sizes are looked at first.
    check_descriptions(open(archive)?)?;
    unpack_from(open(archive)?, folder)
}

fn open(archive: &Path) -> Result<Box<dyn Read>, ArchiveError> {
    let mut magic = [0; 2];
    let begins = File::open(archive).and_then(|mut file| file.read(&mut magic)).map_err(ArchiveError::Unreadable)?;
    let file = File::open(archive).map_err(ArchiveError::Unreadable)?;
    // All members of the compressed file, as `gzip` itself reads it.
    Ok(if begins == 2 && magic == [0x1f, 0x8b] { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

fn check_descriptions(archive: impl Read) -> Result<(), ArchiveError> {
    let mut archive = Archive::new(archive.take(MOST_UNPACKED));
    let entries = archive.entries().map_err(ArchiveError::Unreadable)?.raw(true);
    for (index, entry) in entries.enumerate() {
        let entry = entry.map_err(ArchiveError::Unreadable)?;
        // The map of its holes would be read whole.
        if entry.header().entry_type() == EntryType::GNUSparse {
            return Err(ArchiveError::Special(
                String::from_utf8_lossy(&entry.path_bytes()).chars().take(120).collect(),
            ));
        }
        let describes = matches!(
            entry.header().entry_type(),
            EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader
        );
        // Each entry may have a description of each kind.
        if index >= MOST_ENTRIES * 4 || (describes && entry.size() > MOST_DESCRIPTION) {
            return Err(ArchiveError::TooLarge);
        }
    }
    Ok(())
}

pub(super) fn unpack_from(archive: impl Read, folder: &Path) -> Result<(), ArchiveError> {
    let mut archive = Archive::new(Ending::of(archive.take(MOST_UNPACKED)));
    let mut bytes = 0_u64;
    for (index, entry) in archive.entries().map_err(ArchiveError::Unreadable)?.enumerate() {
        let mut entry = entry.map_err(ArchiveError::Unreadable)?;
        bytes = bytes.saturating_add(entry.size());
        if index >= MOST_ENTRIES || bytes > MOST_BYTES {
            return Err(ArchiveError::TooLarge);
        }
        if entry.header().entry_type() == EntryType::XGlobalHeader {
            check_remark(&mut entry)?;
        } else {
            unpack_entry(&mut entry, folder)?;
        }
    }
    archive.into_inner().check_rest()
}

/// What an archive says of itself may hold for all that follows, or, to this library, for nothing. A
/// comment, as `git archive` writes it, changes nothing.
fn check_remark<R: Read>(entry: &mut Entry<'_, R>) -> Result<(), ArchiveError> {
    for record in entry.pax_extensions().map_err(ArchiveError::Unreadable)?.into_iter().flatten() {
        let key = record.map_err(ArchiveError::Unreadable)?.key_bytes().to_owned();
        if key != b"comment" {
            return Err(ArchiveError::Ambiguous(String::from_utf8_lossy(&key).chars().take(120).collect()));
        }
    }
    Ok(())
}

fn unpack_entry<R: Read>(entry: &mut Entry<'_, R>, folder: &Path) -> Result<(), ArchiveError> {
    let shown: String = String::from_utf8_lossy(&entry.path_bytes()).chars().take(120).collect();
    if !is_clear(entry)? {
        return Err(ArchiveError::Ambiguous(shown));
    }
    let kind = entry.header().entry_type();
    if !matches!(kind, EntryType::Regular | EntryType::Directory) {
        return Err(ArchiveError::Special(shown));
    }
    let path = inside(&entry.path().map_err(ArchiveError::Unreadable)?).ok_or(ArchiveError::Escape(shown.clone()))?;
    let target = folder.join(&path);
    let unwritable = |source| ArchiveError::Unwritable { path: target.clone(), source };
    if kind == EntryType::Directory {
        return std::fs::create_dir_all(&target).map_err(unwritable);
    }
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).map_err(unwritable)?;
    }
    // New, so that no second entry of the name replaces what was read before.
    let mut file =
        File::options().write(true).create_new(true).open(&target).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => ArchiveError::Twice(shown),
            _ => unwritable(source),
        })?;
    let written = io::copy(entry, &mut file).map_err(unwritable)?;
    if written == entry.size() { Ok(()) } else { Err(ArchiveError::End) }
}

/// Whether every program reads the same name, size and content of it.
fn is_clear<R: Read>(entry: &mut Entry<'_, R>) -> Result<bool, ArchiveError> {
    let path = entry.path_bytes().into_owned();
    // In the oldest format, a name's last slash makes a folder of a file.
    let is_file = entry.header().entry_type() == EntryType::Regular;
    if (is_file && path.ends_with(b"/")) || path.contains(&0) {
        return Ok(false);
    }
    let size = entry.header().entry_size().map_err(ArchiveError::Unreadable)?;
    let mut keys = Vec::new();
    for record in entry.pax_extensions().map_err(ArchiveError::Unreadable)?.into_iter().flatten() {
        let record = record.map_err(ArchiveError::Unreadable)?;
        let (key, value) = (record.key_bytes(), record.value_bytes());
        let agrees = match key {
            b"path" => value == path,
            b"size" => std::str::from_utf8(value).is_ok_and(|value| value.parse() == Ok(size)),
            _ => !key.starts_with(b"GNU.sparse."),
        };
        if !agrees || keys.iter().any(|known| known == key) {
            return Ok(false);
        }
        keys.push(key.to_owned());
    }
    Ok(true)
}

/// Remembers how what was read so far ends.
struct Ending<R> {
    inner: R,
    zeros: u64,
}

impl<R: Read> Ending<R> {
    fn of(inner: R) -> Self {
        Self { inner, zeros: 0 }
    }

    /// An archive ends with zeros, and nothing else follows.
    fn check_rest(mut self) -> Result<(), ArchiveError> {
        let mut piece = [0; 8 << 10];
        loop {
            let read = self.read(&mut piece).map_err(ArchiveError::Unreadable)?;
            if piece[..read].iter().any(|byte| *byte != 0) {
                return Err(ArchiveError::End);
            }
            if read == 0 {
                return if self.zeros >= END { Ok(()) } else { Err(ArchiveError::End) };
            }
        }
    }
}

impl<R: Read> Read for Ending<R> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(piece)?;
        let zeros = piece[..read].iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == read { self.zeros + zeros as u64 } else { zeros as u64 };
        Ok(read)
    }
}

/// The folder with the file `manifest`: the top, or the one folder in it.
pub(super) fn top(folder: &Path, manifest: &str) -> PathBuf {
    if folder.join(manifest).exists() {
        return folder.to_owned();
    }
    let entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    match entries.as_slice() {
        [only] if only.join(manifest).exists() => only.clone(),
        _ => folder.to_owned(),
    }
}

/// The path, if it stays inside.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => plain.push(part),
            Component::CurDir => {}
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    (plain.components().count() <= MOST_DEPTH + 2).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Made(tar::Builder<Vec<u8>>);

    impl Made {
        fn new() -> Self {
            Self(tar::Builder::new(Vec::new()))
        }

        /// Writes the name as it is: the library itself would refuse a bad one.
        fn entry(mut self, name: &str, kind: EntryType, content: &[u8]) -> Self {
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o4777);
            if kind.is_symlink() || kind.is_hard_link() {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            self.0.append(&header, content).unwrap();
            self
        }

        fn unpack(self) -> (tempfile::TempDir, Result<(), ArchiveError>) {
            let folder = tempfile::tempdir().unwrap();
            let archive = self.0.into_inner().unwrap();
            let inner = folder.path().join("inner");
            std::fs::create_dir(&inner).unwrap();
            let outcome = unpack_from(archive.as_slice(), &inner);
            (folder, outcome)
        }
    }

    #[test]
    fn plain_files_and_folders_are_unpacked_without_their_modes() {
        use std::os::unix::fs::PermissionsExt;
        let made = Made::new()
            .entry("./p/", EntryType::Directory, b"")
            .entry("p/plugin.toml", EntryType::Regular, b"name")
            .entry("p/skill/SKILL.md", EntryType::Regular, b"# x");
        let (folder, outcome) = made.unpack();
        outcome.unwrap();
        let top = top(&folder.path().join("inner"), "plugin.toml");
        assert_eq!(std::fs::read_to_string(top.join("plugin.toml")).unwrap(), "name");
        assert_eq!(std::fs::metadata(top.join("plugin.toml")).unwrap().permissions().mode() & 0o7111, 0);
        assert!(top.join("skill/SKILL.md").exists());
    }

    #[test]
    fn what_leads_out_is_refused() {
        for name in ["../x", "/etc/x", "a/../../x", "a/b/../../../x"] {
            let (folder, outcome) = Made::new().entry(name, EntryType::Regular, b"x").unpack();
            assert!(matches!(outcome, Err(ArchiveError::Escape(_))), "{name}: {outcome:?}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{name}");
        }
    }

    #[test]
    fn links_and_special_files_are_refused() {
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::Char, EntryType::Block] {
            let (_folder, outcome) = Made::new().entry("x", kind, b"").unpack();
            assert!(matches!(outcome, Err(ArchiveError::Special(_))), "{kind:?}: {outcome:?}");
        }
    }

    #[test]
    fn a_file_is_written_once() {
        let made = Made::new().entry("x", EntryType::Regular, b"good").entry("./x", EntryType::Regular, b"other");
        assert!(matches!(made.unpack().1, Err(ArchiveError::Twice(name)) if name == "./x"));
    }

    /// A record of a pax header: its length counts itself.
    fn record(key: &str, value: &str) -> String {
        let rest = format!(" {key}={value}\n");
        let length = (rest.len()..).find(|length| length.to_string().len() + rest.len() == *length).unwrap();
        format!("{length}{rest}")
    }

    /// Archives that programs read in different ways: one could be shown to a reviewer and another
    /// installed.
    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let pax = |records: &[(&str, &str)]| {
            let records: String = records.iter().map(|(key, value)| record(key, value)).collect();
            Made::new().entry("pax", EntryType::XHeader, records.as_bytes())
        };
        for (what, made) in [
            ("two names", pax(&[("path", "good"), ("path", "evil")]).entry("x", EntryType::Regular, b"x")),
            ("another size", pax(&[("size", "0")]).entry("x", EntryType::Regular, b"x")),
            ("a sparse file", pax(&[("GNU.sparse.name", "evil")]).entry("x", EntryType::Regular, b"x")),
            (
                "a long name of each kind",
                pax(&[("path", "evil")]).entry("l", EntryType::GNULongName, b"good\0").entry(
                    "x",
                    EntryType::Regular,
                    b"x",
                ),
            ),
            ("a file that is a folder", Made::new().entry("skill/", EntryType::Regular, b"x")),
            (
                "a name for all",
                Made::new().entry("g", EntryType::XGlobalHeader, record("path", "evil").as_bytes()).entry(
                    "x",
                    EntryType::Regular,
                    b"x",
                ),
            ),
        ] {
            let outcome = made.unpack().1;
            assert!(matches!(outcome, Err(ArchiveError::Ambiguous(_))), "{what}: {outcome:?}");
        }
        let usual = pax(&[("path", "long"), ("mtime", "1.5"), ("size", "1")]).entry("x", EntryType::Regular, b"x");
        let (folder, outcome) = usual.unpack();
        outcome.unwrap();
        assert!(folder.path().join("inner/long").exists());
        let comment = record("comment", "a commit");
        let by_git = Made::new().entry("g", EntryType::XGlobalHeader, comment.as_bytes());
        by_git.entry("x", EntryType::Regular, b"x").unpack().1.unwrap();
    }

    /// What follows an archive's end is read by some programs, and an archive that was cut off is no
    /// smaller package.
    #[test]
    fn an_archive_has_one_end() {
        let whole = Made::new().entry("x", EntryType::Regular, b"x").0.into_inner().unwrap();
        let outcome = |archive: &[u8]| {
            let folder = tempfile::tempdir().unwrap();
            unpack_from(archive, folder.path())
        };
        outcome(&whole).unwrap();
        let padded = [whole.as_slice(), &[0; 8192]].concat();
        outcome(&padded).unwrap();
        for (what, archive) in [
            ("followed by another", [whole.clone(), whole.clone()].concat()),
            ("followed by a letter", [whole.as_slice(), b"x"].concat()),
            ("without its end", whole[..whole.len() - 1024].to_vec()),
            ("with half of its end", whole[..whole.len() - 512].to_vec()),
        ] {
            assert!(matches!(outcome(&archive), Err(ArchiveError::End)), "{what}");
        }
    }

    /// A compressed file may have several members; `tar` and `gzip` read them all.
    #[test]
    fn all_members_of_a_compressed_archive_are_read() {
        let archive = Made::new().entry("x", EntryType::Regular, b"x").0.into_inner().unwrap();
        let packed = |bytes: &[u8]| {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            io::Write::write_all(&mut packer, bytes).unwrap();
            packer.finish().unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = archive.split_at(512);
        for (index, (members, fits)) in
            [([packed(first), packed(second)], true), ([packed(&archive), packed(&archive)], false)].iter().enumerate()
        {
            let (file, to) = (folder.path().join(format!("{index}.tar.gz")), folder.path().join(index.to_string()));
            std::fs::write(&file, members.concat()).unwrap();
            std::fs::create_dir(&to).unwrap();
            assert_eq!(unpack(&file, &to).is_ok(), *fits, "{index}");
        }
    }

    /// A name of 100 MiB would be read into memory before anybody sees it.
    #[test]
    fn long_descriptions_are_refused_before_they_are_read() {
        for kind in [EntryType::GNULongName, EntryType::XHeader, EntryType::XGlobalHeader] {
            let long = vec![b'x'; MOST_DESCRIPTION as usize + 1];
            let archive =
                Made::new().entry("l", kind, &long).entry("x", EntryType::Regular, b"").0.into_inner().unwrap();
            let outcome = check_descriptions(archive.as_slice());
            assert!(matches!(outcome, Err(ArchiveError::TooLarge)), "{kind:?}: {outcome:?}");
        }
    }

    /// The map of a sparse file's holes is as long as it says itself, and read whole to reach the entry.
    #[test]
    fn a_sparse_file_is_refused_before_its_map_is_read() {
        let archive = Made::new().entry("x", EntryType::Regular, b"x").entry("holes", EntryType::GNUSparse, b"");
        let outcome = check_descriptions(archive.0.into_inner().unwrap().as_slice());
        assert!(matches!(&outcome, Err(ArchiveError::Special(name)) if name == "holes"), "{outcome:?}");
    }

    #[test]
    fn bombs_are_stopped() {
        let mut many = Made::new();
        for index in 0..=MOST_ENTRIES {
            many = many.entry(&format!("f{index}"), EntryType::Directory, b"");
        }
        assert!(matches!(many.unpack().1, Err(ArchiveError::TooLarge)));
        // Zeros that unpack to ten times the limit, from a few MiB.
        let mut header = tar::Header::new_gnu();
        header.set_path("zeros").unwrap();
        header.set_size(MOST_BYTES * 10);
        header.set_entry_type(EntryType::Regular);
        header.set_cksum();
        let zeros = header.as_bytes().chain(io::repeat(0));
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(unpack_from(zeros, folder.path()), Err(ArchiveError::TooLarge)));
        assert!(!folder.path().join("zeros").exists(), "the announced size is enough");
        let deep = "d/".repeat(40) + "x";
        assert!(matches!(Made::new().entry(&deep, EntryType::Regular, b"").unpack().1, Err(ArchiveError::Escape(_))));
    }
}
