//! The OpenAPI document against the running server.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use http_body_util::BodyExt;
use mercury_tests::host::Host;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};

use super::{BEARER, closed};

/// One operation of the document.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) description: Value,
}

impl Operation {
    /// Answers end only when the client goes.
    pub(super) fn is_endless(&self) -> bool {
        self.path.ends_with("/events")
    }

    pub(super) fn is_open(&self) -> bool {
        self.description["security"][0] == json!({})
    }

    pub(super) fn example(&self) -> Bytes {
        let example = &self.description["requestBody"]["content"]["application/json"]["example"];
        if example.is_null() { Bytes::new() } else { Bytes::from(example.to_string()) }
    }
}

/// All of them, the document as the server gives it.
pub(super) async fn operations(host: &Host) -> Vec<Operation> {
    let answer = host.request("GET", "/api/openapi.json", &[("authorization", BEARER)], Bytes::new()).await.unwrap();
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    let mut operations = Vec::new();
    for (path, methods) in answer.body["paths"].as_object().unwrap() {
        for (method, description) in methods.as_object().unwrap() {
            let method = method.to_uppercase();
            operations.push(Operation { method, path: path.clone(), description: description.clone() });
        }
    }
    assert!(operations.len() > 40);
    operations
}

/// What a client may send that nobody thought of, and what is nearly right.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "main",
            "x",
            "1",
            "0",
            "-1",
            "9999999999999999999999",
            "1.5",
            "12abc",
            "",
            " ",
            "..",
            "@global",
            "system",
            "admin",
            "member",
            "plugin:x",
            "api:ada",
            "%",
            "%00",
            "' OR 1=1 --",
            "\u{202e}",
            "ä",
            "true",
            "null",
            "🙂",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,40}",
        "[a-z0-9._:-]{1,70}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text().prop_map(Value::String),
        any::<i64>().prop_map(|number| json!(number)),
        any::<bool>().prop_map(|flag| json!(flag)),
        Just(Value::Null),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(text(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A body that is like the example, but for some of its fields; or something else altogether.
fn body(example: &Value) -> BoxedStrategy<Vec<u8>> {
    let example = example.as_object().cloned().unwrap_or_default();
    let names: Vec<String> = example.keys().cloned().chain(["more".to_owned()]).collect();
    let changed = prop::collection::btree_map(prop::sample::select(names), value(), 0..3);
    let near = changed.prop_map(move |changed: BTreeMap<String, Value>| {
        let mut body = example.clone();
        body.extend(changed);
        Value::Object(body).to_string().into_bytes()
    });
    prop_oneof![6 => near, 1 => value().prop_map(|value| value.to_string().into_bytes()), 1 => prop::collection::vec(any::<u8>(), 0..60)]
        .boxed()
}

fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// One request to the operation, from `runner`'s random.
fn request(operation: &Operation, runner: &mut TestRunner) -> (String, Vec<(String, String)>, Vec<u8>) {
    let mut draw = || text().new_tree(runner).unwrap().current();
    let (mut path, mut query, mut headers) = (operation.path.clone(), Vec::new(), Vec::new());
    for parameter in operation.description["parameters"].as_array().unwrap() {
        let name = parameter["name"].as_str().unwrap();
        match parameter["in"].as_str().unwrap() {
            "path" => path = path.replace(&format!("{{{name}}}"), &segment(&draw()).replace('.', "%2E")),
            "query" => query.push(format!("{name}={}", segment(&draw()))),
            _ => headers.push((name.to_owned(), if name.ends_with("Caller") { "api:root" } else { "main" }.to_owned())),
        }
    }
    if !query.is_empty() {
        let kept = (0..query.len()).filter(|_| draw().len() % 2 == 0).map(|index| query[index].clone());
        path = format!("{path}?{}", kept.collect::<Vec<_>>().join("&"));
    }
    let example = &operation.description["requestBody"]["content"]["application/json"]["example"];
    let body = if example.is_null() { Vec::new() } else { body(example).new_tree(runner).unwrap().current() };
    (path, headers, body)
}

/// Requests to each operation.
const ROUNDS: usize = 40;

/// Whatever is sent, the server answers as its document says: never a 500, every error in the one shape,
/// every success with what it promises.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_what_it_says() {
    let host = Arc::new(
        super::closed_setup()
            .set("MERCURY_ADMINS", "api:root")
            .set("MERCURY_DM_AUTO_SPACE_ENABLED", "true")
            .start()
            .await,
    );
    let document =
        host.request("GET", "/api/openapi.json", &[("authorization", BEARER)], Bytes::new()).await.unwrap().body;
    let error = jsonschema::validator_for(&document["components"]["schemas"]["Error"]).unwrap();
    let mut runner = TestRunner::deterministic();
    let mut successes = std::collections::BTreeSet::new();
    for operation in operations(&host).await {
        // A message to an agent and an image's build are other suites', wrong tokens would lock this one out, a
        // recording runs long, without its space no caller would be let in any more, a host that begins anew answers
        // nobody meanwhile, and the voice is off.
        let other = [
            "/chat",
            "/dashboard/login",
            "/dashboard/logout",
            "/pre-build-ext-image",
            "/api/plugins/{name}/recording",
            "/api/tts/synthesize",
            "/api/console/restart",
            "/api/console/credentials",
            "/api/console/adapters/configure",
        ];
        let removes_spaces = operation.method == "DELETE" && operation.path.contains("/spaces/");
        if operation.is_endless() || removes_spaces || other.contains(&operation.path.as_str()) {
            continue;
        }
        let responses = operation.description["responses"].as_object().unwrap();
        let (status, response) = responses.iter().find(|(status, _)| *status != "default").unwrap();
        let schema = &response["content"]["application/json"]["schema"];
        let schema = (!schema.is_null()).then(|| jsonschema::validator_for(schema).unwrap());
        for _ in 0..ROUNDS {
            let (path, named, sent) = request(&operation, &mut runner);
            let mut headers = vec![("authorization", BEARER)];
            headers.extend(named.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            let told = format!("{} {path} {}", operation.method, String::from_utf8_lossy(&sent));
            let answer = host.request(&operation.method, &path, &headers, Bytes::from(sent)).await.unwrap();
            if answer.status.to_string() == *status {
                successes.insert((operation.method.clone(), operation.path.clone()));
                let fits = schema.as_ref().is_none_or(|schema| schema.is_valid(&answer.body));
                assert!(fits, "{told}: {:#}", answer.body);
            } else {
                assert!((400..500).contains(&answer.status), "{told}: {} {:#}", answer.status, answer.body);
                assert!(error.is_valid(&answer.body), "{told}: {:#}", answer.body);
            }
        }
    }
    assert!(successes.len() > 25, "too few of them ever succeeded: {successes:?}");
    assert!(host.health().await.unwrap()["queue"].is_object());
}

/// http-api.md #2 #35: what is no route, no method, or too large, in the one shape.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there() {
    use super::{ask, refused};
    let host = closed().await;
    for (method, path, expected) in [
        ("GET", "/api/x", (404, "not_found")),
        ("GET", "/api/tasks/", (404, "not_found")),
        ("GET", "/x", (404, "not_found")),
        ("POST", "/api/runs", (405, "method_not_allowed")),
        ("PATCH", "/api/roles", (405, "method_not_allowed")),
        ("GET", "/chat", (405, "method_not_allowed")),
        ("POST", "/approvals/x", (400, "bad_path")),
        ("GET", "/approvals/decisions?count=x", (400, "bad_query")),
        ("GET", "/api/runs?limit=12abc", (400, "bad_page")),
        ("PUT", "/api/conversations/x", (400, "bad_json")),
    ] {
        let answer = ask(&host, "", method, path, Value::Null).await;
        assert_eq!(refused(&answer), expected, "{method} {path}");
    }
    // Before anybody is asked who they are, and without waiting for it.
    let mut client = tokio::net::TcpStream::connect(("127.0.0.1", host.port())).await.unwrap();
    let head = format!("POST /api/whoami HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", (50 << 20) + 1);
    tokio::io::AsyncWriteExt::write_all(&mut client, head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut client, &mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    // A HEAD is a GET without its body.
    let response = host.exchange("HEAD", "/health", &[], Bytes::new()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}
