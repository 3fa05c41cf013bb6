//! The way in and out: fetch, show, ask, try, lock. Until it is locked, nothing of a package is used
//! and everything stays as it was.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use oci_client::Reference;

use super::{
    Agreed, Entry, Lock, LockError, MOST_BYTES, PACKAGES, Package, PackageError, PublicKey, Trust,
    archive::{self, ArchiveError},
    folder, folder_of,
    lock::Editing,
    named_files, open_plain,
    registry::{self, RegistryError},
    sources::{Origin, Source as Loadable},
};
use crate::{
    config::PluginConfig,
    plugins::{
        Compiler, LoadError, Services,
        load::{self, Loader},
        manifest::Manifest,
        rights::Rights,
    },
    store::{Store, StoreError},
};

const REGISTRY: &str = "oci://";

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
    #[error("`{name}` was changed by somebody else meanwhile. Try again")]
    Changed { name: String },
    #[error("`{name}` does not work, and is not installed: {reason}")]
    Broken { name: String, reason: String },
    #[error("{} cannot be written: {source}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Lock(#[from] LockError),
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

/// A package that was fetched and lies ready. Dropped, it is gone.
pub struct Offer {
    pub package: Package,
    /// Pinned: what it is fetched from again.
    pub source: String,
    /// The operator's name for the signer, if the signer is trusted.
    pub signer: Option<String>,
    /// The version that it would replace.
    pub installed: Option<Agreed>,
    staging: tempfile::TempDir,
}

impl Offer {
    pub fn name(&self) -> &str {
        &self.package.manifest.name
    }

    /// What it asks for beyond what was agreed to for the installed version.
    pub fn beyond(&self) -> Vec<String> {
        let agreed = self.installed.as_ref().map(|installed| installed.rights.clone()).unwrap_or_default();
        Rights::of(&self.package.manifest).beyond(&agreed)
    }

    /// Nothing but what is installed already.
    pub fn is_same(&self) -> bool {
        self.installed.as_ref().is_some_and(|installed| installed.digest == self.package.digest())
    }

    /// The version before the installed one, by its numbers: somebody may want an old mistake back.
    pub fn is_older(&self) -> bool {
        let numbers = |version: &str| -> Vec<u64> {
            version.split(['-', '+']).next().unwrap_or_default().split('.').map(|n| n.parse().unwrap_or(0)).collect()
        };
        let installed = self.installed.as_ref().map(|installed| numbers(&installed.version));
        installed.is_some_and(|installed| numbers(&self.package.manifest.version) < installed)
    }
}

/// What an update found.
pub enum Update {
    Current(String),
    Newer(Box<Offer>),
}

/// A plugin that is installed no more.
#[derive(Debug)]
pub struct Removed {
    pub version: String,
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
        let staging = tempfile::Builder::new().prefix(".staging-").tempdir_in(&plugins).map_err(unwritable)?;
        let raw = staging.path().join("raw");
        let (from, pinned) = match source {
            Source::Folder(path) => (path.clone(), path.display().to_string()),
            Source::Archive(path) => {
                let (archive, to) = (path.clone(), raw.clone());
                std::fs::create_dir(&raw).map_err(unwritable)?;
                blocking(move || archive::unpack(&archive, &to))
                    .await
                    .map_err(|source| InstallError::Archive { path: path.clone(), source })?;
                (archive::top(&raw), path.display().to_string())
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
        Ok(Offer { package, source: pinned, signer, installed, staging })
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
    pub async fn pending(&self, name: &str) -> Result<(Manifest, Vec<String>), InstallError> {
        let (plugins, name) = (self.plugins(), name.to_owned());
        blocking(move || {
            let lock = Lock::read(&plugins)?;
            let entry = lock.plugins.get(&name).ok_or_else(|| not_installed(&name, &lock))?;
            let package = Package::read(&folder_of(&plugins, &name, &entry.current))?;
            if package.files != entry.current.files {
                return Err(InstallError::Changed { name });
            }
            let beyond = Rights::of(&package.manifest).beyond(&entry.current.rights);
            Ok((package.manifest, beyond))
        })
        .await
    }

    /// Agrees to all that the installed version asks for.
    pub async fn approve(&self, name: &str) -> Result<(), InstallError> {
        let (manifest, _) = self.pending(name).await?;
        let (plugins, name) = (self.plugins(), name.to_owned());
        blocking(move || {
            let mut editing = Editing::begin(&plugins)?;
            let missing = not_installed(&name, &editing.lock);
            let entry = editing.lock.plugins.get_mut(&name).ok_or(missing)?;
            entry.current.rights = Rights::of(&manifest);
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

/// The files of the package and nothing else, as plain files of our own.
fn copy(from: &Path, to: &Path) -> Result<(), InstallError> {
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
    // The same version again: what lies there may be damaged, or left from an attempt that broke off.
    if place.exists() {
        std::fs::remove_dir_all(&place).map_err(unwritable)?;
    }
    std::fs::rename(&offer.package.folder, &place).map_err(unwritable)?;
    File::open(plugins.join(PACKAGES)).and_then(|folder| folder.sync_all()).map_err(unwritable)?;
    let previous = before.map(|entry| entry.current).filter(|before| before.digest != agreed.digest);
    let kept: Vec<PathBuf> = previous.iter().chain([&agreed]).map(|kept| folder_of(plugins, &name, kept)).collect();
    editing.lock.plugins.insert(name.clone(), Entry { current: agreed.clone(), previous });
    editing.commit()?;
    clear(plugins, &name, &kept);
    Ok(agreed)
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
