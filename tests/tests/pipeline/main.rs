//! What decides about a message between an adapter and an agent, through the built binary.
#![allow(clippy::unwrap_used)]

mod aliases;
mod batches;
mod commands;
mod context;
mod files;
mod limits;
mod queue;
mod spaces;
mod triggers;

use bytes::Bytes;
use mercury_tests::{
    host::{Answer, Host, Setup},
    parley::{self, called},
};
use serde_json::{Value, json};

/// A host with the platform `parley`; Ada is the operator's admin there.
async fn start(setup: Setup) -> Host {
    let mut host = parley::prepare(setup.set("MERCURY_ADMINS", "parley:ada"), &[], "");
    host.start().await;
    parley::running(&host).await;
    host
}

async fn scripted() -> Host {
    start(Setup::scripted("runc")).await
}

/// A message of Bob's, who is nobody in particular, to the bot alone.
fn bob(id: &str, text: &str) -> Value {
    json!({ "id": id, "conversation": "bob", "direct": true, "author": "bob", "name": "Bob", "text": text })
}

/// Sends a message and waits for what is said to it.
async fn say(host: &Host, message: Value, expected: &str) {
    let before = called(host, "deliver").len();
    assert_eq!(parley::bring(host, std::slice::from_ref(&message)).await, "[Outcome::Accepted]");
    let said = parley::until(host, expected, async || called(host, "deliver").get(before).cloned()).await;
    let text = said["text"].as_str().unwrap();
    assert!(text.contains(expected), "{message} is answered with {text:?}, not {expected:?}");
}

/// What was said, in order.
fn said(host: &Host) -> Vec<String> {
    called(host, "deliver").iter().map(|call| call["text"].as_str().unwrap().to_owned()).collect()
}

/// Waits until every message is decided.
async fn decided(host: &Host) {
    host.until("SELECT CAST(count(*) AS TEXT) FROM inbound WHERE decided = 0", "0").await;
}

/// A request of the operator, for an admin in a space.
async fn as_operator(host: &Host, method: &str, path: &str, space: &str, body: &Value) -> Answer {
    let headers =
        [("x-mercury-caller", "parley:ada"), ("x-mercury-space", space), ("content-type", "application/json")];
    host.request(method, path, &headers, Bytes::from(body.to_string())).await.unwrap()
}

async fn set(host: &Host, space: &str, key: &str, value: &str) {
    let answer =
        as_operator(host, "PUT", "/api/config", space, &json!({ "key": key, "value": value, "space": space })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}
