//! Secrets that a component may use and never sees.

mod host;

use serde::Deserialize;

use crate::plugins::manifest::{check, problems::At, problems::Problems};

/// Secrets of the host's own doors.
const HOSTS_OWN: &[&str] =
    &["MERCURY_API_SECRET", "MERCURY_CALLER_TOKEN_KEY", "MERCURY_CHAT_API_KEY", "MERCURY_CONSOLE_INTERNAL_SECRET"];

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

    /// `reachable` are the hosts of `[[http]]` and `[[sockets]]`.
    pub(crate) fn check(&self, reachable: &[&str], at: &At, problems: &mut Problems) {
        problems.unless(
            check::is_plain(&self.name),
            &at.field("name"),
            format!("`{}`: use lower-case letters, digits and dashes", self.name),
        );
        let variable = at.field("variable");
        problems.unless(
            self.variable.starts_with("MERCURY_"),
            &variable,
            format!("`{}`: the host's variables begin with MERCURY_", self.variable),
        );
        problems.unless(
            !HOSTS_OWN.contains(&self.variable.as_str()),
            &variable,
            format!("`{}` opens the host itself; no plugin may use it", self.variable),
        );
        for (index, host) in self.hosts.iter().enumerate() {
            problems.unless(
                reachable.contains(&host.as_str()),
                &at.field("hosts").item(index),
                format!("`{host}` is no host of `[[http]]` or `[[sockets]]`"),
            );
        }
    }
}
