//! What there is to load: the host's own components, installed packages, and folders put there by hand.
//!
//! Reads and checks; starts nothing. An installed package is taken only as it was agreed to: these
//! bytes, no more rights, and a signer who is still trusted.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{Agreed, Entry, Lock, LockError, Package, Trust, folder, folder_of, hex};
use crate::{
    config::PluginConfig,
    plugins::{
        manifest::{Manifest, ManifestError, check},
        rights::Rights,
    },
};

#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("the plugin folder {} cannot be read: {source}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// Where a plugin comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    BuiltIn,
    /// Installed, and locked as agreed.
    Package(Box<Agreed>),
    /// Put there by hand, which the operator allowed.
    Folder,
}

impl Origin {
    pub fn word(&self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Package(_) => "installed",
            Self::Folder => "folder",
        }
    }
}

/// A plugin before it is compiled.
#[derive(Clone)]
pub(in crate::plugins) struct Source {
    pub(in crate::plugins) manifest: Manifest,
    pub(in crate::plugins) wasm: Vec<u8>,
    /// For messages.
    pub(in crate::plugins) path: PathBuf,
    pub(in crate::plugins) origin: Origin,
    /// The same for the same manifest and the same component.
    pub(in crate::plugins) identity: String,
    /// The version before, for when this one fails.
    pub(in crate::plugins) previous: Option<Box<Source>>,
}

/// One name, and what is there under it.
pub(in crate::plugins) enum Found {
    Usable(Source),
    /// Switched off by the operator.
    Off(Source),
    /// It cannot work yet: something that the operator gives is missing.
    Inactive {
        source: Source,
        reason: String,
    },
    Refused {
        path: PathBuf,
        reason: String,
        essential: bool,
    },
}

/// Sorted by name, which is also the order of the calls.
pub(in crate::plugins) type Collected = BTreeMap<String, Found>;

/// # Errors
/// Where the folder or the lock cannot be read: then nobody knows what is missing.
pub(in crate::plugins) fn collect(
    data_dir: &Path,
    configured: &BTreeMap<String, PluginConfig>,
    trust: &Trust,
) -> Result<Collected, SourceError> {
    let plugins = folder(data_dir);
    let lock = Lock::read(&plugins)?;
    let mut found = Collected::new();
    for component in mercury_carried::COMPONENTS {
        found.insert(component.name.to_owned(), built_in(component));
    }
    for path in folders(&plugins)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_allowed = trust.loads_unlocked(&name);
        let (name, by_hand) = match by_hand(&name, &path, trust) {
            Some(found) => found,
            None => continue,
        };
        if lock.plugins.contains_key(&name) {
            tracing::warn!(folder = %path.display(), "this folder is not used: an installed plugin has its name");
        } else if let (Found::Refused { reason, .. }, true) = (&by_hand, found.contains_key(&name))
            && !is_allowed
        {
            // Whoever gets a folder there would otherwise switch off a guard by its name.
            tracing::warn!(folder = %path.display(), reason, "this folder is not used; the plugin that has its name is");
        } else {
            found.insert(name, by_hand);
        }
    }
    for (name, entry) in &lock.plugins {
        found.insert(name.clone(), package(&plugins, name, entry, trust));
    }
    for (name, here) in &mut found {
        let said = configured.get(name).and_then(|plugin| plugin.enabled);
        let switch = match said {
            Some(true) => Switch::On,
            Some(false) => Switch::Off,
            None if is_on_by_itself(here) => Switch::Unsaid,
            None => Switch::Off,
        };
        let before =
            std::mem::replace(here, Found::Refused { path: PathBuf::new(), reason: String::new(), essential: false });
        *here = settle(before, switch, trust);
    }
    Ok(found)
}

/// Whether it runs though the operator has not said so. What is installed does; of what comes with the
/// host, nothing that talks to a platform that the operator has not named.
fn is_on_by_itself(found: &Found) -> bool {
    match found {
        Found::Usable(source) if source.origin == Origin::BuiltIn => {
            source.manifest.enabled_by_default && source.manifest.inbox.is_none()
        }
        _ => true,
    }
}

/// What the operator's configuration says of a plugin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Switch {
    On,
    Off,
    /// Nothing, and it runs nevertheless.
    Unsaid,
}

/// What the operator's configuration makes of it.
fn settle(found: Found, switch: Switch, trust: &Trust) -> Found {
    match found {
        Found::Usable(source) if switch == Switch::Off => Found::Off(source),
        Found::Refused { path, reason, .. } if switch == Switch::Off => {
            Found::Refused { path, reason, essential: false }
        }
        Found::Usable(source) => {
            let needed = source.manifest.secrets.iter().filter(|secret| !secret.optional);
            let missing: Vec<&str> = needed
                .map(|secret| secret.variable.as_str())
                .filter(|variable| !trust.has_variable(variable))
                .collect();
            let missing = missing.join(", ");
            // Somebody waits for an adapter that was switched on: the start says what is missing.
            let says_so_itself = switch == Switch::On && source.manifest.inbox.is_some();
            if missing.is_empty() || says_so_itself {
                Found::Usable(source)
            } else if source.manifest.is_essential() {
                let reason = format!("it needs the credential {missing}; set it in .env");
                Found::Refused { reason, path: source.path, essential: true }
            } else {
                Found::Inactive { source, reason: format!("missing credential {missing}") }
            }
        }
        other => other,
    }
}

fn built_in(component: &mercury_carried::Component) -> Found {
    let path = PathBuf::from(format!("built-in {}", component.name));
    match Manifest::parse(&path, component.manifest) {
        Ok(manifest) => Found::Usable(Source {
            identity: identity(component.manifest.as_bytes(), component.wasm),
            manifest,
            wasm: component.wasm.to_vec(),
            path,
            origin: Origin::BuiltIn,
            previous: None,
        }),
        Err(error) => Found::Refused { path, reason: error.to_string(), essential: true },
    }
}

fn identity(manifest: &[u8], wasm: &[u8]) -> String {
    hex(&Sha256::new().chain_update(Sha256::digest(manifest)).chain_update(Sha256::digest(wasm)).finalize())
}

/// Folders of plugins, sorted, without the host's own.
fn folders(plugins: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let unreadable = |source| SourceError::Folder { path: plugins.to_owned(), source };
    let entries = match std::fs::read_dir(plugins) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(unreadable(source)),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// A folder that the operator put there. Not everything in that place is a plugin.
fn by_hand(folder_name: &str, path: &Path, trust: &Trust) -> Option<(String, Found)> {
    if !check::is_plain(folder_name) {
        tracing::warn!(folder = %path.display(), "no plugin: its name must have lower-case letters, digits and dashes only");
        return None;
    }
    if !path.join("plugin.toml").exists() {
        tracing::warn!(folder = %path.display(), "no plugin: it has no plugin.toml");
        return None;
    }
    let refused = |reason: String, essential| Found::Refused { path: path.to_owned(), reason, essential };
    let manifest = match Manifest::read(path) {
        Ok(manifest) => manifest,
        // A name of the host stops that plugin and nothing else.
        Err(error @ ManifestError::Reserved { .. }) => {
            return Some((folder_name.to_owned(), refused(error.to_string(), false)));
        }
        // Whoever cannot read the manifest cannot know whether it closes something.
        Err(error) => return Some((folder_name.to_owned(), refused(error.to_string(), true))),
    };
    let name = manifest.name.clone();
    if !trust.loads_unlocked(folder_name) {
        let reason = format!(
            "nobody agreed to what it may do: it was put there by hand. Install it with `mercury plugins add {}`, or, while \
             you develop it, list `{folder_name}` under plugins.unlocked_folders",
            path.display()
        );
        return Some((name, refused(reason, manifest.is_essential())));
    }
    let read =
        |file: &str| std::fs::read(path.join(file)).map_err(|error| format!("{}: {error}", path.join(file).display()));
    let essential = manifest.is_essential();
    Some((
        name,
        match read("plugin.toml").and_then(|text| Ok((text, read(&manifest.component)?))) {
            Ok((text, wasm)) => Found::Usable(Source {
                identity: identity(&text, &wasm),
                manifest,
                wasm,
                path: path.to_owned(),
                origin: Origin::Folder,
                previous: None,
            }),
            Err(reason) => refused(reason, essential),
        },
    ))
}

fn package(plugins: &Path, name: &str, entry: &Entry, trust: &Trust) -> Found {
    match agreed(plugins, name, &entry.current, trust) {
        Ok(mut source) => {
            let previous = entry.previous.as_ref().and_then(|previous| agreed(plugins, name, previous, trust).ok());
            source.previous = previous.map(Box::new);
            Found::Usable(source)
        }
        Err(reason) => Found::Refused {
            path: folder_of(plugins, name, &entry.current),
            reason,
            essential: entry.current.rights.are_essential(),
        },
    }
}

/// The package, if it is what was agreed to.
pub(super) fn agreed(plugins: &Path, name: &str, agreed: &Agreed, trust: &Trust) -> Result<Source, String> {
    let path = folder_of(plugins, name, agreed);
    let package = Package::read(&path).map_err(|error| format!("{}: {error}", changed(name)))?;
    check_agreed(name, &package, agreed, trust)?;
    let read =
        |file: &str| std::fs::read(path.join(file)).map_err(|error| format!("{}: {error}", path.join(file).display()));
    let wasm = read(&package.manifest.component)?;
    // Read once more, for what was checked may have been exchanged since.
    if agreed.files.get(&package.manifest.component).is_none_or(|digest| *digest != hex(&Sha256::digest(&wasm))) {
        return Err(changed(name));
    }
    Ok(Source {
        identity: format!("{}-{}", agreed.digest, hex(&Sha256::digest(&wasm))),
        manifest: package.manifest,
        wasm,
        path,
        origin: Origin::Package(Box::new(agreed.clone())),
        previous: None,
    })
}

fn changed(name: &str) -> String {
    format!(
        "its files are not those that were agreed to: they were changed after they were installed. Restore it with \
         `mercury plugins update {name}`, or remove it with `mercury plugins remove {name}`"
    )
}

fn check_agreed(name: &str, package: &Package, agreed: &Agreed, trust: &Trust) -> Result<(), String> {
    if package.files != agreed.files || package.digest() != agreed.digest || package.manifest.name != name {
        return Err(changed(name));
    }
    match (&agreed.signer, &package.signer) {
        // Taken unsigned, by an operator who said so; a signature that came along vouches for nothing.
        (None, _) => {}
        (Some(agreed), Some(signer)) if agreed == signer => {
            if trust.name_of(signer).is_none() {
                return Err(format!(
                    "it is signed by {signer}, which is no longer under plugins.trusted_keys. Add the key there, or remove the \
                     plugin with `mercury plugins remove {name}`"
                ));
            }
        }
        (Some(_), _) => return Err(changed(name)),
    }
    let beyond = Rights::of(&package.manifest).beyond(&agreed.rights);
    if !beyond.is_empty() {
        return Err(format!(
            "it asks for more than was agreed to ({}). Read it with `mercury plugins show {name}`, then agree with `mercury \
             plugins approve {name}`",
            beyond.join("; ")
        ));
    }
    Ok(())
}
