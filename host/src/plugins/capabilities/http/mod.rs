//! Outbound HTTP to granted hosts.

mod host;

use serde::Deserialize;

/// One `[[http]]`: hosts that may be asked, and what of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grant {
    /// `api.example.com`, `api.example.com:8443`, or `*.example.com` for what lies below.
    pub hosts: Vec<String>,
    #[serde(default = "usual_methods")]
    pub methods: Vec<String>,
    /// `/bot*/sendMessage`: `*` stands for a part of one segment, `**` for any rest. All, if none is named.
    #[serde(default)]
    pub paths: Vec<String>,
    /// The largest response that is handed to the component, in MiB: 1 to 16.
    #[serde(default = "usual_response_mib")]
    pub max_response_mib: u32,
    /// The largest download, in MiB: 1 to 1,024.
    #[serde(default = "usual_download_mib")]
    pub max_download_mib: u32,
    /// Also `http://`.
    #[serde(default)]
    pub plain: bool,
    /// Requests in a minute, over all hosts of this entry: 1 to 6,000.
    #[serde(default = "usual_per_minute")]
    pub per_minute: u32,
}

fn usual_methods() -> Vec<String> {
    vec!["GET".into(), "POST".into()]
}

fn usual_response_mib() -> u32 {
    8
}

fn usual_download_mib() -> u32 {
    100
}

fn usual_per_minute() -> u32 {
    600
}

impl Grant {
    /// What an operator agrees to.
    pub fn in_words(&self) -> String {
        let paths = if self.paths.is_empty() { String::new() } else { format!(", only {}", self.paths.join(", ")) };
        let plain = if self.plain { ", also without encryption" } else { "" };
        format!("exchange data with {} ({}{paths}{plain})", self.hosts.join(", "), self.methods.join(", "))
    }
}
