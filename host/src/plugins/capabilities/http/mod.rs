//! Outbound HTTP to granted hosts.

mod host;

use serde::Deserialize;

use crate::plugins::manifest::{check, problems::At, problems::Problems};

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

    pub(crate) fn check(&self, at: &At, problems: &mut Problems) {
        check::hosts(&self.hosts, at, problems);
        let methods = at.field("methods");
        problems.unless(!self.methods.is_empty(), &methods, "name at least one method");
        for (index, method) in self.methods.iter().enumerate() {
            let fits = !method.is_empty() && method.len() <= 16 && method.bytes().all(|b| b.is_ascii_uppercase());
            problems.unless(
                fits && method != "CONNECT",
                &methods.item(index),
                format!("`{method}` is no method such as `GET`"),
            );
        }
        for (index, path) in self.paths.iter().enumerate() {
            let fits =
                path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic()) && !path.contains(['?', '#']);
            problems.unless(
                fits && !path.split('/').any(|segment| segment == "." || segment == ".."),
                &at.field("paths").item(index),
                format!("`{path}` is no path such as `/v1/*`: it begins with `/`, without `?`, `#` and `..`"),
            );
        }
        check::range(self.max_response_mib, 1, 16, &at.field("max-response-mib"), problems);
        check::range(self.max_download_mib, 1, 1_024, &at.field("max-download-mib"), problems);
        check::range(self.per_minute, 1, 6_000, &at.field("per-minute"), problems);
    }
}
