//! A package as a `.tar` or `.tar.gz`, from anybody: bounded, and never outside of its folder.

use std::{
    fs::File,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use flate2::read::GzDecoder;
use tar::{Archive, EntryType};

use super::{MOST_BYTES, MOST_DEPTH, MOST_FILES};

/// Bytes of the archive itself and of what it unpacks to, headers included.
const MOST_UNPACKED: u64 = MOST_BYTES + (16 << 20);
/// Entries of any kind.
const MOST_ENTRIES: usize = MOST_FILES * 2;

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
    #[error("it unpacks to more than {MOST_FILES} files or {} MiB", MOST_BYTES >> 20)]
    TooLarge,
}

/// Unpacks into `folder`, which is new and empty. Files get the usual modes and nobody's ids; what
/// lies in one folder at the archive's top, as `tar` makes it of a folder, is taken out of it.
pub(super) fn unpack(archive: &Path, folder: &Path) -> Result<(), ArchiveError> {
    let mut file = File::open(archive).map_err(ArchiveError::Unreadable)?;
    let mut magic = [0; 2];
    let begins = file.read(&mut magic).map_err(ArchiveError::Unreadable)?;
    let file = File::open(archive).map_err(ArchiveError::Unreadable)?;
    if begins == 2 && magic == [0x1f, 0x8b] {
        unpack_from(GzDecoder::new(file), folder)
    } else {
        unpack_from(file, folder)
    }
}

pub(super) fn unpack_from(archive: impl Read, folder: &Path) -> Result<(), ArchiveError> {
    let mut archive = Archive::new(archive.take(MOST_UNPACKED));
    let mut bytes = 0_u64;
    for (index, entry) in archive.entries().map_err(ArchiveError::Unreadable)?.enumerate() {
        let mut entry = entry.map_err(ArchiveError::Unreadable)?;
        let shown = || String::from_utf8_lossy(&entry.path_bytes()).chars().take(120).collect::<String>();
        bytes = bytes.saturating_add(entry.size());
        if index >= MOST_ENTRIES || bytes > MOST_BYTES {
            return Err(ArchiveError::TooLarge);
        }
        let kind = entry.header().entry_type();
        // Remarks of the archive about itself.
        if matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader) {
            continue;
        }
        if !matches!(kind, EntryType::Regular | EntryType::Directory) {
            return Err(ArchiveError::Special(shown()));
        }
        let path =
            inside(&entry.path().map_err(ArchiveError::Unreadable)?).ok_or_else(|| ArchiveError::Escape(shown()))?;
        let target = folder.join(&path);
        let unwritable = |source| ArchiveError::Unwritable { path: target.clone(), source };
        if kind == EntryType::Directory {
            std::fs::create_dir_all(&target).map_err(unwritable)?;
            continue;
        }
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(unwritable)?;
        }
        // New, so that no second entry of the name replaces what was read before.
        let mut file = File::options().write(true).create_new(true).open(&target).map_err(unwritable)?;
        let written = io::copy(&mut entry, &mut file).map_err(unwritable)?;
        if written != entry.size() {
            return Err(ArchiveError::TooLarge);
        }
    }
    Ok(())
}

/// The folder with the manifest: the top, or the one folder in it.
pub(super) fn top(folder: &Path) -> PathBuf {
    if folder.join("plugin.toml").exists() {
        return folder.to_owned();
    }
    let entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    match entries.as_slice() {
        [only] if only.join("plugin.toml").exists() => only.clone(),
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
        let top = top(&folder.path().join("inner"));
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
        assert!(matches!(made.unpack().1, Err(ArchiveError::Unwritable { .. })));
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
