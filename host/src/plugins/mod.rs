//! WebAssembly components: guards and processors, with no authority but what was granted.
//!
//! Owns the engine, the loaded plugins and the rules of failure: a guard that fails denies, a
//! processor that fails is skipped unless it is required. Never hands a component a secret.

mod access;
pub mod adapter;
mod api_guard;
mod background;
mod breaker;
mod broker;
mod capabilities;
mod carried;
mod compile;
mod conflicts;
mod connections;
mod contract;
mod egress;
mod engine;
mod exports;
mod fault;
mod fit;
mod hooks;
mod lanes;
mod load;
mod manifest;
mod meter;
mod pace;
pub mod packages;
mod permits;
mod plain_file;
mod plugin;
mod probe;
mod processors;
mod registry;
mod reload;
pub mod replay;
mod requests;
mod resident;
mod rights;
mod services;
mod settings;
mod skills;
mod state;
mod stats;
mod widgets;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use mercury_bindings::mercury::plugin::{
    types::{Caller, Media},
    verdicts::Verdict,
};

use crate::{
    domain::{
        allowance::Allowance,
        approval,
        guest_text::{MOST_ERROR, bounded},
        ids::SpaceId,
        roles::Held,
    },
    media::Lent,
    store::StoreError,
};

pub use background::Told;
pub use broker::{BrokerError, Brokered, Offer};
pub use capabilities::folders::Spaces;
pub use compile::{CHILD_COMMAND, CompileError, Compiler, child as compile_child};
pub use connections::Connection;
pub use contract::{Contract, ContractError, Declaration};
pub use egress::EgressRequest;
pub use exports::Interface;
pub use fault::Fault;
pub use hooks::{Prepared, run};
pub use load::{LoadError, Reloaded, built_in, check, oddities};
pub use manifest::{Job, Manifest, ManifestError};
pub use mercury_bindings::{
    exports::mercury::plugin::result_processor as processor,
    mercury::plugin::{types, verdicts},
};
use permits::Permits;
pub use plugin::{CallError, Plugin};
pub use processors::{Attachment, Keeping, Processed};
pub use registry::Registry;
pub use reload::Taken;
pub use rights::{Rights, in_words};
pub use services::{Services, TaskQueue};
pub use settings::{EVERYWHERE, Purged, SettingError, View as SettingView};
pub use skills::Skill;
pub use stats::{LastError, LogLine, Seen};
pub use widgets::Panel;

/// What adapters bring, and who takes it.
pub mod chat {
    pub use super::capabilities::inbox::{Error, Event, Happening, Inbox, Message, Offer, Outcome, Quoted, Refusal};
}

/// What adapters know of people's ids, and who keeps it.
pub mod identities {
    pub use super::capabilities::identities::{Error, Identities};
}

/// Checks with public keys, as components have them.
pub mod signatures {
    pub use super::capabilities::signatures::{ed25519, rsa_sha256};
}

/// What plugins say by themselves, and who takes it.
pub mod messages {
    pub use super::capabilities::messenger::{Error, Grant, Messenger, Recipient};
}

/// A guard's answer is due within this time; later it is a denial (architecture.md, Plugins).
const GUARD_PATIENCE: Duration = Duration::from_secs(2);
/// Of that, how long a call may have waited for its place and still be to blame for not answering in time.
const MOST_WAITED: Duration = Duration::from_millis(200);

/// Bytes of the name of a role in a guard's question.
const MOST_ROLE: usize = 256;

/// What all guards together say to a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Allow,
    Deny(String),
}

/// What one guard says to a tool call.
#[derive(Clone, Debug)]
pub struct Opinion {
    pub plugin: String,
    pub verdict: Verdict,
}

/// Which guards are asked about a tool call, and whose question is answered already.
#[derive(Clone, Debug, Default)]
pub struct Consultation {
    /// Only the guards behind this one: those before it have answered.
    pub after: Option<String>,
    /// Somebody of this role has allowed this very call when this plugin asked.
    pub approved: Option<(String, String)>,
}

/// The loaded plugins. Cheap to share.
pub struct Plugins {
    /// Of this moment. Never held while something is awaited: who needs it takes a copy.
    set: std::sync::RwLock<Arc<load::Set>>,
    /// Held by who exchanges the set.
    loader: tokio::sync::Mutex<load::Loader>,
    /// Exchanges so far.
    generation: tokio::sync::watch::Sender<u64>,
    /// Guests have threads of their own: a spinning one delays no timer of the host.
    guests: lanes::Threads,
    permits: Permits,
    services: Arc<Services>,
    /// Names that come first, in this order, where plugins add or change one after the other.
    order: Vec<String>,
    /// Calls of brokers.
    allowance: Mutex<Allowance>,
}

impl Plugins {
    /// Run hooks, processors and lifecycle calls of the plugins named here come first, in this order; the
    /// others follow by name. Guards keep the order of their names: whose word comes first changes nothing
    /// about what is allowed.
    #[must_use]
    pub fn ordered(mut self, order: Vec<String>) -> Self {
        for name in order.iter().filter(|name| self.named(name).is_none()) {
            tracing::warn!("plugins.order of the configuration names `{name}`, which is not loaded");
        }
        self.order = order;
        self
    }

    /// What the loaded plugins bring that decides about callers.
    pub fn registry(&self) -> Arc<Registry> {
        self.services.registry()
    }

    /// What somebody of the role may do in the space.
    ///
    /// # Errors
    /// Where the database cannot say it.
    pub async fn held(&self, space: &SpaceId, role: &str) -> Result<Held, StoreError> {
        self.services.held(space, role).await
    }

    fn in_order(&self, interface: Interface) -> Vec<Arc<Plugin>> {
        let mut plugins = self.providing(interface);
        let place = |plugin: &Arc<Plugin>| self.order.iter().position(|name| name == plugin.name());
        plugins.sort_by_key(|plugin| (place(plugin).unwrap_or(self.order.len()), plugin.manifest.order));
        plugins
    }

    fn named(&self, name: &str) -> Option<Arc<Plugin>> {
        self.now().plugins.iter().find(|plugin| plugin.name() == name).cloned()
    }

    async fn call<R: Send + 'static>(
        &self,
        plugin: &Arc<Plugin>,
        interface: Interface,
        patience: Duration,
        call: impl for<'a> FnOnce(
            &'a mut wasmtime::Store<state::State>,
            &'a wasmtime::component::Instance,
            &'a exports::Exports,
        ) -> futures_util::future::BoxFuture<'a, wasmtime::Result<R>>
        + Send
        + 'static,
    ) -> Result<R, CallError> {
        self.call_for(None, plugin, interface, patience, call).await
    }

    /// A call for `person`, if it must be made whatever came of those before it: seldom for somebody whose calls
    /// fail in a row.
    async fn call_for<R: Send + 'static>(
        &self,
        person: Option<&str>,
        plugin: &Arc<Plugin>,
        interface: Interface,
        patience: Duration,
        call: impl for<'a> FnOnce(
            &'a mut wasmtime::Store<state::State>,
            &'a wasmtime::component::Instance,
            &'a exports::Exports,
        ) -> futures_util::future::BoxFuture<'a, wasmtime::Result<R>>
        + Send
        + 'static,
    ) -> Result<R, CallError> {
        let began = tokio::time::Instant::now();
        let places = async {
            loop {
                let turn = match person {
                    Some(person) => plugin.pace.turn(person).await,
                    None => None,
                };
                // Its own first: whoever waits for a plugin that is busy takes nothing from the others.
                let own = plugin.permits.acquire().await;
                // What failed while this waited for a place is waited for without one: others need it.
                if turn.is_some() || person.is_none_or(|person| !plugin.pace.is_failing(person)) {
                    return (turn, own, self.permits.of(interface).acquire().await);
                }
            }
        };
        let _places = tokio::time::timeout(patience, places).await.map_err(|_| CallError::Busy {
            plugin: plugin.name().to_owned(),
            export: interface.name(),
            within: patience,
        })?;
        let called = tokio::time::Instant::now();
        // Whoever asks a guard waits no longer than its patience. Any other call that begins has its whole time: cut
        // off for what others took, it would lose what it did, and its plugin would be blamed for it.
        let waited = if interface.is_guard() { began.elapsed() } else { Duration::ZERO };
        let outcome = plugin.call(&self.guests.lanes(), interface, patience.saturating_sub(waited), call).await;
        if let Some(person) = person {
            let cut_short = waited > MOST_WAITED && matches!(outcome, Err(CallError::Timeout { .. }));
            plugin.pace.book(person, outcome.is_err() && !cut_short, called.elapsed());
        }
        outcome
    }

    /// Asks every prompt guard in order, with the files of the message; the first objection ends it.
    pub async fn check_prompt(&self, caller: Caller, prompt: &str, files: Vec<Lent>) -> Answer {
        let attachments: Vec<Media> = files.iter().map(|file| file.description().into()).collect();
        for plugin in &self.providing(Interface::PromptGuard) {
            let (person, prompt, attachments) = (&caller.person, prompt.to_owned(), attachments.clone());
            let (caller, files) = (caller.clone(), files.clone());
            let verdict = self
                .call_for(
                    Some(person),
                    plugin,
                    Interface::PromptGuard,
                    GUARD_PATIENCE,
                    move |store, instance, exports| {
                        Box::pin(async move {
                            store.data_mut().lend(files);
                            let guard = exports.prompt_guard.as_ref().ok_or_else(missing)?;
                            guard.check(store, instance, &caller, &prompt, &attachments).await
                        })
                    },
                )
                .await;
            if let Answer::Deny(reason) = settle(plugin, heard(verdict)) {
                return Answer::Deny(reason);
            }
        }
        Answer::Allow
    }

    /// Asks the tool guards in order, until one does not allow: its opinion is the last one.
    /// `arguments` is JSON. Guards have the order of their names, which a restart keeps.
    pub async fn consult(
        &self,
        caller: &Caller,
        tool: &str,
        arguments: &str,
        consultation: &Consultation,
    ) -> Vec<Opinion> {
        let mut opinions = Vec::new();
        for plugin in &self.providing(Interface::ToolGuard) {
            if consultation.after.as_deref().is_some_and(|after| plugin.name() <= after) {
                continue;
            }
            let (person, tool, arguments) = (&caller.person, tool.to_owned(), arguments.to_owned());
            let caller = caller.clone();
            let verdict = self
                .call_for(
                    Some(person),
                    plugin,
                    Interface::ToolGuard,
                    GUARD_PATIENCE,
                    move |store, instance, exports| {
                        Box::pin(async move {
                            let guard = exports.tool_guard.as_ref().ok_or_else(missing)?;
                            guard.check(store, instance, &caller, &tool, &arguments).await
                        })
                    },
                )
                .await;
            let verdict = heard(verdict).unwrap_or_else(|_| Verdict::Deny(unavailable(plugin)));
            let verdict = match (verdict, &consultation.approved) {
                (Verdict::Ask(question), Some((asked_by, role)))
                    if asked_by == plugin.name()
                        && approval::may_answer(approval::approver(&question.approver), role) =>
                {
                    Verdict::Allow
                }
                (verdict, _) => verdict,
            };
            let goes_on = matches!(verdict, Verdict::Allow);
            opinions.push(Opinion { plugin: plugin.name().to_owned(), verdict });
            if !goes_on {
                break;
            }
        }
        opinions
    }
}

/// What a guard says goes to people and into records: no more of it than they can read.
fn heard(verdict: Result<Verdict, CallError>) -> Result<Verdict, CallError> {
    verdict.map(|verdict| match verdict {
        Verdict::Allow => Verdict::Allow,
        Verdict::Deny(reason) => Verdict::Deny(bounded(reason, MOST_ERROR)),
        Verdict::Ask(mut question) => {
            question.text = bounded(question.text, MOST_ERROR);
            question.approver = bounded(question.approver, MOST_ROLE);
            Verdict::Ask(question)
        }
    })
}

fn missing() -> wasmtime::Error {
    wasmtime::Error::msg("the component does not export what its manifest says it provides")
}

/// A guard that does not answer has not allowed.
fn settle(plugin: &Arc<Plugin>, verdict: Result<Verdict, CallError>) -> Answer {
    match verdict {
        Ok(Verdict::Allow) => Answer::Allow,
        Ok(Verdict::Deny(reason)) => Answer::Deny(reason),
        Ok(Verdict::Ask(question)) => Answer::Deny(format!(
            "{} wants somebody's approval ({}), which can be asked for tool calls only, not for messages",
            plugin.name(),
            question.text
        )),
        Err(_) => Answer::Deny(unavailable(plugin)),
    }
}

fn unavailable(plugin: &Arc<Plugin>) -> String {
    format!("the guard {} is unavailable, so this is not allowed", plugin.name())
}

#[cfg(test)]
mod tests;
