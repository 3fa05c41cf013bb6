//! Plays recordings: the component in the real engine, with the limits of its manifest and a fresh
//! store; what it asks of the host is answered from the recording.
//!
//! The host itself answers where that needs nothing from outside (`kv`, `settings`, `signatures`), and
//! what it would refuse ([`refusal`]): the author then reads the same as an operator would.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use wasmtime::{
    Engine,
    component::{Component, Instance, Val, types::ComponentItem},
};

use super::{
    recording::Recording,
    refusal,
    script::{self, Script},
    values,
};
use crate::{
    plugins::{
        access::Access,
        contract::{ContractError, Declaration},
        engine,
        exports::{Exports, Interface},
        lanes::Threads,
        manifest::{Manifest, ManifestError},
        plugin::{CallError, Plugin},
        services::Services,
    },
    store::{Store, StoreError},
};

/// For one call. Nothing is waited for but the component, whose computing time its manifest bounds.
const PATIENCE: Duration = Duration::from_secs(60);
/// What stands before an interface's name in a component.
const PACKAGE: &str = "mercury:plugin/";

#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{} cannot be read: {source}. Build the component first; its folder's README says how", path.display())]
    Component { path: PathBuf, source: std::io::Error },
    #[error("{} cannot be used: {message}", path.display())]
    Unusable { path: PathBuf, message: String },
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    #[error("the store of the test cannot be made: {0}")]
    Store(#[from] StoreError),
    #[error("the folder of the test cannot be made: {0}")]
    Folder(std::io::Error),
}

/// A component that is ready to be played.
pub struct Player {
    engine: Engine,
    component: Component,
    manifest: Arc<Manifest>,
    declaration: Declaration,
    guests: Threads,
}

/// How one recording went.
#[derive(Debug)]
pub struct Played {
    pub verdict: Verdict,
    /// Lines that it logged.
    pub log: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub enum Verdict {
    Passed,
    /// It ended with something else than was recorded; a line for each difference.
    Differs {
        differences: Vec<String>,
        actual: Value,
    },
    /// It has no expected result; this is what it returned.
    Unknown {
        actual: Value,
    },
    /// It did not end, or not lawfully: a trap with the guest's last words, a deadline, a recording that
    /// does not fit.
    Failed {
        message: String,
    },
}

impl Player {
    /// Loads the plugin in `folder`; `component` is used in place of the one that its manifest names.
    /// Compiles, and reads files: not for the async runtime's own threads.
    ///
    /// # Errors
    /// What keeps the plugin from being loaded.
    pub fn load(folder: &Path, component: Option<&Path>) -> Result<Self, PlayError> {
        let manifest = Manifest::read(folder)?;
        let path = component.map_or_else(|| folder.join(&manifest.component), Path::to_owned);
        let wasm = std::fs::read(&path).map_err(|source| PlayError::Component { path: path.clone(), source })?;
        let failed = |error: wasmtime::Error| PlayError::Engine(format!("{error:#}"));
        let engine = engine::engine_for_authors().map_err(failed)?;
        engine::start_clock(&engine).map_err(|error| PlayError::Engine(error.to_string()))?;
        let unusable = |message: String| PlayError::Unusable { path: path.clone(), message };
        let declaration = Declaration::read(&wasm).map_err(|error| unusable(error.to_string()))?;
        let component = Component::new(&engine, &wasm).map_err(|error| unusable(format!("{error:#}")))?;
        let pre = engine::linker(&engine).map_err(failed)?.instantiate_pre(&component).map_err(|error| {
            let (version, spoken) = (declaration.version.clone(), declaration.contract.version());
            unusable(ContractError::Misfit { version, spoken, detail: format!("{error:#}") }.to_string())
        })?;
        Exports::find(declaration.contract, &pre, &manifest.provides).map_err(unusable)?;
        // Behind what may fail: threads end by being told to.
        let guests = Threads::start(1).map_err(|error| PlayError::Engine(error.to_string()))?;
        Ok(Self { engine, component, manifest: Arc::new(manifest), declaration, guests })
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Makes the recorded call.
    ///
    /// # Errors
    /// Only what is no fault of plugin or recording.
    pub async fn play(&self, recording: &Recording) -> Result<Played, PlayError> {
        let script = Arc::new(Mutex::new(Script::new(recording)));
        let outcome = self.call(recording, &script).await?;
        let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
        let log = std::mem::take(&mut script.log);
        // A call that does not fit traps the component: what did not fit says more than the trap.
        let verdict = match (script.complaint.take(), outcome, script.left_over()) {
            (Some(message), ..) | (None, Err(message), _) | (None, Ok(_), Some(message)) => Verdict::Failed { message },
            (None, Ok((actual, None)), None) => Verdict::Unknown { actual },
            (None, Ok((actual, Some(expected))), None) => match values::differences(&expected, &actual) {
                differences if differences.is_empty() => Verdict::Passed,
                differences => Verdict::Differs { differences, actual },
            },
        };
        Ok(Played { verdict, log })
    }

    /// What the call returns and what was expected, both by their types; or why there is no result.
    async fn call(
        &self,
        recording: &Recording,
        script: &Arc<Mutex<Script>>,
    ) -> Result<Result<(Value, Option<Value>), String>, PlayError> {
        let Some(interface) = self.manifest.provides.iter().copied().find(|known| known.name() == recording.interface)
        else {
            return Ok(Err(format!("the manifest does not provide `{}`", recording.interface)));
        };
        let (export, ty) = match self.function(interface, &recording.function) {
            Ok(found) => found,
            Err(message) => return Ok(Err(message)),
        };
        let types: Vec<_> = ty.params().map(|(name, ty)| (name.to_owned(), ty)).collect();
        if types.len() != recording.arguments.len() {
            let names: Vec<_> = types.iter().map(|(name, _)| name.as_str()).collect();
            return Ok(Err(format!(
                "arguments: {} takes {} ({}), the recording has {}",
                recording.function,
                names.len(),
                names.join(", "),
                recording.arguments.len()
            )));
        }
        let arguments =
            types.iter().zip(&recording.arguments).map(|((name, ty), json)| values::from_json(json, ty, name));
        let arguments: Vec<Val> = match arguments.collect() {
            Ok(arguments) => arguments,
            Err(misfit) => return Ok(Err(misfit.to_string())),
        };
        let result = ty.results().next();
        let expected = match (&recording.expected, &result) {
            (Some(json), Some(ty)) => match values::from_json(json, ty, "expected") {
                Ok(value) => Some(values::to_json(&value).unwrap_or_default()),
                Err(misfit) => return Ok(Err(misfit.to_string())),
            },
            (expected, _) => expected.clone(),
        };

        // The store lasts as long as the call.
        let folder = tempfile::tempdir().map_err(PlayError::Folder)?;
        let plugin = self.plugin(recording, script, Store::open(&folder.path().join("test.db"))?).await?;
        let plugin = match plugin {
            Ok(plugin) => Arc::new(plugin),
            Err(message) => return Ok(Err(message)),
        };
        let lanes = self.guests.lanes();
        let (function, time, count) = (recording.function.clone(), recording.time, usize::from(result.is_some()));
        let ended = plugin
            .call(&lanes, interface, PATIENCE, move |store, instance: &Instance, _| {
                Box::pin(async move {
                    if let Some(time) = time {
                        store.data_mut().set_clock(Duration::from_millis(time));
                    }
                    let missing = || wasmtime::Error::msg(format!("{export} has no function {function}"));
                    let place = instance.get_export_index(&mut *store, None, &export).ok_or_else(missing)?;
                    let place = instance.get_export_index(&mut *store, Some(&place), &function).ok_or_else(missing)?;
                    let called = instance.get_func(&mut *store, place).ok_or_else(missing)?;
                    let mut results = vec![Val::Bool(false); count];
                    called.call_async(&mut *store, &arguments, &mut results).await?;
                    Ok(results.pop())
                })
            })
            .await;
        Ok(match ended {
            Ok(Some(value)) => values::to_json(&value).map(|actual| (actual, expected)),
            Ok(None) => Ok((Value::Null, expected)),
            Err(CallError::Trap { message, .. }) => Err(message),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Where the component exports the function, and its type.
    fn function(
        &self,
        interface: Interface,
        function: &str,
    ) -> Result<(String, wasmtime::component::types::ComponentFunc), String> {
        let ty = self.component.component_type();
        for (name, export) in ty.exports(&self.engine) {
            let ComponentItem::ComponentInstance(instance) = export.ty else { continue };
            if short_name(name) != Some(interface.name()) {
                continue;
            }
            return match instance.get_export(&self.engine, function).map(|export| export.ty) {
                Some(ComponentItem::ComponentFunc(ty)) => Ok((name.to_owned(), ty)),
                _ => Err(format!("{} has no function `{function}`", interface.name())),
            };
        }
        Err(format!("the component does not export {PACKAGE}{}", interface.name()))
    }

    /// The plugin with its settings and what the recording answers for the host; or what of the
    /// recording does not fit.
    async fn plugin(
        &self,
        recording: &Recording,
        script: &Arc<Mutex<Script>>,
        store: Store,
    ) -> Result<Result<Plugin, String>, PlayError> {
        let failed = |error: wasmtime::Error| PlayError::Engine(format!("{error:#}"));
        let mut linker = engine::linker(&self.engine).map_err(failed)?;
        linker.allow_shadowing(true);
        if let Some(exchange) = recording.traffic.iter().find(|exchange| !self.imports(&exchange.call)) {
            return Ok(Err(format!("traffic: the component does not import `{}`", exchange.call)));
        }
        if let Some(misfit) = refusal::of_recording(&self.manifest, recording) {
            return Ok(Err(misfit));
        }
        for (name, import) in self.component.component_type().imports(&self.engine) {
            let (Some(interface), ComponentItem::ComponentInstance(instance)) = (short_name(name), import.ty) else {
                continue;
            };
            let prefix = format!("{interface}.");
            let scripted = recording.traffic.iter().any(|exchange| exchange.call.starts_with(&prefix));
            let outside = refusal::needs_recording(interface) && refusal::missing(&self.manifest, interface).is_none();
            if !(scripted || interface == "log" || outside) {
                continue;
            }
            let functions = instance.exports(&self.engine).filter_map(|(function, export)| match export.ty {
                ComponentItem::ComponentFunc(_) => Some(function.to_owned()),
                _ => None,
            });
            script::link(&mut linker, name, interface, functions.collect(), script).map_err(failed)?;
        }
        for (key, value) in &recording.kv {
            let Some(bytes) = values::bytes_from_json(value) else {
                return Ok(Err(format!("kv.{key}: write a string, or {{\"base64\": \"…\"}}")));
            };
            if store.kv_set(&self.manifest.name, key, bytes, None, u64::MAX >> 1).await.is_err() {
                return Ok(Err(format!("kv.{key}: it cannot be stored")));
            }
        }
        let mut settings: std::collections::BTreeMap<_, _> = self
            .manifest
            .settings
            .iter()
            .filter_map(|(key, setting)| Some((key.clone(), setting.default.clone()?)))
            .collect();
        settings.extend(recording.settings.clone());
        let pre = linker.instantiate_pre(&self.component).map_err(failed)?;
        let exports = match Exports::find(self.declaration.contract, &pre, &self.manifest.provides) {
            Ok(exports) => exports,
            Err(message) => return Ok(Err(message)),
        };
        let services = Arc::new(Services::new(store).with_secrets(refusal::secrets(&self.manifest)));
        let access = match Access::new(&self.manifest, None, &services) {
            Ok(access) => Arc::new(access),
            Err(message) => return Ok(Err(message)),
        };
        let (manifest, declaration) = (self.manifest.clone(), self.declaration.clone());
        Ok(Ok(Plugin::for_author(manifest, declaration, exports, settings, pre, services, access)))
    }

    fn imports(&self, call: &str) -> bool {
        let Some((interface, function)) = call.split_once('.') else { return false };
        self.component.component_type().imports(&self.engine).any(|(name, import)| match import.ty {
            ComponentItem::ComponentInstance(instance) if short_name(name) == Some(interface) => {
                instance.get_export(&self.engine, function).is_some()
            }
            _ => false,
        })
    }
}

/// `http` of `mercury:plugin/http@0.2.0`
fn short_name(name: &str) -> Option<&str> {
    name.strip_prefix(PACKAGE)?.split('@').next()
}
