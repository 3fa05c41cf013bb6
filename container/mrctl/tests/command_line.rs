//! `mrctl` against a host that is a few lines of fixture.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its fixtures")]

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// Runs `mrctl` against a host that gives `answer` to one request. Returns exit code, stdout,
/// stderr and what the host received.
fn ask(line: &[&str], answer: &'static str) -> (u8, String, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("api.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let host = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let length = stream.read(&mut request).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let (code, out, err) = run(line, &socket);
    (code, out, err, host.join().unwrap())
}

fn run(line: &[&str], socket: &Path) -> (u8, String, String) {
    let words: Vec<String> = line.iter().map(|it| (*it).into()).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = mrctl::run(&words, socket, &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn whoami_shows_the_answer_and_sends_no_identity() {
    let answer = "HTTP/1.1 200 OK\r\n\r\n{\"callerId\":\"api:x\",\"spaceId\":\"main\",\"role\":\"member\",\"permissions\":[\"a\"]}";
    let (code, out, err, request) = ask(&["whoami"], answer);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("{\n  \"callerId\": \"api:x\",\n  \"spaceId\": \"main\""), "{out}");
    assert!(request.starts_with("GET /api/whoami HTTP/1.1\r\n"), "{request}");
    assert!(!request.to_lowercase().contains("x-mercury") && !request.to_lowercase().contains("authorization"));
}

#[test]
fn a_refusal_names_status_reason_and_next_step() {
    let answer =
        "HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n{\"error\":\"Not for members\",\"next\":\"Ask an admin.\"}";
    let (code, out, err, _) = ask(&["whoami", "--json"], answer);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err, "error: 403 — Not for members\nAsk an admin.\n");
}

#[test]
fn a_refusal_of_another_shape_is_shown_whole() {
    let (_, _, err, _) = ask(&["whoami"], "HTTP/1.1 500 No\r\n\r\n{\"detail\":7}");
    assert_eq!(err, "error: 500 — {\"detail\":7}\n");
}

/// extensions.md #22, examples.md 1.4: one document on stdout, names of files beside it.
#[test]
fn a_capability_prints_its_document() {
    let answer = "HTTP/1.1 200 OK\r\n\r\n{\"output\":{\"id\":7},\"files\":[\"outbox/a.svg\"]}";
    let (code, out, err, request) = ask(&["capability", "charts", "render", "{\"kind\":\"bar\"}"], answer);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "{\n  \"id\": 7\n}\n", "attached: outbox/a.svg\n"));
    assert!(request.starts_with("POST /api/capability/charts/render HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("{\"kind\":\"bar\"}"), "{request}");
}

/// examples.md 1.4: errors are one JSON object on stderr, with code and whether to try again.
#[test]
fn a_capabilitys_refusal_is_json() {
    let answer = "HTTP/1.1 429 No\r\n\r\n{\"error\":\"slow down\",\"code\":\"rate-limited\",\"retryable\":true}";
    let (code, out, err, _) = ask(&["capability", "charts", "render"], answer);
    assert_eq!((code, out.as_str()), (1, ""));
    let said: serde_json::Value = serde_json::from_str(&err).unwrap();
    assert_eq!(said, serde_json::json!({ "error": "slow down", "code": "rate-limited", "retryable": true }));
    let nowhere = Path::new("/nowhere/api.sock");
    for (line, code) in [
        (&["capability", "charts", "render", "{"][..], "invalid-json"),
        (&["capability", "../x", "render"], "usage"),
        (&["capability", "charts"], "usage"),
        (&["capability", "list"], "unreachable"),
    ] {
        let (_, _, err) = run(line, nowhere);
        let said: serde_json::Value = serde_json::from_str(&err).unwrap();
        assert_eq!(said["code"], code, "{err}");
    }
}

#[test]
fn help_works_without_a_host() {
    let nowhere = Path::new("/nowhere/api.sock");
    for line in [&["help"][..], &["--help"], &["-h"], &["help", "whoami"], &["whoami", "--help"]] {
        let (code, out, err) = run(line, nowhere);
        assert_eq!((code, err.as_str()), (0, ""), "{line:?}");
        assert!(out.contains("whoami"), "{line:?}");
    }
    assert_eq!(run(&["--version"], nowhere).1, format!("mrctl {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn mistakes_are_named() {
    let nowhere = Path::new("/nowhere/api.sock");
    let cases = [
        (&["x"][..], "error: Unknown command 'x'. Run 'mrctl help'.\n"),
        (&["help", "x"], "error: Unknown command 'x'. Run 'mrctl help'.\n"),
        (&["whoami", "--y"], "error: Unknown option '--y' of 'whoami'. Run 'mrctl help whoami'.\n"),
        (&["whoami"], "error: cannot reach the host at /nowhere/api.sock: No such file or directory (os error 2)\n"),
    ];
    for (line, expected) in cases {
        let (code, out, err) = run(line, nowhere);
        assert_eq!((code, out.as_str(), err.as_str()), (1, "", expected), "{line:?}");
    }
    let (code, out, err) = run(&[], nowhere);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("Usage: mrctl"));
}
