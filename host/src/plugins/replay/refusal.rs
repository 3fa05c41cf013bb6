//! What the host would refuse of a call whose answer is recorded.
//!
//! A recording says what the outside answered, not what the manifest grants: a component that reaches
//! beyond it must fail here as it would in a running host. So the host's own code looks at each such
//! call, with a word in the place of every secret, up to the point where it would send something.

use std::collections::{BTreeMap, BTreeSet};

use mercury_bindings::mercury::plugin::{
    credentials::{Credential, Place},
    http::{Body, Request},
    types::Content,
};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Value, json};

use super::{recording::Recording, serial, values};
use crate::plugins::{exports::Interface, manifest::Manifest, state::State};

/// Stands for each secret; long enough to be compared with.
const SECRET: &str = "a-secret-of-the-operator";
/// What is refused while a result is processed, as `wit/run.wit` says.
const NOT_WHILE_PROCESSING: &[&str] = &["messenger", "identities", "inbox", "sockets", "tasks"];

pub(super) struct Refusal {
    /// For the author.
    pub(super) reason: String,
    /// What the component is told.
    pub(super) answer: Value,
}

/// Whether the host did what was asked.
pub(super) fn succeeded(answer: &Value) -> bool {
    answer.get("ok").is_some()
}

/// What the fresh store and the manifest cannot answer.
pub(super) fn needs_recording(interface: &str) -> bool {
    !matches!(interface, "kv" | "settings" | "signatures" | "log")
}

/// What the manifest lacks, where it grants nothing of the interface.
pub(super) fn missing(manifest: &Manifest, interface: &str) -> Option<String> {
    manifest.ungranted(&BTreeSet::from([interface.to_owned()])).pop()
}

/// Why a recording cannot come from a host that runs this plugin: it holds a success of something that
/// the manifest does not grant at all.
pub(super) fn of_recording(manifest: &Manifest, recording: &Recording) -> Option<String> {
    recording.traffic.iter().filter(|exchange| succeeded(&exchange.answer)).find_map(|exchange| {
        let (interface, _) = exchange.call.split_once('.')?;
        let why =
            if recording.interface == Interface::ResultProcessor.name() && NOT_WHILE_PROCESSING.contains(&interface) {
                "a result processor may reach nobody".to_owned()
            } else {
                format!("{}, which plugin.toml does not have", missing(manifest, interface)?)
            };
        Some(format!("traffic: the host refuses {}: {why}", exchange.call))
    })
}

/// A value for every secret that the manifest names.
pub(super) fn secrets(manifest: &Manifest) -> BTreeMap<String, SecretString> {
    manifest.secrets.iter().map(|grant| (grant.variable.clone(), SecretString::from(SECRET))).collect()
}

/// What the host says to the call instead of doing it, if it does not do it.
pub(super) async fn of(state: &mut State, call: &str, arguments: &Value) -> Option<Refusal> {
    let text = |index: usize| arguments[index].as_str().unwrap_or_default().to_owned();
    match call {
        "http.fetch" | "http.download" => {
            let error = state.refused_request(request(&arguments[0])).await?;
            refusal(error.message.clone(), &error)
        }
        "sockets.open" => {
            let (headers, credentials) = (pairs(&arguments[2]), credentials(&arguments[3]));
            let error = state.refused_socket(&text(0), &text(1), headers, &credentials)?;
            refusal(error.message.clone(), &error)
        }
        "credentials.matches" | "credentials.hmac-sha256" => {
            let error = state.refused_comparison(&text(0))?;
            refusal(error.to_string(), &mercury_bindings::mercury::plugin::credentials::Error::from(error))
        }
        _ => None,
    }
}

fn refusal(reason: String, error: &impl Serialize) -> Option<Refusal> {
    let answer = json!({ "err": serial::to_json(error).ok()? });
    Some(Refusal { reason, answer })
}

/// As far as a refusal depends on it: files and forms are left out.
fn request(json: &Value) -> Request {
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let content = &json["body"]["content"];
    let body = match (content["text"].as_str(), values::bytes_from_json(&content["bytes"])) {
        (Some(text), _) => Body::Content(Content::Text(text.to_owned())),
        (None, Some(bytes)) => Body::Content(Content::Bytes(bytes)),
        (None, None) => Body::Empty,
    };
    Request {
        method: text("method"),
        uri: text("uri"),
        headers: pairs(&json["headers"]),
        credentials: credentials(&json["credentials"]),
        body,
        timeout_ms: None,
    }
}

fn pairs(json: &Value) -> Vec<(String, String)> {
    json.as_array().into_iter().flatten().map(pair).collect()
}

fn pair(json: &Value) -> (String, String) {
    let text = |index: usize| json[index].as_str().unwrap_or_default().to_owned();
    (text(0), text(1))
}

fn credentials(json: &Value) -> Vec<Credential> {
    let read = |json: &Value| {
        let place = &json["place"];
        let text = |name: &str| place[name].as_str().map(str::to_owned);
        let place = match (place.get("header"), place.get("path-segment"), text("query"), text("json")) {
            (Some(header), ..) => Place::Header(pair(header)),
            (_, Some(segment), ..) => Place::PathSegment(pair(segment)),
            (.., Some(name), _) => Place::Query(name),
            (.., Some(pointer)) => Place::Json(pointer),
            _ => Place::Bearer,
        };
        Credential { secret: json["secret"].as_str().unwrap_or_default().to_owned(), place }
    };
    json.as_array().into_iter().flatten().map(read).collect()
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        plugins::{access::Access, services::Services, stats::Stats},
        store::Store,
    };

    const MANIFEST: &str = r#"
name = "p"
version = "1.0.0"
component = "p.wasm"
provides = ["chat-adapter", "socket-client"]

[inbox]
platform = "p"

[[http]]
hosts = ["api.example.com"]
paths = ["/v1/*", "/bot*/send"]

[[sockets]]
hosts = ["live.example.com"]

[[secrets]]
name = "token"
variable = "MERCURY_P_TOKEN"
hosts = ["api.example.com", "live.example.com"]

[[secrets]]
name = "webhook-token"
variable = "MERCURY_P_WEBHOOK_TOKEN"
"#;

    fn state(folder: &Path) -> State {
        let manifest = Manifest::parse(Path::new("plugin.toml"), MANIFEST).unwrap();
        let services = Services::new(Store::open(&folder.join("test.db")).unwrap()).with_secrets(secrets(&manifest));
        let access = Arc::new(Access::new(&manifest, None, &services).unwrap());
        let (manifest, services) = (Arc::new(manifest), Arc::new(services));
        State::new(Interface::ChatAdapter, manifest, Arc::default(), services, access, Arc::new(Stats::new()))
    }

    fn get(uri: &str, credentials: Value) -> Value {
        json!([{ "method": "GET", "uri": uri, "headers": [], "credentials": credentials, "body": "empty" }])
    }

    /// What a running host would refuse is refused, with the same words; all else is left to the recording.
    #[tokio::test]
    async fn the_hosts_own_checks_are_asked() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = state(folder.path());
        let token = |place: Value| json!([{ "secret": "token", "place": place }]);
        let body = |pointer: &str| {
            let mut call = get("https://api.example.com/v1/a", token(json!({ "json": pointer })));
            call[0]["body"] = json!({ "content": { "text": r#"{"key":"KEY"}"# } });
            call
        };
        let framed = {
            let mut call = get("https://api.example.com/v1/a", json!([]));
            call[0]["headers"] = json!([["content-length", "3"]]);
            call
        };
        let open = |uri: &str, place: Value| json!(["line", uri, [], token(place)]);
        let cases = [
            ("http.fetch", get("https://api.example.com/v1/a", token(json!("bearer"))), ""),
            ("http.fetch", get("https://api.example.com/v1/a", token(json!({ "header": ["x-key", "Bot "] }))), ""),
            ("http.fetch", get("https://api.example.com/v1/a", token(json!({ "query": "key" }))), ""),
            (
                "http.fetch",
                get("https://api.example.com/TOKEN/send", token(json!({ "path-segment": ["TOKEN", "bot"] }))),
                "",
            ),
            ("http.fetch", body("/key"), ""),
            ("http.fetch", body("/other"), "/other"),
            ("http.fetch", framed, "the header content-length is the host's to set"),
            (
                "http.fetch",
                get("https://api.example.com/v2/a", json!([])),
                "the path /v2/a of api.example.com is not granted",
            ),
            ("http.download", get("https://evil.example.com/v1/a", json!([])), "evil.example.com is not granted"),
            ("http.fetch", get("http://api.example.com/v1/a", json!([])), "without encryption"),
            (
                "http.fetch",
                get("https://api.example.com/v1/a", json!([{ "secret": "tokens", "place": "bearer" }])),
                "the secret `tokens` is not granted",
            ),
            (
                "http.fetch",
                get("https://api.example.com/v1/a", json!([{ "secret": "webhook-token", "place": "bearer" }])),
                "the secret `webhook-token` is not bound to api.example.com",
            ),
            ("sockets.open", open("wss://live.example.com/x", json!("bearer")), ""),
            ("sockets.open", open("wss://evil.example.com/x", json!("bearer")), "evil.example.com is not granted"),
            ("sockets.open", open("wss://live.example.com/x", json!({ "json": "/a" })), "belongs to a frame"),
            ("credentials.matches", json!(["webhook-token", "guess"]), ""),
            ("credentials.matches", json!(["token", "guess"]), "is only sent to its hosts"),
            ("credentials.hmac-sha256", json!(["nobody", "text"]), "the secret `nobody` is not granted"),
            ("inbox.accept", json!([[], null]), ""),
        ];
        for (call, arguments, expected) in cases {
            let refusal = of(&mut state, call, &arguments).await;
            let reason = refusal.as_ref().map(|refusal| refusal.reason.clone()).unwrap_or_default();
            assert_eq!(reason.is_empty(), expected.is_empty(), "{call} {arguments}: {reason}");
            assert!(reason.contains(expected), "{call} {arguments}: {reason}");
            assert!(refusal.is_none_or(|refusal| refusal.answer["err"].is_object()), "{call} {arguments}");
        }
    }
}
