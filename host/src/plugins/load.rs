//! From folders and the binary's own components to loaded plugins.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use wasmtime::{Engine, component::Linker};

use super::{
    Plugins,
    access::Access,
    carried,
    compile::{Cache, CompileError, Compiler},
    engine,
    exports::Exports,
    manifest::{Manifest, ManifestError},
    plugin::{Breaker, Plugin},
    registry::Registry,
    services::Services,
    settings,
    state::State,
};
use crate::{config::PluginConfig, store::StoreError};

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    #[error(transparent)]
    Cache(CompileError),
    #[error("the plugin folder {} cannot be read: {source}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    /// A value of the configuration that the plugin does not allow.
    #[error("{0}. Mend the value in mercury.yaml (or MERCURY_EXTENSION_DEFAULTS)")]
    Setting(String),
    #[error("what was set of plugins' settings cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("the plugin `{name}` ({}) cannot be used: {reason}. Mend it, or switch it off with plugins.{name}.enabled: false", path.display())]
    Plugin { name: String, path: PathBuf, reason: String },
}

/// A plugin's settings as the configuration and the manifest have them.
struct Base {
    values: Arc<BTreeMap<String, String>>,
    configured: BTreeSet<String>,
}

/// A plugin before it is compiled.
struct Source {
    manifest: Manifest,
    wasm: Vec<u8>,
    /// For messages.
    path: PathBuf,
    built_in: bool,
}

impl Plugins {
    /// Loads the built-in components and those in `folder`; one there replaces the built-in one of
    /// its name. What is not essential and does not load is left out and reported.
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
        let failed = |error: wasmtime::Error| LoadError::Engine(format!("{error:#}"));
        let engine = engine::engine().map_err(failed)?;
        engine::start_clock(&engine).map_err(|error| LoadError::Engine(error.to_string()))?;
        let linker = engine::linker(&engine).map_err(failed)?;
        let cache = Cache::open(&data_dir.join("cache/components"), compiler).map_err(LoadError::Cache)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let guests = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores)
            .thread_name("guest")
            .enable_time()
            .build()
            .map_err(|error| LoadError::Engine(error.to_string()))?;
        let mut plugins = Self {
            plugins: Vec::new(),
            guests: Some(guests),
            permits: tokio::sync::Semaphore::new(cores * 2),
            disabled: Vec::new(),
            services: services.clone(),
            order: Vec::new(),
            allowance: Mutex::default(),
        };
        services.values.load(&services.store).await?;

        let sources = collect(&data_dir.join("plugins"), configured)?;
        warn_of_strangers(configured, &sources);
        for (name, source) in sources {
            let config = configured.get(&name);
            let loaded = match source {
                Ok(source) => {
                    let essential = source.manifest.is_essential();
                    let path = source.path.clone();
                    let base = settings::resolve(&source.manifest, config, &data_dir.display().to_string())
                        .map_err(LoadError::Setting)?;
                    let base = Base {
                        values: Arc::new(base),
                        configured: config.into_iter().flat_map(|config| config.settings.keys().cloned()).collect(),
                    };
                    let folder = if source.built_in {
                        carried::unpack(&data_dir.join("cache/carried"), &name)
                    } else {
                        Ok(Some(path.clone()))
                    };
                    match folder {
                        Ok(folder) => load_one(&engine, &linker, &cache, source, folder, base, config, &services).await,
                        Err(error) => Err(error.to_string()),
                    }
                    .map_err(|reason| (path, reason, essential))
                }
                // Whoever cannot read the manifest cannot know whether it closes something.
                Err((path, reason)) => Err((path, reason, true)),
            };
            match loaded {
                Ok(plugin) => plugins.plugins.push(Arc::new(plugin)),
                Err((path, reason, true)) => return Err(LoadError::Plugin { name, path, reason }),
                Err((path, reason, false)) => {
                    tracing::error!(plugin = name, path = %path.display(), reason, "a plugin cannot be used and is left out");
                    plugins.disabled.push((name, reason));
                }
            }
        }
        plugins.leave_out_dependents()?;
        services.set_registry(Registry::of(plugins.plugins.iter().map(|plugin| plugin.manifest())));
        Ok(plugins)
    }

    /// Takes away what needs a plugin that is not loaded, and what needs that.
    fn leave_out_dependents(&mut self) -> Result<(), LoadError> {
        loop {
            let names: BTreeSet<String> = self.plugins.iter().map(|plugin| plugin.name().to_owned()).collect();
            let unmet = |plugin: &Plugin| plugin.manifest.depends.iter().find(|name| !names.contains(*name)).cloned();
            let found = self.plugins.iter().enumerate().find_map(|(at, plugin)| Some((at, unmet(plugin)?)));
            let Some((at, needed)) = found else { return Ok(()) };
            let plugin = self.plugins.remove(at);
            let name = plugin.name().to_owned();
            let reason = format!("it needs the plugin `{needed}`, which is not loaded. Add or enable that one");
            if plugin.manifest.is_essential() {
                let path = plugin.folder.clone().unwrap_or_else(|| PathBuf::from(format!("built-in {name}")));
                return Err(LoadError::Plugin { name, path, reason });
            }
            tracing::error!(plugin = name, reason, "a plugin cannot be used and is left out");
            self.disabled.push((name, reason));
        }
    }
}

/// A plugin that is there, whether or not it can be used. Nothing of it has run.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub name: String,
    /// Empty where the manifest cannot be read.
    pub version: String,
    /// `built-in` or `folder`.
    pub origin: &'static str,
    pub state: String,
    pub provides: Vec<&'static str>,
}

/// All that is there and not switched off, sorted by name.
///
/// # Errors
/// Where the folder of plugins cannot be read.
pub fn candidates(data_dir: &Path, configured: &BTreeMap<String, PluginConfig>) -> Result<Vec<Candidate>, LoadError> {
    let sources = collect(&data_dir.join("plugins"), configured)?;
    let candidates = sources.into_iter().map(|(name, source)| match source {
        Ok(source) => Candidate {
            name,
            version: source.manifest.version,
            origin: if source.built_in { "built-in" } else { "folder" },
            state: "ready".to_owned(),
            provides: source.manifest.provides.iter().map(|interface| interface.name()).collect(),
        },
        Err((_, reason)) => {
            Candidate { name, version: String::new(), origin: "folder", state: reason, provides: Vec::new() }
        }
    });
    Ok(candidates.collect())
}

type Collected = BTreeMap<String, Result<Source, (PathBuf, String)>>;

/// A misspelt name must not leave a guard with other settings than the operator believes.
fn warn_of_strangers(configured: &BTreeMap<String, PluginConfig>, sources: &Collected) {
    let built_in = || mercury_carried::COMPONENTS.iter().map(|component| component.name);
    for (name, _) in configured.iter().filter(|(_, plugin)| plugin.enabled != Some(false)) {
        if sources.contains_key(name) || built_in().any(|known| known == name) {
            continue;
        }
        let nearest = sources.keys().map(String::as_str).chain(built_in());
        let nearest = nearest.max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
        tracing::warn!(
            "plugins.{name} of the configuration belongs to no plugin that is here; the nearest is `{}`",
            nearest.unwrap_or("none")
        );
    }
}

/// Sorted by name, which is also the order of the calls.
fn collect(folder: &Path, configured: &BTreeMap<String, PluginConfig>) -> Result<Collected, LoadError> {
    let switched = |name: &str| configured.get(name).and_then(|plugin| plugin.enabled);
    // One that somebody put there is wanted, unless it is switched off.
    let enabled = |name: &str| switched(name).unwrap_or(true);
    let mut found = Collected::new();
    for component in mercury_carried::COMPONENTS.iter().filter(|component| enabled(component.name)) {
        let path = PathBuf::from(format!("built-in {}", component.name));
        let source = match Manifest::parse(&path, component.manifest) {
            Ok(manifest) if !switched(component.name).unwrap_or(manifest.enabled_by_default) => continue,
            Ok(manifest) => Ok(Source { manifest, wasm: component.wasm.to_vec(), path, built_in: true }),
            Err(error) => Err((path, error.to_string())),
        };
        found.insert(component.name.to_owned(), source);
    }
    let unreadable = |source| LoadError::Folder { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(source) => return Err(unreadable(source)),
    };
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if !path.is_dir() {
            continue;
        }
        let folder_name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match read_folder(&path) {
            Ok(source) if !enabled(&source.manifest.name) => {}
            Ok(source) => {
                found.insert(source.manifest.name.clone(), Ok(source));
            }
            Err(_) if !enabled(&folder_name) => {}
            Err(reason) => {
                found.insert(folder_name, Err((path, reason)));
            }
        }
    }
    Ok(found)
}

fn read_folder(folder: &Path) -> Result<Source, String> {
    let manifest = Manifest::read(folder).map_err(|error: ManifestError| error.to_string())?;
    let path = folder.join(&manifest.component);
    let wasm = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Source { manifest, wasm, path: folder.to_owned(), built_in: false })
}

async fn load_one(
    engine: &Engine,
    linker: &Linker<State>,
    cache: &Cache,
    source: Source,
    folder: Option<PathBuf>,
    base: Base,
    config: Option<&PluginConfig>,
    services: &Arc<Services>,
) -> Result<Plugin, String> {
    let access = Access::new(&source.manifest, config, services)?;
    let component = cache.load(engine, &source.wasm).await.map_err(|error| error.to_string())?;
    let pre = linker.instantiate_pre(&component).map_err(|error| {
        format!("it does not fit this host's contract (mercury:plugin@0.2.0): {error:#}. Build it against the host's wit/ folder")
    })?;
    let exports = Exports::find(&pre, &source.manifest.provides)?;
    tracing::info!(
        plugin = source.manifest.name,
        version = source.manifest.version,
        built_in = source.built_in,
        provides = ?source.manifest.provides.iter().map(|interface| interface.name()).collect::<Vec<_>>(),
        "plugin loaded"
    );
    Ok(Plugin {
        manifest: Arc::new(source.manifest),
        built_in: source.built_in,
        folder,
        exports,
        settings: base.values,
        configured: base.configured,
        pre,
        services: services.clone(),
        access: Arc::new(access),
        breaker: Breaker::new(),
    })
}
