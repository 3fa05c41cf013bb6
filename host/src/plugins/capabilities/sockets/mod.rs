//! Outbound websockets, which the host keeps alive.

mod host;

use serde::Deserialize;

use crate::plugins::manifest::{check, problems::At, problems::Problems};

/// One `[[sockets]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grant {
    /// As under `[[http]]`.
    pub hosts: Vec<String>,
    /// Also `ws://`.
    #[serde(default)]
    pub plain: bool,
}

impl Grant {
    /// What an operator agrees to.
    pub fn in_words(&self) -> String {
        format!("keep connections open to {}", self.hosts.join(", "))
    }

    pub(crate) fn check(&self, at: &At, problems: &mut Problems) {
        check::hosts(&self.hosts, at, problems);
    }
}
