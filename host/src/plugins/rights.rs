//! What a manifest asks for: in words, for who agrees to it, and right by right, so that an update
//! which wants more is seen to.
//!
//! Every struct is taken apart field by field: a new field of the manifest does not compile until it
//! is said here whether it is a right.

use std::collections::BTreeMap;

use super::{
    capabilities::{credentials, folders, history, http, inbox, kv, media, messenger, sockets, tasks, timers},
    exports::Interface,
    manifest::{Agent, Broker, Limits, Manifest, RunHook},
};

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
        more.map(|(right, amount)| match agreed.0.get(right) {
            Some(agreed) => format!("{right}: {amount}, up from {agreed}"),
            None if *amount == HELD => right.clone(),
            None => format!("{right}: {amount}"),
        })
        .collect()
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
            // Who it is and what an operator may set are no rights.
            name: _,
            version: _,
            description: _,
            component: _,
            settings: _,
            // Only called through `provides`.
            jobs: _,
            widgets: _,
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
        if *required {
            self.hold(REQUIRED);
        }
        if *override_errors {
            self.hold("result-processor override-errors");
        }
        let Limits { memory_mib, deadline_ms, concurrency, host_calls, result_kib } = *limits;
        self.up_to("limits memory-mib", memory_mib.into());
        self.up_to("limits deadline-ms", deadline_ms.into());
        self.up_to("limits concurrency", concurrency.into());
        self.up_to("limits host-calls", host_calls.into());
        self.up_to("limits result-kib", result_kib.into());
        self.add_agent(agent);
        let RunHook { optional, environment } = run_hook;
        if !optional && provides.contains(&Interface::RunHook) {
            self.hold(REQUIRED_HOOK);
        }
        for name in environment {
            self.hold(format!("run-hook environment {name}"));
        }
        let Broker { actions, per_minute: _ } = broker;
        for action in actions {
            self.hold(format!("broker action {}", action.name));
        }
        http.iter().for_each(|grant| self.add_http(grant));
        secrets.iter().for_each(|grant| self.add_secret(grant));
        let kv::Grant { quota_bytes } = *kv;
        self.up_to("kv quota-bytes", quota_bytes);
        let media::Grant { read, create, quota_mib } = *media;
        if read || create {
            self.up_to("media quota-mib", quota_mib.into());
        }
        for (held, right) in [(read, "media read"), (create, "media create")] {
            if held {
                self.hold(right);
            }
        }
        for sockets::Grant { hosts, plain } in sockets {
            for host in hosts {
                self.hold(format!("socket {host}"));
                if *plain {
                    self.hold(format!("socket {host} plain"));
                }
            }
        }
        let timers::Grant { most } = *timers;
        self.up_to("timers most", most.into());
        let messenger::Grant { spaces, per_minute } = messenger;
        for space in spaces {
            self.hold(format!("messenger {space}"));
        }
        self.up_to("messenger per-minute", per_minute.unwrap_or_default().into());
        if let Some(inbox::Grant { platform }) = inbox {
            self.hold(format!("inbox {platform}"));
        }
        let history::Grant { read } = *history;
        if read {
            self.hold("history read");
        }
        let tasks::Grant { per_day } = *tasks;
        self.up_to("tasks per-day", per_day.into());
        for folders::Grant { space_folder, write } in folders {
            self.hold(format!("folder {space_folder}"));
            if *write {
                self.hold(format!("folder {space_folder} write"));
            }
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
        for cli in clis {
            self.hold(format!("agent cli {}", cli.name));
            if !cli.install.trim().is_empty() {
                self.hold(format!("agent cli {} install {}", cli.name, cli.install.trim()));
            }
        }
        for variable in env.iter().filter(|variable| !variable.host_only) {
            self.hold(format!("agent env {} for callers with its permission", variable.name));
            if !permission {
                self.hold(format!("agent env {} for everybody", variable.name));
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
        let credentials::Grant { name: _, variable, hosts, description: _, optional: _ } = grant;
        self.hold(format!("secret {variable}"));
        for host in hosts {
            self.hold(format!("secret {variable} to {host}"));
        }
    }
}

/// The amount of a right that has none.
const HELD: u64 = 1;

const REQUIRED: &str = "result-processor required";
const REQUIRED_HOOK: &str = "run-hook required";

fn providing(interface: Interface) -> String {
    format!("provides {}", interface.name())
}

/// What an operator agrees to, a sentence's rest for each: "it may …".
pub fn in_words(manifest: &Manifest) -> Vec<String> {
    let mut words: Vec<String> =
        manifest.provides.iter().filter_map(|&it| of_interface(it)).map(str::to_owned).collect();
    if manifest.required {
        words.push("withhold every reply when it fails".into());
    }
    if manifest.override_errors {
        words.push("put an answer of its own in the place of a failure".into());
    }
    if manifest.provides(Interface::RunHook) && !manifest.run_hook.optional {
        words.push("keep everything from running when it fails".into());
    }
    words.extend(manifest.inbox.iter().map(inbox::Grant::in_words));
    words.extend(manifest.http.iter().map(http::Grant::in_words));
    words.extend(manifest.sockets.iter().map(sockets::Grant::in_words));
    words.extend(manifest.secrets.iter().map(credentials::Grant::in_words));
    words.extend(manifest.messenger.in_words());
    words.extend(manifest.history.in_words());
    words.extend(manifest.folders.iter().map(folders::Grant::in_words));
    words.extend(manifest.media.in_words());
    words.extend(manifest.tasks.in_words());
    words.extend(manifest.timers.in_words());
    words.extend(manifest.kv.in_words());
    if !manifest.broker.actions.is_empty() {
        let actions: Vec<&str> = manifest.broker.actions.iter().map(|action| action.name.as_str()).collect();
        words.push(format!("offer the agent: {}", actions.join(", ")));
    }
    if !manifest.run_hook.environment.is_empty() {
        words.push(format!("set variables for the agent: {}", manifest.run_hook.environment.join(", ")));
    }
    if manifest.agent.skill.is_some() {
        words.push("tell the agent how to work (a skill)".into());
    }
    if !manifest.agent.default_roles.is_empty() {
        words.push(format!("serve, beside admins: {}", manifest.agent.default_roles.join(", ")));
    }
    for cli in &manifest.agent.clis {
        match cli.install.trim() {
            "" => words.push(format!("put its program `{}` into the agent's image", cli.name)),
            install => {
                words.push(format!("run as root while the agent's image is built, for `{}`: {install}", cli.name))
            }
        }
    }
    let to = if manifest.agent.permission { "agents of callers with its permission" } else { "every agent" };
    for variable in manifest.agent.env.iter().filter(|variable| !variable.host_only) {
        words.push(format!("show the value of {} to {to}", variable.name));
    }
    let Limits { memory_mib, deadline_ms, concurrency, .. } = manifest.limits;
    words.push(format!(
        "use {memory_mib} MiB of memory and {deadline_ms} ms of computing time in a call, {concurrency} calls at once"
    ));
    words
}

fn of_interface(interface: Interface) -> Option<&'static str> {
    match interface {
        Interface::Webhook => Some("take web requests from anybody who can reach the host"),
        Interface::PromptGuard => Some("read every message to the agent, and refuse it"),
        Interface::ToolGuard => Some("see every tool call of the agent, refuse it, or have somebody asked"),
        Interface::ApiGuard => Some("see what the agent asks of the host, and refuse it"),
        Interface::EgressGuard => Some("see where the agent connects to, and refuse it"),
        Interface::RunHook => Some("read every message before the agent does, add to it, or refuse it"),
        Interface::ResultProcessor => Some("read and change every reply"),
        Interface::Broker => Some("work when the agent calls it"),
        Interface::Job => Some("work by itself at set times"),
        Interface::Widget => Some("show panels on the dashboard"),
        Interface::Lifecycle => Some("work when the host starts, stops, and gets a new space"),
        // Said by the grant that they come with.
        Interface::ChatAdapter
        | Interface::Poller
        | Interface::SocketClient
        | Interface::MessageEditor
        | Interface::Presence
        | Interface::Timer
        | Interface::TaskListener => None,
    }
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
            ("install = \"npm install -g x\"", "bin = \"x\""),
            ("\"result-processor\", ", ""),
        ] {
            assert!(BASE.contains(from), "{from}");
            let wanted = Rights::of(&manifest(&BASE.replace(from, to)));
            assert_eq!(wanted.beyond(&agreed), Vec::<String>::new(), "{to}");
        }
    }
}
