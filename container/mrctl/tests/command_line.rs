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

/// cli.md #42, examples.md 1.4: errors are one JSON object on stderr, with code and whether to try again; what is no
/// JSON is asked of nobody.
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
        (&["tasks", "create", "--cron", "* * * * *"], "error: Missing --prompt. Run 'mrctl help tasks create'.\n"),
        (&["tasks", "create", "--prompt", "x"], "error: Missing --cron or --at. Run 'mrctl help tasks create'.\n"),
        (
            &["tasks", "create", "--prompt", "x", "--cron", "* * * * *", "--at", "2026-05-01"],
            "error: Cannot use both --cron and --at. Run 'mrctl help tasks create'.\n",
        ),
        (&["tasks", "run"], "error: Usage: mrctl tasks run <id>\n"),
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

/// cli.md 11: what each command asks; #39 among them.
#[test]
fn commands_ask_their_routes() {
    let ok = "HTTP/1.1 200 OK\r\n\r\n{\"a\":1}";
    for (line, request, body) in [
        (&["stop"][..], "POST /api/stop", ""),
        (&["compact"], "POST /api/compact", ""),
        (&["clear"], "POST /api/clear", ""),
        (
            &["mute", "u", "1", "hr", "--confirm", "--reason", "spam"],
            "POST /api/mutes",
            "{\"confirm\":true,\"duration\":\"1 hr\",\"platformUserId\":\"u\",\"reason\":\"spam\"}",
        ),
        (&["unmute", "a:b"], "DELETE /api/mutes/a%3Ab", ""),
        (&["conversations", "link", "t:1", "main"], "POST /api/conversations/t%3A1/link", "{\"spaceId\":\"main\"}"),
        (&["conversations", "unlink", "t:1"], "POST /api/conversations/t%3A1/unlink", ""),
        (&["media", "list", "--outbox", "--json"], "GET /api/media?folder=outbox", ""),
        (&["media", "clear"], "POST /api/media/purge", "{\"inbox\":true,\"outbox\":true}"),
        (&["media", "clear", "--inbox"], "POST /api/media/purge", "{\"inbox\":true,\"outbox\":false}"),
        (&["disk", "--json"], "GET /api/storage", ""),
        (&["character", "set", "Dry", "and", "brief"], "PUT /api/character", "{\"text\":\"Dry and brief\"}"),
        (&["character", "clear"], "DELETE /api/character", ""),
        (&["send", "main", "Good", "morning"], "POST /api/send", "{\"recipient\":\"main\",\"text\":\"Good morning\"}"),
        (&["broadcast", "Tea", "is", "ready"], "POST /api/broadcast", "{\"text\":\"Tea is ready\"}"),
        (
            &["config", "set", "napkin.backfill-days", "30"],
            "PUT /api/config",
            "{\"key\":\"napkin.backfill-days\",\"value\":\"30\"}",
        ),
        (&["tasks", "list", "--json"], "GET /api/tasks", ""),
        (
            &["tasks", "create", "--prompt", "What is new?", "--cron", "0 8 * * *", "--timezone", "Asia/Jerusalem"],
            "POST /api/tasks",
            "{\"at\":null,\"cron\":\"0 8 * * *\",\"name\":null,\"prompt\":\"What is new?\",\"silent\":false,\"timezone\":\"Asia/Jerusalem\"}",
        ),
        (
            &["tasks", "create", "--silent", "--at=2026-05-01T08:00", "--prompt=tidy up", "--name", "tidy"],
            "POST /api/tasks",
            "{\"at\":\"2026-05-01T08:00\",\"cron\":null,\"name\":\"tidy\",\"prompt\":\"tidy up\",\"silent\":true,\"timezone\":null}",
        ),
        (&["tasks", "pause", "3"], "POST /api/tasks/3/pause", ""),
        (&["tasks", "resume", "#3"], "POST /api/tasks/3/resume", ""),
        (&["tasks", "run", "3"], "POST /api/tasks/3/run", ""),
        (&["tasks", "delete", "a/b", "--json"], "DELETE /api/tasks/a%2Fb", ""),
        (&["prefs", "list"], "GET /api/prefs", ""),
        (
            &["prefs", "set", "tone", "short", "and", "dry"],
            "PUT /api/prefs",
            "{\"key\":\"tone\",\"value\":\"short and dry\"}",
        ),
        (&["prefs", "delete", "a/b"], "DELETE /api/prefs/a%2Fb", ""),
        (&["roles", "list"], "GET /api/roles", ""),
        (&["roles", "list", "--after", "1.a b"], "GET /api/roles?after=1.a%20b", ""),
        (&["tasks", "list", "--limit", "5"], "GET /api/tasks?limit=5", ""),
        (&["mutes", "--json", "--after", "7.u", "--limit", "500"], "GET /api/mutes?limit=500&after=7.u", ""),
        (&["spaces", "list", "--json", "--after=1.main"], "GET /api/spaces?after=1.main", ""),
        (&["media", "list", "--json", "--outbox", "--limit=5"], "GET /api/media?folder=outbox&limit=5", ""),
        (&["roles", "grant", "u"], "POST /api/roles", "{\"platformUserId\":\"u\",\"role\":\"admin\"}"),
        (
            &["roles", "grant", "--role", "guest", "u"],
            "POST /api/roles",
            "{\"platformUserId\":\"u\",\"role\":\"guest\"}",
        ),
        (&["roles", "revoke", "slack:u@x%"], "DELETE /api/roles/slack%3Au%40x%25", ""),
        (&["permissions", "show"], "GET /api/permissions", ""),
        (&["permissions", "show", "--role=a b"], "GET /api/permissions?role=a%20b", ""),
        (
            &["permissions", "set", "guest", "prompt, stop,,"],
            "PUT /api/permissions",
            "{\"permissions\":[\"prompt\",\"stop\"],\"role\":\"guest\"}",
        ),
        (&["permissions", "reset", "guest"], "DELETE /api/permissions?role=guest", ""),
        (&["spaces", "name", "The", "team"], "PUT /api/spaces/current/name", "{\"name\":\"The team\"}"),
        (&["conversations", "--unlinked", "--json"], "GET /api/conversations?linked=false", ""),
        (&["recall", "a&b", "c", "--limit", "5", "--json"], "GET /api/messages/search?q=a%26b%20c&limit=5", ""),
    ] {
        let (code, out, err, asked) = ask(line, ok);
        assert_eq!((code, out.as_str(), err.as_str()), (0, "{\n  \"a\": 1\n}\n", ""), "{line:?}");
        assert!(asked.starts_with(&format!("{request} HTTP/1.1\r\n")), "{line:?}: {asked}");
        let sent = asked.split_once("\r\n\r\n").map(|(_, body)| body);
        assert_eq!(sent, Some(body), "{line:?}");
    }
}

/// cli.md #36 #37 #40 #41: what is shown where it is not the answer as it is.
#[test]
fn answers_are_shortened() {
    let config = "HTTP/1.1 200 OK\r\n\r\n{\"config\":{\"a.b\":\"7\"}}";
    let messages = "HTTP/1.1 200 OK\r\n\r\n{\"messages\":[{\"role\":\"user\",\"content\":\"hi\",\"createdAt\":0}]}";
    let spaces = "HTTP/1.1 200 OK\r\n\r\n{\"spaces\":[{\"id\":\"main\",\"name\":\"Us\"}],\"next\":\"1.main\"}";
    let tasks = "HTTP/1.1 200 OK\r\n\r\n{\"tasks\":[],\"next\":\"2.7\"}";
    let bounded = "HTTP/1.1 200 OK\r\n\r\n{\"messages\":[],\"complete\":false}";
    let conversations = "HTTP/1.1 200 OK\r\n\r\n{\"conversations\":[{\"id\":\"t:1\",\"kind\":\"dm\",\"observedTitle\":null,\"spaceId\":\"main\"}]}";
    let warning = "HTTP/1.1 200 OK\r\n\r\n{\"warning\":true,\"message\":\"Think.\"}";
    let confirm = "Think.\n\nTo go through with it: mrctl mute 'a b' 10m --reason 'it'\\''s spam' --confirm\n";
    let disk = "HTTP/1.1 200 OK\r\n\r\n{\"disk\":{\"totalBytes\":2048,\"usedBytes\":1024,\"freeBytes\":1024,\"usedPercent\":50.0},\"spaces\":[{\"spaceId\":\"main\",\"inboxBytes\":1,\"outboxBytes\":0,\"totalBytes\":1572864}],\"databaseBytes\":7}";
    let sizes = "Disk: 2.0 KB total · 1.0 KB used (50.0%) · 1.0 KB free\nmain: inbox 1 B · outbox 0 B · total 1.5 MB\nDatabase: 7 B\n";
    let mutes = "HTTP/1.1 200 OK\r\n\r\n{\"mutes\":[{\"platformUserId\":\"u\",\"expiresAt\":0,\"reason\":null}]}";
    let files = "HTTP/1.1 200 OK\r\n\r\n{\"files\":[{\"name\":\"a\",\"sizeBytes\":9,\"modifiedAt\":0,\"isFolder\":false},{\"name\":\"b\",\"sizeBytes\":0,\"modifiedAt\":0,\"isFolder\":true}],\"next\":\"0.b c\"}";
    let plugins = "HTTP/1.1 200 OK\r\n\r\n{\"extensions\":[{\"name\":\"charts\",\"hasCli\":true,\"hasSkill\":true}]}";
    let connections = "HTTP/1.1 200 OK\r\n\r\n{\"connections\":[{\"name\":\"a\",\"displayName\":\"Mail\",\"status\":\"unknown\",\"detail\":null,\"error\":\"late\"}]}";
    for (line, answer, expected) in [
        (&["mute", "a b", "10m", "--reason", "it's spam"][..], warning, (0, confirm, "")),
        (&["disk"], disk, (0, sizes, "")),
        (&["mutes"], mutes, (0, "u\tuntil 1970-01-01T00:00:00Z\t\n", "")),
        (
            &["media", "list"],
            files,
            (
                0,
                "a\t9 B\t1970-01-01T00:00:00Z\nb\tfolder\t1970-01-01T00:00:00Z\n",
                "There are more than these: add --after '0.b c'\n",
            ),
        ),
        (&["ext"], plugins, (0, "charts\tcommands, skill\n", "")),
        (&["connections"], connections, (0, "a\tMail\tunknown\tlate\n", "")),
        (&["character", "get"], "HTTP/1.1 200 OK\r\n\r\n{\"character\":null}", (0, "(not set)\n", "")),
        (&["character", "get"], "HTTP/1.1 200 OK\r\n\r\n{\"character\":\"Dry\"}", (0, "Dry\n", "")),
        (&["config", "get", "a.b"], config, (0, "7\n", "")),
        (&["config", "get", "a.c"], config, (1, "", "error: Config key not set: a.c\n")),
        (&["prefs", "get", "x"], "HTTP/1.1 200 OK\r\n\r\n{\"value\":\"short\"}", (0, "short\n", "")),
        (&["spaces", "name"], "HTTP/1.1 200 OK\r\n\r\n{\"space\":{\"name\":\"Us\"}}", (0, "Us\n", "")),
        (&["spaces", "list"], spaces, (0, "main\tUs\n", "There are more than these: add --after 1.main\n")),
        (
            &["tasks", "list"],
            tasks,
            (0, "{\n  \"tasks\": [],\n  \"next\": \"2.7\"\n}\n", "There are more than these: add --after 2.7\n"),
        ),
        (&["conversations"], conversations, (0, "t:1\tdm\t\tmain\n", "")),
        (&["recall", "hi"], messages, (0, "[1970-01-01T00:00:00Z] user: hi\n", "")),
        (&["recall", "hi"], "HTTP/1.1 200 OK\r\n\r\n{\"messages\":[]}", (0, "(no matches)\n", "")),
        (
            &["recall", "hi"],
            bounded,
            (0, "(no matches)\n", "Only the newest messages were looked at; older ones may match, too.\n"),
        ),
    ] {
        let (code, out, err, _) = ask(line, answer);
        assert_eq!((code, out.as_str(), err.as_str()), expected, "{line:?}");
    }
}

/// A group's name alone, or with a typo behind it, names what there is.
#[test]
fn groups_are_explained() {
    let nowhere = Path::new("/nowhere/api.sock");
    let (code, out, _) = run(&["help", "roles"], nowhere);
    assert!(code == 0 && ["roles list", "roles grant", "roles revoke"].iter().all(|row| out.contains(row)), "{out}");
    assert!(run(&["help", "roles", "grant"], nowhere).1.starts_with("Usage: mrctl roles grant <person>"));
    for line in [&["roles"][..], &["roles", "lst"]] {
        let (code, _, err) = run(line, nowhere);
        assert_eq!(
            (code, err.lines().next()),
            (1, Some("error: Unknown command 'roles'. Run 'mrctl help roles'.")),
            "{line:?}"
        );
    }
}

/// What is said of the assistant may stand in a file; one of the two, and not both.
#[test]
fn a_character_comes_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("character.md");
    std::fs::write(&path, "Dry\nand brief\n").unwrap();
    let path = path.to_str().unwrap();
    let (code, _, _, asked) = ask(&["character", "set", "--file", path], "HTTP/1.1 200 OK\r\n\r\n{\"ok\":true}");
    assert_eq!((code, asked.split_once("\r\n\r\n").unwrap().1), (0, "{\"text\":\"Dry\\nand brief\\n\"}"));
    let nowhere = Path::new("/nowhere/api.sock");
    for line in [&["character", "set"][..], &["character", "set", "Dry", "--file", path]] {
        let (code, _, err) = run(line, nowhere);
        assert_eq!((code, err.starts_with("error: Usage: mrctl character set")), (1, true), "{line:?}: {err}");
    }
    assert!(
        run(&["character", "set", "--file", "/nowhere/x"], nowhere).2.starts_with("error: /nowhere/x cannot be read")
    );
}
