//! Outbound websockets, which the host keeps alive.

mod connection;
mod host;
mod registry;

use serde::Deserialize;

use crate::{
    domain::{egress::Pattern, outbound},
    plugins::manifest::{check, problems::At, problems::Problems},
};

pub use registry::SocketEvents;
pub(in crate::plugins) use registry::Sockets;

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
    /// The grant as it is decided by: a websocket begins as a `GET`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self) -> Result<outbound::Grant, String> {
        if self.hosts.is_empty() {
            return Err("[[sockets]]: hosts: name at least one host".into());
        }
        let read =
            |host: &String| Pattern::parse(host).map_err(|reason| format!("[[sockets]]: hosts: `{host}` {reason}"));
        let hosts = self.hosts.iter().map(read).collect::<Result<_, _>>()?;
        Ok(outbound::Grant { hosts, methods: vec!["GET".into()], paths: Vec::new(), plain: self.plain })
    }

    /// What an operator agrees to.
    pub fn in_words(&self) -> String {
        let plain = if self.plain { ", also without encryption" } else { "" };
        format!("keep connections open to {}{plain}", self.hosts.join(", "))
    }

    pub(crate) fn check(&self, at: &At, problems: &mut Problems) {
        check::hosts(&self.hosts, at, problems);
    }
}

#[cfg(test)]
mod tests;
