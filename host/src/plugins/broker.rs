//! Calls that agents make of plugins, with credentials that never enter a container.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use mercury_bindings::{
    exports::mercury::plugin::broker as contract,
    mercury::plugin::types::{Caller, Media},
};
use serde_json::{Value as Json, json};

use super::{CallError, Interface, Plugins, exports::recorded, manifest::Action, missing};
use crate::{
    clock,
    domain::{
        guest_text::{MOST_ERROR, bounded},
        media::Kind,
    },
    media::Folder,
};

/// For one call (extensions.md section 12).
const PATIENCE: Duration = Duration::from_secs(30);
/// Files of one answer.
const MOST_FILES: usize = 100;
/// Bytes of a failure's code.
const MOST_CODE: usize = 64;
/// Bytes of what is said about arguments that do not fit: their text may stand in it.
const MOST_REASON: usize = 1 << 10;

/// Bytes of an answer that the agent gets at once (examples.md #52): it reads all of it, and pays for it.
const MOST_OUTPUT: usize = 256 << 10;
/// Bytes of a longer one that it gets to see; the rest is in a file.
const SHOWN_OUTPUT: usize = 16 << 10;

/// The beginning of an answer that is too long, with where the whole is.
fn cut(output: &str) -> Json {
    let beginning = &output[..output.floor_char_boundary(SHOWN_OUTPUT)];
    json!({ "truncated": true, "bytes": output.len(), "beginning": beginning, "whole": "in the last file of this answer" })
}

/// What it says, where it is short enough to be answered with. Of a longer one, megabytes that would become
/// gigabytes, it is only seen whether it is JSON. That takes its time: not for the async runtime.
fn parsed(output: &str) -> serde_json::Result<Option<Json>> {
    match output.len() <= MOST_OUTPUT {
        true => serde_json::from_str(output).map(Some),
        false => serde_json::from_str::<serde::de::IgnoredAny>(output).map(|_| None),
    }
}

/// Why a call was not served.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("there is no capability `{plugin}`{}", off(plugin))]
    UnknownPlugin { plugin: String },
    #[error("`{plugin}` has no action `{action}`; it has {known}")]
    UnknownAction { plugin: String, action: String, known: String },
    #[error("this needs the permission `{plugin}`, which the caller does not have")]
    NotPermitted { plugin: String },
    #[error("the arguments of `{action}` do not fit: {reason}")]
    BadArguments { action: String, reason: String },
    #[error("`{plugin}` may be called {most} times a minute by one caller; it may again in {} s", wait.as_secs() + 1)]
    TooOften { plugin: String, most: u32, wait: Duration },
    #[error("`{plugin}` did not answer in time")]
    TooSlow { plugin: String },
    #[error("`{plugin}` failed; the operator's log says why")]
    Failed { plugin: String },
    /// The component's own words.
    #[error("{}", .0.message)]
    Refused(contract::Failure),
}

/// What an operator does about a plugin that came along and is not loaded.
fn off(plugin: &str) -> String {
    match super::built_in().any(|name| name == plugin) {
        true => format!(
            " at present: the operator switches it on with plugins.{plugin}.enabled: true, or sees in `mercury status` why it is left out"
        ),
        false => String::new(),
    }
}

impl BrokerError {
    /// As HTTP has it.
    pub fn status(&self) -> u16 {
        match self {
            Self::UnknownPlugin { .. } | Self::UnknownAction { .. } => 404,
            Self::NotPermitted { .. } => 403,
            Self::BadArguments { .. } => 422,
            Self::TooOften { .. } => 429,
            Self::TooSlow { .. } => 504,
            Self::Failed { .. } => 502,
            Self::Refused(failure) if (400..=599).contains(&failure.status) => failure.status,
            Self::Refused(_) => 502,
        }
    }

    /// In kebab case, for the agent's scripts (examples.md 1.4).
    pub fn code(&self) -> &str {
        match self {
            Self::UnknownPlugin { .. } => "unknown-capability",
            Self::UnknownAction { .. } => "unknown-action",
            Self::NotPermitted { .. } => "permission-missing",
            Self::BadArguments { .. } => "invalid-arguments",
            Self::TooOften { .. } => "rate-limited",
            Self::TooSlow { .. } => "timeout",
            Self::Failed { .. } => "failed",
            Self::Refused(failure) if failure.code.is_empty() => "refused",
            Self::Refused(failure) => &failure.code,
        }
    }

    pub fn retryable(&self) -> bool {
        match self {
            Self::TooOften { .. } | Self::TooSlow { .. } => true,
            Self::Refused(failure) => failure.retryable,
            _ => false,
        }
    }
}

/// What the agent gets.
#[derive(Debug)]
pub struct Brokered {
    pub output: Json,
    /// Names of the files that were put into the outbox.
    pub files: Vec<String>,
}

/// An action that a caller may use.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    pub capability: String,
    pub action: String,
    pub description: String,
    #[serde(skip_serializing_if = "Json::is_null")]
    pub schema: Json,
    pub idempotent: bool,
}

impl Plugins {
    /// What the caller may use.
    pub async fn offers(&self, caller: &Caller) -> Vec<Offer> {
        let held = self.services.held_by(caller).await;
        let brokers = self.providing(Interface::Broker);
        brokers
            .iter()
            .filter(|plugin| plugin.manifest.serves(&held))
            .flat_map(|plugin| {
                plugin.manifest.broker.actions.iter().map(|action| Offer {
                    capability: plugin.name().to_owned(),
                    action: action.name.clone(),
                    description: action.description.clone(),
                    schema: serde_json::to_value(&action.schema).unwrap_or(Json::Null),
                    idempotent: action.idempotent,
                })
            })
            .collect()
    }

    /// Serves a call of the agent that runs for `caller`. The component is asked only about what fits
    /// its manifest. Every call leaves a line in the log.
    ///
    /// # Errors
    /// [`BrokerError`]
    pub async fn invoke(
        &self,
        caller: Caller,
        run: &str,
        plugin: &str,
        action: &str,
        arguments: &Json,
        outbox: Folder,
    ) -> Result<Brokered, BrokerError> {
        let began = Instant::now();
        let (person, space) = (caller.person.clone(), caller.space.clone());
        let answer = self.serve(caller, plugin, action, arguments, outbox).await;
        let code = answer.as_ref().err().map_or("ok", BrokerError::code);
        let took = began.elapsed().as_millis() as u64;
        tracing::info!(plugin, action, person, space, run, code, took, "a capability was called");
        metrics::counter!("mercury_capability_calls_total", "ok" => answer.is_ok().to_string()).increment(1);
        answer
    }

    async fn serve(
        &self,
        caller: Caller,
        name: &str,
        action: &str,
        arguments: &Json,
        outbox: Folder,
    ) -> Result<Brokered, BrokerError> {
        let owned = || name.to_owned();
        let found = self.providing(Interface::Broker).into_iter().find(|plugin| plugin.name() == name);
        let plugin = &found.ok_or_else(|| BrokerError::UnknownPlugin { plugin: owned() })?;
        if !plugin.manifest.serves(&self.services.held_by(&caller).await) {
            return Err(BrokerError::NotPermitted { plugin: owned() });
        }
        let broker = &plugin.manifest.broker;
        let declared = broker.action(action).ok_or_else(|| BrokerError::UnknownAction {
            plugin: owned(),
            action: action.to_owned(),
            known: broker.actions.iter().map(|action| action.name.as_str()).collect::<Vec<_>>().join(", "),
        })?;
        let bad = |reason: String| BrokerError::BadArguments { action: action.to_owned(), reason };
        // Before the arguments are looked at: that is work, too.
        let most = broker.per_minute();
        let owner = format!("{name}\n{}", caller.person);
        let taken = self.allowance.lock().unwrap_or_else(PoisonError::into_inner).take(&owner, most, Instant::now());
        taken.map_err(|wait| BrokerError::TooOften { plugin: owned(), most, wait })?;

        let (declared, arguments) = (declared.clone(), arguments.clone());
        let arguments = tokio::task::spawn_blocking(move || fitting(&declared, &arguments));
        let failed = |error| {
            tracing::error!(plugin = name, %error, "the arguments of a capability could not be checked");
            BrokerError::Failed { plugin: owned() }
        };
        let (action, arguments) = (action.to_owned(), arguments.await.map_err(failed)?.map_err(bad)?);
        let answer = self
            .call(plugin, Interface::Broker, PATIENCE, move |store, instance, exports| {
                Box::pin(async move {
                    let indices = exports.broker.as_ref().ok_or_else(missing)?;
                    recorded!(store, indices.load(&mut *store, instance)?, call_invoke(&caller, &action, &arguments))
                })
            })
            .await;
        match answer {
            Ok(Ok(answer)) if answer.files.len() > MOST_FILES => {
                tracing::error!(plugin = name, "a capability's answer has more than {MOST_FILES} files");
                Err(BrokerError::Failed { plugin: owned() })
            }
            Ok(Ok(answer)) => self.answered(name, answer, outbox).await,
            Ok(Err(failure)) => Err(BrokerError::Refused(contract::Failure {
                code: bounded(failure.code, MOST_CODE),
                message: bounded(failure.message, MOST_ERROR),
                ..failure
            })),
            Err(CallError::Timeout { .. }) => Err(BrokerError::TooSlow { plugin: owned() }),
            Err(_) => Err(BrokerError::Failed { plugin: owned() }),
        }
    }

    /// What the agent gets of an answer: all of it, or its beginning with the whole as a file.
    async fn answered(
        &self,
        plugin: &str,
        contract::Answer { output, files }: contract::Answer,
        outbox: Folder,
    ) -> Result<Brokered, BrokerError> {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(plugin, %error, "a capability's answer is no JSON");
            BrokerError::Failed { plugin: plugin.to_owned() }
        };
        let read = tokio::task::spawn_blocking(move || (parsed(&output), output));
        let (short, output) = read.await.map_err(|error| failed(&error))?;
        let short = short.map_err(|error| failed(&error))?;
        let mut files = self.place(plugin, &files, outbox.clone()).await?;
        if let Some(output) = short {
            return Ok(Brokered { output, files });
        }
        let whole = self.keep_whole(plugin, output.as_bytes()).await?;
        files.extend(self.place(plugin, &[whole], outbox).await?);
        Ok(Brokered { output: cut(&output), files })
    }

    /// An answer that is too long, as a file of the plugin's.
    async fn keep_whole(&self, plugin: &str, output: &[u8]) -> Result<Media, BrokerError> {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(plugin, %error, "a capability's long answer could not be kept");
            BrokerError::Failed { plugin: plugin.to_owned() }
        };
        let media = self.services.media.as_ref().ok_or_else(|| failed(&"this host keeps no files"))?;
        let most = output.len() as u64;
        let made = async {
            // Not of the plugin's own allowance: it made no file.
            let mut incoming = media.begin(plugin, u64::MAX, most).await?;
            incoming.write(output).await?;
            let name = Some(format!("{plugin}-answer.json"));
            incoming.finish(Kind::Document, "application/json".to_owned(), name).await
        };
        made.await.map(|description| Media::from(&description)).map_err(|error| failed(&error))
    }

    /// Puts what the component made into the run's outbox; from there it goes out with the reply.
    async fn place(&self, plugin: &str, files: &[Media], outbox: Folder) -> Result<Vec<String>, BrokerError> {
        let mut names = Vec::new();
        for file in files {
            let failed = |error: &dyn std::fmt::Display| {
                tracing::error!(plugin, %error, "a file of a capability's answer could not be put into the outbox");
                BrokerError::Failed { plugin: plugin.to_owned() }
            };
            let media = self.services.media.as_ref().ok_or_else(|| failed(&"this host keeps no files"))?;
            let placed = media.place(plugin, &file.handle, outbox.clone(), clock::millis()).await;
            names.push(placed.map_err(|error| failed(&error))?.name);
            media.release(plugin, &file.handle).await;
        }
        Ok(names)
    }
}

/// The arguments as the component gets them. Checking them is work that the manifest's schema makes.
fn fitting(action: &Action, arguments: &Json) -> Result<String, String> {
    let validator = action.validator()?;
    if let Err(error) = validator.validate(arguments) {
        let place = error.instance_path().to_string();
        let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
        return Err(bounded(format!("{place}{error}"), MOST_REASON));
    }
    Ok(arguments.to_string())
}
