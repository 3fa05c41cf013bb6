//! Secrets that a component may use and never sees.
//!
//! A secret is placed by the host into the part of a request that the component names, or compared
//! and signed with. Whatever comes back from a host that a secret is bound to goes through the
//! [`Redactor`]: a server that echoes it does not tell it to the component.

mod host;
mod place;
mod redact;

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    domain::{
        egress::Pattern,
        environment::{PREFIX, is_hosts_own},
        outbound::Target,
    },
    plugins::manifest::{check, problems::At, problems::Problems},
};

pub(in crate::plugins) use place::{PlaceError, Segment, in_json, in_path, in_query};
pub(in crate::plugins) use redact::Redactor;

/// A shorter secret could be guessed by who compares, or found by trying from one signature: no
/// component may do either with it.
const SHORTEST_COMPARED: usize = 16;

/// One `[[secrets]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grant {
    /// As the component calls it.
    pub name: String,
    /// The host's variable that holds it: `MERCURY_…`.
    pub variable: String,
    /// Hosts that it may be sent to, of those under `[[http]]` and `[[sockets]]`. None: it is only compared or signed with.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// `credentials.matches` and `hmac-sha256` may use it. Without this line: if it has no `hosts`.
    #[serde(default)]
    pub compare: Option<bool>,
    #[serde(default)]
    pub description: String,
    /// The plugin works without it.
    #[serde(default)]
    pub optional: bool,
}

impl Grant {
    pub(crate) fn compares(&self) -> bool {
        self.compare.unwrap_or(self.hosts.is_empty())
    }

    /// Reads the hosts.
    ///
    /// # Errors
    /// What is wrong with the entry.
    pub fn read(&self) -> Result<Vec<Pattern>, String> {
        let name = &self.name;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(format!("secrets `{name}`: use lower-case letters, digits and dashes"));
        }
        if !self.variable.starts_with(PREFIX) {
            return Err(format!(
                "secrets `{name}`: the host's variables begin with {PREFIX}, and `{}` does not",
                self.variable
            ));
        }
        if is_hosts_own(&self.variable) {
            return Err(format!("secrets `{name}`: {} is the host's own, and no plugin may use it", self.variable));
        }
        self.hosts
            .iter()
            .map(|host| Pattern::parse(host).map_err(|reason| format!("secrets `{name}`: hosts: `{host}` {reason}")))
            .collect()
    }

    /// What an operator agrees to.
    pub fn in_words(&self) -> String {
        let compared = "check messages with";
        match (self.hosts.as_slice(), self.compares()) {
            ([], _) => format!("{compared} the secret {} without seeing it", self.variable),
            (hosts, false) => {
                format!("use the secret {} without seeing it, only for {}", self.variable, hosts.join(", "))
            }
            (hosts, true) => format!(
                "use the secret {} without seeing it, only for {}, and {compared} it",
                self.variable,
                hosts.join(", ")
            ),
        }
    }

    /// `reachable` are the hosts of `[[http]]` and `[[sockets]]`.
    pub(crate) fn check(&self, reachable: &[&str], at: &At, problems: &mut Problems) {
        problems.unless(
            check::is_plain(&self.name),
            &at.field("name"),
            format!("`{}`: use lower-case letters, digits and dashes", self.name),
        );
        let variable = at.field("variable");
        problems.unless(
            self.variable.starts_with(PREFIX),
            &variable,
            format!("`{}`: the host's variables begin with MERCURY_", self.variable),
        );
        problems.unless(
            !is_hosts_own(&self.variable),
            &variable,
            format!("`{}` opens the host itself; no plugin may use it", self.variable),
        );
        check::description(&self.description, at, problems);
        for (index, host) in self.hosts.iter().enumerate() {
            problems.unless(
                reachable.contains(&host.as_str()),
                &at.field("hosts").item(index),
                format!("`{host}` is no host of `[[http]]` or `[[sockets]]`"),
            );
        }
    }
}

/// The secrets of one plugin, by the names that its manifest gives them.
pub(in crate::plugins) struct Secrets {
    bound: BTreeMap<String, Bound>,
}

struct Bound {
    variable: String,
    value: Option<SecretString>,
    hosts: Vec<Pattern>,
    compares: bool,
}

/// Why a secret is not used. Never holds one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::plugins) enum Unusable {
    #[error("credentials: the secret `{name}` is not granted; add name = \"{name}\" under [[secrets]] of plugin.toml")]
    NotGranted { name: String },
    #[error("credentials: the secret `{name}` is not set; the operator sets {variable}")]
    Missing { name: String, variable: String },
    #[error(
        "credentials: the secret `{name}` is not bound to {host}; add hosts = [\"{host}\"] under its [[secrets]] in plugin.toml"
    )]
    NotForHost { name: String, host: String },
    #[error("credentials: the secret `{name}` is sent only encrypted, and {host} is asked without; write https://")]
    Unencrypted { name: String, host: String },
    #[error(
        "credentials: the secret `{name}` is only sent to its hosts; add compare = true under its [[secrets]] in plugin.toml to check messages with it"
    )]
    NotCompared { name: String },
    #[error(
        "credentials: the secret `{name}` has fewer than {SHORTEST_COMPARED} characters, which could be guessed; the operator sets a longer {variable}"
    )]
    TooShort { name: String, variable: String },
}

impl Secrets {
    pub(in crate::plugins) fn none() -> Self {
        Self { bound: BTreeMap::new() }
    }

    /// # Errors
    /// What is wrong with a grant.
    pub(in crate::plugins) fn new(grants: &[Grant], values: &BTreeMap<String, SecretString>) -> Result<Self, String> {
        let mut bound = BTreeMap::new();
        for grant in grants {
            let hosts = grant.read()?;
            let value = values.get(&grant.variable).cloned();
            let known = Bound { variable: grant.variable.clone(), value, hosts, compares: grant.compares() };
            if bound.insert(grant.name.clone(), known).is_some() {
                return Err(format!("secrets `{}`: the name is there twice", grant.name));
            }
        }
        Ok(Self { bound })
    }

    /// For what `target` answers. It knows the secrets that the target may have got, and no others: what
    /// it takes out of an answer tells the component that the text was a secret, and a server of the
    /// plugin's author's could try as many texts as it wants.
    pub(in crate::plugins) fn redactor_for(&self, target: &Target) -> Redactor {
        let got = self.bound.values().filter(|bound| bound.hosts.iter().any(|pattern| target.is_named_by(pattern)));
        Redactor::new(got.filter_map(|bound| bound.value.as_ref()).map(ExposeSecret::expose_secret))
    }

    /// For what is kept where others may read it: it knows all of them.
    pub(in crate::plugins) fn redactor_of_all(&self) -> Redactor {
        Redactor::new(self.bound.values().filter_map(|bound| bound.value.as_ref()).map(ExposeSecret::expose_secret))
    }

    /// For what anybody may read: it knows the variables' names as well.
    pub(in crate::plugins) fn redactor_of_names(&self) -> Redactor {
        let values = self.bound.values().filter_map(|bound| bound.value.as_ref()).map(ExposeSecret::expose_secret);
        Redactor::new(self.bound.values().map(|bound| bound.variable.as_str()).chain(values))
    }

    pub(in crate::plugins) fn is_present(&self, name: &str) -> bool {
        self.bound.get(name).is_some_and(|bound| bound.value.is_some())
    }

    /// For a request to `target`, which an `[[http]]` or `[[sockets]]` allows already. `protected`: it
    /// goes out encrypted, or to a stand-in of the operator's.
    pub(in crate::plugins) fn for_target(
        &self,
        name: &str,
        target: &Target,
        protected: bool,
    ) -> Result<&str, Unusable> {
        let bound = self.granted(name)?;
        let (name, host) = (name.to_owned(), target.host());
        if !bound.hosts.iter().any(|pattern| target.is_named_by(pattern)) {
            return Err(Unusable::NotForHost { name, host });
        }
        if !protected {
            return Err(Unusable::Unencrypted { name, host });
        }
        bound.set(&name)
    }

    /// For a comparison or a signature.
    fn for_comparison(&self, name: &str) -> Result<&str, Unusable> {
        let bound = self.granted(name)?;
        if !bound.compares {
            return Err(Unusable::NotCompared { name: name.to_owned() });
        }
        let value = bound.set(name)?;
        if value.len() < SHORTEST_COMPARED {
            return Err(Unusable::TooShort { name: name.to_owned(), variable: bound.variable.clone() });
        }
        Ok(value)
    }

    fn granted(&self, name: &str) -> Result<&Bound, Unusable> {
        // Bounded: the name is the component's, and stands in the error.
        let named = || name.chars().take(100).collect();
        self.bound.get(name).ok_or_else(|| Unusable::NotGranted { name: named() })
    }
}

impl Bound {
    fn set(&self, name: &str) -> Result<&str, Unusable> {
        let missing = || Unusable::Missing { name: name.to_owned(), variable: self.variable.clone() };
        self.value.as_ref().map(ExposeSecret::expose_secret).ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests;
