//! Rights in words, for who agrees to them.

use crate::domain::space_settings;
use crate::plugins::{
    capabilities::{credentials, folders, http, inbox, sockets},
    exports::Interface,
    manifest::{Connection, Limits, Manifest},
};

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
    words.extend(manifest.connection.iter().map(of_connection));
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
    let configured: Vec<&str> = manifest.settings.values().filter_map(|setting| setting.config.as_deref()).collect();
    if !configured.is_empty() {
        words.push(format!("know of the host's own configuration: {}", configured.join(", ")));
    }
    of_agent(manifest, &mut words);
    let Limits { memory_mib, deadline_ms, concurrency, .. } = manifest.limits;
    words.push(format!(
        "use {memory_mib} MiB of memory and {deadline_ms} ms of computing time in a call, {concurrency} calls at once"
    ));
    words
}

fn of_connection(connection: &Connection) -> String {
    let name = connection.display_name.trim();
    match connection.sensitive {
        false => format!("stand for the connection {name}"),
        true => format!(
            "stand for the sensitive connection {name}: while it is active, agents of spaces with a group run only where {} is true",
            space_settings::SENSITIVE_ALLOWED
        ),
    }
}

/// What the agent and its image get.
fn of_agent(manifest: &Manifest, words: &mut Vec<String>) {
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
        let install = cli.install.trim();
        if cli.bin.is_some() || install.is_empty() {
            words.push(format!("put its program `{}` into the agent's image", cli.name));
        }
        if !install.is_empty() {
            words.push(format!("run as root while the agent's image is built, for `{}`: {install}", cli.name));
        }
    }
    let to = if manifest.agent.permission { "agents of callers with its permission" } else { "every agent" };
    for variable in manifest.agent.env.iter().filter(|variable| !variable.host_only) {
        let given_as = variable.given_as.as_ref().map(|name| format!(" as {name}")).unwrap_or_default();
        words.push(format!("show the value of {} to {to}{given_as}", variable.name));
    }
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
        Interface::ConnectionStatus => Some("be asked how its connection stands"),
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
