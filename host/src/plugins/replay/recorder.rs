//! Which plugins of a running host are recorded, and to whom their calls go.
//!
//! Nothing is recorded until an operator asks, for one plugin, so many calls and so long; it ends when
//! the one who asked goes away.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{
    recording::{Exchange, Recording as File},
    serial, values,
};
use crate::{
    clock,
    plugins::{Contract, Plugins, capabilities::credentials::Redactor, exports::Interface, manifest::Manifest},
};

/// The most calls that one request records.
const MOST_CALLS: usize = 200;
/// Bytes of JSON that one recording may have: beyond, it is left out.
const MOST_BYTES: usize = 4 << 20;
/// Stands for the value of a setting that is a secret.
const REMOVED: &str = "[secret]";

#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("{plugin} is being recorded already. Wait until that has ended, or end it")]
    Running { plugin: String },
    #[error(
        "{plugin} speaks the contract {version}; only calls of the newest line are recorded. Build it against the host's wit/"
    )]
    OldContract { plugin: String, version: String },
}

/// The plugins that are being recorded. One for the host.
#[derive(Default)]
pub struct Recorders {
    /// So that a host that records nothing pays one load for it.
    any: AtomicBool,
    running: Mutex<BTreeMap<String, Arc<Recorder>>>,
}

struct Recorder {
    left: AtomicUsize,
    calls: mpsc::Sender<File>,
    /// Of every plugin that was loaded when it began: one may be told what another one keeps.
    redactors: Vec<Redactor>,
}

/// Calls of one plugin, while it lasts. Dropping it ends the recording.
pub struct Recording {
    plugin: String,
    recorders: Arc<Recorders>,
    calls: mpsc::Receiver<File>,
    told: usize,
    most: usize,
}

impl Recorders {
    /// Begins to record the next `most` calls, 1 to [`MOST_CALLS`], without what the redactors know.
    ///
    /// # Errors
    /// Where somebody records that plugin already.
    pub(super) fn start(
        self: &Arc<Self>,
        plugin: &str,
        most: usize,
        redactors: Vec<Redactor>,
    ) -> Result<Recording, RecordingError> {
        let most = most.clamp(1, MOST_CALLS);
        // Room for all of them: a call never waits for whoever reads its recording.
        let (sender, calls) = mpsc::channel(most);
        let recorder = Arc::new(Recorder { left: AtomicUsize::new(most), calls: sender, redactors });
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.contains_key(plugin) {
            return Err(RecordingError::Running { plugin: plugin.to_owned() });
        }
        running.insert(plugin.to_owned(), recorder);
        self.any.store(true, Ordering::Release);
        tracing::warn!(plugin, most, "an operator records the calls of this plugin");
        Ok(Recording { plugin: plugin.to_owned(), recorders: self.clone(), calls, told: 0, most })
    }

    /// A tape for a call of that plugin that begins now, if it is recorded.
    pub(in crate::plugins) fn tape(
        &self,
        plugin: &str,
        interface: Interface,
        function: &str,
        arguments: &impl Serialize,
    ) -> Option<Tape> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let recorder = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(plugin)?.clone();
        let arguments = match serial::to_json(arguments) {
            Ok(Value::Array(arguments)) => arguments,
            // No arguments at all.
            Ok(Value::Null) => Vec::new(),
            _ => return None,
        };
        recorder.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).ok()?;
        let file = File {
            about: String::new(),
            interface: interface.name().to_owned(),
            function: serial::kebab(function),
            time: Some(clock::millis().unsigned_abs()),
            settings: BTreeMap::new(),
            kv: BTreeMap::new(),
            arguments,
            traffic: Vec::new(),
            expected: None,
        };
        let redactors = recorder.redactors.clone();
        Some(Tape { recorder, file: Some(file), redactors, secret_settings: BTreeSet::new() })
    }
}

impl Recording {
    /// The next call that has ended; none after the last.
    pub async fn next(&mut self) -> Option<File> {
        if self.told == self.most {
            return None;
        }
        let call = self.calls.recv().await?;
        self.told += 1;
        Some(call)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let mut running = self.recorders.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.plugin);
        self.recorders.any.store(!running.is_empty(), Ordering::Release);
    }
}

impl Plugins {
    /// Begins to record the next calls of a plugin.
    ///
    /// # Errors
    /// None where no plugin of that name is loaded; else why it is not recorded.
    pub fn record(&self, name: &str, calls: usize) -> Result<Recording, Option<RecordingError>> {
        let plugin = self.loaded().into_iter().find(|plugin| plugin.name() == name).ok_or(None)?;
        if plugin.declaration().contract != Contract::NEWEST {
            let version = plugin.declaration().version.to_string();
            return Err(Some(RecordingError::OldContract { plugin: name.to_owned(), version }));
        }
        let redactors = self.loaded().iter().map(|plugin| plugin.access.secrets.redactor_of_all()).collect();
        plugin.services.recorders.start(name, calls, redactors).map_err(Some)
    }
}

/// One call that is being recorded. One that ends without a result is a call that failed: it is kept
/// as well, without a result, so that its author can play the failure.
pub(in crate::plugins) struct Tape {
    recorder: Arc<Recorder>,
    file: Option<File>,
    redactors: Vec<Redactor>,
    /// Settings whose values are secrets, though components read them.
    secret_settings: BTreeSet<String>,
}

impl Tape {
    /// Also keeps out what the plugin's own redactor knows, and the settings that its manifest calls secret.
    #[must_use]
    pub(in crate::plugins) fn without(mut self, redactor: Redactor, manifest: &Manifest) -> Self {
        // It may have been exchanged since the recording began, for one with other secrets.
        self.redactors.push(redactor);
        let secret = manifest.settings.iter().filter(|(_, setting)| setting.secret);
        self.secret_settings = secret.map(|(key, _)| key.clone()).collect();
        self
    }

    /// Notes what the component asked of the host, and the answer.
    pub(in crate::plugins) fn note(
        &mut self,
        interface: &str,
        function: &str,
        arguments: Value,
        answer: &impl Serialize,
    ) {
        let (Value::Array(arguments), Ok(mut answer), Some(file)) =
            (arguments, serial::to_json(answer), self.file.as_mut())
        else {
            return;
        };
        let call = format!("{}.{}", serial::kebab(interface), serial::kebab(function));
        let key = arguments.first().and_then(Value::as_str).unwrap_or_default();
        if call == "settings.get"
            && self.secret_settings.contains(key)
            && let Value::String(value) = &mut answer
        {
            self.redactors.push(Redactor::new(std::iter::once(value.as_str())));
            *value = REMOVED.to_owned();
        }
        file.traffic.push(Exchange { call, arguments, answer });
    }

    /// Ends the call with its result.
    pub(in crate::plugins) fn finish(mut self, result: &impl Serialize) {
        if let Some(file) = self.file.as_mut() {
            file.expected = serial::to_json(result).ok();
        }
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        let Some(mut file) = self.file.take() else { return };
        let exchanges = file.traffic.iter_mut().flat_map(|known| known.arguments.iter_mut().chain([&mut known.answer]));
        for value in file.arguments.iter_mut().chain(exchanges).chain(&mut file.expected) {
            self.redactors.iter().for_each(|redactor| remove(value, redactor));
        }
        if serde_json::to_string(&file).is_ok_and(|text| text.len() <= MOST_BYTES) {
            // The channel has room for every call; a closed one means that nobody listens any more.
            drop(self.recorder.calls.try_send(file));
        } else {
            tracing::warn!("a call is larger than {MOST_BYTES} bytes and is not recorded; the next one is");
            self.recorder.left.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Takes the secrets out of every text, keys included, and out of bytes that are no text.
fn remove(value: &mut Value, redactor: &Redactor) {
    if let Value::Object(fields) = value
        && fields.len() == 1
        && fields.contains_key("base64")
        && let Some(bytes) = values::bytes_from_json(value)
    {
        *value = values::bytes_to_json(&redactor.bytes(bytes));
        return;
    }
    match value {
        Value::String(text) => *text = redactor.text(text),
        Value::Array(values) => values.iter_mut().for_each(|value| remove(value, redactor)),
        Value::Object(fields) => {
            let taken = std::mem::take(fields);
            fields.extend(taken.into_iter().map(|(name, mut value)| {
                remove(&mut value, redactor);
                (redactor.text(&name), value)
            }));
        }
        _ => {}
    }
}
