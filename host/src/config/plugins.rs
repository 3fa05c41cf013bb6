//! What the operator says of single plugins: networks that they may reach, and servers in the place of
//! those that they were granted.

use ipnet::IpNet;
use serde_json::Value as Json;
use url::Url;

use super::{Config, egress::network};
use crate::domain::egress::Pattern;

/// A server of the operator's that speaks the API of another: a self-hosted Bot API server, a test's fake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandIn {
    /// As the operator wrote it: a host, or a host and port.
    pub host: String,
    pub pattern: Pattern,
    /// `http` or `https`; its path stands before that of each request.
    pub url: Url,
}

impl Config {
    /// A bound secret goes where a stand-in is, encrypted or not.
    pub(super) fn warn_of_plugins(&mut self) {
        for (name, plugin) in &self.plugins {
            for stand_in in &plugin.stand_ins {
                self.warnings.push(format!(
                    "plugins.{name}.stand_ins: what {name} sends to {}, secrets included, goes to {} instead",
                    stand_in.host, stand_in.url
                ));
            }
            for net in plugin.private.iter().filter(|net| net.addr().is_loopback() || net.prefix_len() == 0) {
                self.warnings.push(format!(
                    "plugins.{name}.private has {net}: {name} may reach what listens on this machine, of the hosts that it was granted"
                ));
            }
        }
    }
}

/// `plugins.<name>.private`: a list of networks or addresses.
pub(super) fn private(name: &str, value: &Json) -> Result<Vec<IpNet>, String> {
    let place = format!("plugins.{name}.private");
    let items = value.as_array().ok_or_else(|| format!("{place} must be a list of networks, such as [10.1.0.0/16]"))?;
    items
        .iter()
        .map(|item| {
            let text = item.as_str().ok_or_else(|| format!("{place} must be a list of text"))?;
            network(text).map_err(|reason| format!("{place}: `{text}` {reason}"))
        })
        .collect()
}

/// `plugins.<name>.stand_ins`: host → URL.
pub(super) fn stand_ins(name: &str, value: &Json) -> Result<Vec<StandIn>, String> {
    let place = format!("plugins.{name}.stand_ins");
    let entries = value.as_object().ok_or_else(|| {
        format!("{place} must be a mapping of hosts to URLs, such as {{api.example.com: \"http://127.0.0.1:8081\"}}")
    })?;
    entries
        .iter()
        .map(|(host, target)| {
            let pattern = Pattern::parse(host).map_err(|reason| format!("{place}: `{host}` {reason}"))?;
            let bad =
                || format!("{place}.{host} must be an http:// or https:// URL without user name, query and fragment");
            let url: Url = target.as_str().ok_or_else(bad)?.parse().map_err(|_| bad())?;
            let plain = ["http", "https"].contains(&url.scheme())
                && url.host().is_some()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none();
            if plain { Ok(StandIn { host: host.clone(), pattern, url }) } else { Err(bad()) }
        })
        .collect()
}
