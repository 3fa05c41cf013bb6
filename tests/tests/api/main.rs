//! The HTTP API, asked from outside: who is let in where, sessions, roles, live state, and the document
//! against the server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod callers;
mod chat;
mod console;
mod described;
mod live;
mod matrix;
mod media;
mod sending;
mod sessions;
mod settings;
mod sockets;
mod starting;

use bytes::Bytes;
use mercury_tests::host::{Answer, Host, Setup};
use serde_json::Value;

const SECRET: &str = "the-api-secret-0123";
const BEARER: &str = "Bearer the-api-secret-0123";
const CHAT_KEY: &str = "the-chat-key-012345";

/// A host with both secrets.
async fn closed() -> Host {
    closed_setup().start().await
}

fn closed_setup() -> Setup {
    Setup::scripted("runc").set("MERCURY_API_SECRET", SECRET).set("MERCURY_CHAT_API_KEY", CHAT_KEY)
}

/// As the operator, for `caller` in `main`; without one, as the operator alone.
async fn ask(host: &Host, caller: &str, method: &str, path: &str, body: Value) -> Answer {
    let mut headers = vec![("authorization", BEARER)];
    if !caller.is_empty() {
        headers.extend([("x-mercury-caller", caller), ("x-mercury-space", "main")]);
    }
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    host.request(method, path, &headers, body).await.unwrap()
}

/// The status and the code of an error.
fn refused(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.code())
}
