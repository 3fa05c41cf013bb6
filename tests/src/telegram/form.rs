//! `multipart/form-data` (RFC 7578), as far as uploads need it.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::Uploaded;

/// Fields (what looks like JSON is read as such) and files.
pub(super) fn read(content_type: &str, body: &Bytes) -> Option<(Value, Vec<Uploaded>)> {
    let boundary = content_type.split("boundary=").nth(1)?.trim_matches('"');
    let delimiter = format!("--{boundary}");
    let (mut fields, mut files) = (Map::new(), Vec::new());
    let mut at = find(body, delimiter.as_bytes(), 0)? + delimiter.len();
    while !body[at..].starts_with(b"--") {
        let head_end = find(body, b"\r\n\r\n", at)?;
        let head = std::str::from_utf8(&body[at..head_end]).ok()?.to_owned();
        let start = head_end + 4;
        let end = find(body, format!("\r\n{delimiter}").as_bytes(), start)?;
        let content = body.slice(start..end);
        let field = parameter(&head, "name")?;
        match parameter(&head, "filename") {
            Some(name) => {
                let mime = head
                    .lines()
                    .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-type: ").map(str::to_owned));
                files.push(Uploaded { field, name, mime_type: mime.unwrap_or_default(), content });
            }
            None => {
                let text = String::from_utf8(content.to_vec()).ok()?;
                let value = match text.as_bytes().first() {
                    Some(b'{' | b'[' | b'-' | b'0'..=b'9') => {
                        serde_json::from_str(&text).unwrap_or(Value::String(text))
                    }
                    _ => Value::String(text),
                };
                fields.insert(field, value);
            }
        }
        at = end + 2 + delimiter.len();
    }
    Some((Value::Object(fields), files))
}

fn parameter(head: &str, name: &str) -> Option<String> {
    let (_, rest) = head.split_once(&format!("; {name}=\""))?;
    Some(rest.split('"').next()?.to_owned())
}

fn find(body: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    body.get(from..)?.windows(wanted.len()).position(|window| window == wanted).map(|at| from + at)
}
