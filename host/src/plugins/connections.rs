//! Plugins that stand for somebody's own service: how each stands, and which of the sensitive ones are active.
//!
//! What leaves this file may be read by whoever may ask an agent: no secret is in it and no name of one.

use std::{sync::Arc, time::Duration};

use mercury_bindings::exports::mercury::plugin::connection_status::{Report, Status as Said};
use serde::Serialize;

use super::{
    CallError, Interface, Plugin, Plugins,
    exports::recorded,
    manifest::{self, AuthType, Category},
    missing,
};
use crate::{
    domain::guest_text::{MOST_ERROR, bounded, for_log},
    store::StoreError,
};

/// For one plugin's word about its connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of what a plugin says about it.
const MOST_DETAIL: usize = 1_000;

/// One connection, as it is presented.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The plugin's.
    pub name: String,
    #[serde(flatten)]
    pub shown: Shown,
    #[serde(flatten)]
    pub standing: Standing,
    pub sensitive: bool,
}

/// What the manifest says of it to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    pub display_name: String,
    pub icon_url: Option<String>,
    pub category: Category,
    pub auth_type: AuthType,
    pub scopes: Vec<String>,
}

impl Shown {
    fn of(connection: &manifest::Connection) -> Self {
        Self {
            display_name: connection.display_name.trim().to_owned(),
            icon_url: connection.icon.clone(),
            category: connection.category,
            auth_type: connection.auth_type,
            scopes: connection.scopes.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Connected,
    NeedsReauth,
    Broken,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub status: Status,
    /// The plugin's own word.
    pub detail: Option<String>,
    /// Why it is not known how it stands.
    pub error: Option<String>,
}

impl Standing {
    fn is(status: Status) -> Self {
        Self { status, detail: None, error: None }
    }

    fn unknown(why: &str) -> Self {
        Self { error: Some(why.to_owned()), ..Self::is(Status::Unknown) }
    }
}

impl Plugin {
    /// What is shown of its connection, if it has one.
    pub fn connection(&self) -> Option<Shown> {
        self.manifest.connection.as_ref().map(Shown::of)
    }

    fn is_sensitive(&self) -> bool {
        self.manifest.connection.as_ref().is_some_and(|connection| connection.sensitive)
    }

    /// Whether there is something to be reached by it: its secret is set; or, where it names none, it keeps
    /// something. One that cannot even do that is taken to be active.
    async fn has_active_connection(&self) -> Result<bool, StoreError> {
        let Some(connection) = &self.manifest.connection else { return Ok(false) };
        match &connection.secret {
            Some(secret) => Ok(self.access.secrets.is_present(secret)),
            None if self.manifest.kv.quota_bytes == 0 => Ok(true),
            None => self.services.store.kv_keeps(self.name()).await,
        }
    }
}

impl Plugins {
    /// Every connection and how it stands, in the order of the plugins' names. All are asked at once, so that
    /// one which does not answer keeps none waiting longer than its own 5 s.
    pub async fn connections(&self) -> Vec<Connection> {
        let loaded = self.loaded();
        let connections = loaded.iter().filter_map(|plugin| {
            let shown = plugin.connection()?;
            Some(async move {
                let standing = self.standing(plugin).await;
                Connection { name: plugin.name().to_owned(), shown, standing, sensitive: plugin.is_sensitive() }
            })
        });
        futures_util::future::join_all(connections).await
    }

    /// The sensitive connections that are active now, as people call them.
    ///
    /// # Errors
    /// Where the database cannot say it: then it is not known that there is none.
    pub async fn sensitive_connections(&self) -> Result<Vec<String>, StoreError> {
        let mut active = Vec::new();
        for plugin in self.loaded().iter().filter(|plugin| plugin.is_sensitive()) {
            if plugin.has_active_connection().await? {
                active.extend(plugin.connection().map(|shown| shown.display_name));
            }
        }
        Ok(active)
    }

    async fn standing(&self, plugin: &Arc<Plugin>) -> Standing {
        if !plugin.manifest.provides(Interface::ConnectionStatus) {
            let secret = plugin.manifest.connection.as_ref().and_then(|connection| connection.secret.as_deref());
            let is_set = secret.is_some_and(|secret| plugin.access.secrets.is_present(secret));
            return Standing::is(if is_set { Status::Connected } else { Status::Unknown });
        }
        let answer = self
            .call(plugin, Interface::ConnectionStatus, PATIENCE, |store, instance, exports| {
                Box::pin(async move {
                    let indices = exports.connection_status.as_ref().ok_or_else(missing)?;
                    recorded!(store, indices.load(&mut *store, instance)?, call_check())
                })
            })
            .await;
        match answer {
            Ok(Ok(report)) => said(plugin, report),
            Ok(Err(error)) => {
                let error = for_log(&error, MOST_ERROR);
                tracing::warn!(plugin = plugin.name(), %error, "a plugin does not say how its connection stands");
                Standing::unknown("The check failed; the host's log says why")
            }
            Err(CallError::Timeout { .. }) => Standing::unknown("The check took longer than 5 s"),
            Err(CallError::Busy { .. }) => Standing::unknown("The plugin is busy with earlier calls"),
            Err(CallError::Broken { .. }) => Standing::unknown("The plugin rests after several faults"),
            // What a trap says may be anything.
            Err(CallError::Trap { .. } | CallError::NotExported { .. }) => {
                Standing::unknown("The check failed; the host's log says why")
            }
        }
    }
}

/// The plugin's word. Its detail is a stranger's text, and anybody's to read.
fn said(plugin: &Plugin, report: Report) -> Standing {
    let status = match report.status {
        Said::Connected => Status::Connected,
        Said::NeedsReauth => Status::NeedsReauth,
        Said::Broken => Status::Broken,
        Said::Unknown => Status::Unknown,
    };
    let detail = report.detail.map(|detail| {
        // Before it is cut: half a secret is one as well.
        let detail = plugin.access.secrets.redactor_of_names().text(&detail);
        let line: String = detail.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        bounded(line.trim().to_owned(), MOST_DETAIL)
    });
    Standing { detail: detail.filter(|detail| !detail.is_empty()), ..Standing::is(status) }
}
