//! What the operator says of plugins: which are on, their settings and order, networks that they may reach,
//! servers in the place of those that they were granted, keys that are trusted.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use url::Url;

use super::{Config, egress::network, settings::Settings, source};
use crate::domain::egress::Pattern;

/// Chat platforms that `ingress.<platform>` switches on; the plugin has the platform's name.
const PLATFORMS: [&str; 5] = ["discord", "slack", "teams", "telegram", "whatsapp"];

/// Whether `ingress.<name>` and `MERCURY_ENABLE_<NAME>` mean this plugin.
pub fn has_switch(name: &str) -> bool {
    PLATFORMS.contains(&name)
}

/// Keys under `plugins` that are no plugin's name: none has an underscore.
const OF_ALL_PLUGINS: &[&str] = &["trusted_keys", "unlocked_folders"];

/// Under `plugins:`, where it is a list; a mapping is a plugin of that name.
const ORDER: &str = "order";

/// A plugin's entry under `plugins:` of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginConfig {
    /// `false` switches a plugin off, also a built-in one.
    pub enabled: Option<bool>,
    pub settings: BTreeMap<String, String>,
    /// Networks that the plugin may reach although they are not public, of hosts that it was granted.
    pub private: Vec<IpNet>,
    /// Granted hosts, each with the server that is asked in its place.
    pub stand_ins: Vec<StandIn>,
}

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
    /// What is configured of plugins, each part with a digest of it: for who wants to know whether a running
    /// host has the same.
    pub fn plugin_fingerprints(&self) -> BTreeMap<String, String> {
        let digest = |part: &dyn std::fmt::Debug| {
            let digest = Sha256::digest(format!("{part:?}"));
            digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let plugins = self.plugins.iter().map(|(name, plugin)| (format!("plugins.{name}"), digest(plugin)));
        let others = [
            ("plugins.order", digest(&self.plugin_order)),
            ("plugins.trusted_keys", digest(&self.trusted_keys)),
            ("plugins.unlocked_folders", digest(&self.unlocked_folders)),
        ];
        plugins.chain(others.map(|(name, digest)| (name.to_owned(), digest))).collect()
    }

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

impl Settings {
    /// `ingress.<platform>` is another spelling of `plugins.<platform>.enabled: true`.
    pub(super) fn plugins(&self, file: &source::File) -> Result<BTreeMap<String, PluginConfig>, String> {
        let mut plugins = read_plugins(file, self.json("extension_defaults"))?;
        for platform in PLATFORMS {
            if self.flag(&format!("enable_{platform}")) {
                plugins.entry(platform.to_owned()).or_default().enabled.get_or_insert(true);
            }
        }
        self.speech(&mut plugins);
        Ok(plugins)
    }
}

pub(super) fn trusted_keys(value: Option<&Json>) -> Result<BTreeMap<String, String>, String> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let wrong = || "plugins.trusted_keys must be a mapping of names to keys such as `ed25519:…`".to_owned();
    let keys = value.as_object().ok_or_else(wrong)?;
    keys.iter().map(|(name, key)| Ok((name.clone(), key.as_str().ok_or_else(wrong)?.trim().to_owned()))).collect()
}

/// `plugins.<name>.{enabled, settings.<key>, private, stand_ins}` of the file, and `<name>.<key>` pairs of
/// `extensions` (the old spelling), which the environment's JSON replaces as a whole.
fn read_plugins(file: &source::File, from_env: Option<&Json>) -> Result<BTreeMap<String, PluginConfig>, String> {
    let mut plugins: BTreeMap<String, PluginConfig> = BTreeMap::new();
    let sections = file.get("extensions").and_then(Json::as_object).into_iter().flatten();
    match from_env.and_then(Json::as_object) {
        Some(flat) => {
            for (name, value) in flat {
                if let (Some((plugin, key)), Some(value)) = (name.split_once('.'), scalar(value)) {
                    plugins.entry(plugin.to_owned()).or_default().settings.insert(key.to_owned(), value);
                }
            }
        }
        None => {
            for (plugin, settings) in sections {
                for (key, value) in settings.as_object().into_iter().flatten() {
                    if let Some(value) = scalar(value) {
                        plugins.entry(plugin.clone()).or_default().settings.insert(key.clone(), value);
                    }
                }
            }
        }
    }
    let entries = file.get("plugins").and_then(Json::as_object).into_iter().flatten();
    let of_all = |name: &str, entry: &Json| OF_ALL_PLUGINS.contains(&name) || (name == ORDER && entry.is_array());
    for (name, entry) in entries.filter(|(name, entry)| !of_all(name, entry)) {
        let plugin = plugins.entry(name.clone()).or_default();
        for (key, value) in entry.as_object().ok_or_else(|| format!("plugins.{name} must be a mapping"))? {
            match (key.as_str(), value) {
                ("enabled", Json::Bool(enabled)) => plugin.enabled = Some(*enabled),
                ("enabled", _) => return Err(format!("plugins.{name}.enabled must be true or false")),
                ("settings", Json::Object(settings)) => {
                    for (key, value) in settings {
                        let value = scalar(value)
                            .ok_or_else(|| format!("plugins.{name}.settings.{key} must be text, a number or a flag"))?;
                        plugin.settings.insert(key.clone(), value);
                    }
                }
                ("settings", _) => return Err(format!("plugins.{name}.settings must be a mapping")),
                ("private", value) => plugin.private = private(name, value)?,
                ("stand_ins", value) => plugin.stand_ins = stand_ins(name, value)?,
                _ => {
                    return Err(format!(
                        "plugins.{name}.{key} is unknown; allowed are `enabled`, `settings`, `private` and `stand_ins`"
                    ));
                }
            }
        }
    }
    Ok(plugins)
}

pub(super) fn order(file: &source::File) -> Result<Vec<String>, String> {
    let names = file.get("plugins").and_then(|plugins| plugins.get(ORDER)).and_then(Json::as_array);
    let text = |name: &Json| name.as_str().map(str::to_owned).ok_or("plugins.order must be a list of names".to_owned());
    names.into_iter().flatten().map(text).collect()
}

fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
