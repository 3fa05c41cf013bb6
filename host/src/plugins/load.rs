//! From folders and the binary's own components to loaded plugins.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use tokio::sync::Semaphore;
use wasmtime::{Engine, component::Linker};

use super::{
    MOST_CALLS, Plugins,
    breaker::Breaker,
    compile::{Cache, CompileError, Compiler},
    contract::{ContractError, Declaration},
    engine,
    exports::Exports,
    lanes::Threads,
    manifest::{Manifest, ManifestError},
    plugin::Plugin,
    services::Services,
    state::State,
    stats::Stats,
};
use crate::config::PluginConfig;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    #[error(transparent)]
    Cache(CompileError),
    #[error("the plugin folder {} cannot be read: {source}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("the plugin `{name}` ({}) cannot be used: {reason}. Mend it, or switch it off with plugins.{name}.enabled: false", path.display())]
    Plugin { name: String, path: PathBuf, reason: String },
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
        let guests = Threads::start(cores).map_err(|error| LoadError::Engine(error.to_string()))?;
        let lanes = guests.lanes();
        let mut plugins = Self {
            plugins: Vec::new(),
            guests: Some(guests),
            permits: Semaphore::new(MOST_CALLS),
            guard_permits: Semaphore::new(MOST_CALLS),
            disabled: Vec::new(),
        };

        let sources = collect(&data_dir.join("plugins"), configured)?;
        warn_of_strangers(configured, &sources);
        for (name, source) in sources {
            let config = configured.get(&name);
            let loaded = match source {
                Ok(source) => {
                    let essential = source.manifest.is_essential();
                    let path = source.path.clone();
                    let settings = resolve_settings(&source.manifest, config, data_dir);
                    let plugin = load_one(&engine, &linker, &cache, source, settings, &services).await;
                    let probed = match plugin.map(Arc::new) {
                        Ok(plugin) => plugin.probe(&lanes).await.map(|()| plugin),
                        Err(reason) => Err(reason),
                    };
                    probed.map_err(|reason| (path, reason, essential))
                }
                // Whoever cannot read the manifest cannot know whether it closes something.
                Err((path, reason)) => Err((path, reason, true)),
            };
            match loaded {
                Ok(plugin) => plugins.plugins.push(plugin),
                Err((path, reason, true)) => return Err(LoadError::Plugin { name, path, reason }),
                Err((path, reason, false)) => {
                    tracing::error!(plugin = name, path = %path.display(), reason, "a plugin cannot be used and is left out");
                    plugins.disabled.push((name, reason));
                }
            }
        }
        Ok(plugins)
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

/// The names of the components that come with the host.
pub fn built_in() -> impl Iterator<Item = &'static str> {
    mercury_carried::COMPONENTS.iter().map(|component| component.name)
}

type Collected = BTreeMap<String, Result<Source, (PathBuf, String)>>;

/// A misspelt name must not leave a guard with other settings than the operator believes.
fn warn_of_strangers(configured: &BTreeMap<String, PluginConfig>, sources: &Collected) {
    let carried: Vec<&str> = built_in().collect();
    for (name, _) in configured.iter().filter(|(_, plugin)| plugin.enabled != Some(false)) {
        if sources.contains_key(name) || carried.contains(&name.as_str()) {
            continue;
        }
        let nearest = sources.keys().map(String::as_str).chain(carried.iter().copied());
        let nearest = nearest.max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
        tracing::warn!(
            "plugins.{name} of the configuration belongs to no plugin that is here; the nearest is `{}`",
            nearest.unwrap_or("none")
        );
    }
}

/// Sorted by name, which is also the order of the calls.
fn collect(folder: &Path, configured: &BTreeMap<String, PluginConfig>) -> Result<Collected, LoadError> {
    let enabled = |name: &str| configured.get(name).and_then(|plugin| plugin.enabled).unwrap_or(true);
    let mut found = Collected::new();
    for component in mercury_carried::COMPONENTS {
        if enabled(component.name) {
            let path = PathBuf::from(format!("built-in {}", component.name));
            let source = Manifest::parse(&path, component.manifest)
                .map(|manifest| Source { manifest, wasm: component.wasm.to_vec(), path: path.clone(), built_in: true })
                .map_err(|error| (path, error.to_string()));
            found.insert(component.name.to_owned(), source);
        }
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

fn resolve_settings(manifest: &Manifest, config: Option<&PluginConfig>, data_dir: &Path) -> BTreeMap<String, String> {
    let data_dir = data_dir.display().to_string();
    let mut settings: BTreeMap<String, String> = manifest
        .settings
        .iter()
        .filter_map(|(key, setting)| Some((key.clone(), setting.default.as_ref()?.replace("${data-dir}", &data_dir))))
        .collect();
    for (key, value) in config.into_iter().flat_map(|config| &config.settings) {
        if !manifest.settings.contains_key(key) {
            tracing::warn!(plugin = manifest.name, key, "the plugin declares no such setting; it will not read it");
        }
        settings.insert(key.clone(), value.clone());
    }
    settings
}

async fn load_one(
    engine: &Engine,
    linker: &Linker<State>,
    cache: &Cache,
    source: Source,
    settings: BTreeMap<String, String>,
    services: &Arc<Services>,
) -> Result<Plugin, String> {
    let declaration = Declaration::read(&source.wasm).map_err(|error| error.to_string())?;
    let component = cache.load(engine, &source.wasm).await.map_err(|error| error.to_string())?;
    let pre = linker.instantiate_pre(&component).map_err(|error| {
        let (version, spoken) = (declaration.version.clone(), declaration.contract.version());
        ContractError::Misfit { version, spoken, detail: format!("{error:#}") }.to_string()
    })?;
    let exports = Exports::find(declaration.contract, &pre, &source.manifest.provides)?;
    let ungranted = source.manifest.ungranted(&declaration.imports);
    if !ungranted.is_empty() {
        tracing::warn!(
            plugin = source.manifest.name,
            "the component imports what plugin.toml does not grant, and will be refused it: {}",
            ungranted.join("; ")
        );
    }
    tracing::info!(
        plugin = source.manifest.name,
        version = source.manifest.version,
        built_in = source.built_in,
        contract = %declaration.version,
        provides = ?source.manifest.provides.iter().map(|interface| interface.name()).collect::<Vec<_>>(),
        "plugin loaded"
    );
    Ok(Plugin {
        permits: Semaphore::new(source.manifest.limits.concurrency as usize),
        manifest: Arc::new(source.manifest),
        declaration,
        built_in: source.built_in,
        folder: (!source.built_in).then_some(source.path),
        exports,
        settings: Arc::new(settings),
        pre,
        services: services.clone(),
        breaker: Breaker::new(),
        stats: Arc::new(Stats::new()),
        heavy: AtomicBool::new(false),
    })
}
