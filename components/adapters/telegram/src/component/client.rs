//! Calls of the Bot API. The token is put in by the host: `TOKEN` stands where it belongs.

use mercury_plugin::{
    credentials::{Credential, Place},
    http::{self, Body, ErrorKind, Part, Request},
    types::{Content, Media, MediaKind},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    outbound::Call,
    problem::{self, Problem},
};

const BASE: &str = "https://api.telegram.org";
pub(super) const TOKEN: &str = "bot-token";

pub(super) const TIMEOUT_MS: u32 = 30_000;

/// What may not stand in a segment of a path.
const SEGMENT: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'?').add(b'\\').add(b'<').add(b'>');

pub(super) fn call(method: &str, fields: &Value) -> Result<Value, Problem> {
    call_within(method, fields, TIMEOUT_MS)
}

pub(super) fn call_within(method: &str, fields: &Value, timeout_ms: u32) -> Result<Value, Problem> {
    let body = Body::Content(Content::Text(fields.to_string()));
    send(method, vec![("content-type".into(), "application/json".into())], body, timeout_ms)
}

/// The same, with the answer as a value of the API.
pub(super) fn ask<T: DeserializeOwned>(method: &str, fields: &Value) -> Result<T, Problem> {
    ask_within(method, fields, TIMEOUT_MS)
}

pub(super) fn ask_within<T: DeserializeOwned>(method: &str, fields: &Value, timeout_ms: u32) -> Result<T, Problem> {
    let answer = call_within(method, fields, timeout_ms)?;
    serde_json::from_value(answer).map_err(|error| Problem::Passing(format!("the answer to {method} is odd: {error}")))
}

/// A call with the files that it names, which may take all of the time: up to 50 MB over a slow line.
pub(super) fn upload(call: Call, attachments: &[Media], timeout_ms: u32) -> Result<Value, Problem> {
    if call.files.is_empty() {
        return call_within(call.method, &Value::Object(call.fields), timeout_ms.min(TIMEOUT_MS));
    }
    let mut parts = fields(call.fields);
    for (name, file) in call.files {
        let Some(file) = attachments.get(file) else {
            return Err(Problem::Refused("the file is not there any more".into()));
        };
        parts.push(Part {
            name,
            file_name: Some(file.file_name.clone().unwrap_or_else(|| "file".into())),
            mime_type: Some(file.mime_type.clone()),
            content: Content::File(file.handle.clone()),
        });
    }
    send(call.method, Vec::new(), Body::Multipart(parts), timeout_ms)
}

/// Streams a file into the host.
pub(super) fn download(
    file_path: &str,
    kind: MediaKind,
    name: Option<&str>,
    most: u64,
    timeout_ms: u32,
) -> Result<Media, http::Error> {
    let path: Vec<_> = file_path.split('/').map(|part| utf8_percent_encode(part, SEGMENT).to_string()).collect();
    let request = Request {
        method: "GET".into(),
        uri: format!("{BASE}/file/TOKEN/{}", path.join("/")),
        headers: Vec::new(),
        credentials: token(),
        body: Body::Empty,
        timeout_ms: Some(timeout_ms),
    };
    http::download(&request, kind, name, Some(most)).map(|downloaded| downloaded.file)
}

fn send(method: &str, headers: Vec<(String, String)>, body: Body, timeout_ms: u32) -> Result<Value, Problem> {
    let request = Request {
        method: "POST".into(),
        uri: format!("{BASE}/TOKEN/{method}"),
        headers,
        credentials: token(),
        body,
        timeout_ms: Some(timeout_ms),
    };
    match http::fetch(&request) {
        Ok(response) => match response.body {
            Content::Text(body) => problem::result(response.status, &body),
            Content::Bytes(_) | Content::File(_) => problem::result(response.status, ""),
        },
        Err(error) => Err(match error.kind {
            ErrorKind::Throttled(ms) => Problem::RetryAfter(ms),
            ErrorKind::Invalid => Problem::Refused(error.message),
            ErrorKind::TooLarge(_) => Problem::TooLarge(error.message),
            ErrorKind::Unreachable => Problem::Passing(format!("Telegram cannot be reached: {}", error.message)),
            ErrorKind::Timeout => Problem::Passing(format!("Telegram does not answer: {}", error.message)),
            _ => Problem::Passing(error.message),
        }),
    }
}

fn token() -> Vec<Credential> {
    vec![Credential { secret: TOKEN.into(), place: Place::PathSegment(("TOKEN".into(), "bot".into())) }]
}

/// In a form, what is no text is JSON.
fn fields(fields: Map<String, Value>) -> Vec<Part> {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let part = |(name, value)| Part { name, file_name: None, mime_type: None, content: Content::Text(text(value)) };
    fields.into_iter().map(part).collect()
}
