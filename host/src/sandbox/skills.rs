//! Puts the skills of plugins where containers can mount them.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

/// Bytes of one skill's files together.
const MOST_BYTES: u64 = 16 << 20;
/// Files and folders of one skill.
const MOST_ENTRIES: usize = 1_000;
/// Folders in folders.
const DEEPEST: usize = 8;
/// How long a set is kept that no new container gets. No run lasts a day.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// The extension of the file that says since when.
const UNUSED: &str = "unused";

/// The skills that are installed, and the folder that has them all.
#[derive(Clone, Debug, Default)]
pub(super) struct Installed {
    pub(super) folder: PathBuf,
    pub(super) names: Vec<String>,
}

/// One file of a skill, by its path below the skill.
struct Skilled {
    path: PathBuf,
    content: Vec<u8>,
}

/// Copies the skills, pairs of a name and a folder, below `<data>/skills/<digest>/` where they are not
/// there yet. An older set stays for a while: containers of earlier runs may still read it. A skill that
/// cannot be read is left out, and said to be.
pub(super) fn install(data_dir: &Path, skills: &[(String, PathBuf)], now: SystemTime) -> io::Result<Installed> {
    let mut digest = Sha256::new();
    let mut read = Vec::new();
    for (name, folder) in skills {
        match files(folder) {
            Ok(files) => {
                for file in &files {
                    for part in [name.as_bytes(), file.path.as_os_str().as_encoded_bytes(), &file.content] {
                        digest.update((part.len() as u64).to_le_bytes());
                        digest.update(part);
                    }
                }
                read.push((name.clone(), files));
            }
            Err(error) => tracing::error!(skill = name, %error, "the skill cannot be read and is left out"),
        }
    }
    let digest: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let folder = data_dir.join("skills").join(digest);
    let names = read.iter().map(|(name, _)| name.clone()).collect();
    if !folder.is_dir() {
        write(&folder, read)?;
    }
    if let Err(error) = clear(&data_dir.join("skills"), &folder, now) {
        tracing::warn!(%error, "sets of skills that nobody uses any more cannot be removed");
    }
    Ok(Installed { folder, names })
}

/// Removes the sets that went out of use long ago, and marks those that do now with a file beside them.
fn clear(sets: &Path, used: &Path, now: SystemTime) -> io::Result<()> {
    for entry in std::fs::read_dir(sets)? {
        let set = entry?.path();
        let marker = set.with_extension(UNUSED);
        if set == used {
            match std::fs::remove_file(&marker) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => continue,
            }
        }
        if set.extension().is_some() {
            continue;
        }
        match std::fs::metadata(&marker).and_then(|found| found.modified()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => File::create(&marker)?.set_modified(now)?,
            since => {
                if now.duration_since(since?).is_ok_and(|age| age > KEPT) {
                    std::fs::remove_dir_all(&set)?;
                    std::fs::remove_file(&marker)?;
                }
            }
        }
    }
    Ok(())
}

/// By a rename: a set is whole or not there.
fn write(folder: &Path, skills: Vec<(String, Vec<Skilled>)>) -> io::Result<()> {
    let fresh = folder.with_extension("new");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh)?;
    }
    std::fs::create_dir_all(&fresh)?;
    for (name, files) in skills {
        for file in files {
            let path = fresh.join(&name).join(&file.path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(&path, file.content)?;
        }
    }
    std::fs::rename(&fresh, folder)
}

/// The regular files below a folder, sorted. Links are not followed: a skill is what lies in its folder.
fn files(folder: &Path) -> io::Result<Vec<Skilled>> {
    let too_much = || io::Error::new(io::ErrorKind::InvalidData, "it has too many files, or too large ones");
    let (mut found, mut left, mut entries) = (Vec::new(), MOST_BYTES, 0);
    let mut waiting = vec![(folder.to_owned(), PathBuf::new())];
    while let Some((place, below)) = waiting.pop() {
        for entry in std::fs::read_dir(&place)? {
            let entry = entry?;
            entries += 1;
            if entries > MOST_ENTRIES || below.components().count() > DEEPEST {
                return Err(too_much());
            }
            let (kind, path) = (entry.file_type()?, below.join(entry.file_name()));
            if kind.is_dir() {
                waiting.push((entry.path(), path));
            } else if kind.is_file() {
                left = left.checked_sub(entry.metadata()?.len()).ok_or_else(too_much)?;
                found.push(Skilled { path, content: std::fs::read(entry.path())? });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_installed_once_and_links_stay_behind() {
        let data = tempfile::tempdir().unwrap();
        let skill = data.path().join("plugins/napkin/skill");
        std::fs::create_dir_all(skill.join("references")).unwrap();
        std::fs::write(skill.join("SKILL.md"), "read").unwrap();
        std::fs::write(skill.join("references/api.md"), "api").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", skill.join("secret")).unwrap();
        let skills = [("napkin".to_owned(), skill.clone()), ("absent".to_owned(), data.path().join("nowhere"))];

        let now = SystemTime::now();
        let first = install(data.path(), &skills, now).unwrap();
        assert_eq!(first.names, ["napkin"]);
        assert_eq!(std::fs::read_to_string(first.folder.join("napkin/references/api.md")).unwrap(), "api");
        assert!(!first.folder.join("napkin/secret").exists());
        assert_eq!(install(data.path(), &skills, now).unwrap().folder, first.folder);

        std::fs::write(skill.join("SKILL.md"), "read again").unwrap();
        let second = install(data.path(), &skills, now).unwrap();
        assert_ne!(second.folder, first.folder);
        assert!(first.folder.join("napkin/SKILL.md").exists(), "for containers that still read it");
        assert!(install(data.path(), &[], now).unwrap().names.is_empty());
    }

    /// A set goes a week after the last new container got it, and not while it is used again.
    #[test]
    fn sets_that_went_out_of_use_are_removed() {
        let data = tempfile::tempdir().unwrap();
        let skill = data.path().join("skill");
        std::fs::create_dir(&skill).unwrap();
        let skills = [("s".to_owned(), skill.clone())];
        let begin = SystemTime::now();
        let set = |text: &str, days: u64| {
            std::fs::write(skill.join("SKILL.md"), text).unwrap();
            install(data.path(), &skills, begin + Duration::from_secs(days * 86_400)).unwrap().folder
        };
        let first = set("one", 0);
        // In use for long: what counts is when it ended.
        let second = set("two", 30);
        set("two", 36);
        assert!(first.is_dir());
        assert_eq!(set("one", 36), first);
        set("two", 36);
        set("two", 38);
        assert!(first.is_dir(), "it was used again in between");
        set("two", 44);
        assert!(!first.exists() && second.is_dir());
        let left = std::fs::read_dir(data.path().join("skills")).unwrap().count();
        assert_eq!(left, 1, "no marker stays behind");
    }
}
