//! Packages: what a plugin is while it travels, and how it gets in and out.
//!
//! A package is a manifest and the files that it names, whatever else lies beside them. Nothing of it
//! runs before somebody has agreed to what it asks for; what was agreed to stands in `plugins.lock`
//! and holds for these very bytes.

mod archive;
mod install;
mod listing;
mod lock;
mod offer;
mod registry;
mod signature;
mod sources;
mod trust;
mod view;

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

pub use archive::ArchiveError;
pub use install::{InstallError, Installer, Source, copy};
pub use listing::{Listed, State, list};
pub use lock::{Agreed, Entry, LOCK_FILE, Lock, LockError};
pub use offer::{Offer, Pending, Published, Removed, Update};
pub use signature::{PublicKey, SIGNATURE_FILE, SignatureError, SigningKey};
pub(super) use sources::{Collected, Found, Source as Loadable, collect};
pub use sources::{Origin, SourceError};
pub use trust::Trust;
pub use view::{view, view_offer};

use super::{
    contract::{ContractError, Declaration},
    manifest::{Manifest, ManifestError},
    plain_file,
};
use crate::domain::deception::deceives;
use signature::Signature;

/// Files in a package, at most.
const MOST_FILES: usize = 2_000;
/// Bytes of all its files together: 256 MiB. A Python component has 18.
const MOST_BYTES: u64 = 256 << 20;
/// Folders in folders.
const MOST_DEPTH: usize = 16;

/// Where installed packages lie, in the folder of plugins. No plugin has such a name.
const PACKAGES: &str = ".packages";

/// The folder of all plugins.
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("plugins")
}

/// Unpacks an archive of anything that has the file `manifest` at its top or in the one folder there, with the
/// bounds of a package, into `folder`, which is new and empty. Returns where that file lies. Blocks.
///
/// # Errors
/// Also where two readers could take the archive in two ways.
pub fn unpack(archive: &Path, folder: &Path, manifest: &str) -> Result<PathBuf, ArchiveError> {
    archive::unpack(archive, folder)?;
    Ok(archive::top(folder, manifest))
}

/// Where this version of a plugin lies.
pub(super) fn folder_of(plugins: &Path, name: &str, agreed: &Agreed) -> PathBuf {
    plugins.join(PACKAGES).join(agreed.folder_name(name))
}

#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} is a link or a special file; a package has plain files and folders only", path.display())]
    Special { path: PathBuf },
    #[error("the file name {} cannot be part of a package: use letters, digits and the usual marks", path.display())]
    Name { path: PathBuf },
    #[error(
        "the file names {first} and {second} look the same, or are the same on some machines. Give one of them another name"
    )]
    Alike { first: String, second: String },
    #[error("it has more than {MOST_FILES} files, more than {} MiB, or folders in folders more than {MOST_DEPTH} deep", MOST_BYTES >> 20)]
    TooLarge,
    #[error("there is no component {}: build the plugin first (in a folder that `mercury plugins new` made, by ./build.sh)", path.display())]
    NotBuilt { path: PathBuf },
    #[error("the component {}: {source}", path.display())]
    Component { path: PathBuf, source: Box<ContractError> },
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// A package in a folder, read and not yet trusted.
#[derive(Clone, Debug)]
pub struct Package {
    pub folder: PathBuf,
    pub manifest: Manifest,
    /// `mercury:plugin` in this version.
    pub contract: String,
    /// SHA-256 by path, in hexadecimal, the signature included.
    pub files: BTreeMap<String, String>,
    pub signer: Option<PublicKey>,
}

impl Package {
    /// Reads manifest and digests, and checks the signature, if there is one. Blocks.
    ///
    /// # Errors
    /// Also where a signature does not fit: a broken one is worse than none.
    pub fn read(folder: &Path) -> Result<Self, PackageError> {
        let mut package = Self::read_files(folder)?;
        if package.files.contains_key(SIGNATURE_FILE) {
            let path = folder.join(SIGNATURE_FILE);
            let text = std::fs::read(&path).map_err(|source| PackageError::Unreadable { path, source })?;
            package.signer = Some(Signature::parse(&text)?.verify(&package.signed_text())?.clone());
        }
        Ok(package)
    }

    fn read_files(folder: &Path) -> Result<Self, PackageError> {
        let manifest = Manifest::read(folder)?;
        let component = folder.join(&manifest.component);
        if std::fs::symlink_metadata(&component).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Err(PackageError::NotBuilt { path: component });
        }
        let mut files = BTreeMap::new();
        let mut bytes = 0;
        for path in named_files(folder, &manifest)? {
            let file = folder.join(&path);
            let text = path.to_str().filter(|text| is_file_name(text));
            let text = text.ok_or_else(|| PackageError::Name { path: path.clone() })?;
            files.insert(text.to_owned(), digest(&file, &mut bytes)?);
            if files.len() > MOST_FILES {
                return Err(PackageError::TooLarge);
            }
        }
        check_alike(files.keys())?;
        let wasm =
            std::fs::read(&component).map_err(|source| PackageError::Unreadable { path: component.clone(), source })?;
        let declared = Declaration::read(&wasm)
            .map_err(|source| PackageError::Component { path: component, source: Box::new(source) })?;
        let contract = declared.version.to_string();
        Ok(Self { folder: folder.to_owned(), manifest, contract, files, signer: None })
    }

    /// Writes a signature beside the manifest, in the place of one that is there.
    pub fn sign(folder: &Path, key: &SigningKey) -> Result<Self, PackageError> {
        let package = Self::read_files(folder)?;
        let path = folder.join(SIGNATURE_FILE);
        std::fs::write(&path, key.sign(&package.signed_text()).to_string())
            .map_err(|source| PackageError::Unreadable { path, source })?;
        Self::read(folder)
    }

    fn signed_text(&self) -> String {
        signature::signed_text(&self.contract, &self.files)
    }

    /// SHA-256 over all of it, in hexadecimal. Whether it is signed makes no other package of it.
    pub fn digest(&self) -> String {
        hex(&Sha256::digest(self.signed_text()))
    }
}

/// Files that belong to a package: those that the manifest names, and those that every package may have.
/// Each is there once, though the manifest may name it twice.
fn named_files(folder: &Path, manifest: &Manifest) -> Result<Vec<PathBuf>, PackageError> {
    let mut files = vec![PathBuf::from("plugin.toml"), PathBuf::from(&manifest.component)];
    files.extend(manifest.agent.clis.iter().filter_map(|cli| cli.bin.as_ref()).map(PathBuf::from));
    for optional in [SIGNATURE_FILE, "README.md", "LICENSE"] {
        if folder.join(optional).symlink_metadata().is_ok() {
            files.push(PathBuf::from(optional));
        }
    }
    if let Some(skill) = &manifest.agent.skill {
        let path = folder.join(skill);
        // A link would bring in what lies elsewhere.
        if path.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
            return Err(PackageError::Special { path });
        }
        walk(folder, Path::new(skill), 0, &mut files)?;
    }
    files.sort();
    files.dedup();
    Ok(files)
}

fn walk(folder: &Path, inside: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), PackageError> {
    let path = folder.join(inside);
    if depth > MOST_DEPTH || files.len() > MOST_FILES {
        return Err(PackageError::TooLarge);
    }
    let unreadable = |source| PackageError::Unreadable { path: path.clone(), source };
    for entry in std::fs::read_dir(&path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let below = inside.join(entry.file_name());
        // Links are neither: they are refused where the file is read.
        if entry.file_type().map_err(unreadable)?.is_dir() {
            walk(folder, &below, depth + 1, files)?;
        } else {
            files.push(below);
        }
    }
    Ok(())
}

/// A relative path that a line of text can hold, every file system knows, and people see as it is.
fn is_file_name(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    path.len() <= 512 && path.split('/').all(plain) && !path.contains('\\') && !path.chars().any(deceives)
}

/// No two names that a reader, or a file system without case, takes for one.
fn check_alike<'a>(paths: impl Iterator<Item = &'a String>) -> Result<(), PackageError> {
    let mut seen = BTreeMap::new();
    for path in paths {
        let folded: String = path.nfkc().flat_map(char::to_lowercase).nfkc().collect();
        if let Some(first) = seen.insert(folded, path) {
            return Err(PackageError::Alike { first: first.clone(), second: path.clone() });
        }
    }
    Ok(())
}

/// Reads a plain file piece by piece, and counts what it read.
fn digest(path: &Path, bytes: &mut u64) -> Result<String, PackageError> {
    let unreadable = |source| PackageError::Unreadable { path: path.to_owned(), source };
    let mut file = open_plain(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut piece).map_err(unreadable)?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        *bytes += read as u64;
        if *bytes > MOST_BYTES {
            return Err(PackageError::TooLarge);
        }
        hasher.update(&piece[..read]);
    }
}

/// Opens a plain file, and no link.
fn open_plain(path: &Path) -> Result<std::fs::File, PackageError> {
    let opened = plain_file::open(path).map_err(|source| PackageError::Unreadable { path: path.to_owned(), source })?;
    opened.ok_or_else(|| PackageError::Special { path: path.to_owned() })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
