//! The way in and out: fetch, show, ask, try, lock. Until it is locked, nothing of a package is used
//! and everything stays as it was.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use oci_client::Reference;

use super::{
    Agreed, Entry, Lock, LockError, MOST_BYTES, Offer, PACKAGES, Package, PackageError, Pending, PublicKey, Published,
    Removed, Trust, Update,
    archive::{self, ArchiveError},
    folder, folder_of,
    lock::Editing,
    named_files, open_plain,
    registry::{self, RegistryError},
    sources::{Collected, Found, Origin, Source as Loadable, SourceError, collect},
};
use crate::{
    config::PluginConfig,
    plugins::{
        Compiler, LoadError, Services,
        conflicts::{conflict, resemble},
        load::{self, Loader},
        manifest::Manifest,
        rights::Rights,
    },
    store::{Store, StoreError},
};

/// What a package's folder has at its top.
const MANIFEST: &str = "plugin.toml";
const REGISTRY: &str = "oci://";
/// What the folders begin with in which packages lie until they are agreed to.
const STAGING: &str = ".staging-";
/// How long such a folder may be somebody's who still reads.
const LEFT_ALONE: Duration = Duration::from_secs(86_400);

#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("there is no `{text}`: name a folder, a `.tar` or `.tar.gz`, or `oci://registry.example/name:1.0.0`")]
    NoSource { text: String },
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error("{}: {source}", path.display())]
    Archive { path: PathBuf, source: ArchiveError },
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(
        "`{name}` is not signed, so nobody vouches for it. If you know where it comes from, add it with --allow-unsigned"
    )]
    Unsigned { name: String },
    #[error(
        "`{name}` is signed by {key}, whom you do not trust. If you know whose key it is, add it under plugins.trusted_keys of mercury.yaml; or add the plugin with --allow-unsigned"
    )]
    Stranger { name: String, key: PublicKey },
    #[error("`{name}` is installed already. Use `mercury plugins update {name}`")]
    Installed { name: String },
    #[error("no plugin `{name}` is installed{nearest}. `mercury plugins list` shows all")]
    NotInstalled { name: String, nearest: String },
    #[error("the package is `{found}`, not `{name}`")]
    OtherName { name: String, found: String },
    #[error(
        "`{name}` comes with the host, and this package would take its place, its settings and what it has stored. If that is what you want, add it with --replace"
    )]
    BuiltIn { name: String },
    #[error("`{name}` cannot be used here: {reason}. Remove that one, or switch it off, first")]
    Conflict { name: String, reason: String },
    #[error("`{name}` needs the plugin `{needed}`, which is not there or not in use. Add or enable that one first")]
    Needs { name: String, needed: String },
    #[error("`{name}` is needed by `{by}`. Remove that one, or switch it off, first")]
    Needed { name: String, by: String },
    #[error("`{name}` was changed by somebody else meanwhile. Try again")]
    Changed { name: String },
    #[error("`{name}` does not work, and is not installed: {reason}")]
    Broken { name: String, reason: String },
    #[error("{} cannot be written: {source}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Sources(#[from] SourceError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a package is fetched from.
#[derive(Clone, Debug)]
pub enum Source {
    Folder(PathBuf),
    Archive(PathBuf),
    Registry(Box<Reference>),
}

impl Source {
    pub fn parse(text: &str) -> Result<Self, InstallError> {
        if let Some(reference) = text.strip_prefix(REGISTRY) {
            return Ok(Self::Registry(Box::new(registry::parse(reference)?)));
        }
        let none = || InstallError::NoSource { text: text.chars().take(200).collect() };
        let path = std::path::absolute(text).map_err(|_| none())?;
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => Ok(Self::Folder(path)),
            Ok(found) if found.is_file() => Ok(Self::Archive(path)),
            _ => Err(none()),
        }
    }
}

/// Installs into one data directory. Works whether or not a host runs there.
pub struct Installer {
    data_dir: PathBuf,
    configured: BTreeMap<String, PluginConfig>,
    trust: Trust,
    compiler: Compiler,
    docker_config: Option<PathBuf>,
}

impl Installer {
    /// `docker_config` is where `docker login` keeps the registries' credentials.
    pub fn new(
        data_dir: &Path,
        configured: &BTreeMap<String, PluginConfig>,
        trust: Trust,
        compiler: Compiler,
        docker_config: Option<PathBuf>,
    ) -> Self {
        Self { data_dir: data_dir.to_owned(), configured: configured.clone(), trust, compiler, docker_config }
    }

    fn plugins(&self) -> PathBuf {
        folder(&self.data_dir)
    }

    pub fn lock(&self) -> Result<Lock, LockError> {
        Lock::read(&self.plugins())
    }

    /// Fetches and reads; runs nothing, installs nothing.
    pub async fn fetch(&self, source: &Source) -> Result<Offer, InstallError> {
        let plugins = self.plugins();
        let unwritable = |source| InstallError::Unwritable { path: plugins.clone(), source };
        std::fs::create_dir_all(&plugins).map_err(unwritable)?;
        sweep(&plugins, SystemTime::now());
        let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(&plugins).map_err(unwritable)?;
        let raw = staging.path().join("raw");
        let (from, pinned) = match source {
            Source::Folder(path) => (path.clone(), path.display().to_string()),
            Source::Archive(path) => {
                let (archive, to) = (path.clone(), raw.clone());
                std::fs::create_dir(&raw).map_err(unwritable)?;
                blocking(move || archive::unpack(&archive, &to))
                    .await
                    .map_err(|source| InstallError::Archive { path: path.clone(), source })?;
                (archive::top(&raw, MANIFEST), path.display().to_string())
            }
            Source::Registry(reference) => {
                let digest = registry::pull(reference, self.docker_config.as_deref(), &raw).await?;
                let place = registry::newest(reference).whole();
                let place = place.split('@').next().unwrap_or_default().to_owned();
                (raw.clone(), format!("{REGISTRY}{place}@{digest}"))
            }
        };
        let to = staging.path().join("package");
        let package = blocking(move || {
            copy(&from, &to)?;
            Ok::<_, InstallError>(Package::read(&to)?)
        })
        .await?;
        let signer = package.signer.as_ref().and_then(|key| self.trust.name_of(key)).map(str::to_owned);
        let installed = self.lock()?.plugins.remove(&package.manifest.name).map(|entry| entry.current);
        let resembles = self.resembling(&package.manifest.name).await?;
        Ok(Offer { package, source: pinned, signer, installed, resembles, staging })
    }

    /// What the source of an installed plugin has now.
    pub async fn check_update(&self, name: &str) -> Result<Update, InstallError> {
        let lock = self.lock()?;
        let entry = lock.plugins.get(name).ok_or_else(|| not_installed(name, &lock))?;
        let source = match Source::parse(&entry.current.source)? {
            Source::Registry(reference) => Source::Registry(Box::new(registry::newest(&reference))),
            source => source,
        };
        let offer = self.fetch(&source).await?;
        if offer.name() != name {
            return Err(InstallError::OtherName { name: name.to_owned(), found: offer.name().to_owned() });
        }
        // Files that were changed after they were installed are put right by the same version.
        let whole = Package::read(&folder_of(&self.plugins(), name, &entry.current))
            .is_ok_and(|package| package.files == entry.current.files);
        if offer.is_same() && whole {
            return Ok(Update::Current(offer.package.manifest.version));
        }
        Ok(Update::Newer(Box::new(offer)))
    }

    /// Whether somebody vouches for it; `allow_unsigned` is the operator's own word.
    ///
    /// # Errors
    /// Where nobody does whom the operator trusts.
    pub fn signer(&self, offer: &Offer, allow_unsigned: bool) -> Result<Option<PublicKey>, InstallError> {
        let name = offer.name().to_owned();
        // Who took it unsigned once has said so; the lock remembers.
        let unsigned = allow_unsigned || offer.installed.as_ref().is_some_and(|installed| installed.signer.is_none());
        match &offer.package.signer {
            Some(key) if self.trust.name_of(key).is_some() => Ok(Some(key.clone())),
            _ if unsigned => Ok(None),
            Some(key) => Err(InstallError::Stranger { name, key: key.clone() }),
            None => Err(InstallError::Unsigned { name }),
        }
    }

    /// Sends an author's package to a registry; says under which digest it stays the same.
    pub async fn publish(&self, package: &Package, to: &str, overwrite: bool) -> Result<Published, InstallError> {
        let text = to.strip_prefix(REGISTRY).unwrap_or(to);
        // Without a tag it is the version's: what is called `latest` is installed by nobody twice the same.
        let is_named = text.rsplit('/').next().is_some_and(|last| last.contains(':'));
        let text =
            if is_named { text.to_owned() } else { format!("{text}:{}", package.manifest.version.replace('+', "_")) };
        let reference = registry::parse(&text)?;
        if reference.digest().is_some() {
            return Err(RegistryError::Reference { text }.into());
        }
        let digest = registry::push(&reference, self.docker_config.as_deref(), package, overwrite).await?;
        Ok(Published { reference: format!("{REGISTRY}{}", reference.whole()), digest })
    }

    async fn collected(&self) -> Result<Collected, InstallError> {
        let (data_dir, configured, trust) = (self.data_dir.clone(), self.configured.clone(), self.trust.clone());
        Ok(blocking(move || collect(&data_dir, &configured, &trust)).await?)
    }

    async fn resembling(&self, name: &str) -> Result<Option<String>, InstallError> {
        Ok(self.collected().await?.into_keys().find(|known| resemble(name, known)))
    }

    /// Whether there is a place for it; `replace` is the operator's word that it takes a built-in plugin's.
    ///
    /// # Errors
    /// Where it would take the place, or a part, of another without a word.
    pub async fn check_place(&self, offer: &Offer, replace: bool) -> Result<(), InstallError> {
        let name = offer.name().to_owned();
        if offer.replaces_built_in() && !replace {
            return Err(InstallError::BuiltIn { name });
        }
        for (other, found) in self.collected().await? {
            if let Found::Usable(other_source) = found
                && other != name
                && let Some(reason) = conflict(&offer.package.manifest, &other_source.manifest)
            {
                return Err(InstallError::Conflict { name, reason });
            }
        }
        Ok(())
    }

    /// Whether all is there that it needs.
    ///
    /// # Errors
    /// Where it would be left out.
    pub async fn check_needs(&self, offer: &Offer) -> Result<(), InstallError> {
        let there = self.collected().await?;
        let is_there = |name: &&String| matches!(there.get(*name), Some(Found::Usable(_)));
        match offer.package.manifest.depends.iter().find(|name| !is_there(name)) {
            Some(needed) => Err(InstallError::Needs { name: offer.name().to_owned(), needed: needed.clone() }),
            None => Ok(()),
        }
    }

    /// Whether the others can do without it.
    ///
    /// # Errors
    /// Where one that is in use would be left out with it.
    pub async fn check_needed(&self, name: &str) -> Result<(), InstallError> {
        let needs = |found: &Found| match found {
            Found::Usable(source) => source.manifest.depends.iter().any(|needed| needed == name),
            Found::Off(_) | Found::Inactive { .. } | Found::Refused { .. } => false,
        };
        match self.collected().await?.into_iter().find(|(_, found)| needs(found)) {
            Some((by, _)) => Err(InstallError::Needed { name: name.to_owned(), by }),
            None => Ok(()),
        }
    }

    /// Tries the package, and locks it. What the operator was shown has been agreed to.
    pub async fn install(&self, offer: Offer, signer: Option<PublicKey>) -> Result<Agreed, InstallError> {
        self.try_out(&offer).await?;
        let plugins = self.plugins();
        blocking(move || commit(&plugins, offer, signer)).await
    }

    /// Compiles and starts it beside nothing else, with no grant.
    async fn try_out(&self, offer: &Offer) -> Result<(), InstallError> {
        let name = offer.name().to_owned();
        let component = offer.package.folder.join(&offer.package.manifest.component);
        let wasm = std::fs::read(&component).map_err(|source| PackageError::Unreadable { path: component, source })?;
        // A database of its own: the component can reach nothing, and nothing is left behind.
        let store = Store::open(&offer.staging.path().join("probe.db"))?;
        let services = Arc::new(Services::new(store).with_trust(self.trust.clone()));
        let loader = Loader::new(&self.data_dir, &self.configured, self.compiler.clone(), services)?;
        let threads = load::threads(1)?;
        let source = Loadable {
            manifest: offer.package.manifest.clone(),
            wasm,
            path: offer.package.folder.clone(),
            origin: Origin::BuiltIn,
            identity: String::new(),
            previous: None,
        };
        let tried = loader.try_out(source, &threads.lanes()).await;
        tried.map_err(|reason| InstallError::Broken { name, reason })
    }

    /// What is installed asks for more than was agreed to: a newer host may see more in its manifest.
    pub async fn pending(&self, name: &str) -> Result<Pending, InstallError> {
        let (plugins, name) = (self.plugins(), name.to_owned());
        blocking(move || {
            let lock = Lock::read(&plugins)?;
            let entry = lock.plugins.get(&name).ok_or_else(|| not_installed(&name, &lock))?;
            let package = Package::read(&folder_of(&plugins, &name, &entry.current))?;
            if package.files != entry.current.files {
                return Err(InstallError::Changed { name });
            }
            let beyond = Rights::of(&package.manifest).beyond(&entry.current.rights);
            Ok(Pending { manifest: package.manifest, beyond, digest: entry.current.digest.clone() })
        })
        .await
    }

    /// Agrees to all that was shown, of the version of which it was shown.
    pub async fn approve(&self, shown: Pending) -> Result<(), InstallError> {
        let (plugins, name) = (self.plugins(), shown.manifest.name.clone());
        blocking(move || {
            let mut editing = Editing::begin(&plugins)?;
            let missing = not_installed(&name, &editing.lock);
            let entry = editing.lock.plugins.get_mut(&name).ok_or(missing)?;
            if entry.current.digest != shown.digest {
                return Err(InstallError::Changed { name });
            }
            entry.current.rights = Rights::of(&shown.manifest);
            Ok(editing.commit()?)
        })
        .await
    }

    /// Takes it out of the lock, and its files away.
    pub async fn remove(&self, name: &str) -> Result<Removed, InstallError> {
        let (plugins, name) = (self.plugins(), name.to_owned());
        blocking(move || {
            let mut editing = Editing::begin(&plugins)?;
            let missing = not_installed(&name, &editing.lock);
            let entry = editing.lock.plugins.remove(&name).ok_or(missing)?;
            editing.commit()?;
            clear(&plugins, &name, &[]);
            Ok(Removed { version: entry.current.version })
        })
        .await
    }
}

async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn not_installed(name: &str, lock: &Lock) -> InstallError {
    let alike = |known: &&String| strsim::jaro_winkler(name, known);
    let nearest = lock.plugins.keys().max_by(|a, b| alike(a).total_cmp(&alike(b)));
    let nearest = nearest.filter(|nearest| alike(nearest) > 0.7).map(|nearest| format!("; did you mean `{nearest}`?"));
    InstallError::NotInstalled { name: name.chars().take(80).collect(), nearest: nearest.unwrap_or_default() }
}

/// Removes what commands that broke off have left.
fn sweep(plugins: &Path, now: SystemTime) {
    for entry in std::fs::read_dir(plugins).into_iter().flatten().flatten() {
        let is_staging = entry.file_name().to_string_lossy().starts_with(STAGING);
        let made = entry.metadata().and_then(|found| found.modified());
        let is_old = made.is_ok_and(|made| now.duration_since(made).is_ok_and(|age| age > LEFT_ALONE));
        if is_staging && is_old {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The files of the package in `from` and nothing else, as plain files of our own in `to`. Blocks.
///
/// # Errors
/// Where it is no package, or something is there already.
pub fn copy(from: &Path, to: &Path) -> Result<(), InstallError> {
    let manifest = Manifest::read(from).map_err(PackageError::from)?;
    let mut left = MOST_BYTES;
    for path in named_files(from, &manifest)? {
        let target = to.join(&path);
        let unwritable = |source| InstallError::Unwritable { path: target.clone(), source };
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(unwritable)?;
        }
        let mut original = open_plain(&from.join(&path))?.take(left + 1);
        let mut file = File::options().write(true).create_new(true).open(&target).map_err(unwritable)?;
        let copied = io::copy(&mut original, &mut file).map_err(unwritable)?;
        left = left.checked_sub(copied).ok_or(PackageError::TooLarge)?;
        file.flush().and_then(|()| file.sync_all()).map_err(unwritable)?;
    }
    Ok(())
}

fn commit(plugins: &Path, offer: Offer, signer: Option<PublicKey>) -> Result<Agreed, InstallError> {
    let name = offer.name().to_owned();
    let mut editing = Editing::begin(plugins)?;
    let before = editing.lock.plugins.get(&name).cloned();
    if before.as_ref().map(|entry| &entry.current.digest) != offer.installed.as_ref().map(|agreed| &agreed.digest) {
        return Err(InstallError::Changed { name });
    }
    let agreed = Agreed {
        version: offer.package.manifest.version.clone(),
        contract: offer.package.contract.clone(),
        digest: offer.package.digest(),
        source: offer.source.clone(),
        signer,
        files: offer.package.files.clone(),
        rights: Rights::of(&offer.package.manifest),
    };
    let place = folder_of(plugins, &name, &agreed);
    let unwritable = |source| InstallError::Unwritable { path: place.clone(), source };
    std::fs::create_dir_all(plugins.join(PACKAGES)).map_err(unwritable)?;
    put(&offer.package.folder, &place).map_err(unwritable)?;
    File::open(plugins.join(PACKAGES)).and_then(|folder| folder.sync_all()).map_err(unwritable)?;
    // The same version once more, put right or signed anew, has the same one before it.
    let previous = before.and_then(|entry| match entry.current.digest == agreed.digest {
        true => entry.previous,
        false => Some(entry.current),
    });
    let kept: Vec<PathBuf> = previous.iter().chain([&agreed]).map(|kept| folder_of(plugins, &name, kept)).collect();
    editing.lock.plugins.insert(name.clone(), Entry { current: agreed.clone(), previous });
    editing.commit()?;
    clear(plugins, &name, &kept);
    Ok(agreed)
}

/// Moves the package to its place. What lies there (the same version, damaged, or left from an attempt that
/// broke off) is exchanged for it at once, and goes with the offer: at no time there is none.
pub(super) fn put(package: &Path, place: &Path) -> io::Result<()> {
    if !place.exists() {
        return std::fs::rename(package, place);
    }
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, package, CWD, place, RenameFlags::EXCHANGE) {
        // Not every file system can.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            std::fs::remove_dir_all(place)?;
            std::fs::rename(package, place)
        }
        exchanged => Ok(exchanged?),
    }
}

/// Versions that no lock names any more. What cannot be removed now is removed next time.
fn clear(plugins: &Path, name: &str, kept: &[PathBuf]) {
    let ours = |path: &Path| {
        let file = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
        file.rsplit_once('-').is_some_and(|(of, _)| of == name)
    };
    for entry in std::fs::read_dir(plugins.join(PACKAGES)).into_iter().flatten().flatten() {
        if ours(&entry.path()) && !kept.contains(&entry.path()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_left_is_removed_after_a_day() {
        let data = tempfile::tempdir().unwrap();
        for name in [".staging-a", ".packages"] {
            std::fs::create_dir_all(data.path().join(name).join("raw")).unwrap();
        }
        let now = SystemTime::now();
        sweep(data.path(), now + LEFT_ALONE / 2);
        assert!(data.path().join(".staging-a").exists());
        sweep(data.path(), now + LEFT_ALONE * 2);
        assert!(!data.path().join(".staging-a").exists() && data.path().join(".packages").exists());
    }
}
