//! What a manifest asks for: in words, for who agrees to it, and right by right, so that an update
//! which wants more is seen to.
//!
//! Every struct is taken apart field by field: a new field of the manifest does not compile until it
//! is said here whether it is a right.

mod words;

use std::collections::BTreeMap;

use super::{
    capabilities::{credentials, folders, history, http, inbox, kv, media, messenger, sockets, tasks, timers},
    exports::Interface,
    manifest::{Agent, Broker, Cli, Limits, Manifest, RunHook, Variable},
};
pub use words::in_words;

/// The rights of a manifest, or those that were agreed to.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Rights(BTreeMap<String, u64>);

impl Rights {
    pub fn of(manifest: &Manifest) -> Self {
        let mut rights = Self::default();
        rights.add_manifest(manifest);
        rights
    }

    /// What is in here and not in `agreed`, for people.
    pub fn beyond(&self, agreed: &Self) -> Vec<String> {
        let more = self.0.iter().filter(|(right, amount)| agreed.0.get(*right).is_none_or(|agreed| agreed < *amount));
        let more =
            more.filter(|(right, _)| !right.starts_with(SENSITIVE)).map(|(right, amount)| match agreed.0.get(right) {
                Some(agreed) => format!("{right}: {amount}, up from {agreed}"),
                None if *amount == HELD => right.clone(),
                None => format!("{right}: {amount}"),
            });
        let restrictions = agreed.0.keys().filter(|right| right.starts_with(SENSITIVE));
        let lost = restrictions.filter(|right| !self.0.contains_key(*right)).map(|right| format!("no longer {right}"));
        more.chain(lost).collect()
    }

    /// Whether the plugin closes something, so that the host must not run without it.
    pub(super) fn are_essential(&self) -> bool {
        let guards = Interface::ALL.iter().filter(|interface| interface.is_guard());
        let required = [REQUIRED, REQUIRED_HOOK].into_iter().any(|right| self.0.contains_key(right));
        required || guards.map(|guard| providing(*guard)).any(|right| self.0.contains_key(&right))
    }

    fn hold(&mut self, right: impl Into<String>) {
        self.0.insert(right.into(), HELD);
    }

    fn up_to(&mut self, right: impl Into<String>, amount: u64) {
        if amount > 0 {
            let held = self.0.entry(right.into()).or_default();
            *held = amount.max(*held);
        }
    }

    fn add_manifest(&mut self, manifest: &Manifest) {
        let Manifest {
            // Who it is, is no right.
            name: _,
            version: _,
            description: _,
            component: _,
            settings,
            order: _,
            enabled_by_default: _,
            depends: _,
            // Only called through `provides`.
            jobs: _,
            widgets: _,
            connection,
            provides,
            required,
            override_errors,
            limits,
            agent,
            run_hook,
            broker,
            http,
            secrets,
            kv,
            media,
            sockets,
            timers,
            messenger,
            inbox,
            history,
            tasks,
            folders,
        } = manifest;
        for interface in provides {
            self.hold(providing(*interface));
        }
        if let Some(connection) = connection.as_ref().filter(|connection| connection.sensitive) {
            let grant = secrets.iter().find(|grant| connection.secret.as_ref() == Some(&grant.name));
            let active =
                grant.map_or_else(|| "it keeps something".to_owned(), |grant| format!("{} is set", grant.variable));
            self.hold(format!("{SENSITIVE} while {active}"));
        }
        if *required {
            self.hold(REQUIRED);
        }
        if *override_errors {
            self.hold("result-processor override-errors");
        }
        // What an operator may set is none either, but what is read of the host's own configuration is.
        for key in settings.values().filter_map(|setting| setting.config.as_ref()) {
            self.hold(format!("configuration {key}"));
        }
        self.add_limits(limits);
        self.add_agent(agent);
        self.add_run_hook(run_hook, provides.contains(&Interface::RunHook));
        self.add_broker(broker);
        http.iter().for_each(|grant| self.add_http(grant));
        secrets.iter().for_each(|grant| self.add_secret(grant));
        let kv::Grant { quota_bytes } = *kv;
        self.up_to("kv quota-bytes", quota_bytes);
        self.add_media(media);
        sockets.iter().for_each(|grant| self.add_socket(grant));
        let timers::Grant { most } = *timers;
        self.up_to("timers most", most.into());
        self.add_messenger(messenger);
        if let Some(inbox::Grant { platform }) = inbox {
            self.hold(format!("inbox {platform}"));
        }
        let history::Grant { read } = *history;
        if read {
            self.hold("history read");
        }
        let tasks::Grant { per_day } = *tasks;
        self.up_to("tasks per-day", per_day.into());
        folders.iter().for_each(|grant| self.add_folder(grant));
    }

    fn add_limits(&mut self, limits: &Limits) {
        let Limits { memory_mib, deadline_ms, concurrency, host_calls, result_kib } = *limits;
        self.up_to("limits memory-mib", memory_mib.into());
        self.up_to("limits deadline-ms", deadline_ms.into());
        self.up_to("limits concurrency", concurrency.into());
        self.up_to("limits host-calls", host_calls.into());
        self.up_to("limits result-kib", result_kib.into());
    }

    fn add_run_hook(&mut self, hook: &RunHook, is_provided: bool) {
        let RunHook { optional, environment, deadline_s: _ } = hook;
        if !optional && is_provided {
            self.hold(REQUIRED_HOOK);
        }
        for name in environment {
            self.hold(format!("run-hook environment {name}"));
        }
    }

    fn add_broker(&mut self, broker: &Broker) {
        let Broker { actions, per_minute: _ } = broker;
        for action in actions {
            self.hold(format!("broker action {}", action.name));
        }
    }

    fn add_media(&mut self, media: &media::Grant) {
        let media::Grant { read, create, quota_mib } = *media;
        if read || create {
            self.up_to("media quota-mib", quota_mib.into());
        }
        for (held, right) in [(read, "media read"), (create, "media create")] {
            if held {
                self.hold(right);
            }
        }
    }

    fn add_socket(&mut self, grant: &sockets::Grant) {
        let sockets::Grant { hosts, plain } = grant;
        for host in hosts {
            self.hold(format!("socket {host}"));
            if *plain {
                self.hold(format!("socket {host} plain"));
            }
        }
    }

    fn add_messenger(&mut self, grant: &messenger::Grant) {
        let messenger::Grant { spaces, per_minute } = grant;
        for space in spaces {
            self.hold(format!("messenger {space}"));
        }
        // No space has such a name: one called `per-minute` would pass for the amount.
        self.up_to("messenger: per-minute", per_minute.unwrap_or_default().into());
    }

    fn add_folder(&mut self, grant: &folders::Grant) {
        let folders::Grant { space_folder, write } = grant;
        self.hold(format!("folder {space_folder}"));
        if *write {
            self.hold(format!("folder {space_folder} write"));
        }
    }

    fn add_agent(&mut self, agent: &Agent) {
        let Agent { permission, default_roles, skill, requires: _, clis, env } = agent;
        if skill.is_some() {
            self.hold("agent skill");
        }
        for role in default_roles {
            self.hold(format!("agent for role {role}"));
        }
        if !permission {
            self.hold("agent for everybody");
        }
        for Cli { name, install, bin } in clis {
            self.hold(format!("agent cli {name}"));
            if bin.is_some() {
                self.hold(format!("agent cli {name} of its own"));
            }
            if !install.trim().is_empty() {
                self.hold(format!("agent cli {name} install {}", install.trim()));
            }
        }
        for Variable { name, given_as, host_only: _ } in env.iter().filter(|variable| !variable.host_only) {
            self.hold(format!("agent env {name} for callers with its permission"));
            if !permission {
                self.hold(format!("agent env {name} for everybody"));
            }
            // Programs do what some names say.
            if let Some(given_as) = given_as {
                self.hold(format!("agent env {name} as {given_as}"));
            }
        }
    }

    fn add_http(&mut self, grant: &http::Grant) {
        let http::Grant { hosts, methods, paths, max_response_mib, max_download_mib, plain, per_minute } = grant;
        let everything = ["/**".to_owned()];
        let paths = if paths.is_empty() { everything.as_slice() } else { paths.as_slice() };
        for host in hosts {
            for method in methods {
                for path in paths {
                    self.hold(format!("http {method} {host}{path}"));
                }
            }
            if *plain {
                self.hold(format!("http {host} plain"));
            }
            self.up_to(format!("http {host} max-response-mib"), (*max_response_mib).into());
            self.up_to(format!("http {host} max-download-mib"), (*max_download_mib).into());
            self.up_to(format!("http {host} per-minute"), (*per_minute).into());
        }
    }

    fn add_secret(&mut self, grant: &credentials::Grant) {
        let credentials::Grant { name: _, variable, hosts, description: _, optional: _, compare: _ } = grant;
        self.hold(format!("secret {variable}"));
        for host in hosts {
            self.hold(format!("secret {variable} to {host}"));
        }
        if grant.compares() {
            self.hold(format!("secret {variable} compared"));
        }
    }
}

/// How a restriction begins, which is the contrary of a right: who has one more needs no consent, who has one
/// less may do more.
const SENSITIVE: &str = "sensitive connection";
/// The amount of a right that has none.
const HELD: u64 = 1;

const REQUIRED: &str = "result-processor required";
const REQUIRED_HOOK: &str = "run-hook required";

fn providing(interface: Interface) -> String {
    format!("provides {}", interface.name())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const BASE: &str = r#"
name = "x"
version = "1.0.0"
component = "x.wasm"
provides = ["result-processor", "broker"]
[limits]
memory-mib = 64
[[http]]
hosts = ["api.example.com"]
methods = ["GET"]
paths = ["/v1/*"]
[[secrets]]
name = "token"
variable = "MERCURY_X_TOKEN"
hosts = ["api.example.com"]
[kv]
quota-bytes = 65536
[[folders]]
space-folder = "notes"
[[broker.actions]]
name = "look-up"
[agent]
permission = true
[[agent.env]]
name = "MERCURY_X_KEY"
[[agent.clis]]
name = "x"
install = "npm install -g x"
"#;

    fn manifest(text: &str) -> Manifest {
        Manifest::parse(Path::new("plugin.toml"), text).unwrap()
    }

    #[test]
    fn what_is_agreed_to_is_said_in_words() {
        insta::assert_snapshot!(in_words(&manifest(BASE)).join("\n"), @r#"
        read and change every reply
        work when the agent calls it
        exchange data with api.example.com (GET, only /v1/*)
        use the secret MERCURY_X_TOKEN without seeing it, only for api.example.com
        read the folder `notes` of every space
        keep up to 64 KiB of its own state
        offer the agent: look-up
        run as root while the agent's image is built, for `x`: npm install -g x
        show the value of MERCURY_X_KEY to agents of callers with its permission
        use 64 MiB of memory and 200 ms of computing time in a call, 8 calls at once
        "#);
    }

    /// extensions.md #28: whatever is widened is seen; what is narrowed needs no consent.
    #[test]
    fn what_goes_beyond_is_seen() {
        let agreed = Rights::of(&manifest(BASE));
        assert!(agreed.beyond(&agreed).is_empty());
        for (from, to, more) in [
            (
                "hosts = [\"api.example.com\"]\nmethods",
                "hosts = [\"api.example.com\", \"api.evil.example\"]\nmethods",
                "http GET api.evil.example/v1/*",
            ),
            ("methods = [\"GET\"]", "methods = [\"GET\", \"POST\"]", "http POST api.example.com/v1/*"),
            ("paths = [\"/v1/*\"]", "paths = []", "http GET api.example.com/**"),
            ("paths = [\"/v1/*\"]", "paths = [\"/v1/*\"]\nplain = true", "http api.example.com plain"),
            ("65536", "65537", "kv quota-bytes: 65537, up from 65536"),
            ("memory-mib = 64", "memory-mib = 128", "limits memory-mib: 128, up from 64"),
            ("space-folder = \"notes\"", "space-folder = \"notes\"\nwrite = true", "folder notes write"),
            ("permission = true", "permission = false", "agent env MERCURY_X_KEY for everybody"),
            ("install -g x", "install -g y", "agent cli x install npm install -g y"),
            ("MERCURY_X_TOKEN", "MERCURY_GITHUB_TOKEN", "secret MERCURY_GITHUB_TOKEN"),
            ("\"broker\"]", "\"broker\", \"tool-guard\"]", "provides tool-guard"),
            ("name = \"look-up\"", "name = \"delete\"", "broker action delete"),
            ("[kv]", "[history]\nread = true\n[kv]", "history read"),
            ("[kv]", "[messenger]\nspaces = [\"*\"]\n[kv]", "messenger *"),
            ("[kv]", "[settings.who]\nconfig = \"permissions.admins\"\n[kv]", "configuration permissions.admins"),
            ("install = \"npm install -g x\"", "install = \"npm install -g x\"\nbin = \"x\"", "agent cli x of its own"),
            (
                "name = \"MERCURY_X_KEY\"",
                "name = \"MERCURY_X_KEY\"\nas = \"GIT_SSH_COMMAND\"",
                "agent env MERCURY_X_KEY as GIT_SSH_COMMAND",
            ),
        ] {
            assert!(BASE.contains(from), "{from}");
            let wanted = Rights::of(&manifest(&BASE.replace(from, to)));
            let beyond = wanted.beyond(&agreed);
            assert!(beyond.iter().any(|right| right == more), "{to}: {beyond:?}");
        }
        for (from, to) in [
            ("65536", "100"),
            ("permission = true", "permission = true\n[settings.more]\ndefault = \"1\""),
            ("version = \"1.0.0\"", "version = \"2.0.0\"\ndescription = \"new\""),
            ("\"result-processor\", ", ""),
        ] {
            assert!(BASE.contains(from), "{from}");
            let wanted = Rights::of(&manifest(&BASE.replace(from, to)));
            assert_eq!(wanted.beyond(&agreed), Vec::<String>::new(), "{to}");
        }
    }

    /// What is sensitive may become so unasked, but not cease to be, nor hang on another secret.
    #[test]
    fn a_restriction_is_not_lost_unseen() {
        let with = |secret: &str, sensitive: bool| {
            let more = "[[secrets]]\nname = \"other\"\nvariable = \"MERCURY_X_OTHER\"\n[connection]\ndisplay-name = \"X\"\n\
                        category = \"email\"\nauth-type = \"oauth2\"\n";
            Rights::of(&manifest(&format!("{BASE}{more}secret = \"{secret}\"\nsensitive = {sensitive}\n")))
        };
        let (agreed, open) = (with("token", true), with("token", false));
        assert!(agreed.beyond(&open).is_empty() && agreed.beyond(&agreed).is_empty());
        let lost = ["no longer sensitive connection while MERCURY_X_TOKEN is set"];
        assert_eq!(open.beyond(&agreed), lost);
        assert_eq!(with("other", true).beyond(&agreed), lost);
        assert_eq!(Rights::of(&manifest(BASE)).beyond(&agreed), lost, "without any connection");
    }

    /// A space with the name of an amount does not pass for it.
    #[test]
    fn a_right_is_no_amount_of_another() {
        let with = |spaces: &str| manifest(&format!("{BASE}[messenger]\nper-minute = 600\nspaces = [{spaces}]\n"));
        let agreed = Rights::of(&with("\"a\""));
        let wanted = Rights::of(&with("\"a\", \"per-minute\""));
        assert_eq!(wanted.beyond(&agreed), ["messenger per-minute"]);
    }
}
