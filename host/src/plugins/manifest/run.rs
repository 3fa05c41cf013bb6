//! What a plugin does around runs: hooks, calls of the agent, jobs and panels.

use serde::Deserialize;

/// `[run-hook]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RunHook {
    /// The run goes on without this hook when it fails. Otherwise nothing runs.
    pub optional: bool,
    /// Variables that it may set in the container. Never one of the host's own.
    pub environment: Vec<String>,
}

/// `[broker]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Broker {
    pub actions: Vec<Action>,
    /// Calls in a minute of one caller: 1 to 600.
    pub per_minute: Option<u32>,
}

/// One `[[broker.actions]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Action {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// JSON Schema of its arguments, as an inline table.
    #[serde(default)]
    pub schema: Option<toml::Table>,
    /// Called again with the same arguments it does nothing more.
    #[serde(default)]
    pub idempotent: bool,
}

/// One `[[jobs]]`: exactly one of `every-s` and `cron`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Job {
    pub name: String,
    /// Seconds between two starts: 1 and more.
    #[serde(default)]
    pub every_s: Option<u64>,
    /// Five fields.
    #[serde(default)]
    pub cron: Option<String>,
    /// `Europe/Berlin`; else the host's.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// For one run, in seconds: 1 to 3,600.
    #[serde(default)]
    pub deadline_s: Option<u32>,
}

/// One `[[widgets]]`: a panel of the dashboard.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Widget {
    pub name: String,
    pub label: String,
}
