//! What commands ask of the host.

use std::io::Read;

use mercury_protocol::socket;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::{client::Request, error::Error, line::Line};

/// Everything but what RFC 3986 calls unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Bytes of arguments that are read from standard input: the host takes no more.
const MAX_ARGUMENTS: u64 = 1 << 20;

pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

fn put(path: &str, body: &serde_json::Value) -> Result<Request, Error> {
    Ok(Request::put(path, body.to_string().into_bytes()))
}

fn post(path: &str, body: &serde_json::Value) -> Result<Request, Error> {
    Ok(Request::post(path, body.to_string().into_bytes()))
}

pub(crate) fn stop(_: &Line) -> Result<Request, Error> {
    Ok(Request::post("/api/stop", Vec::new()))
}

pub(crate) fn compact(_: &Line) -> Result<Request, Error> {
    Ok(Request::post("/api/compact", Vec::new()))
}

pub(crate) fn clear(_: &Line) -> Result<Request, Error> {
    Ok(Request::post("/api/clear", Vec::new()))
}

/// The words behind the person are the time: `1 hr` may come in two.
pub(crate) fn mute(line: &Line) -> Result<Request, Error> {
    let mut body = json!({ "platformUserId": line.word(0), "duration": line.words(1) });
    if let Some(reason) = line.option("reason") {
        body["reason"] = json!(reason);
    }
    if line.has("confirm") {
        body["confirm"] = json!(true);
    }
    post("/api/mutes", &body)
}

pub(crate) fn unmute(line: &Line) -> Result<Request, Error> {
    Ok(Request::delete(&format!("/api/mutes/{}", segment(line.word(0)))))
}

pub(crate) fn link(line: &Line) -> Result<Request, Error> {
    let path = format!("/api/conversations/{}/link", segment(line.word(0)));
    post(&path, &json!({ "spaceId": line.word(1) }))
}

pub(crate) fn unlink(line: &Line) -> Result<Request, Error> {
    Ok(Request::post(&format!("/api/conversations/{}/unlink", segment(line.word(0))), Vec::new()))
}

pub(crate) fn media(line: &Line) -> Result<Request, Error> {
    page(line, if line.has("outbox") { "/api/media?folder=outbox" } else { "/api/media?folder=inbox" })
}

/// One page of a list: what was asked for of its length, and where it begins.
pub(crate) fn page(line: &Line, path: &str) -> Result<Request, Error> {
    let mut path = path.to_owned();
    for name in ["limit", "after"] {
        if let Some(value) = line.option(name) {
            let sign = if path.contains('?') { '&' } else { '?' };
            path.push_str(&format!("{sign}{name}={}", segment(value)));
        }
    }
    Ok(Request::get(&path))
}

pub(crate) fn purge(line: &Line) -> Result<Request, Error> {
    let (inbox, outbox) = (line.has("inbox"), line.has("outbox"));
    let both = !inbox && !outbox;
    post("/api/media/purge", &json!({ "inbox": inbox || both, "outbox": outbox || both }))
}

/// Of the words, or of a file.
pub(crate) fn set_character(line: &Line) -> Result<Request, Error> {
    let text = match (line.option("file"), line.positionals.is_empty()) {
        (Some(path), true) => {
            std::fs::read_to_string(path).map_err(|source| Error::NotRead { path: path.to_owned(), source })?
        }
        (None, false) => line.words(0),
        _ => return Err(Error::usage("character set")),
    };
    put("/api/character", &json!({ "text": text }))
}

pub(crate) fn send(line: &Line) -> Result<Request, Error> {
    post("/api/send", &json!({ "recipient": line.word(0), "text": line.words(1) }))
}

pub(crate) fn broadcast(line: &Line) -> Result<Request, Error> {
    post("/api/broadcast", &json!({ "text": line.words(0) }))
}

pub(crate) fn set_setting(line: &Line) -> Result<Request, Error> {
    put("/api/config", &json!({ "key": line.word(0), "value": line.words(1) }))
}

pub(crate) fn preference(line: &Line) -> Result<Request, Error> {
    Ok(Request::get(&format!("/api/prefs/{}", segment(line.word(0)))))
}

pub(crate) fn set_preference(line: &Line) -> Result<Request, Error> {
    put("/api/prefs", &json!({ "key": line.word(0), "value": line.words(1) }))
}

pub(crate) fn delete_preference(line: &Line) -> Result<Request, Error> {
    Ok(Request::delete(&format!("/api/prefs/{}", segment(line.word(0)))))
}

pub(crate) fn grant(line: &Line) -> Result<Request, Error> {
    let body = json!({ "platformUserId": line.word(0), "role": line.option("role").unwrap_or("admin") });
    post("/api/roles", &body)
}

pub(crate) fn revoke(line: &Line) -> Result<Request, Error> {
    Ok(Request::delete(&format!("/api/roles/{}", segment(line.word(0)))))
}

pub(crate) fn permissions(line: &Line) -> Result<Request, Error> {
    let of = line.option("role").map(|role| format!("?role={}", segment(role))).unwrap_or_default();
    Ok(Request::get(&format!("/api/permissions{of}")))
}

/// A list with commas; blanks around the names and between the commas are dropped.
pub(crate) fn set_permissions(line: &Line) -> Result<Request, Error> {
    let list = line.words(1);
    let names: Vec<_> = list.split([',', ' ']).filter(|name| !name.is_empty()).collect();
    put("/api/permissions", &json!({ "role": line.word(0), "permissions": names }))
}

pub(crate) fn reset_permissions(line: &Line) -> Result<Request, Error> {
    Ok(Request::delete(&format!("/api/permissions?role={}", segment(line.word(0)))))
}

pub(crate) fn space_name(line: &Line) -> Result<Request, Error> {
    match line.positionals.is_empty() {
        true => Ok(Request::get("/api/spaces/current")),
        false => put("/api/spaces/current/name", &json!({ "name": line.words(0) })),
    }
}

pub(crate) fn conversations(line: &Line) -> Result<Request, Error> {
    Ok(Request::get(if line.has("unlinked") { "/api/conversations?linked=false" } else { "/api/conversations" }))
}

/// What is wrong in itself is told here; the host says the rest.
pub(crate) fn plan(line: &Line) -> Result<Request, Error> {
    let given = |name: &str| line.option(name).filter(|value| !value.trim().is_empty());
    let Some(prompt) = given("prompt") else { return Err(Error::Incomplete("Missing --prompt")) };
    let body = match (given("cron"), given("at")) {
        (None, None) => return Err(Error::Incomplete("Missing --cron or --at")),
        (Some(_), Some(_)) => return Err(Error::Incomplete("Cannot use both --cron and --at")),
        (cron, at) => json!({
            "prompt": prompt, "cron": cron, "at": at, "silent": line.has("silent"), "timezone": given("timezone"),
            "name": given("name"),
        }),
    };
    Ok(Request::post("/api/tasks", body.to_string().into_bytes()))
}

fn task(line: &Line) -> String {
    format!("/api/tasks/{}", segment(line.word(0).trim_start_matches('#')))
}

pub(crate) fn pause_task(line: &Line) -> Result<Request, Error> {
    Ok(Request::post(&format!("{}/pause", task(line)), Vec::new()))
}

pub(crate) fn resume_task(line: &Line) -> Result<Request, Error> {
    Ok(Request::post(&format!("{}/resume", task(line)), Vec::new()))
}

pub(crate) fn run_task(line: &Line) -> Result<Request, Error> {
    Ok(Request::post(&format!("{}/run", task(line)), Vec::new()))
}

pub(crate) fn delete_task(line: &Line) -> Result<Request, Error> {
    Ok(Request::delete(&task(line)))
}

pub(crate) fn recall(line: &Line) -> Result<Request, Error> {
    let limit = line.option("limit").map(|limit| format!("&limit={}", segment(limit))).unwrap_or_default();
    Ok(Request::get(&format!("/api/messages/search?q={}{limit}", segment(&line.words(0)))))
}

pub(crate) fn invocation(line: &Line) -> Result<Request, Error> {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if let Some(name) = [line.word(0), line.word(1)].into_iter().find(|name| name.is_empty() || !plain(name)) {
        return Err(Error::BadName(name.to_owned()));
    }
    let mut arguments = line.word(2).to_owned();
    if arguments == "-" {
        arguments.clear();
        std::io::stdin().lock().take(MAX_ARGUMENTS + 1).read_to_string(&mut arguments).map_err(Error::Input)?;
    }
    // Told here, where the words are: the host would say the same of what it cannot read.
    if !arguments.trim().is_empty() {
        serde_json::from_str::<serde::de::IgnoredAny>(&arguments).map_err(Error::ArgumentsNotJson)?;
    }
    let path = format!("{}/{}/{}", socket::CAPABILITIES, line.word(0), line.word(1));
    Ok(Request::post(&path, arguments.into_bytes()))
}
