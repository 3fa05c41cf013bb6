//! `parley`, a chat platform that is made up: it lies in the state of its own adapter
//! (`components/fixtures/chat`), which tests reach by its webhook and whose record they read.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    host::{Answer, Host, Setup},
    plugins::fixture,
};

const PATIENCE: Duration = Duration::from_secs(180);

/// A host with the adapter. Direct conversations get their spaces by themselves.
pub fn prepare(setup: Setup, settings: &[(&str, &str)], more: &str) -> Host {
    let host = setup.set("MERCURY_DM_AUTO_SPACE_ENABLED", "true").prepare();
    let folder = host.data_dir().join("plugins/parley");
    std::fs::create_dir_all(&folder).unwrap();
    let mut manifest = String::from(
        "name = \"parley\"\nversion = \"0.1.0\"\ncomponent = \"chat.wasm\"\n\
         provides = [\"chat-adapter\", \"poller\", \"webhook\", \"message-editor\", \"presence\", \"timer\", \"socket-client\"]\n\
         [limits]\ndeadline-ms = 5000\n[inbox]\nplatform = \"parley\"\n[kv]\nquota-bytes = 10000000\n\
         [media]\nread = true\ncreate = true\n[timers]\nmost = 2\n[messenger]\nspaces = [\"*\"]\n",
    );
    for (name, value) in settings {
        manifest.push_str(&format!("[settings.{name}]\ndescription = \"for the suites\"\ndefault = \"{value}\"\n"));
    }
    manifest.push_str(more);
    std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
    std::fs::copy(fixture("chat"), folder.join("chat.wasm")).unwrap();
    host
}

/// The same, started, with the adapter running.
pub async fn start(settings: &[(&str, &str)]) -> Host {
    let mut host = prepare(Setup::scripted("runc"), settings, "");
    host.start().await;
    running(&host).await;
    host
}

/// Waits until the adapter runs.
pub async fn running(host: &Host) {
    until(host, "the adapter runs", async || {
        let health = host.health().await?;
        (health["adapters"]["parley"] == true).then_some(())
    })
    .await;
}

/// Waits until `look` sees something.
pub async fn until<T>(host: &Host, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "not seen: {what}; calls {:#?}; the log:\n{}", calls(host), host.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn post(host: &Host, path: &str, body: &Value) -> Answer {
    let path = format!("/webhooks/parley{path}");
    let body = Bytes::from(body.to_string());
    host.request("POST", &path, &[("x-parley", "known")], body).await.unwrap()
}

/// Hands events over at once, and returns what became of them.
pub async fn bring(host: &Host, events: &[Value]) -> String {
    let answer = post(host, "", &json!(events)).await;
    assert_eq!(answer.status, 200, "{answer:?}; the log:\n{}", host.log());
    answer.body.as_str().unwrap().to_owned()
}

/// Says how the next calls of that name end.
pub async fn script(host: &Host, name: &str, steps: &[&str]) {
    assert_eq!(post(host, "/script", &json!({ name: steps })).await.status, 200);
}

/// Every call of the adapter so far, whether a host runs or not.
pub fn calls(host: &Host) -> Vec<Value> {
    let sql = "SELECT json_group_array(json(value)) FROM (SELECT CAST(value AS TEXT) AS value FROM plugin_kv
               WHERE plugin = 'parley' AND key LIKE 'call/%' ORDER BY key)";
    let all: String = host.query(sql).unwrap_or_else(|| "[]".into());
    serde_json::from_str(&all).unwrap()
}

/// Calls of one name, without the messages that show a long run's progress: how long a run takes is the machine's
/// affair.
pub fn called(host: &Host, name: &str) -> Vec<Value> {
    calls(host).into_iter().filter(|call| call["call"] == name && !is_progress(call)).collect()
}

/// Whether the call carries a long run's progress.
pub fn is_progress(call: &Value) -> bool {
    call["id"].as_str().is_some_and(|id| id.starts_with("progress-"))
}

/// Waits until the adapter was asked to deliver this text, and returns the call.
pub async fn delivered(host: &Host, text: &str) -> Value {
    until(host, text, async || {
        called(host, "deliver").into_iter().find(|call| call["text"].as_str().unwrap().contains(text))
    })
    .await
}

/// A message to the bot in a conversation of its own.
pub fn direct(id: &str, text: &str) -> Value {
    json!({ "id": id, "conversation": "ada", "direct": true, "author": "ada", "name": "Ada", "text": text })
}

/// A message in a group.
pub fn group(id: &str, text: &str) -> Value {
    json!({ "id": id, "conversation": "team", "author": "ada", "name": "Ada", "text": text, "title": "Team" })
}

/// Runs a command of the operator, and returns what it printed.
pub fn command(host: &Host, arguments: &[&str]) -> String {
    let output = host.command(arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    out.into_owned()
}

/// Lets the group be seen and links it to `main`.
pub async fn link_group(host: &Host) {
    assert_eq!(bring(host, &[group("first", "@Mercury hi")]).await, "[Outcome::Ignored]");
    command(host, &["conversations", "link", "parley:team", "main"]);
}
