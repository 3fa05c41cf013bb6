//! `plugin.toml`: what a plugin is, what it provides, and what it may use.
//!
//! Unknown fields are errors: a typo in a limit must not lose the limit.

mod agent;
pub(crate) mod check;
mod connection;
mod limits;
pub(crate) mod problems;
mod run;
mod setting;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::capabilities::{credentials, folders, history, http, inbox, kv, media, messenger, sockets, tasks, timers};
pub(crate) use super::exports::Interface;
use super::plain_file;
use crate::domain::roles::Held;
pub(crate) use agent::{Agent, Cli, Variable};
pub(crate) use connection::{AuthType, Category, Connection};
pub(crate) use limits::Limits;
use problems::Problems;
pub use run::Job;
pub(crate) use run::{Action, Broker, RunHook, Widget};
pub(crate) use setting::Setting;

/// Bytes of a manifest: 256 KiB.
const MOST_BYTES: u64 = 256 << 10;

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("cannot read {}: {source}. A plugin is a folder with `plugin.toml` and its component", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} is not a valid manifest:\n{message}", path.display())]
    Invalid { path: PathBuf, message: String },
    #[error("{}: the name `{name}` belongs to the host itself. Give the plugin another one", path.display())]
    Reserved { path: PathBuf, name: String },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Lower-case letters, digits and dashes; also the name under which it is configured.
    pub name: String,
    /// As semver.org has it: `1.0.0`.
    pub version: String,
    #[serde(default)]
    pub description: String,
    /// The component's file name in the plugin's folder.
    pub component: String,
    /// What the host calls: `["tool-guard"]`. [kinds.md](kinds.md) has all of them.
    pub provides: Vec<Interface>,
    /// For processors: the reply is withheld when this one fails.
    #[serde(default)]
    pub required: bool,
    /// For processors: the text for a failure may be replaced by another, and then counts as an answer.
    #[serde(default)]
    pub override_errors: bool,
    /// For processors and run hooks: lower ones are called first, equal ones by name. -100 to 100.
    #[serde(default)]
    pub order: i32,
    /// Of one that the host carries: whether it runs though the operator has not said so.
    #[serde(default = "yes")]
    pub enabled_by_default: bool,
    /// Plugins without which this one is of no use: where one is missing, it is not loaded.
    #[serde(default)]
    pub depends: Vec<String>,
    #[serde(default)]
    pub settings: BTreeMap<String, Setting>,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub agent: Agent,
    #[serde(default)]
    pub run_hook: RunHook,
    #[serde(default)]
    pub broker: Broker,
    #[serde(default)]
    pub jobs: Vec<Job>,
    #[serde(default)]
    pub widgets: Vec<Widget>,
    #[serde(default)]
    pub connection: Option<Connection>,

    // What it may use, each with its own words for the operator.
    #[serde(default)]
    pub http: Vec<http::Grant>,
    #[serde(default)]
    pub secrets: Vec<credentials::Grant>,
    #[serde(default)]
    pub kv: kv::Grant,
    #[serde(default)]
    pub media: media::Grant,
    #[serde(default)]
    pub sockets: Vec<sockets::Grant>,
    #[serde(default)]
    pub timers: timers::Grant,
    #[serde(default)]
    pub messenger: messenger::Grant,
    #[serde(default)]
    pub inbox: Option<inbox::Grant>,
    #[serde(default)]
    pub history: history::Grant,
    #[serde(default)]
    pub tasks: tasks::Grant,
    #[serde(default)]
    pub folders: Vec<folders::Grant>,
}

fn yes() -> bool {
    true
}

/// The text of a plain file of [`MOST_BYTES`]: a link in a stranger's folder would show, line by line in
/// what is wrong with it, some other file.
fn read_plain(path: &Path) -> io::Result<String> {
    let refuse = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    let Some(file) = plain_file::open(path)? else { return refuse("it is no plain file") };
    let mut text = String::new();
    if file.take(MOST_BYTES + 1).read_to_string(&mut text)? as u64 > MOST_BYTES {
        return refuse("it is larger than 256 KiB");
    }
    Ok(text)
}

impl Manifest {
    pub fn read(folder: &Path) -> Result<Self, ManifestError> {
        let path = folder.join("plugin.toml");
        match read_plain(&path) {
            Ok(text) => Self::parse(&path, &text),
            Err(source) => Err(ManifestError::Unreadable { path, source }),
        }
    }

    /// Reads `text`, which stands in the file `path`.
    ///
    /// # Errors
    /// Everything that is wrong, with line and column, or the name where the host keeps it for itself.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ManifestError> {
        let invalid = |message: String| ManifestError::Invalid { path: path.to_owned(), message };
        let manifest: Self = toml::from_str(text).map_err(|error| invalid(problems::of_parser(text, &error)))?;
        let mut problems = Problems::default();
        problems::check_characters(text, &mut problems);
        manifest.check(&mut problems);
        if !problems.is_empty() {
            return Err(invalid(problems.render(text)));
        }
        if check::is_reserved(&manifest.name) {
            return Err(ManifestError::Reserved { path: path.to_owned(), name: manifest.name });
        }
        Ok(manifest)
    }

    pub fn provides(&self, interface: Interface) -> bool {
        self.provides.contains(&interface)
    }

    /// Which of the imported interfaces nothing was granted of, each with the line that is missing.
    pub fn ungranted(&self, imports: &BTreeSet<String>) -> Vec<String> {
        let grants = [
            ("credentials", self.secrets.is_empty(), "[[secrets]]"),
            ("http", self.http.is_empty(), "[[http]]"),
            ("kv", self.kv.in_words().is_none(), "[kv] quota-bytes"),
            ("media", self.media.in_words().is_none(), "[media]"),
            ("timers", self.timers.in_words().is_none(), "[timers] most"),
            ("messenger", self.messenger.in_words().is_none(), "[messenger] spaces"),
            ("history", self.history.in_words().is_none(), "[history] read"),
            ("tasks", self.tasks.in_words().is_none(), "[tasks] per-day"),
            ("identities", self.inbox.is_none(), "[inbox]"),
            ("inbox", self.inbox.is_none(), "[inbox]"),
            ("sockets", self.sockets.is_empty(), "[[sockets]]"),
        ];
        let missing = grants.into_iter().filter(|(interface, missing, _)| *missing && imports.contains(*interface));
        missing.map(|(interface, _, line)| format!("{interface} needs {line}")).collect()
    }

    /// Whether the host must not run without it: it closes something.
    pub fn is_essential(&self) -> bool {
        self.is_guarding() || (self.provides(Interface::RunHook) && !self.run_hook.optional)
    }

    /// Whether it checks what others do: then what it is told to check is the operator's to say.
    pub fn is_guarding(&self) -> bool {
        self.required || self.provides.iter().any(|interface| interface.is_guard())
    }

    /// Of an adapter: its platform, and the first secret that it cannot do without and that is not set.
    pub fn missing_secret(&self, is_set: impl Fn(&str) -> bool) -> Option<(String, String)> {
        let platform = self.inbox.as_ref()?.platform.clone();
        let missing = self.secrets.iter().find(|secret| !secret.optional && !is_set(&secret.variable))?;
        Some((platform, missing.variable.clone()))
    }

    /// Whether somebody who holds this may use what the plugin brings for agents.
    pub fn serves(&self, held: &Held) -> bool {
        !self.agent.permission || held.may(&self.name)
    }
}

#[cfg(test)]
mod tests;
