//! What a plugin does around runs: hooks, calls of the agent, jobs and panels.

use std::time::Duration;

use serde::Deserialize;

use super::{
    check::{PLAIN, is_plain, range},
    problems::{At, Problems},
};
use crate::domain::schedule::Timing;

/// Calls of a broker in a minute of one caller, where the manifest says nothing.
const USUAL_PER_MINUTE: u32 = 60;
/// Time for one call of a run hook, in seconds (extensions.md 3.2), where the manifest says nothing.
const USUAL_HOOK_DEADLINE_S: u32 = 10;
/// Time for one run of a job, in seconds, where the manifest says nothing.
const USUAL_DEADLINE_S: u32 = 300;

/// `[run-hook]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RunHook {
    /// The run goes on without this hook when it fails. Otherwise nothing runs, and the host does not
    /// start without it.
    pub optional: bool,
    /// Variables that it may set in the container. Never one of the host's own.
    pub environment: Vec<String>,
    /// For one call, waiting included, in seconds: 1 to 300; else 10. The person waits as long.
    pub deadline_s: Option<u32>,
}

impl RunHook {
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_s.unwrap_or(USUAL_HOOK_DEADLINE_S).into())
    }
}

/// `[broker]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Broker {
    pub actions: Vec<Action>,
    /// Calls in a minute of one caller: 1 to 600; else 60.
    pub per_minute: Option<u32>,
}

impl Broker {
    pub fn per_minute(&self) -> u32 {
        self.per_minute.unwrap_or(USUAL_PER_MINUTE)
    }

    pub fn action(&self, name: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.name == name)
    }
}

impl Action {
    /// Checks arguments. An action without a schema takes any JSON.
    ///
    /// # Errors
    /// Where the schema is none.
    pub fn validator(&self) -> Result<jsonschema::Validator, String> {
        let schema = serde_json::to_value(&self.schema).map_err(|error| error.to_string())?;
        let schema = if schema.is_null() { serde_json::Value::Bool(true) } else { schema };
        jsonschema::validator_for(&schema).map_err(|error| error.to_string())
    }
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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
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
    /// For one run, in seconds: 1 to 3,600; else 300.
    #[serde(default)]
    pub deadline_s: Option<u32>,
}

impl Job {
    pub fn timing(&self) -> Result<Timing, String> {
        Timing::parse(self.every_s, self.cron.as_deref(), self.time_zone.as_deref())
    }

    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_s.unwrap_or(USUAL_DEADLINE_S).into())
    }

    pub(super) fn check(&self, at: &At, problems: &mut Problems) {
        problems.unless(is_plain(&self.name), &at.field("name"), format!("`{}`: {PLAIN}", self.name));
        // What the scheduler itself will make of it; of a zone that is none there is no more to say.
        let zone = self.time_zone.as_deref().filter(|zone| jiff::tz::TimeZone::get(zone).is_ok());
        match (self.every_s, &self.cron, Timing::parse(self.every_s, self.cron.as_deref(), zone)) {
            (_, _, Ok(_)) => {}
            (Some(_), None, Err(reason)) => problems.say(&at.field("every-s"), reason),
            (None, Some(_), Err(reason)) => problems.say(&at.field("cron"), reason),
            (_, _, Err(reason)) => problems.say(at, reason),
        }
        if let Some(zone) = &self.time_zone
            && jiff::tz::TimeZone::get(zone).is_err()
        {
            problems.say(&at.field("time-zone"), format!("`{zone}` is no time zone such as `Europe/Berlin`"));
        }
        if let Some(deadline) = self.deadline_s {
            range(deadline, 1, 3_600, &at.field("deadline-s"), problems);
        }
    }
}

/// One `[[widgets]]`: a panel of the dashboard.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Widget {
    pub name: String,
    pub label: String,
}
