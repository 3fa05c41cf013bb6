//! What a plugin does around runs: hooks, calls of the agent, jobs and panels.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    check::{PLAIN, is_plain, range},
    problems::{At, Problems},
};
use crate::domain::schedule::Timing;

/// Calls of a broker in a minute of one caller, where the manifest says nothing.
const USUAL_PER_MINUTE: u32 = 60;
/// Bytes of the schema of one action, as JSON.
const MOST_SCHEMA: usize = 16 << 10;
/// Bytes that a compiled regular expression may have, and as many for its cache.
const MOST_PATTERN: usize = 1 << 20;
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
    /// Where the schema is none, or one that the host does not take: its checks run in the host.
    pub fn validator(&self) -> Result<jsonschema::Validator, String> {
        let schema = serde_json::to_value(&self.schema).map_err(|error| error.to_string())?;
        let schema = if schema.is_null() { Json::Bool(true) } else { schema };
        if schema.to_string().len() > MOST_SCHEMA {
            return Err(format!("it has more than {MOST_SCHEMA} bytes"));
        }
        if let Some(key) = reference_in(&schema) {
            return Err(format!("`{key}` is not taken here, since what refers to itself has no end; write it out"));
        }
        matching_in_line().build(&schema).map_err(|error| error.to_string())
    }
}

/// The keyword by which some part of the schema refers to another. Of a property of that name too, which
/// costs an author another name.
fn reference_in(schema: &Json) -> Option<&'static str> {
    const REFERENCES: &[&str] = &["$ref", "$dynamicRef", "$recursiveRef"];
    match schema {
        Json::Object(fields) => {
            let found = REFERENCES.iter().find(|key| fields.contains_key(**key)).copied();
            found.or_else(|| fields.values().find_map(reference_in))
        }
        Json::Array(items) => items.iter().find_map(reference_in),
        _ => None,
    }
}

/// JSON Schema whose regular expressions take time in proportion to the text: without look-around and
/// back-references.
pub(super) fn matching_in_line() -> jsonschema::ValidationOptions<'static> {
    let patterns = jsonschema::PatternOptions::regex().size_limit(MOST_PATTERN).dfa_size_limit(MOST_PATTERN);
    jsonschema::options().with_pattern_options(patterns)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn validator(schema: &str) -> Result<jsonschema::Validator, String> {
        toml::from_str::<Action>(&format!("name = \"a\"\nschema = {schema}")).unwrap().validator()
    }

    /// What a schema refers to may be itself: such a check has no end, and took the host's stack with it.
    #[test]
    fn a_schema_refers_to_nothing() {
        for schema in [
            "{ \"$ref\" = \"#\" }",
            "{ allOf = [{ \"$ref\" = \"#\" }, { \"$ref\" = \"#\" }] }",
            "{ properties = { a = { items = { \"$dynamicRef\" = \"#x\" } } } }",
            "{ \"$ref\" = \"http://127.0.0.1:9/\" }",
        ] {
            assert!(validator(schema).unwrap_err().contains("is not taken here"), "{schema}");
        }
        assert!(validator("{ type = \"object\", properties = { reference = { type = \"string\" } } }").is_ok());
        let long = format!("{{ description = \"{}\" }}", "x".repeat(MOST_SCHEMA));
        assert!(validator(&long).unwrap_err().contains("bytes"));
    }

    /// A pattern that takes for ever where every way is tried: here each text is read once.
    #[test]
    fn patterns_match_in_line() {
        let matching = validator("{ type = \"string\", pattern = \"^(a+)+$\" }").unwrap();
        let text = serde_json::Value::from(format!("{}!", "a".repeat(50_000)));
        assert!(!matching.is_valid(&text));
        assert!(matching.is_valid(&serde_json::Value::from("aaa")));
        for pattern in ["(?=a)b", "(a)\\\\1", "((a{1000}){1000}){1000}"] {
            let schema = format!("{{ pattern = \"{pattern}\" }}");
            assert!(validator(&schema).is_err(), "{pattern}");
        }
    }
}
