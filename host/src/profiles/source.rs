//! Where profiles come from: the binary, a folder, an archive, an address.

use std::{
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions, OpenOptionsExt},
};
use rustix::fs::OFlags;
use url::Url;

use super::{ALL, BuiltIn, ProfilesError, blocking, download::download};
use crate::{
    domain::profile::{Extension, MANIFEST, MOST_MANIFEST, MOST_PERSONA, Origin, Profile},
    plugins::packages,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    BuiltIn(&'static BuiltIn),
    Folder(PathBuf),
    Archive(PathBuf),
    Address(Url),
}

impl Source {
    /// A built-in name first; `./coding` is the folder of that name.
    ///
    /// # Errors
    /// Where there is nothing of the kind; of git repositories it is said what to name instead.
    pub fn parse(text: &str) -> Result<Self, ProfilesError> {
        if let Some(built_in) = BuiltIn::named(text) {
            return Ok(Self::BuiltIn(built_in));
        }
        if let Some(address) = address(text) {
            return address;
        }
        let path = std::path::absolute(text).map_err(|_| unknown(text))?;
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() && path.join(MANIFEST).exists() => Ok(Self::Folder(path)),
            Ok(found) if found.is_file() && is_archive(text) => Ok(Self::Archive(path)),
            _ => Err(unknown(text)),
        }
    }
}

fn unknown(text: &str) -> ProfilesError {
    let alike = |known: &BuiltIn| strsim::jaro_winkler(text, known.name);
    let nearest = ALL.iter().max_by(|a, b| alike(a).total_cmp(&alike(b))).filter(|nearest| alike(nearest) > 0.8);
    let nearest = nearest.map_or_else(|| ".".to_owned(), |nearest| format!("; did you mean `{}`?", nearest.name));
    ProfilesError::Unknown { text: text.chars().take(200).collect(), nearest }
}

fn is_archive(path: &str) -> bool {
    [".tar", ".tar.gz", ".tgz"].iter().any(|ending| path.to_lowercase().ends_with(ending))
}

/// Of what looks like an address: the archive's, or what there is to say to one of git.
fn address(text: &str) -> Option<Result<Source, ProfilesError>> {
    let git = |instead: String| ProfilesError::Git { text: text.chars().take(200).collect(), instead };
    let clone = || "Clone it, and name the folder".to_owned();
    if ["git@", "git:", "ssh://"].iter().any(|begins| text.starts_with(begins)) {
        return Some(Err(git(clone())));
    }
    if !["https://", "http://"].iter().any(|begins| text.starts_with(begins)) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    if is_archive(url.path()) {
        return Some(Ok(Source::Address(url)));
    }
    // Where it is known how the forge calls the archive of a repository, it is said.
    let repository = url.path().trim_matches('/').trim_end_matches(".git");
    let instead = match (url.host_str(), repository.split('/').count()) {
        (Some("github.com"), 2) => {
            format!("Name the archive of it: https://github.com/{repository}/archive/HEAD.tar.gz")
        }
        _ => format!("{}, or name the address of an archive that ends in .tar.gz", clone()),
    };
    Some(Err(git(instead)))
}

/// A profile that was read. What was fetched for it is gone when it is dropped.
#[derive(Debug)]
pub struct Fetched {
    pub profile: Profile,
    /// The text that becomes the global `AGENTS.md`.
    pub persona: Option<String>,
    /// For messages.
    pub place: String,
    root: Root,
}

#[derive(Debug)]
enum Root {
    Carried,
    Folder(PathBuf),
    /// Of a stranger's: nothing outside of it is meant.
    Unpacked {
        folder: PathBuf,
        scratch: tempfile::TempDir,
    },
}

/// Reads a profile; writes nothing that stays.
pub async fn fetch(source: &Source) -> Result<Fetched, ProfilesError> {
    match source.clone() {
        Source::BuiltIn(built_in) => {
            let place = format!("the profile `{}`", built_in.name);
            let profile =
                built_in.profile().map_err(|source| ProfilesError::Profile { place: place.clone(), source })?;
            Ok(Fetched { profile, persona: Some(built_in.persona.to_owned()), place, root: Root::Carried })
        }
        Source::Folder(path) => blocking(move || read(path.display().to_string(), Root::Folder(path))).await,
        Source::Archive(path) => {
            let place = path.display().to_string();
            blocking(move || unpacked(&path, place)).await
        }
        Source::Address(url) => {
            let archive = download(&url).await?;
            blocking(move || unpacked(archive.path(), url.to_string())).await
        }
    }
}

fn unpacked(archive: &Path, place: String) -> Result<Fetched, ProfilesError> {
    let scratch = tempfile::tempdir().map_err(ProfilesError::unwritable(&std::env::temp_dir()))?;
    let folder = packages::unpack(archive, scratch.path(), MANIFEST)
        .map_err(|source| ProfilesError::Archive { place: place.clone(), source })?;
    read(place, Root::Unpacked { folder, scratch })
}

fn read(place: String, root: Root) -> Result<Fetched, ProfilesError> {
    let folder = match &root {
        Root::Folder(folder) | Root::Unpacked { folder, .. } => folder.clone(),
        Root::Carried => PathBuf::new(),
    };
    let manifest = text(&folder, Path::new(MANIFEST), MOST_MANIFEST)?;
    let profile =
        Profile::parse(&manifest).map_err(|source| ProfilesError::Profile { place: place.clone(), source })?;
    let persona = match &profile.agents_md {
        Some(path) => Some(text(&folder, Path::new(path), MOST_PERSONA)?),
        None => None,
    };
    Ok(Fetched { profile, persona, place, root })
}

/// The text of a plain file below the folder. A link that leads out of it would give an agent some other file of the
/// operator's to read.
fn text(folder: &Path, path: &Path, most: u64) -> Result<String, ProfilesError> {
    let shown = || folder.join(path);
    let unreadable = |source| ProfilesError::Unreadable { path: shown(), source };
    let folder = Dir::open_ambient_dir(folder, ambient_authority()).map_err(unreadable)?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
    let file = folder.open_with(path, &options).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => ProfilesError::Special { path: shown() },
        _ => unreadable(source),
    })?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(ProfilesError::Special { path: shown() });
    }
    let mut text = String::new();
    let read = file.take(most + 1).read_to_string(&mut text).map_err(unreadable)?;
    if read as u64 > most { Err(ProfilesError::TooLarge { path: shown() }) } else { Ok(text) }
}

impl Fetched {
    /// Where a plugin of the profile is fetched from, as the way in for plugins has it; none where it has to be here
    /// already.
    ///
    /// # Errors
    /// Where an archive's profile means something outside of the archive.
    pub fn origin_of(&self, extension: &Extension) -> Result<Option<String>, ProfilesError> {
        let path = match extension.origin() {
            Origin::Here => return Ok(None),
            Origin::Registry(reference) => return Ok(Some(reference.to_owned())),
            Origin::Along(path) => path,
        };
        let outside = || ProfilesError::Outside { name: extension.name.clone(), path: path.to_owned() };
        let folder = match &self.root {
            Root::Folder(folder) => folder,
            Root::Unpacked { folder, scratch } if stays_below(folder, scratch.path(), path) => folder,
            Root::Unpacked { .. } | Root::Carried => return Err(outside()),
        };
        Ok(Some(folder.join(path).display().to_string()))
    }
}

/// Whether `path`, seen from `folder`, stays below `top`. There are no links in between: none is unpacked.
fn stays_below(folder: &Path, top: &Path, path: &Path) -> bool {
    let Ok(inside) = folder.strip_prefix(top) else { return false };
    let mut depth = inside.components().count();
    path.components().all(|part| match part {
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::ParentDir => {
            let there = depth > 0;
            depth = depth.saturating_sub(1);
            there
        }
        Component::CurDir => true,
        Component::RootDir | Component::Prefix(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension(source: &str) -> Extension {
        Extension { name: "rooms".into(), source: source.into() }
    }

    /// cli.md #25 in part: what was fetched is gone when it is not needed any more, also where it is no profile. And
    /// an archive means nothing outside of itself.
    #[test]
    fn an_archive_stays_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let pack = |manifest: &str| {
            let path = folder.path().join("p.tar");
            let mut builder = tar::Builder::new(std::fs::File::create(&path).unwrap());
            let mut header = tar::Header::new_ustar();
            header.set_size(manifest.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, "p/mercury-profile.yaml", manifest.as_bytes()).unwrap();
            builder.finish().unwrap();
            path
        };
        let fetched = unpacked(&pack("name: a\n"), "p.tar".into()).unwrap();
        let scratch = match &fetched.root {
            Root::Unpacked { scratch, .. } => scratch.path().to_owned(),
            root => panic!("{root:?}"),
        };
        assert!(scratch.join("p/mercury-profile.yaml").exists());
        for (source, inside) in [
            ("./rooms", true),
            ("../rooms", true),
            ("./a/../../rooms", true),
            ("../../rooms", false),
            ("./../../../etc", false),
            ("../../p/../rooms", false),
        ] {
            let origin = fetched.origin_of(&extension(source));
            assert_eq!(origin.is_ok(), inside, "{source}: {origin:?}");
        }
        assert_eq!(
            fetched.origin_of(&extension("oci://r.example/rooms:1")).unwrap().unwrap(),
            "oci://r.example/rooms:1"
        );
        assert_eq!(fetched.origin_of(&extension("rooms")).unwrap(), None);
        drop(fetched);
        assert!(!scratch.exists());

        let count = || {
            let temporary = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
            temporary.filter(|entry| entry.path().join("p/mercury-profile.yaml").exists()).count()
        };
        let before = count();
        assert!(unpacked(&pack("name: A\n"), "p.tar".into()).is_err());
        assert_eq!(count(), before);
    }
}
