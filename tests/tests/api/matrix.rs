//! Every route with every way to come in.

use bytes::Bytes;
use mercury_tests::host::Host;
use serde_json::{Value, json};

use super::{
    BEARER, CHAT_KEY, SECRET, closed,
    described::{Operation, operations},
};

/// Headers that every answer has.
const HEADERS: &[&str] = &[
    "x-content-type-options",
    "x-frame-options",
    "content-security-policy",
    "referrer-policy",
    "cross-origin-resource-policy",
    "cache-control",
    "x-request-id",
];

/// A session's cookie and its token.
pub(super) async fn sign_in(host: &Host) -> (String, String) {
    let body = json!({ "token": SECRET }).to_string();
    let response = host.exchange("POST", "/dashboard/login", &[], Bytes::from(body)).await.unwrap();
    assert_eq!(response.status(), 200);
    let cookie = response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let headers = [("cookie", cookie.as_str())];
    let session = host.request("GET", "/dashboard/session", &headers, Bytes::new()).await.unwrap();
    let csrf = session.body["csrf"].as_str().unwrap().to_owned();
    (cookie, csrf)
}

/// Status and code; of an endless answer only the head is read.
async fn outcome(host: &Host, operation: &Operation, headers: &[(&str, &str)]) -> (u16, String) {
    let path = operation.path.replace("{question}", "1").replace("{id}", "1");
    let path: String =
        path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/");
    let response = host.exchange(&operation.method, &path, headers, operation.example()).await.unwrap();
    for name in HEADERS {
        assert!(response.headers().contains_key(*name), "{} {path} has no {name}", operation.method);
    }
    assert!(!response.headers().contains_key("access-control-allow-origin"));
    let status = response.status().as_u16();
    if status < 400 {
        return (status, String::new());
    }
    let bytes = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let body: Value =
        serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("{} {path}: {bytes:?}", operation.method));
    assert!(body["error"].is_string() && body["code"].is_string(), "{} {path}: {body:#}", operation.method);
    (status, body["code"].as_str().unwrap().to_owned())
}

fn is_unauthorized((status, code): &(u16, String)) -> bool {
    *status == 401 && ["unauthorized", "session_over"].contains(&code.as_str())
}

/// http-api.md #3, 2.7 and W12: whoever comes without the right word comes in nowhere; a session changes
/// nothing without its token; every answer has its headers, every error its shape.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_and_every_way_in() {
    let host = closed().await;
    let (cookie, csrf) = sign_in(&host).await;
    let chat = format!("Bearer {CHAT_KEY}");
    let strangers: &[&[(&str, &str)]] = &[
        &[],
        &[("authorization", "Bearer wrong-secret-012345")],
        &[("authorization", "Bearer ")],
        &[("authorization", SECRET)],
        &[("authorization", "Bearer the-api-secret-0124")],
        &[("authorization", &chat)],
        &[("cookie", "mercury_session=wrong")],
        &[("cookie", "mercury_token=the-api-secret-0123")],
        // A right cookie beside a wrong bearer.
        &[("authorization", "Bearer x"), ("cookie", &cookie), ("x-csrf-token", &csrf)],
        &[("x-mercury-caller", "system"), ("x-mercury-space", "main")],
    ];
    let callers = [("x-mercury-caller", "api:ada"), ("x-mercury-space", "main")];
    for operation in operations(&host).await.iter().filter(|operation| !operation.is_open()) {
        let told = format!("{} {}", operation.method, operation.path);
        for headers in strangers {
            let outcome = outcome(&host, operation, headers).await;
            assert!(is_unauthorized(&outcome), "{told} {headers:?}: {outcome:?}");
        }
        let with = |more: &[(&'static str, &str)]| -> Vec<(String, String)> {
            callers.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        for (headers, let_in) in [
            (with(&[("authorization", BEARER)]), true),
            (with(&[("cookie", &cookie), ("x-csrf-token", &csrf)]), true),
            (with(&[("cookie", &cookie)]), operation.method == "GET"),
            (with(&[("cookie", &cookie), ("x-csrf-token", "wrong")]), operation.method == "GET"),
            (with(&[("cookie", &cookie), ("x-csrf-token", &csrf), ("sec-fetch-site", "cross-site")]), false),
        ] {
            // Signing out and beginning anew are seen in tests of their own.
            if ["/dashboard/logout", "/api/console/restart"].contains(&operation.path.as_str()) && let_in {
                continue;
            }
            let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let outcome = outcome(&host, operation, &headers).await;
            assert!(!is_unauthorized(&outcome), "{told} {headers:?}: {outcome:?}");
            assert_eq!(outcome.1 == "csrf", !let_in, "{told} {headers:?}: {outcome:?}");
        }
    }
}

/// http-api.md #33, and #30 in part: without a secret this machine is the operator, except where a secret is a must; and a web
/// page is never this machine.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret() {
    let host = mercury_tests::host::Setup::scripted("runc").start().await;
    let document = mercury::api::document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, description) in methods.as_object().unwrap() {
            let (method, path, description) = (method.to_uppercase(), path.clone(), description.clone());
            let operation = Operation { method, path, description };
            let told = format!("{} {}", operation.method, operation.path);
            let foreign: &[&[(&str, &str)]] = &[
                &[("origin", "https://evil.example")],
                &[("host", "evil.example")],
                &[("origin", "null")],
                &[("host", "localhost.evil.example:8787")],
            ];
            for headers in foreign {
                let outcome = outcome(&host, &operation, headers).await;
                assert_eq!(outcome, (403, "foreign_origin".into()), "{told} {headers:?}");
            }
            if operation.path.starts_with("/api/console") || operation.path.starts_with("/pre-build") {
                assert_eq!(outcome(&host, &operation, &[]).await, (503, "no_api_secret".into()), "{told}");
            }
        }
    }
    assert_eq!(host.request("GET", "/api/plugins", &[], Bytes::new()).await.unwrap().status, 200);
}
