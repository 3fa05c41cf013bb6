//! `plugin.toml`: what a plugin is, what it provides, and what it may use.
//!
//! Unknown fields are errors: a typo in a limit must not lose the limit.

mod agent;
mod run;
mod setting;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::capabilities::{credentials, folders, history, http, inbox, kv, media, messenger, sockets, tasks, timers};
pub(crate) use super::exports::Interface;
use crate::domain::roles;
pub(crate) use agent::Agent;
pub use run::Job;
pub(crate) use run::{Broker, RunHook, Widget};
pub(crate) use setting::Setting;

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("cannot read {}: {source}. A plugin is a folder with `plugin.toml` and its component", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} is not a valid manifest:\n{message}", path.display())]
    Invalid { path: PathBuf, message: String },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Lower-case letters, digits and dashes; also the name under which it is configured.
    pub name: String,
    pub version: String,
    #[serde(default)]
    pub description: String,
    /// The component's file name in the plugin's folder.
    pub component: String,
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

/// Bounds of one call.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// Over all memories and tables, in MiB: 1 to 256.
    pub memory_mib: u32,
    /// Computing time, in milliseconds: 1 to 10,000.
    pub deadline_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_mib: 64, deadline_ms: 200 }
    }
}

impl Limits {
    pub fn memory_bytes(self) -> usize {
        (self.memory_mib as usize) << 20
    }

    pub fn deadline(self) -> Duration {
        Duration::from_millis(self.deadline_ms.into())
    }
}

impl Manifest {
    pub fn read(folder: &Path) -> Result<Self, ManifestError> {
        let path = folder.join("plugin.toml");
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ManifestError::Unreadable { path: path.clone(), source })?;
        Self::parse(&path, &text)
    }

    pub fn parse(path: &Path, text: &str) -> Result<Self, ManifestError> {
        let invalid = |message: String| ManifestError::Invalid { path: path.to_owned(), message };
        let manifest: Self = toml::from_str(text).map_err(|error| invalid(error.to_string()))?;
        manifest.check().map_err(invalid)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !plain(&self.name) {
            return Err(format!("name `{}`: use lower-case letters, digits and dashes", self.name));
        }
        if self.component.contains(['/', '\\']) || self.component.starts_with('.') || self.component.is_empty() {
            return Err(format!("component `{}`: must be a file name in the plugin's own folder", self.component));
        }
        for cli in &self.agent.clis {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if cli.name.is_empty() || cli.name.starts_with(['.', '-']) || !cli.name.bytes().all(plain) {
                return Err(format!("agent.clis `{}`: use letters, digits, dots, dashes and underscores", cli.name));
            }
            if cli.bin.as_ref().is_some_and(|bin| bin.is_empty() || bin.contains(['/', '\\']) || bin.starts_with('.')) {
                return Err(format!("agent.clis `{}`: bin must be a file name in the plugin's own folder", cli.name));
            }
            if cli.install.trim().is_empty() && cli.bin.is_none() {
                return Err(format!("agent.clis `{}`: name an `install` line, a `bin`, or both", cli.name));
            }
        }
        if let Some(variable) = self.agent.env.iter().find(|variable| !variable.name.starts_with("MERCURY_")) {
            return Err(format!("agent.env `{}`: the host's variables begin with MERCURY_", variable.name));
        }
        self.agent.check(&self.name)?;
        for (key, setting) in &self.settings {
            setting.check_itself().map_err(|reason| format!("settings.{key}: {reason}"))?;
        }
        self.run_hook.check()?;
        self.broker.check()?;
        for (index, job) in self.jobs.iter().enumerate() {
            job.check().map_err(|reason| format!("jobs `{}`: {reason}", job.name))?;
            if self.jobs[..index].iter().any(|other| other.name == job.name) {
                return Err(format!("jobs `{}`: there are two of that name", job.name));
            }
        }
        if self.override_errors && !self.provides(Interface::ResultProcessor) {
            return Err("override-errors: only for a plugin that provides result-processor".into());
        }
        if self.provides.is_empty() {
            return Err(format!(
                "provides: name at least one of {}",
                Interface::ALL.iter().map(|interface| interface.name()).collect::<Vec<_>>().join(", ")
            ));
        }
        if !(-100..=100).contains(&self.order) {
            return Err(format!("order {} is not between -100 and 100", self.order));
        }
        if self.depends.contains(&self.name) {
            return Err(format!("depends: `{}` cannot need itself", self.name));
        }
        if !(1..=256).contains(&self.limits.memory_mib) {
            return Err(format!("limits.memory-mib {} is not between 1 and 256", self.limits.memory_mib));
        }
        if !(1..=10_000).contains(&self.limits.deadline_ms) {
            return Err(format!("limits.deadline-ms {} is not between 1 and 10000", self.limits.deadline_ms));
        }
        for grant in &self.http {
            grant.read()?;
        }
        for grant in &self.secrets {
            grant.read()?;
        }
        for grant in &self.folders {
            grant.check()?;
        }
        self.media.check()
    }

    pub fn provides(&self, interface: Interface) -> bool {
        self.provides.contains(&interface)
    }

    /// Whether the host must not run without it: it closes something.
    pub fn is_essential(&self) -> bool {
        self.required
            || self.provides.iter().any(|interface| interface.is_guard())
            || (self.provides(Interface::RunHook) && !self.run_hook.optional)
    }

    /// Whether a caller of this role may use what the plugin brings for agents.
    pub fn serves(&self, roles: &roles::Registry, role: &str) -> bool {
        !self.agent.permission || roles.may(role, &self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"g\"\nversion = \"1.0.0\"\ncomponent = \"g.wasm\"\nprovides = [\"tool-guard\"]\n";

    fn refusal(text: &str) -> String {
        Manifest::parse(Path::new("plugin.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_small_manifest_has_safe_defaults() {
        let manifest = Manifest::parse(Path::new("plugin.toml"), GOOD).unwrap();
        assert_eq!(manifest.limits.memory_bytes(), 64 << 20);
        assert_eq!(manifest.kv.quota_bytes, 0);
        assert!(manifest.is_essential());
    }

    #[test]
    fn a_typo_is_an_error_with_its_line() {
        insta::assert_snapshot!(refusal(&format!("{GOOD}[limits]\nmemory-mb = 1\n")), @r"
        plugin.toml is not a valid manifest:
        TOML parse error at line 6, column 1
          |
        6 | memory-mb = 1
          | ^^^^^^^^^
        unknown field `memory-mb`, expected `memory-mib` or `deadline-ms`
        ");
    }

    #[test]
    fn what_leads_out_of_the_folder_is_refused() {
        for component in ["../g.wasm", "/etc/passwd", ".hidden", ""] {
            let text = GOOD.replace("g.wasm", component);
            assert!(refusal(&text).contains("own folder"), "{component}");
        }
        assert!(refusal(&GOOD.replace("name = \"g\"", "name = \"G!\"")).contains("lower-case"));
        assert!(refusal(&format!("{GOOD}[limits]\nmemory-mib = 4096\n")).contains("between 1 and 256"));
        assert!(refusal(&format!("{GOOD}[[agent.clis]]\nname = \"x\"\nbin = \"../x\"\n")).contains("own folder"));
        assert!(refusal(&format!("{GOOD}[[agent.clis]]\nname = \"../x\"\ninstall = \"true\"\n")).contains("letters"));
        assert!(refusal(&format!("{GOOD}[[agent.clis]]\nname = \"x\"\n")).contains("install"));
        assert!(refusal(&format!("{GOOD}[[agent.env]]\nname = \"PATH\"\n")).contains("MERCURY_"));
    }

    #[test]
    fn what_the_agent_gets() {
        let manifest = Manifest::parse(
            Path::new("plugin.toml"),
            &format!("{GOOD}[agent]\npermission = true\n[[agent.clis]]\nname = \"gws\"\ninstall = \"npm install -g gws\"\n[[agent.env]]\nname = \"MERCURY_GWS_TOKEN\"\nas = \"TOKEN\"\n"),
        )
        .unwrap();
        assert_eq!((manifest.agent.clis[0].name.as_str(), manifest.agent.permission), ("gws", true));
        assert_eq!(manifest.agent.env[0].given_as.as_deref(), Some("TOKEN"));
    }
}
