//! From what is there to loaded plugins: at the start, and again whenever it changes.
//!
//! A change is one exchange of the whole set. Calls that are under way end with the plugin that they
//! began with; a new version that fails its check never takes the place of one that works.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use wasmtime::{Engine, component::Linker};

use super::{
    Plugins,
    access::Access,
    breaker::Breaker,
    carried,
    compile::{Cache, CompileError, Compiler},
    contract::{ContractError, Declaration},
    engine,
    exports::Exports,
    fit,
    lanes::{Habit, Lanes, Threads},
    manifest::Manifest,
    pace::Pace,
    packages::{self, Collected, Found, Loadable, Origin, SourceError, Trust},
    permits::Permits,
    plugin::Plugin,
    probe,
    registry::Registry,
    services::Services,
    settings,
    state::State,
    stats::Stats,
};
use crate::{
    config::{Config, PluginConfig},
    store::StoreError,
};

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    #[error(transparent)]
    Cache(CompileError),
    #[error(transparent)]
    Sources(#[from] SourceError),
    /// A value of the configuration that the plugin does not allow.
    #[error("{0}. Mend the value in mercury.yaml (or MERCURY_EXTENSION_DEFAULTS)")]
    Setting(String),
    #[error("what was set of plugins' settings cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("the plugin `{name}` ({}) cannot be used: {reason}. Mend it, or switch it off with plugins.{name}.enabled: false", path.display())]
    Plugin { name: String, path: PathBuf, reason: String },
    #[error(
        "{platform} is switched on (ingress.{platform} / MERCURY_ENABLE_{}, or plugins.{platform}.enabled), but its secret {variable} is not set. Set {variable} in .env, or switch {platform} off",
        platform.to_uppercase()
    )]
    MissingSecret { platform: String, variable: String },
}

/// Whether [`Plugins::load`] goes through with this configuration, as far as that shows before anything is
/// compiled. Starts nothing. Blocks.
///
/// # Errors
/// With what the host would end.
pub fn check(config: &Config, trust: &Trust) -> Result<(), LoadError> {
    let mut usable = Vec::new();
    for (name, found) in packages::collect(&config.data_dir, &config.plugins, trust)? {
        match found {
            Found::Usable(source) => {
                let data_dir = config.data_dir.display().to_string();
                settings::resolve(&source.manifest, config.plugins.get(&name), &config.dotted, &data_dir)
                    .map_err(LoadError::Setting)?;
                usable.push(source);
            }
            Found::Refused { path, reason, essential: true } => return Err(LoadError::Plugin { name, path, reason }),
            Found::Refused { .. } | Found::Off(_) | Found::Inactive { .. } => {}
        }
    }
    let is_set = |variable: &str| config.plugin_secrets.contains_key(variable);
    if let Some((platform, variable)) = usable.iter().find_map(|source| source.manifest.missing_secret(is_set)) {
        return Err(LoadError::MissingSecret { platform, variable });
    }
    fit::check(usable)
}

/// Before the reason of what is there and cannot work yet.
pub(super) const INACTIVE: &str = "inactive: ";

/// What makes a loaded plugin of what is there.
pub(super) struct Loader {
    engine: Engine,
    linker: Linker<State>,
    cache: Cache,
    data_dir: PathBuf,
    configured: BTreeMap<String, PluginConfig>,
    services: Arc<Services>,
}

/// The plugins of one moment.
#[derive(Clone, Default)]
pub(super) struct Set {
    pub(super) plugins: Vec<Arc<Plugin>>,
    /// What is there and not used, with the reason.
    pub(super) disabled: Vec<(String, String)>,
}

/// What a reload changed, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reloaded {
    pub added: Vec<String>,
    pub updated: Vec<String>,
    pub removed: Vec<String>,
    /// New ones that cannot be used, and why: an earlier version goes on where there was one.
    pub refused: BTreeMap<String, String>,
}

impl Reloaded {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// In one line.
    pub fn refusals(&self) -> String {
        self.refused.iter().map(|(name, reason)| format!("{name}: {reason}")).collect::<Vec<_>>().join("; ")
    }
}

impl Set {
    /// What the plugins of this set bring.
    pub(super) fn registry(&self) -> Registry {
        Registry::of(self.plugins.iter().map(|plugin| plugin.manifest()))
    }
}

impl Loader {
    pub(super) fn new(
        data_dir: &Path,
        configured: &BTreeMap<String, PluginConfig>,
        compiler: Compiler,
        services: Arc<Services>,
    ) -> Result<Self, LoadError> {
        let failed = |error: wasmtime::Error| LoadError::Engine(format!("{error:#}"));
        let engine = engine::engine().map_err(failed)?;
        engine::start_clock(&engine).map_err(|error| LoadError::Engine(error.to_string()))?;
        let linker = engine::linker(&engine).map_err(failed)?;
        let cache = Cache::open(&data_dir.join("cache/components"), compiler).map_err(LoadError::Cache)?;
        let (data_dir, configured) = (data_dir.to_owned(), configured.clone());
        Ok(Self { engine, linker, cache, data_dir, configured, services })
    }

    async fn collect(&self) -> Result<Collected, SourceError> {
        let (data_dir, configured, services) = (self.data_dir.clone(), self.configured.clone(), self.services.clone());
        // Files of any size, and digests over them.
        let collected =
            tokio::task::spawn_blocking(move || packages::collect(&data_dir, &configured, &services.trust)).await;
        match collected {
            Ok(collected) => collected,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Everything that can be used. What is not essential and does not load is left out and reported.
    ///
    /// # Errors
    /// Where a guard or a required processor cannot be loaded: without it, what it closes would
    /// stand open.
    pub(super) async fn first(&self, lanes: &Lanes) -> Result<Set, LoadError> {
        let collected = self.collect().await?;
        for stranger in strangers(&self.configured, &collected) {
            tracing::warn!("{stranger}");
        }
        let mut set = Set::default();
        for (name, found) in collected {
            let (path, reason, essential) = match found {
                Found::Usable(source) => {
                    self.settings(&source.manifest).map_err(LoadError::Setting)?;
                    let (path, essential) = (source.path.clone(), source.manifest.is_essential());
                    match self.load_or_previous(source, lanes).await {
                        Ok(plugin) => {
                            set.plugins.push(plugin);
                            continue;
                        }
                        Err(reason) => (path, reason, essential),
                    }
                }
                Found::Off(_) => continue,
                Found::Inactive { source, reason } => (source.path, format!("{INACTIVE}{reason}"), false),
                Found::Refused { path, reason, essential } => (path, reason, essential),
            };
            if essential {
                return Err(LoadError::Plugin { name, path, reason });
            }
            tracing::error!(plugin = name, path = %path.display(), reason, "a plugin cannot be used and is left out");
            set.disabled.push((name, reason));
        }
        set.fit(&Set::default())?;
        Ok(set)
    }

    /// The installed version, or where it does not load any more the one before.
    async fn load_or_previous(&self, mut source: Loadable, lanes: &Lanes) -> Result<Arc<Plugin>, String> {
        let previous = source.previous.take();
        let name = source.manifest.name.clone();
        match (self.load_fitting(source, lanes).await, previous) {
            (Err(reason), Some(previous)) => {
                tracing::error!(
                    plugin = name,
                    reason,
                    version = previous.manifest.version,
                    "the plugin's new version cannot be used: its version before is used again"
                );
                self.load_fitting(*previous, lanes).await
            }
            (loaded, _) => loaded,
        }
    }

    /// Loads it and looks at the types of what it exports.
    async fn load_fitting(&self, source: Loadable, lanes: &Lanes) -> Result<Arc<Plugin>, String> {
        let plugin = self.prepare(source).await?;
        plugin.probe(lanes).await?;
        announce(&plugin);
        Ok(plugin)
    }

    /// What comes after `old`, and what changed. Plugins that stay the same stay themselves.
    ///
    /// # Errors
    /// Where what is there cannot be read: then nothing changes.
    pub(super) async fn next(&self, old: &Set, lanes: &Lanes) -> Result<(Set, Reloaded), SourceError> {
        let mut collected = self.collect().await?;
        let mut set = Set::default();
        let mut changes = Reloaded::default();
        for plugin in &old.plugins {
            let name = plugin.name().to_owned();
            let keep = match collected.remove(&name) {
                None | Some(Found::Off(_)) => {
                    changes.removed.push(name);
                    continue;
                }
                Some(Found::Usable(source)) if source.identity == plugin.identity => {
                    set.plugins.push(plugin.clone());
                    continue;
                }
                Some(Found::Usable(source)) => match self.load_checked(source, lanes).await {
                    Ok(fresh) => {
                        changes.updated.push(name);
                        set.plugins.push(fresh);
                        continue;
                    }
                    Err(reason) => reason,
                },
                Some(Found::Inactive { reason, .. } | Found::Refused { reason, .. }) => reason,
            };
            set.plugins.push(plugin.clone());
            changes.refused.insert(name, keep);
        }
        for (name, found) in collected {
            let reason = match found {
                Found::Off(_) => continue,
                Found::Usable(source) => match self.load_checked(source, lanes).await {
                    Ok(fresh) => {
                        changes.added.push(name);
                        set.plugins.push(fresh);
                        continue;
                    }
                    Err(reason) => reason,
                },
                Found::Inactive { reason, .. } => format!("{INACTIVE}{reason}"),
                Found::Refused { reason, .. } => reason,
            };
            if !old.disabled.iter().any(|known| *known == (name.clone(), reason.clone())) {
                changes.refused.insert(name.clone(), reason.clone());
            }
            set.disabled.push((name, reason));
        }
        let left_out = set.disabled.len();
        let not_taken = match set.fit(old) {
            Ok(not_taken) => not_taken,
            // What a guard needs is gone: rather yesterday's plugins than none that closes.
            Err(error) => {
                let (name, reason) = match error {
                    LoadError::Plugin { name, reason, .. } => (name, reason),
                    other => ("plugins".to_owned(), other.to_string()),
                };
                return Ok((old.clone(), Reloaded { refused: [(name, reason)].into(), ..Reloaded::default() }));
            }
        };
        for refused in not_taken.into_iter().chain(set.disabled[left_out..].iter().cloned()) {
            changes.added.retain(|added| *added != refused.0);
            changes.updated.retain(|updated| *updated != refused.0);
            if !old.disabled.contains(&refused) {
                changes.refused.extend([refused]);
            }
        }
        Ok((set, changes))
    }

    /// The plugin's settings as the configuration and its manifest have them.
    fn settings(&self, manifest: &Manifest) -> Result<BTreeMap<String, String>, String> {
        let config = self.configured.get(&manifest.name);
        settings::resolve(manifest, config, &self.services.dotted, &self.data_dir.display().to_string())
    }

    /// Loads it beside whatever runs, once it has shown that it works.
    async fn load_checked(&self, source: Loadable, lanes: &Lanes) -> Result<Arc<Plugin>, String> {
        self.try_out(source.clone(), lanes).await?;
        let plugin = self.prepare(source).await?;
        announce(&plugin);
        Ok(plugin)
    }

    /// Starts it with nothing granted to it.
    ///
    /// # Errors
    /// What does not work.
    pub(super) async fn try_out(&self, source: Loadable, lanes: &Lanes) -> Result<(), String> {
        let platform = source.manifest.inbox.as_ref().map(|inbox| inbox.platform.clone());
        let bare = Loadable { manifest: probe::without_grants(source.manifest), ..source };
        let plugin = self.prepare(bare).await?;
        plugin.probe(lanes).await?;
        match platform {
            Some(platform) => probe::describe(plugin, &platform, lanes).await,
            None => Ok(()),
        }
    }

    /// Where the files beside the component are. Those of a built-in one are written out for that.
    async fn folder(&self, source: &Loadable) -> Result<Option<PathBuf>, String> {
        if source.origin != Origin::BuiltIn {
            return Ok(Some(source.path.clone()));
        }
        let (to, name) = (self.data_dir.join("cache/carried"), source.manifest.name.clone());
        let unpacked = tokio::task::spawn_blocking(move || carried::unpack(&to, &name)).await;
        unpacked.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// Compiles and links; says nothing, and calls nothing of it.
    async fn prepare(&self, source: Loadable) -> Result<Arc<Plugin>, String> {
        let config = self.configured.get(&source.manifest.name);
        let access = Access::new(&source.manifest, config, &self.services)?;
        let declaration = Declaration::read(&source.wasm).map_err(|error| error.to_string())?;
        let component = self.cache.load(&self.engine, &source.wasm).await.map_err(|error| error.to_string())?;
        let pre = self.linker.instantiate_pre(&component).map_err(|error| {
            let (version, spoken) = (declaration.version.clone(), declaration.contract.version());
            ContractError::Misfit { version, spoken, detail: format!("{error:#}") }.to_string()
        })?;
        let exports = Exports::find(declaration.contract, &pre, &source.manifest.provides)?;
        let settings = self.settings(&source.manifest)?;
        let configured = config.into_iter().flat_map(|config| config.settings.keys().cloned()).collect();
        let folder = self.folder(&source).await?;
        Ok(Arc::new(Plugin {
            permits: tokio::sync::Semaphore::new(source.manifest.limits.concurrency as usize),
            manifest: Arc::new(source.manifest),
            declaration,
            origin: source.origin,
            identity: source.identity,
            folder,
            exports,
            settings: Arc::new(settings),
            configured,
            pre,
            services: self.services.clone(),
            access: Arc::new(access),
            breaker: Breaker::new(),
            pace: Pace::default(),
            stats: Arc::new(Stats::new()),
            habit: Habit::default(),
        }))
    }
}

/// Says in the log what is used from now on.
fn announce(plugin: &Plugin) {
    let manifest = plugin.manifest();
    let ungranted = manifest.ungranted(&plugin.declaration.imports);
    if !ungranted.is_empty() && plugin.origin != Origin::BuiltIn {
        tracing::warn!(
            plugin = manifest.name,
            "the component imports what plugin.toml does not grant, and will be refused it: {}",
            ungranted.join("; ")
        );
    }
    tracing::info!(
        plugin = manifest.name,
        version = manifest.version,
        origin = plugin.origin.word(),
        contract = %plugin.declaration.version,
        provides = ?manifest.provides.iter().map(|interface| interface.name()).collect::<Vec<_>>(),
        "plugin loaded"
    );
    if plugin.origin == Origin::Folder {
        tracing::warn!(
            plugin = manifest.name,
            "this plugin is loaded from a folder that nobody agreed to; its files may change without a question"
        );
    }
}

impl Plugins {
    /// Loads the built-in components, the installed packages and the folders that the operator allows;
    /// what is installed replaces the built-in one of its name.
    ///
    /// # Errors
    /// Where a guard or a required processor cannot be loaded: without it, what it closes would
    /// stand open.
    pub async fn load(
        data_dir: &Path,
        configured: &BTreeMap<String, PluginConfig>,
        compiler: Compiler,
        services: Arc<Services>,
    ) -> Result<Self, LoadError> {
        let loader = Loader::new(data_dir, configured, compiler, services.clone())?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        services.values.load(&services.store).await?;
        let guests = threads(cores)?;
        let set = loader.first(&guests.lanes()).await?;
        services.set_registry(set.registry());
        Ok(Self {
            set: std::sync::RwLock::new(Arc::new(set)),
            loader: tokio::sync::Mutex::new(loader),
            generation: tokio::sync::watch::Sender::new(0),
            guests,
            permits: Permits::new(),
            services,
            order: Vec::new(),
            allowance: std::sync::Mutex::default(),
        })
    }
}

/// Where guests run.
pub(super) fn threads(cores: usize) -> Result<Threads, LoadError> {
    Threads::start(cores).map_err(|error| LoadError::Engine(error.to_string()))
}

/// The names of the components that come with the host.
pub fn built_in() -> impl Iterator<Item = &'static str> {
    mercury_carried::COMPONENTS.iter().map(|component| component.name)
}

/// What the host would begin without, and what of the configuration is for nobody. Blocks.
///
/// # Errors
/// Where what is there cannot be read.
pub fn oddities(config: &Config, trust: &Trust) -> Result<Vec<String>, SourceError> {
    let collected = packages::collect(&config.data_dir, &config.plugins, trust)?;
    let mut said = strangers(&config.plugins, &collected);
    let is_used = |name: &String| matches!(collected.get(name), Some(Found::Usable(_)));
    for (name, found) in &collected {
        match found {
            Found::Usable(source) => {
                let needed = source.manifest.depends.iter().filter(|needed| !is_used(needed));
                said.extend(needed.map(|needed| {
                    format!("the plugin {name} needs the plugin {needed}, which is not in use: it is left out")
                }));
                let set = config.plugins.get(name).into_iter().flat_map(|plugin| plugin.settings.keys());
                said.extend(set.filter(|key| !source.manifest.settings.contains_key(*key)).map(|key| {
                    let known = source.manifest.settings.keys().map(String::as_str);
                    format!("the plugin {name} has no setting {key}, which is set for it{}", nearest(key, known))
                }));
            }
            Found::Refused { reason, .. } => said.push(format!("the plugin {name} cannot be used: {reason}")),
            Found::Off(_) | Found::Inactive { .. } => {}
        }
    }
    Ok(said)
}

/// A misspelt name must not leave a guard with other settings than the operator believes.
fn strangers(configured: &BTreeMap<String, PluginConfig>, collected: &Collected) -> Vec<String> {
    let meant =
        configured.iter().filter(|(name, plugin)| plugin.enabled != Some(false) && !collected.contains_key(*name));
    let known = || collected.keys().map(String::as_str);
    meant
        .map(|(name, _)| {
            format!("plugins.{name} of the configuration belongs to no plugin that is here{}", nearest(name, known()))
        })
        .collect()
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known.max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    nearest.map(|nearest| format!("; the nearest is `{nearest}`")).unwrap_or_default()
}
