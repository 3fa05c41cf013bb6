//! What a manifest may say. Everything is said at once, each with its place.

use std::collections::BTreeSet;

use super::{Interface, Manifest, problems::At, problems::Problems};
use crate::domain::{environment, roles, schedule::Timing};

/// Names that a plugin cannot have: commands and permissions of the host, and skills that come with
/// it (extensions.md 1, W10, W13).
const RESERVED: &[&str] = &[
    "clear",
    "compact",
    "config",
    "context",
    "conversation-recap",
    "conversations",
    "ext",
    "help",
    "media",
    "mute",
    "mutes",
    "permissions",
    "preferences",
    "prefs",
    "recall",
    "roles",
    "spaces",
    "stop",
    "tasks",
    "tts",
    "unmute",
    "whoami",
];
/// Platforms that are the host's own way in.
const OWN_PLATFORMS: &[&str] = &["api", "cli", "host", "mercury", "system", "task"];
/// Folders of a space that the host uses itself.
const OWN_FOLDERS: &[&str] = &["inbox", "outbox"];
/// The longest name, in characters.
const MOST_NAME: usize = 64;
/// The longest description, in characters.
const MOST_DESCRIPTION: usize = 500;

/// Entries of one list: each is something that the host keeps, or does again and again.
const MOST_ENTRIES: usize = 100;

/// Whether the host keeps this name for itself.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || roles::permissions(roles::ADMIN_ROLE).contains(&name)
}

/// Lower-case letters, digits and dashes, beginning with a letter or digit.
pub(crate) fn is_plain(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut bytes = text.bytes();
    text.len() <= MOST_NAME
        && bytes.next().is_some_and(alphanumeric)
        && bytes.all(|byte| alphanumeric(byte) || byte == b'-')
}

const PLAIN: &str = "use lower-case letters, digits and dashes, beginning with a letter or digit, 64 at most";

/// A file that lies directly in the plugin's folder.
pub(crate) fn is_own_file(name: &str) -> bool {
    !name.is_empty() && name.len() <= 128 && !name.contains(['/', '\\']) && !name.starts_with('.')
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_uppercase() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// That no two have one name.
fn unique<'a>(names: impl Iterator<Item = &'a str>, at: &At, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        if !seen.insert(name) {
            problems.say(&at.item(index), format!("`{name}` is there twice"));
        }
    }
}

/// Host patterns as they stand under `hosts`.
pub(crate) fn hosts(hosts: &[String], at: &At, problems: &mut Problems) {
    let at = at.field("hosts");
    problems.unless(!hosts.is_empty(), &at, "name at least one host");
    for (index, host) in hosts.iter().enumerate() {
        let place = at.item(index);
        match crate::domain::egress::Pattern::parse(host) {
            Err(reason) => problems.say(&place, format!("`{host}` {reason}")),
            Ok(_) if host.starts_with('*') && !host.starts_with("*.") => {
                problems.say(&place, format!("`{host}`: every host cannot be granted; name those that are needed"));
            }
            Ok(_) => {}
        }
    }
}

/// `value` between `least` and `most`, both included.
pub(crate) fn range<T: PartialOrd + std::fmt::Display>(value: T, least: T, most: T, at: &At, problems: &mut Problems) {
    let fits = least <= value && value <= most;
    problems.unless(fits, at, format!("{value} is not between {least} and {most}"));
}

impl Manifest {
    pub(super) fn check(&self, problems: &mut Problems) {
        let root = At::root();
        problems.unless(is_plain(&self.name), &root.field("name"), format!("`{}`: {PLAIN}", self.name));
        problems.unless(
            is_version(&self.version),
            &root.field("version"),
            format!("`{}` is not a version such as `1.0.0`", self.version),
        );
        problems.unless(
            self.description.chars().count() <= MOST_DESCRIPTION,
            &root.field("description"),
            format!("longer than {MOST_DESCRIPTION} characters"),
        );
        problems.unless(
            is_own_file(&self.component) && self.component != "plugin.toml" && self.component != "plugin.sig",
            &root.field("component"),
            format!("`{}` must be a file name in the plugin's own folder", self.component),
        );
        for (key, setting) in &self.settings {
            let at = root.field("settings").field(key);
            // The replaced system's keys have underscores.
            problems.unless(is_plain(&key.replace('_', "-")), &at, format!("{PLAIN}; underscores as well"));
            if let Err(reason) = setting.check_itself() {
                problems.say(&at, reason);
            }
        }
        for (field, entries) in [
            ("settings", self.settings.len()),
            ("jobs", self.jobs.len()),
            ("widgets", self.widgets.len()),
            ("http", self.http.len()),
            ("sockets", self.sockets.len()),
            ("secrets", self.secrets.len()),
            ("folders", self.folders.len()),
        ] {
            let what = format!("has {entries} entries; at most {MOST_ENTRIES} are taken");
            problems.unless(entries <= MOST_ENTRIES, &root.field(field), what);
        }
        self.limits.check(&root.field("limits"), problems);
        self.check_provides(problems);
        self.check_run(problems);
        self.check_agent(problems);
        self.check_capabilities(problems);
    }

    fn check_provides(&self, problems: &mut Problems) {
        let root = At::root();
        let at = root.field("provides");
        if self.provides.is_empty() {
            let known = Interface::ALL.iter().map(|interface| interface.name()).collect::<Vec<_>>().join(", ");
            problems.say(&at, format!("name at least one of {known}"));
        }
        unique(self.provides.iter().map(|interface| interface.name()), &at, problems);
        problems.unless(
            !self.required || self.provides(Interface::ResultProcessor),
            &root.field("required"),
            "only a result-processor can be required",
        );
        problems.unless(
            !self.override_errors || self.provides(Interface::ResultProcessor),
            &root.field("override-errors"),
            "only a result-processor sees failures",
        );
        for interface in [
            Interface::Webhook,
            Interface::Poller,
            Interface::SocketClient,
            Interface::MessageEditor,
            Interface::Presence,
        ] {
            if self.provides(interface) && !self.provides(Interface::ChatAdapter) {
                problems
                    .say(&at, format!("{} belongs to an adapter: it needs `chat-adapter` as well", interface.name()));
            }
        }
        match (&self.inbox, self.provides(Interface::ChatAdapter)) {
            (Some(_), false) => {
                problems.say(&root.field("inbox"), "only an adapter has it: add `chat-adapter` to provides");
            }
            (None, true) => problems.say(&at, "a chat-adapter needs `[inbox]` with its platform"),
            _ => {}
        }
        // What would never be called or used is a mistake: of the section, or of `provides`.
        for (there, section, interface) in [
            (!self.run_hook.environment.is_empty() || self.run_hook.optional, "run-hook", Interface::RunHook),
            (!self.broker.actions.is_empty(), "broker", Interface::Broker),
            (!self.jobs.is_empty(), "jobs", Interface::Job),
            (!self.widgets.is_empty(), "widgets", Interface::Widget),
            (!self.sockets.is_empty(), "sockets", Interface::SocketClient),
            (self.timers.most > 0, "timers", Interface::Timer),
        ] {
            if there && !self.provides(interface) {
                let what = format!("has no use without `{}` in provides", interface.name());
                problems.say(&root.field(section), what);
            }
        }
    }

    fn check_run(&self, problems: &mut Problems) {
        let root = At::root();
        range(self.order, -100, 100, &root.field("order"), problems);
        problems.unless(!self.depends.contains(&self.name), &root.field("depends"), "a plugin cannot need itself");
        let deadline = self.run_hook.deadline().as_secs();
        range(deadline, 1, 300, &root.field("run-hook").field("deadline-s"), problems);
        let root = At::root();
        let at = root.field("run-hook").field("environment");
        for (index, name) in self.run_hook.environment.iter().enumerate() {
            let place = at.item(index);
            if !is_variable(name) {
                problems.say(&place, format!("`{name}` is no name of a variable: use `A` to `Z`, digits and `_`"));
            } else if environment::is_the_hosts(name) {
                problems.say(&place, format!("`{name}` is set by the host itself and by nobody else"));
            }
        }
        unique(self.run_hook.environment.iter().map(String::as_str), &at, problems);

        let broker = root.field("broker");
        if let Some(per_minute) = self.broker.per_minute {
            range(per_minute, 1, 600, &broker.field("per-minute"), problems);
        }
        let actions = broker.field("actions");
        unique(self.broker.actions.iter().map(|action| action.name.as_str()), &actions, problems);
        for (index, action) in self.broker.actions.iter().enumerate() {
            let place = actions.item(index);
            problems.unless(is_plain(&action.name), &place.field("name"), format!("`{}`: {PLAIN}", action.name));
            if let Err(reason) = action.validator() {
                problems.say(&place.field("schema"), format!("is not a JSON Schema: {reason}"));
            }
        }
        self.check_jobs(problems);
        let widgets = root.field("widgets");
        unique(self.widgets.iter().map(|widget| widget.name.as_str()), &widgets, problems);
        for (index, widget) in self.widgets.iter().enumerate() {
            let place = widgets.item(index);
            problems.unless(is_plain(&widget.name), &place.field("name"), format!("`{}`: {PLAIN}", widget.name));
            problems.unless(!widget.label.trim().is_empty(), &place.field("label"), "is empty");
        }
    }

    fn check_jobs(&self, problems: &mut Problems) {
        let at = At::root().field("jobs");
        unique(self.jobs.iter().map(|job| job.name.as_str()), &at, problems);
        for (index, job) in self.jobs.iter().enumerate() {
            let place = at.item(index);
            problems.unless(is_plain(&job.name), &place.field("name"), format!("`{}`: {PLAIN}", job.name));
            // What the scheduler itself will make of it; of a zone that is none there is no more to say.
            let zone = job.time_zone.as_deref().filter(|zone| jiff::tz::TimeZone::get(zone).is_ok());
            match (job.every_s, &job.cron, Timing::parse(job.every_s, job.cron.as_deref(), zone)) {
                (_, _, Ok(_)) => {}
                (Some(_), None, Err(reason)) => problems.say(&place.field("every-s"), reason),
                (None, Some(_), Err(reason)) => problems.say(&place.field("cron"), reason),
                (_, _, Err(reason)) => problems.say(&place, reason),
            }
            if let Some(zone) = &job.time_zone
                && jiff::tz::TimeZone::get(zone).is_err()
            {
                problems.say(&place.field("time-zone"), format!("`{zone}` is no time zone such as `Europe/Berlin`"));
            }
            if let Some(deadline) = job.deadline_s {
                range(deadline, 1, 3_600, &place.field("deadline-s"), problems);
            }
        }
    }

    fn check_agent(&self, problems: &mut Problems) {
        let agent = At::root().field("agent");
        problems.unless(
            self.agent.permission || self.agent.default_roles.is_empty(),
            &agent.field("default-roles"),
            "there is no permission to give: add `permission = true`",
        );
        for (index, role) in self.agent.default_roles.iter().enumerate() {
            let plain = role.starts_with(|first: char| first.is_ascii_lowercase())
                && role.len() <= 32
                && role.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
            let place = agent.field("default-roles").item(index);
            problems.unless(plain, &place, format!("`{role}` is no role: use lower-case letters, digits, `_` and `-`"));
        }
        problems.unless(
            self.agent.skill.as_deref().is_none_or(is_own_file),
            &agent.field("skill"),
            "must be a folder in the plugin's own folder",
        );
        problems.unless(
            self.agent.skill.is_some() || self.agent.requires.is_empty(),
            &agent.field("requires"),
            "there is no skill that it could be for",
        );
        let at = agent.field("clis");
        unique(self.agent.clis.iter().map(|cli| cli.name.as_str()), &at, problems);
        for (index, cli) in self.agent.clis.iter().enumerate() {
            let place = at.item(index);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            problems.unless(
                !cli.name.is_empty() && !cli.name.starts_with(['.', '-']) && cli.name.bytes().all(plain),
                &place.field("name"),
                format!("`{}`: use letters, digits, dots, dashes and underscores", cli.name),
            );
            problems.unless(
                cli.bin.as_deref().is_none_or(is_own_file),
                &place.field("bin"),
                "must be a file name in the plugin's own folder",
            );
            problems.unless(
                !cli.install.trim().is_empty() || cli.bin.is_some(),
                &place,
                "name an `install` line, a `bin`, or both",
            );
        }
        let at = agent.field("env");
        unique(self.agent.env.iter().map(|variable| variable.name.as_str()), &at, problems);
        for (index, variable) in self.agent.env.iter().enumerate() {
            let place = at.item(index);
            host_variable(&variable.name, &place.field("name"), problems);
            if let Some(name) = &variable.given_as {
                problems.unless(
                    is_variable(name) && !environment::is_reserved(name),
                    &place.field("as"),
                    format!("`{name}` cannot be set: it is no name of a variable, or the host's own"),
                );
            }
        }
    }

    fn check_capabilities(&self, problems: &mut Problems) {
        let root = At::root();
        for (index, grant) in self.http.iter().enumerate() {
            grant.check(&root.field("http").item(index), problems);
        }
        for (index, grant) in self.sockets.iter().enumerate() {
            grant.check(&root.field("sockets").item(index), problems);
        }
        let reachable: Vec<&str> = self
            .http
            .iter()
            .flat_map(|grant| &grant.hosts)
            .chain(self.sockets.iter().flat_map(|grant| &grant.hosts))
            .map(String::as_str)
            .collect();
        let secrets = root.field("secrets");
        unique(self.secrets.iter().map(|grant| grant.name.as_str()), &secrets, problems);
        for (index, grant) in self.secrets.iter().enumerate() {
            grant.check(&reachable, &secrets.item(index), problems);
        }
        let folders = root.field("folders");
        unique(self.folders.iter().map(|grant| grant.space_folder.as_str()), &folders, problems);
        for (index, grant) in self.folders.iter().enumerate() {
            grant.check(&folders.item(index), problems);
        }
        self.kv.check(&root.field("kv"), problems);
        self.media.check(&root.field("media"), problems);
        self.timers.check(&root.field("timers"), problems);
        self.messenger.check(&root.field("messenger"), problems);
        self.tasks.check(&root.field("tasks"), problems);
        if let Some(grant) = &self.inbox {
            grant.check(&root.field("inbox"), problems);
        }
    }
}

/// A variable of the host that a plugin may want: one of the operator's, none of the host's secrets.
pub(crate) fn host_variable(name: &str, at: &At, problems: &mut Problems) {
    if !name.starts_with(environment::PREFIX) || !is_variable(name) {
        problems.say(at, format!("`{name}`: the host's variables begin with MERCURY_"));
    } else if environment::is_blocked(name) {
        problems.say(at, format!("`{name}` is the host's own and passes to no agent"));
    }
}

pub(crate) fn platform(name: &str, at: &At, problems: &mut Problems) {
    problems.unless(is_plain(name), at, format!("`{name}`: {PLAIN}"));
    problems.unless(!OWN_PLATFORMS.contains(&name), at, format!("`{name}` is the host's own"));
}

pub(crate) fn space_folder(name: &str, at: &At, problems: &mut Problems) {
    problems.unless(is_plain(name), at, format!("`{name}`: {PLAIN}"));
    problems.unless(!OWN_FOLDERS.contains(&name), at, format!("`{name}` is a folder of the host"));
}

/// `1.2.3`, `1.2.3-rc.1`, `1.2.3+build` (semver.org 2.0.0).
fn is_version(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (numbers, before) = rest.split_once('-').map_or((rest, None), |(numbers, before)| (numbers, Some(before)));
    let number = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    let dotted = |text: &str| {
        text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    };
    text.len() <= MOST_NAME
        && numbers.split('.').count() == 3
        && numbers.split('.').all(number)
        && before.is_none_or(dotted)
        && build.is_none_or(dotted)
}
