//! What a manifest may say. Everything is said at once, each with its place.

use std::collections::BTreeSet;

use super::{Interface, Manifest, problems::At, problems::Problems};
use crate::domain::{environment, roles};

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
/// Items of each list that an operator reads before agreeing.
pub(super) const MOST_ITEMS: usize = 64;

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

pub(super) const PLAIN: &str =
    "use lower-case letters, digits and dashes, beginning with a letter or digit, 64 at most";

/// A file or folder that lies directly in the plugin's folder, and is none that every package may have.
pub(crate) fn is_own_file(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && !name.contains(['/', '\\'])
        && !name.starts_with('.')
        && !["plugin.toml", "plugin.sig"].contains(&name)
}

pub(super) const OWN_FILE: &str =
    "must be a name in the plugin's own folder, and not that of its manifest or signature";

/// Room for a sentence or two: a longer text pushes what is to be read from the screen.
pub(crate) fn description(text: &str, at: &At, problems: &mut Problems) {
    let fits = text.chars().count() <= MOST_DESCRIPTION;
    problems.unless(fits, &at.field("description"), format!("longer than {MOST_DESCRIPTION} characters"));
}

pub(super) fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_uppercase() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// That no two have one name.
pub(super) fn unique<'a>(names: impl Iterator<Item = &'a str>, at: &At, problems: &mut Problems) {
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
            // What reads like another host, and is one: `аpi.example.com` with a letter of another script.
            Ok(read) if !read.to_string().eq_ignore_ascii_case(host) => {
                problems.say(&place, format!("`{host}` is `{read}`: write that"));
            }
            Ok(_) => {}
        }
    }
}

/// As many as a person reads before agreeing.
fn few(number: usize, at: &At, problems: &mut Problems) {
    problems.unless(number <= MOST_ITEMS, at, format!("has more than {MOST_ITEMS} items, which nobody reads"));
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
            self.version.len() <= MOST_NAME && semver::Version::parse(&self.version).is_ok(),
            &root.field("version"),
            format!("`{}` is not a version such as `1.0.0`", self.version),
        );
        description(&self.description, &root, problems);
        problems.unless(
            is_own_file(&self.component),
            &root.field("component"),
            format!("`{}` {OWN_FILE}", self.component),
        );
        for (key, setting) in &self.settings {
            let at = root.field("settings").field(key);
            description(&setting.description, &at, problems);
            // The replaced system's keys have underscores.
            problems.unless(is_plain(&key.replace('_', "-")), &at, format!("{PLAIN}; underscores as well"));
            if let Err(reason) = setting.check_itself() {
                problems.say(&at, reason);
            }
        }
        self.check_lists(problems);
        self.limits.check(&root.field("limits"), problems);
        self.check_provides(problems);
        self.check_run(problems);
        self.agent.check(problems);
        self.check_connection(problems);
        self.check_capabilities(problems);
    }

    /// A right that is one of thousands is agreed to by nobody.
    fn check_lists(&self, problems: &mut Problems) {
        let root = At::root();
        for (number, field) in [
            (self.depends.len(), "depends"),
            (self.settings.len(), "settings"),
            (self.jobs.len(), "jobs"),
            (self.widgets.len(), "widgets"),
            (self.http.len(), "http"),
            (self.secrets.len(), "secrets"),
            (self.sockets.len(), "sockets"),
            (self.folders.len(), "folders"),
        ] {
            few(number, &root.field(field), problems);
        }
        let (agent, broker, hook) = (root.field("agent"), root.field("broker"), root.field("run-hook"));
        few(self.agent.clis.len(), &agent.field("clis"), problems);
        few(self.agent.env.len(), &agent.field("env"), problems);
        few(self.agent.default_roles.len(), &agent.field("default-roles"), problems);
        few(self.broker.actions.len(), &broker.field("actions"), problems);
        few(self.run_hook.environment.len(), &hook.field("environment"), problems);
        few(self.messenger.spaces.len(), &root.field("messenger").field("spaces"), problems);
        for (index, grant) in self.http.iter().enumerate() {
            let place = root.field("http").item(index);
            few(grant.hosts.len(), &place.field("hosts"), problems);
            few(grant.paths.len(), &place.field("paths"), problems);
        }
        for (index, grant) in self.sockets.iter().enumerate() {
            few(grant.hosts.len(), &root.field("sockets").item(index).field("hosts"), problems);
        }
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
        let jobs = root.field("jobs");
        unique(self.jobs.iter().map(|job| job.name.as_str()), &jobs, problems);
        for (index, job) in self.jobs.iter().enumerate() {
            job.check(&jobs.item(index), problems);
        }
        let widgets = root.field("widgets");
        unique(self.widgets.iter().map(|widget| widget.name.as_str()), &widgets, problems);
        for (index, widget) in self.widgets.iter().enumerate() {
            let place = widgets.item(index);
            problems.unless(is_plain(&widget.name), &place.field("name"), format!("`{}`: {PLAIN}", widget.name));
            problems.unless(!widget.label.trim().is_empty(), &place.field("label"), "is empty");
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
