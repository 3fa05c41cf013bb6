//! Outbound HTTP to granted hosts.
//!
//! `prepare` decides and builds the request, `client` connects to nothing but checked addresses,
//! `exchange` sends and reads. A component never sees a secret that it used, nor is redirected.

mod client;
mod exchange;
mod host;
mod prepare;

pub(in crate::plugins) use prepare::{
    check_credentials, put_header, read_headers, stand_in_url, unsent, with_path_credentials,
};

use serde::Deserialize;

use crate::{
    domain::{
        egress::Pattern,
        outbound::{self, PathPattern},
    },
    plugins::manifest::{check, problems::At, problems::Problems},
};

pub(in crate::plugins) use client::Clients;

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

/// The methods that a grant may name. `CONNECT` and `TRACE` are none of a component's business.
const METHODS: &[&str] = &["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

impl Grant {
    /// Reads the entry for [`outbound::decide`].
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self) -> Result<outbound::Grant, String> {
        let name = self.hosts.first().map_or("[[http]]".to_owned(), |host| format!("[[http]] of {host}"));
        if self.hosts.is_empty() {
            return Err("[[http]]: hosts: name at least one host".into());
        }
        let mut hosts = Vec::new();
        for host in &self.hosts {
            hosts.push(Pattern::parse(host).map_err(|reason| format!("{name}: hosts: `{host}` {reason}"))?);
        }
        if let Some(method) = self.methods.iter().find(|method| !METHODS.contains(&method.as_str())) {
            return Err(format!("{name}: methods: `{method}` is not one of {}", METHODS.join(", ")));
        }
        let mut paths = Vec::new();
        for path in &self.paths {
            paths.push(PathPattern::parse(path).map_err(|reason| format!("{name}: paths: `{path}` {reason}"))?);
        }
        for (field, value, most) in [
            ("max-response-mib", self.max_response_mib, 16),
            ("max-download-mib", self.max_download_mib, 1024),
            ("per-minute", self.per_minute, 6000),
        ] {
            if !(1..=most).contains(&value) {
                return Err(format!("{name}: {field} {value} is not between 1 and {most}"));
            }
        }
        Ok(outbound::Grant { hosts, methods: self.methods.clone(), paths, plain: self.plain })
    }

    pub(in crate::plugins) fn most_response(&self) -> u64 {
        u64::from(self.max_response_mib) << 20
    }

    pub(in crate::plugins) fn most_download(&self) -> u64 {
        u64::from(self.max_download_mib) << 20
    }

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
                fits && METHODS.contains(&method.as_str()),
                &methods.item(index),
                format!("`{method}` is no method such as `GET`"),
            );
        }
        for (index, path) in self.paths.iter().enumerate() {
            let fits = path.starts_with('/')
                && path.bytes().all(|b| b.is_ascii_graphic())
                && !path.contains(['?', '#'])
                && !path.split('/').any(|segment| segment == "." || segment == "..");
            problems.unless(
                fits,
                &at.field("paths").item(index),
                format!("`{path}` is no path such as `/v1/*`: it begins with `/`, without `?`, `#` and `..`"),
            );
            if fits && let Err(reason) = PathPattern::parse(path) {
                problems.say(&at.field("paths").item(index), format!("`{path}` {reason}"));
            }
        }
        check::range(self.max_response_mib, 1, 16, &at.field("max-response-mib"), problems);
        check::range(self.max_download_mib, 1, 1_024, &at.field("max-download-mib"), problems);
        check::range(self.per_minute, 1, 6_000, &at.field("per-minute"), problems);
    }
}

#[cfg(test)]
mod tests;
