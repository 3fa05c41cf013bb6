//! What can be set for one space: the names, what a value may be, and the values that are set.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    cron,
    pause::Pause,
    trigger::{self, Mode},
    words::Locale,
};

/// What a value may be.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Flag,
    Number {
        least: i64,
        most: i64,
    },
    Choice(&'static [&'static str]),
    /// An IANA name.
    Zone,
    /// One line of at most so many characters.
    Text {
        most: usize,
    },
    /// Lines of at most so many characters together.
    Prose {
        most: usize,
    },
}

/// A setting that people may change.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub key: &'static str,
    kind: Kind,
    /// Only the operator reads and sets it: agents and people in the chat do not.
    is_operators: bool,
    /// One line for the operator.
    pub description: &'static str,
}

const fn setting(key: &'static str, kind: Kind, description: &'static str) -> Setting {
    Setting { key, kind, is_operators: false, description }
}

/// Names and ranges are those of the replaced system (config.md section 6).
pub const SETTINGS: &[Setting] = &[
    setting("trigger.match", Kind::Choice(Mode::NAMES), "How a message of a group calls the assistant"),
    setting("trigger.patterns", Kind::Text { most: 1000 }, "The words that call it, with commas between them"),
    setting("trigger.case_sensitive", Kind::Flag, "Whether their case counts (default: false)"),
    setting(
        "trigger.media_in_groups",
        Kind::Flag,
        "Whether a file without a word calls it in a group (default: false)",
    ),
    setting("ambient.enabled", Kind::Flag, "Keep what people say to each other as context (default: true)"),
    setting("context.mode", Kind::Choice(&["clear", "context"]), "Whether earlier messages go into a run"),
    setting("context.window_size", Kind::Number { least: 1, most: 50 }, "How many of them: turns, 1 to 50"),
    setting(
        "context.reply_chain_depth",
        Kind::Number { least: 1, most: 50 },
        "How far an answered message is followed back: turns, 1 to 50",
    ),
    setting(
        "rate_limit",
        Kind::Number { least: 0, most: 1000 },
        "Messages to the assistant that one person may send in runtime.rate_limit_window_ms; 0 is no limit",
    ),
    setting(
        "rate_limit.member",
        Kind::Number { least: 0, most: 10_000 },
        "Messages of one member in a day; 0 is no limit",
    ),
    setting(
        "rate_limit.admin",
        Kind::Number { least: 0, most: 10_000 },
        "Messages of one admin in a day; 0 is no limit",
    ),
    setting(
        "debounce.idle_timeout_ms",
        Kind::Number { least: 0, most: 10_000 },
        "How long the assistant waits whether somebody writes on, in milliseconds; 0 is not at all",
    ),
    setting(TIMEZONE, Kind::Zone, "The clock of scheduled tasks that name none, such as Europe/Berlin"),
    setting(
        SENSITIVE_ALLOWED,
        Kind::Flag,
        "Let agents run in a space with a group though a sensitive connection is active; they ask first (default: false)",
    ),
    setting("messages.locale", Kind::Choice(&["en", "he"]), "The language of the host's own words"),
    Setting {
        is_operators: true,
        ..setting(SYSTEM_PROMPT, Kind::Prose { most: 20_000 }, "What the agent is told in each run of the space")
    },
];

/// Whether agents run in a space with a group while a sensitive connection is active. Only where there is a
/// group is it set to true, and never for all spaces.
pub const SENSITIVE_ALLOWED: &str = "security.sensitive_connections_allowed";
const TIMEZONE: &str = "scheduling.default_timezone";
pub const SYSTEM_PROMPT: &str = "system_prompt";

/// The limit of a role that the operator has made.
const OF_ROLE: &str = "rate_limit.";

/// Whether the key is one of the host's, of the table above.
pub fn is_known(key: &str) -> bool {
    kind(key).is_some()
}

fn kind(key: &str) -> Option<Kind> {
    let found = SETTINGS.iter().find(|setting| setting.key == key).map(|setting| setting.kind);
    found.or_else(|| {
        let role = key.strip_prefix(OF_ROLE)?;
        let begins = role.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let rest = role.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        (begins && rest && role.len() <= 32).then_some(Kind::Number { least: 0, most: 10_000 })
    })
}

/// What can be set, with a line about each; `of_operators` with those that are the operator's alone.
pub fn offered(of_operators: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
    let offered = SETTINGS.iter().filter(move |setting| of_operators || !setting.is_operators);
    offered.map(|setting| (setting.key, setting.description))
}

/// Whether only the operator reads and sets it.
pub fn is_operators(key: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.key == key && setting.is_operators)
}

/// # Errors
/// What the value may be, in words.
pub fn check(key: &str, value: &str) -> Result<(), String> {
    let kind = kind(key).ok_or_else(|| format!("{key} is no setting of a space"))?;
    let (fits, allowed) = match kind {
        Kind::Flag => (["true", "false"].contains(&value), "true or false".to_owned()),
        Kind::Choice(choices) => (choices.contains(&value), format!("one of {}", choices.join(", "))),
        Kind::Number { least, most } => (
            value.parse::<i64>().is_ok_and(|number| (least..=most).contains(&number)),
            format!("a whole number from {least} to {most}"),
        ),
        Kind::Zone => (cron::zone(value).is_ok(), "a time zone such as Europe/Berlin".to_owned()),
        Kind::Text { most } => (
            value.chars().count() <= most && !value.chars().any(char::is_control),
            format!("one line of at most {most} characters"),
        ),
        Kind::Prose { most } => (
            value.chars().count() <= most && !value.chars().any(|c| c.is_control() && !['\n', '\t'].contains(&c)),
            format!("at most {most} characters"),
        ),
    };
    if fits { Ok(()) } else { Err(format!("{key} must be {allowed}")) }
}

/// The host's own notes among a space's settings.
pub const PAUSED: &str = "paused";
pub const RESUME_AT: &str = "paused.resume_at";
/// Where it was paused, and where its end is told: a conversation.
pub const PAUSED_IN: &str = "paused.conversation";
pub const ACTIVE_MODEL: &str = "model.active";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub value: String,
    /// Who wrote it.
    pub by: String,
}

/// What is set for one space. A value that does not fit counts as none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpaceSettings(BTreeMap<String, Stored>);

impl SpaceSettings {
    /// Of key, value and who wrote it; a later one replaces an earlier.
    pub fn new(rows: impl IntoIterator<Item = (String, String, String)>) -> Self {
        Self(rows.into_iter().map(|(key, value, by)| (key, Stored { value, by })).collect())
    }

    pub fn stored(&self, key: &str) -> Option<&Stored> {
        self.0.get(key)
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|stored| stored.value.as_str())
    }

    /// What is set, by key.
    pub fn stated(&self) -> impl Iterator<Item = (&str, &str)> {
        let known = self.0.iter().filter(|(key, _)| is_known(key));
        known.map(|(key, stored)| (key.as_str(), stored.value.as_str()))
    }

    pub fn number(&self, key: &str) -> Option<i64> {
        self.text(key)?.trim().parse().ok()
    }

    /// The value, if it is one that the setting may have.
    fn fitting(&self, key: &str) -> Option<&str> {
        self.text(key).filter(|value| check(key, value).is_ok())
    }

    fn flag(&self, key: &str) -> bool {
        self.text(key) == Some("true")
    }

    /// How the assistant is called here.
    pub fn trigger<'a>(&self, configured: &'a trigger::Rules) -> Cow<'a, trigger::Rules> {
        let patterns = self.fitting("trigger.patterns").unwrap_or_default();
        configured.in_space(trigger::Own {
            mode: self.fitting("trigger.match").and_then(Mode::named),
            patterns: patterns
                .split(',')
                .map(|pattern| pattern.trim().to_owned())
                .filter(|it| !it.is_empty())
                .collect(),
            case_sensitive: self.flag("trigger.case_sensitive"),
            media_in_groups: self.flag("trigger.media_in_groups"),
        })
    }

    pub fn pause(&self) -> Option<Pause> {
        (self.text(PAUSED) == Some("true")).then(|| Pause { until: self.number(RESUME_AT) })
    }

    /// Whether what people say to each other is kept.
    pub fn keeps_ambient(&self) -> bool {
        self.text("ambient.enabled") != Some("false")
    }

    pub fn allows_sensitive(&self) -> bool {
        self.flag(SENSITIVE_ALLOWED)
    }

    pub fn locale(&self, configured: Locale) -> Locale {
        match self.text("messages.locale") {
            Some("he") => Locale::Hebrew,
            Some("en") => Locale::English,
            _ => configured,
        }
    }

    /// The clock of tasks that name none.
    pub fn timezone(&self) -> Option<&str> {
        self.fitting(TIMEZONE)
    }

    /// Whether earlier messages go into a run.
    pub fn context_enabled(&self, configured: bool) -> bool {
        self.fitting("context.mode").map_or(configured, |mode| mode == "context")
    }

    /// Turns, 1 to 50.
    pub fn context_window(&self, configured: u32) -> u32 {
        let set = self.fitting("context.window_size").and_then(|text| text.parse().ok());
        set.unwrap_or(configured)
    }

    /// Turns, 1 to 50.
    pub fn chain_depth(&self, configured: u32) -> u32 {
        let set = self.fitting("context.reply_chain_depth").and_then(|text| text.parse().ok());
        set.unwrap_or(configured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(rows: &[(&str, &str)]) -> SpaceSettings {
        SpaceSettings::new(rows.iter().map(|(key, value)| ((*key).into(), (*value).into(), "x".into())))
    }

    /// config.md #25 #26
    #[test]
    fn what_a_value_may_be() {
        for (key, value) in [
            ("ambient.enabled", "false"),
            ("context.mode", "clear"),
            ("rate_limit", "0"),
            ("rate_limit.moderator", "5"),
            ("debounce.idle_timeout_ms", "10000"),
            ("messages.locale", "he"),
        ] {
            assert_eq!(check(key, value), Ok(()), "{key}");
        }
        for (key, value, said) in [
            ("ambient.enabled", "yes", "true or false"),
            ("context.window_size", "51", "1 to 50"),
            ("context.window_size", "x", "1 to 50"),
            ("messages.locale", "fr", "one of en, he"),
            ("rate_limit", "-1", "0 to 1000"),
            ("paused", "true", "no setting"),
            ("rate_limit.", "1", "no setting"),
            ("rate_limit.A", "1", "no setting"),
        ] {
            assert!(check(key, value).unwrap_err().contains(said), "{key}");
        }
        for (key, value, fits) in [
            ("trigger.match", "prefix", true),
            ("trigger.match", "Prefix", false),
            ("trigger.patterns", "@Pi, Pi", true),
            ("trigger.patterns", "", true),
            ("trigger.patterns", "a\nb", false),
            ("trigger.patterns", &"x".repeat(1001), false),
            ("trigger.case_sensitive", "yes", false),
            ("system_prompt", "Be brief.\n\tAlways.", true),
            ("system_prompt", "a\u{1b}[2J", false),
            ("system_prompt", &"x".repeat(20_001), false),
            // config.md C5: no rubbish behind a number.
            ("rate_limit", "5abc", false),
        ] {
            assert_eq!(check(key, value).is_ok(), fits, "{key} {value}");
        }
        assert!(is_operators("system_prompt") && !is_operators("trigger.match"));
        assert!(Mode::NAMES.iter().all(|name| Mode::named(name).is_some()));
        assert!(SETTINGS.iter().all(|setting| !setting.description.is_empty() && is_known(setting.key)));
    }

    /// pipeline.md #16; a configured mode that is none ends the start (config.md #27).
    #[test]
    fn how_a_space_is_called() {
        let configured = trigger::Rules::new(Mode::Prefix, vec!["Mercury".into()], "bot");
        let of = |rows: &[(&str, &str)]| settings(rows).trigger(&configured).into_owned();
        assert_eq!(of(&[]), configured);
        assert_eq!(of(&[("trigger.match", "nonsense")]), configured);
        assert_eq!(of(&[("trigger.patterns", " , ")]), configured);
        assert_eq!(of(&[("trigger.match", "always")]).mode, Mode::Always);
        let heard = |rows: &[(&str, &str)], text: &str| {
            let heard = trigger::Heard { direct: false, text, has_media: true, mentions_bot: false };
            of(rows).prompt(heard)
        };
        let own = ("trigger.patterns", "Ada, @Ada");
        assert_eq!(heard(&[own], "ada hi").as_deref(), Some("hi"));
        assert_eq!(heard(&[own], "Mercury hi"), None);
        assert_eq!(heard(&[own, ("trigger.case_sensitive", "true")], "ada hi"), None);
        assert_eq!(heard(&[own], ""), None);
        assert_eq!(heard(&[own, ("trigger.media_in_groups", "true")], "").as_deref(), Some(""));
        assert_eq!(heard(&[("trigger.media_in_groups", "1")], ""), None);
    }

    /// config.md #28; pipeline.md #31 in part, #24 in part: what does not fit is as if it were not set.
    #[test]
    fn values_of_a_space() {
        let set = settings(&[
            ("paused", "true"),
            ("paused.resume_at", "70"),
            ("messages.locale", "fr"),
            ("context.mode", "x"),
        ]);
        assert_eq!(set.pause(), Some(Pause { until: Some(70) }));
        assert_eq!(settings(&[("paused", "true")]).pause(), Some(Pause { until: None }));
        assert_eq!(settings(&[("paused.resume_at", "70")]).pause(), None);
        assert_eq!(set.locale(Locale::Hebrew), Locale::Hebrew);
        assert_eq!(settings(&[("messages.locale", "en")]).locale(Locale::Hebrew), Locale::English);
        assert!(set.context_enabled(true) && !set.context_enabled(false));
        assert!(!settings(&[("context.mode", "clear")]).context_enabled(true));
        assert_eq!(settings(&[("context.window_size", "25")]).context_window(10), 25);
        assert_eq!(settings(&[("context.window_size", "99")]).context_window(10), 10);
        assert!(set.keeps_ambient() && !settings(&[("ambient.enabled", "false")]).keeps_ambient());
    }
}
