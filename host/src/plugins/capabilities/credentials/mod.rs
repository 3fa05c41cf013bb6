//! Secrets that a component may use and never sees.

mod host;

use serde::Deserialize;

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
    #[serde(default)]
    pub description: String,
    /// The plugin works without it.
    #[serde(default)]
    pub optional: bool,
}

impl Grant {
    /// What an operator agrees to.
    pub fn in_words(&self) -> String {
        match self.hosts.as_slice() {
            [] => format!("check messages with the secret {} without seeing it", self.variable),
            hosts => format!("use the secret {} without seeing it, only for {}", self.variable, hosts.join(", ")),
        }
    }
}
