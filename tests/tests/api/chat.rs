//! `POST /chat` as clients of the replaced system know it.

use std::time::Duration;

use bytes::Bytes;
use mercury_tests::host::{Answer, Host, Setup};
use serde_json::{Value, json};

use super::{BEARER, CHAT_KEY, ask, closed_setup, refused};

async fn chat(host: &Host, body: Value) -> Answer {
    let key = format!("Bearer {CHAT_KEY}");
    host.request("POST", "/chat", &[("authorization", &key)], Bytes::from(body.to_string())).await.unwrap()
}

/// http-api.md #28, and W2 W3: what is refused and how, and what becomes of files.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_message_may_be() {
    let host = closed_setup().set("MERCURY_MAX_DISK_MB", "1").set("MERCURY_ADMINS", "api:root").start().await;
    for (body, expected) in [
        (json!({}), (400, "missing_text")),
        (json!({ "text": " \n" }), (400, "missing_text")),
        (json!({ "text": "x", "spaceId": "nowhere" }), (404, "space_not_found")),
        (json!({ "text": "x", "spaceId": "Bad Id" }), (400, "bad_space")),
        (json!({ "text": "x", "callerId": "system" }), (403, "caller_reserved")),
        (json!({ "text": "x", "files": vec![json!({ "name": "a", "data": "eA==" }); 21] }), (400, "too_many_files")),
        (json!({ "text": "x", "files": [{ "name": "a", "data": "no base64" }] }), (400, "bad_file")),
        (json!({ "text": "x", "files": [{ "name": "a", "data": "A".repeat(2 << 20) }] }), (413, "storage_quota")),
    ] {
        let answer = chat(&host, body.clone()).await;
        let told = body.to_string().chars().take(80).collect::<String>();
        assert_eq!(refused(&answer), expected, "{told}: {:#}", answer.body);
    }
    for bearer in ["Bearer wrong", "Bearer the-api-secret-0123", ""] {
        let body = Bytes::from(json!({ "text": "!reply x" }).to_string());
        let answer = host.request("POST", "/chat", &[("authorization", bearer)], body).await.unwrap();
        assert_eq!(refused(&answer), (401, "unauthorized"), "{bearer}");
    }
    let accepted = "SELECT group_concat(author) FROM inbound";
    assert_eq!(host.query::<String>(accepted).as_deref(), Some("system"), "only what was answered with a reason");
    assert_eq!(host.query::<i64>("SELECT count(*) FROM runs"), Some(0));
    assert!(!host.data_dir().join("spaces/main/inbox").exists(), "no file was written");

    let files = json!([
        { "name": "../../../etc/a b.txt", "data": "aGVsbG8=" }, { "name": "", "data": "eA==" }, { "name": "empty.txt", "data": "" },
    ]);
    let answer = chat(&host, json!({ "text": "!ls inbox", "callerId": "api:root", "files": files })).await;
    let saved: Vec<_> = answer.reply().lines().collect();
    assert!(saved.len() == 1 && saved[0].ends_with("-a_b.txt") && !saved[0].contains('/'), "{saved:?}");

    // An admin cannot be silenced, and whoever holds the key is one; so it is a platform's person who is.
    let muted = json!({ "platformUserId": "telegram:9", "duration": "1h", "confirm": true });
    assert_eq!(ask(&host, "api:root", "POST", "/api/mutes", muted).await.status, 200);
    host.execute(
        "INSERT INTO conversations (id, platform, direct, space, first_seen, last_seen) VALUES ('telegram:9', 'telegram', 1, 'main', 1, 1)",
    );
    let silent = chat(&host, json!({ "text": "!reply x", "platform": "telegram", "callerId": "9" })).await;
    assert_eq!((silent.status, &silent.body["reply"], &silent.body["files"]), (200, &json!(""), &json!([])));
}

/// http-api.md #29: a direct message of a platform, as another program brings it.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_platform() {
    let host = closed_setup()
        .set("MERCURY_DM_AUTO_SPACE_ENABLED", "true")
        .set("MERCURY_DM_AUTO_SPACE_ADMIN_IDS", "whatsapp:491709999999")
        .start()
        .await;
    let from = |platform: &'static str, caller: &'static str| {
        let host = &host;
        async move {
            let body = json!({ "text": "!whoami", "platform": platform, "callerId": caller, "spaceId": "nowhere", "authorName": "Ada" });
            chat(host, body).await
        }
    };
    for caller in ["491701234567", "whatsapp:491701234567"] {
        let answer = from("whatsapp", caller).await;
        for part in ["\"whatsapp:491701234567\"", "\"dm-491701234567\"", "\"member\""] {
            assert!(answer.reply().contains(part), "{part} is not in {}", answer.reply());
        }
    }
    let spaces = "SELECT group_concat(id) FROM (SELECT id FROM spaces ORDER BY id)";
    assert_eq!(host.query::<String>(spaces).as_deref(), Some("dm-491701234567,main"), "made once");
    assert_eq!(host.query::<String>("SELECT name FROM spaces WHERE id <> 'main'").as_deref(), Some("Ada"));
    let admin = from("whatsapp", "491709999999").await;
    assert!(admin.reply().contains("\"main\""), "{}", admin.reply());
    let role = "SELECT count(*) FROM members WHERE person LIKE 'whatsapp:%' AND role = 'admin'";
    assert_eq!(host.query::<i64>(role), Some(0), "the key makes nobody an admin on another platform");
    assert_eq!(refused(&from("Whats App", "1").await), (400, "bad_platform"));
    assert_eq!(refused(&from("whatsapp", " ").await), (400, "missing_caller"));
    // What is known as a group stays one, and gets no space of its own.
    host.execute(
        "INSERT INTO conversations (id, platform, direct, first_seen, last_seen) VALUES ('telegram:-100', 'telegram', 0, 1, 1)",
    );
    assert_eq!(refused(&from("telegram", "-100").await), (409, "not_a_person"));
    let group = "SELECT direct || coalesce(space, '') FROM conversations WHERE id = 'telegram:-100'";
    assert_eq!(host.query::<String>(group).as_deref(), Some("0"));
    let own = chat(&host, json!({ "text": "!whoami", "platform": "api", "callerId": "api:ada" })).await;
    assert!(own.reply().contains("\"api:ada\"") && own.reply().contains("\"main\""), "{}", own.reply());
    assert_eq!(refused(&from("api", "api:ada").await), (404, "space_not_found"), "as if it were not there");
    drop(host);
    // Without spaces that come by themselves it has to be linked; then it is known, and can be.
    let host = closed_setup().start().await;
    let body = json!({ "text": "!reply here", "platform": "signal", "callerId": "1" });
    assert_eq!(refused(&chat(&host, body.clone()).await), (404, "conversation_unlinked"));
    let link = Bytes::from(json!({ "space": "main" }).to_string());
    let linked = host.request("PUT", "/api/conversations/signal:1", &[("authorization", BEARER)], link).await.unwrap();
    assert_eq!(linked.status, 200, "{:#}", linked.body);
    assert_eq!(chat(&host, body).await.reply(), "here");
}

/// What is on disk is decided, whether or not its sender still waits: it would be lost until the next start.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_hangs_up_while_its_message_is_kept() {
    let host = Setup::scripted("runc").start().await;
    let slow = rusqlite::Connection::open(host.data_dir().join("state.db")).unwrap();
    slow.execute_batch("BEGIN IMMEDIATE").unwrap();
    let file = json!([{ "name": "a.txt", "data": "aGVsbG8=" }]);
    let body = Bytes::from(json!({ "text": "!reply late", "files": file }).to_string());
    let inbox = host.data_dir().join("spaces/main/inbox");
    // Its file is there before its row, which waits for the disk.
    let kept = async {
        while std::fs::read_dir(&inbox).map_or(0, Iterator::count) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        answer = host.exchange("POST", "/chat", &[], body) => panic!("answered without a disk: {answer:?}"),
        () = kept => {}
    }
    slow.execute_batch("COMMIT").unwrap();
    host.until("SELECT reply FROM outbound", "late").await;
}

/// http-api.md 2.6: the key makes an admin of a program it does not know yet, of nobody else, and once.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_makes_admins_of_programs() {
    let host = closed_setup().set("MERCURY_ADMINS", "api:root").start().await;
    let role = async |caller: &'static str| {
        let answer = chat(&host, json!({ "text": "!reply x", "callerId": caller, "space": "main" })).await;
        assert_eq!(answer.reply(), "x", "{caller}");
        let known = ask(&host, caller, "GET", "/api/whoami", Value::Null).await;
        known.body["role"].as_str().unwrap().to_owned()
    };
    assert_eq!(role("api:new").await, "admin");
    assert_eq!(role("telegram:4711").await, "member", "it would be theirs in that chat as well");
    let taken = ask(&host, "api:root", "DELETE", "/api/roles/api:new", Value::Null).await;
    assert_eq!(taken.status, 200, "{:#}", taken.body);
    assert_eq!(role("api:new").await, "member", "what was taken is not given back");
}
