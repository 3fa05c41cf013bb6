//! A run's own socket: what an agent may ask, as itself and as nobody else.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use mercury_tests::host::Host;
use serde_json::{Value, json};

use super::{CHAT_KEY, SECRET, ask, closed, closed_setup};

/// The socket of the only run.
fn socket(host: &Host) -> PathBuf {
    let runs = std::fs::read_dir(host.data_dir().join("run")).unwrap().flatten();
    let sockets = runs.flat_map(|run| std::fs::read_dir(run.path()).into_iter().flatten().flatten());
    sockets.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|it| it == "sock")).expect("a socket")
}

/// Asks on the socket itself, past all that a container adds.
fn request(socket: &Path, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(socket).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::String(body.to_owned())))
}

/// permissions.md #34, http-api.md W1 W2: no header makes somebody else of an agent, no secret opens the operator's
/// routes on its socket, and one space's socket reaches one space.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_itself() {
    let host = closed().await;
    ask(&host, "", "POST", "/api/console/spaces", json!({ "id": "team", "name": "Us" })).await;
    host.execute(
        "INSERT INTO preferences VALUES ('team', 'whose', 'the team', 'x', 1, 1), ('main', 'whose', 'main', 'x', 1, 1)",
    );
    let key = format!("Bearer {CHAT_KEY}");
    let message = json!({ "text": "!sleep 60000", "callerId": "api:ada", "spaceId": "team", "messageId": "1" });
    let headers = [("authorization", key.as_str())];
    let waiting = host.exchange("POST", "/chat", &headers, Bytes::from(message.to_string()));
    tokio::pin!(waiting);
    tokio::select! {
        answer = &mut waiting => panic!("answered: {answer:?}"),
        () = host.until("SELECT state FROM runs", "running") => {}
    }
    let socket = socket(&host);
    let forged = format!(
        "x-mercury-caller: system\r\nx-mercury-space: main\r\nx-mercury-token: a.b\r\nauthorization: Bearer {SECRET}\r\n"
    );
    for headers in ["", forged.as_str()] {
        let (status, body) = request(&socket, "GET", "/api/whoami", headers, "");
        assert_eq!((status, &body["callerId"], &body["spaceId"]), (200, &json!("api:ada"), &json!("team")), "{body:#}");
        let (_, body) = request(&socket, "GET", "/api/prefs/whose", headers, "");
        assert_eq!(body["value"], "the team");
        let (_, body) = request(&socket, "GET", "/api/spaces", headers, "");
        assert_eq!(body["spaces"].as_array().map(Vec::len), Some(1), "{body:#}");
        let document = mercury::api::document();
        let mut refused = 0;
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, description) in methods.as_object().unwrap() {
                let by_header =
                    description["parameters"].as_array().unwrap().iter().any(|it| it["name"] == "X-Mercury-Caller");
                if by_header {
                    continue;
                }
                let path = path
                    .split('/')
                    .map(|part| if part.starts_with('{') { "1" } else { part })
                    .collect::<Vec<_>>()
                    .join("/");
                let (status, body) = request(&socket, &method.to_uppercase(), &path, headers, "{}");
                assert!([404, 405].contains(&status), "{method} {path}: {status} {body:#}");
                assert!(body["code"].is_string(), "{method} {path}: {body:#}");
                refused += 1;
            }
        }
        assert!(refused > 25, "the operator's routes were asked for: {refused}");
    }
    // It may stop itself, as a person could.
    let (status, body) = request(&socket, "POST", "/api/stop", "", "");
    assert_eq!((status, &body["stopped"]), (200, &json!(true)), "{body:#}");
    assert_eq!(waiting.await.unwrap().status(), 409);
}

/// cli.md #35 #37 #40 and http-api.md #13: what an agent types, in its container.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_types() {
    let host = closed_setup().start().await;
    let key = format!("Bearer {CHAT_KEY}");
    let chat = |text: &'static str| {
        let (host, key) = (&host, &key);
        let body = json!({ "text": text, "callerId": "api:ada" });
        async move { host.request("POST", "/chat", &[("authorization", key)], Bytes::from(body.to_string())).await.unwrap() }
    };
    let answer = chat("!mrctl prefs set language German, please\n!mrctl prefs get language\n!mrctl recall nowhere-to-be-found\n!mrctl spaces name\n!mrctl roles grant telegram:4711 --role guest\n!mrctl roles list").await;
    let reply = answer.reply();
    for part in ["German, please", "main", "\"platformUserId\": \"telegram:4711\"", "\"grantedBy\": \"api:ada\""] {
        assert!(reply.contains(part), "{part} is not in {reply}");
    }
    let told = chat("!mrctl permissions set guest flying").await;
    assert!(told.reply().contains("error: 400 — invalid permissions: flying"), "{:#}", told.body);
    // What was set stands in the next run's request, and what was said is found.
    let kept: String = host.query("SELECT value FROM preferences WHERE key = 'language'").unwrap();
    assert_eq!(kept, "German, please");
    // The question itself and the refusal are the newest that hold the word.
    let recalled = chat("!mrctl recall FLYING --limit 3").await;
    assert!(recalled.reply().contains("user: !mrctl permissions set guest flying"), "{:#}", recalled.body);
}

/// cli.md #36 #41 #42, http-api.md #17: what an agent types about people, room and its own memory.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_types_more() {
    let host = closed_setup().set("MERCURY_ADMINS", "api:ada").start().await;
    let key = format!("Bearer {CHAT_KEY}");
    let chat = |text: &'static str| {
        let (host, key) = (&host, &key);
        let body = json!({ "text": text, "callerId": "api:ada" });
        async move { host.request("POST", "/chat", &[("authorization", key)], Bytes::from(body.to_string())).await.unwrap() }
    };
    let warned = chat("!mrctl mute telegram:9 10m --reason spam").await;
    assert!(warned.reply().contains("mrctl mute telegram:9 10m --reason spam --confirm"), "{:#}", warned.body);
    assert_eq!(host.query::<i64>("SELECT count(*) FROM mutes"), Some(0), "a warning mutes nobody");
    let muted = chat("!mrctl mute telegram:9 10m --reason spam --confirm\n!mrctl mutes\n!mrctl unmute telegram:9\n!mrctl unmute telegram:9").await;
    for part in
        ["\"muted\": true", "telegram:9\tuntil ", "\"unmuted\": true", "error: 404 — User is not muted in this space"]
    {
        assert!(muted.reply().contains(part), "{part} is not in {}", muted.reply());
    }
    let disk = chat("!mrctl disk\n!mrctl disk --json").await;
    for part in ["Disk: ", "main: inbox 0 B · outbox ", "Database: ", "\"databaseBytes\": "] {
        assert!(disk.reply().contains(part), "{part} is not in {}", disk.reply());
    }
    let cleared =
        chat("!write outbox/a.txt hello\n!mrctl media list --outbox\n!mrctl media clear --outbox\n!ls outbox").await;
    for part in ["a.txt\t5 B\t", "\"total\": 1"] {
        assert!(cleared.reply().contains(part), "{part} is not in {}", cleared.reply());
    }
    let character = chat("!mrctl character get\n!mrctl character set Dry and brief\n!mrctl character get\n!mrctl broadcast hi\n!mrctl ext").await;
    for part in ["(not set)", "\"ok\": true", "Dry and brief", "error: 503 — dm_auto_space is not enabled"] {
        assert!(character.reply().contains(part), "{part} is not in {}", character.reply());
    }
    // This conversation, and no other.
    host.execute("INSERT INTO messages (space, conversation, role, content, created_at) VALUES ('main', 'telegram:1', 'user', 'x', 1)");
    let boundary = chat("!mrctl clear\n!mrctl compact").await;
    assert!(boundary.reply().contains("\"boundary\": "), "{:#}", boundary.body);
    let boundaries = "SELECT group_concat(conversation) FROM boundaries WHERE compacted > 0 AND cleared > 0";
    assert_eq!(host.query::<String>(boundaries).as_deref(), Some("api:api:ada"));
    let all = ask(&host, "api:ada", "POST", "/api/compact", Value::Null).await;
    let last: i64 = host.query("SELECT max(id) FROM messages").unwrap();
    assert_eq!((all.status, &all.body), (200, &json!({ "spaceId": "main", "boundary": last })));
    assert_eq!(
        host.query::<i64>("SELECT count(*) FROM boundaries WHERE compacted > 0"),
        Some(2),
        "asked from outside, all"
    );
}
