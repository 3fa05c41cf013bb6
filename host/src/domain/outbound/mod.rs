//! What a plugin may ask of other machines: which hosts, methods and paths its manifest was granted.
//!
//! Nothing in here looks a name up or opens a connection. Hosts are read as those of the agent's proxy
//! are ([`crate::domain::egress`]), and so are the addresses that a name may lead to. The host of a
//! request is the host that is connected to: both come from the same parsed URL.

mod bucket;
mod headers;
mod path;

use std::net::IpAddr;

use ipnet::IpNet;
use url::Url;

use super::egress::{Authority, Malformed, Pattern, reserved};

pub use bucket::Bucket;
pub use headers::check_header;
pub use path::PathPattern;

/// The longest URI that is taken: 8 KiB, as most servers have it.
const MOST_URI: usize = 8 << 10;

/// One `[[http]]` of a manifest, read.
#[derive(Clone, Debug)]
pub struct Grant {
    pub hosts: Vec<Pattern>,
    pub methods: Vec<String>,
    /// Empty: every path.
    pub paths: Vec<PathPattern>,
    /// Also without encryption.
    pub plain: bool,
}

/// Why a request may not be sent. The text is for the plugin's author and names what is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("http: the URI cannot be used: {0}")]
    Uri(String),
    #[error("http: the host of the URI cannot be used: {0}")]
    Host(#[from] Malformed),
    #[error("http: {host} is not granted; add hosts = [\"{host}\"] under [[http]] of plugin.toml")]
    NotGranted { host: String },
    #[error("http: {scheme}:// is not spoken here; write an https:// URI")]
    Scheme { scheme: String },
    #[error(
        "http: {host} without encryption is not granted; write https://, or add plain = true under the [[http]] of {host} in plugin.toml"
    )]
    Plain { host: String },
    #[error(
        "http: {method} of {host} is not granted; add methods = [\"{method}\"] under the [[http]] of {host} in plugin.toml"
    )]
    Method { method: String, host: String },
    #[error(
        "http: the path {path} of {host} is not granted; add paths = [\"{path}\"] under the [[http]] of {host} in plugin.toml"
    )]
    Path { path: String, host: String },
    #[error("http: the path of the URI hides a slash or a dot segment, which no granted path of {host} can have")]
    Disguised { host: String },
    #[error(
        "http: {host} leads to {address}, which is {kind}; the operator can open it with plugins.{plugin}.private: [\"{net}\"] in mercury.yaml",
        net = IpNet::from(*address)
    )]
    Address { plugin: String, host: String, address: IpAddr, kind: &'static str },
}

/// Where a request goes, once its URI is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub url: Url,
    pub authority: Authority,
}

impl Target {
    /// Reads a URI strictly: what two parsers could understand differently is refused.
    ///
    /// # Errors
    /// [`Refusal::Uri`], [`Refusal::Host`] and [`Refusal::Scheme`].
    pub fn parse(uri: &str) -> Result<Self, Refusal> {
        let unusable = |why: &str| Refusal::Uri(why.to_owned());
        if uri.len() > MOST_URI {
            return Err(unusable(&format!("it is longer than {MOST_URI} bytes")));
        }
        if uri.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(unusable("it holds a blank, a control character or a backslash; encode them"));
        }
        let (scheme, rest) = uri.split_once("://").ok_or_else(|| unusable("it has no scheme and host"))?;
        if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return Err(Refusal::Scheme { scheme: scheme.chars().take(20).collect() });
        }
        // As it is written: the parser would mend what is to be refused (`%2e` in a host, `0x7f.1`, `///x`).
        let written = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let mut url = Url::parse(uri).map_err(|error| unusable(&error.to_string()))?;
        if !written.is_ascii() {
            return Err(unusable("its host is not written in ASCII; write it in punycode (xn--…)"));
        }
        let authority = Authority::parse(written, url.port_or_known_default())?;
        if url.host_str() != Some(authority.host.to_string().as_str())
            || url.port_or_known_default() != Some(authority.port)
        {
            return Err(unusable("its host can be read in two ways"));
        }
        url.set_fragment(None);
        Ok(Self { url, authority })
    }

    pub fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    fn usual_port(&self) -> u16 {
        if self.is_encrypted() { 443 } else { 80 }
    }

    /// As a grant names it: without the port where it is the scheme's own.
    pub fn host(&self) -> String {
        if self.authority.port == self.usual_port() {
            self.authority.host.to_string()
        } else {
            self.authority.to_string()
        }
    }

    /// Whether the entry of a manifest is for this host and port.
    pub fn is_named_by(&self, pattern: &Pattern) -> bool {
        pattern.matches_with(&self.authority, &[self.usual_port()])
    }
}

/// Which of the grants allows the request: its index.
///
/// # Errors
/// The refusal that came furthest: of a host that is granted, what else is missing.
pub fn decide(grants: &[Grant], method: &str, target: &Target) -> Result<usize, Refusal> {
    let host = target.host();
    let path = target.url.path();
    let mut refusal = Refusal::NotGranted { host: host.clone() };
    let mut furthest = 0;
    let mut keep = |step: u8, reason: Refusal| {
        if step > furthest {
            (furthest, refusal) = (step, reason);
        }
    };
    for (index, grant) in grants.iter().enumerate() {
        if !grant.hosts.iter().any(|pattern| target.is_named_by(pattern)) {
            continue;
        }
        if !target.is_encrypted() && !grant.plain {
            keep(1, Refusal::Plain { host: host.clone() });
        } else if !grant.methods.iter().any(|granted| granted == method) {
            keep(2, Refusal::Method { method: method.chars().take(20).collect(), host: host.clone() });
        } else if grant.paths.is_empty() {
            return Ok(index);
        } else if path::is_disguised(path) {
            keep(4, Refusal::Disguised { host: host.clone() });
        } else if !grant.paths.iter().any(|pattern| pattern.matches(path)) {
            keep(3, Refusal::Path { path: path.chars().take(200).collect(), host: host.clone() });
        } else {
            return Ok(index);
        }
    }
    Err(refusal)
}

/// Checks all addresses that a host led to: one that may not be reached makes the whole answer one
/// that nobody should trust.
///
/// # Errors
/// [`Refusal::Address`] for the first that is neither public nor opened by the operator.
pub fn check_addresses(plugin: &str, host: &str, addresses: &[IpAddr], private: &[IpNet]) -> Result<(), Refusal> {
    for &address in addresses {
        if let Some(kind) = reserved(address)
            && !private.iter().any(|net| net.contains(&address))
        {
            return Err(Refusal::Address { plugin: plugin.to_owned(), host: host.to_owned(), address, kind });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
