//! Received and produced files: what there is of them, how much room they take, and their end.

use std::path::Path;

use bytes::Bytes;
use mercury_tests::host::Host;
use serde_json::{Value, json};

use super::{CHAT_KEY, ask, closed_setup, refused};

fn put(host: &Host, path: &str, bytes: usize) {
    let path = host.data_dir().join("spaces").join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, vec![b'x'; bytes]).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// http-api.md #20
#[tokio::test(flavor = "multi_thread")]
async fn files_are_listed_and_removed() {
    let host = closed_setup().set("MERCURY_ADMINS", "api:root").start().await;
    let purge = |body: Value| {
        let host = &host;
        async move { ask(host, "api:root", "POST", "/api/media/purge", body).await }
    };
    for (method, path) in [("POST", "/api/media/purge"), ("GET", "/api/media")] {
        let answer = ask(&host, "api:ada", method, path, Value::Null).await;
        assert_eq!(answer.body["error"], "Forbidden: requires 'media.purge' permission", "{method}");
    }
    let nothing = json!({ "purged": { "inbox": 0, "outbox": 0 }, "total": 0 });
    assert_eq!(purge(Value::Null).await.body, nothing, "folders that are not there hold nothing");
    let fill = || {
        for path in ["main/inbox/a", "main/inbox/deep/er/b", "main/outbox/c", "main/kept", "team/inbox/kept"] {
            put(&host, path, 3);
        }
    };
    fill();
    let listed = ask(&host, "api:root", "GET", "/api/media?limit=1", Value::Null).await.body;
    let file = &listed["files"][0];
    assert_eq!((&file["name"], &file["sizeBytes"], &file["isFolder"]), (&json!("a"), &json!(3), &json!(false)));
    let next = listed["next"].as_str().unwrap();
    let rest = ask(&host, "api:root", "GET", &format!("/api/media?after={next}"), Value::Null).await.body;
    assert_eq!(
        (&rest["files"][0]["name"], &rest["files"][0]["isFolder"], &rest["next"]),
        (&json!("deep"), &json!(true), &Value::Null)
    );
    let outbox = ask(&host, "api:root", "GET", "/api/media?folder=outbox", Value::Null).await.body;
    assert_eq!((&outbox["folder"], &outbox["files"][0]["name"]), (&json!("outbox"), &json!("c")));
    let elsewhere = ask(&host, "api:root", "GET", "/api/media?folder=..", Value::Null).await;
    assert_eq!(refused(&elsewhere), (400, "bad_folder"));

    let removed = purge(json!({ "inbox": true })).await.body;
    assert_eq!(removed, json!({ "purged": { "inbox": 2, "outbox": 0 }, "total": 2 }), "entries, not what is below");
    let main = host.data_dir().join("spaces/main");
    assert_eq!((names(&main.join("inbox")), names(&main.join("outbox"))), (vec![], vec!["c".to_owned()]));
    assert_eq!(refused(&purge(json!({ "inboks": true })).await), (400, "bad_json"), "it would mean both");
    fill();
    assert_eq!(purge(Value::Null).await.body["purged"], json!({ "inbox": 2, "outbox": 1 }));
    assert!(main.join("kept").exists() && host.data_dir().join("spaces/team/inbox/kept").exists());

    // An agent may have put a link there: nothing behind it is touched, wherever it leads.
    put(&host, "main/notes/kept", 3);
    std::fs::remove_dir(main.join("inbox")).unwrap();
    for target in [host.data_dir().join("spaces/team/inbox"), "notes".into()] {
        std::os::unix::fs::symlink(&target, main.join("inbox")).unwrap();
        assert_eq!(refused(&purge(Value::Null).await), (409, "folder_unusable"), "{}", target.display());
        std::fs::remove_file(main.join("inbox")).unwrap();
    }
    assert!(host.data_dir().join("spaces/team/inbox/kept").exists() && main.join("notes/kept").exists());
}

/// What messages brought whose runs wait is not taken from them.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_keeps_its_files() {
    let host = closed_setup().set("MERCURY_ADMINS", "api:root").start().await;
    let key = format!("Bearer {CHAT_KEY}");
    let headers = [("authorization", key.as_str())];
    let message = |text: &str| {
        let files = json!([{ "name": "a.txt", "data": "aGVsbG8=" }]);
        Bytes::from(json!({ "text": text, "callerId": "api:root", "files": files }).to_string())
    };
    let first = host.exchange("POST", "/chat", &headers, message("!sleep 60000"));
    tokio::pin!(first);
    tokio::select! {
        answer = &mut first => panic!("answered: {answer:?}"),
        () = host.until("SELECT state FROM runs", "running") => {}
    }
    let second = host.request("POST", "/chat", &headers, message("!ls inbox"));
    tokio::pin!(second);
    tokio::select! {
        answer = &mut second => panic!("answered: {answer:?}"),
        () = host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "queued") => {}
    }
    put(&host, "main/inbox/old", 3);
    let removed = ask(&host, "api:root", "POST", "/api/media/purge", Value::Null).await.body;
    assert_eq!(removed["purged"]["inbox"], 2, "the running one's file, and what nobody waits for");
    let inbox = names(&host.data_dir().join("spaces/main/inbox"));
    assert!(inbox.len() == 1 && inbox[0].ends_with("a.txt"), "{inbox:?}");
    assert!(host.command(&["stop", "--space", "main"]).output().is_ok());
    assert_eq!(first.await.unwrap().status(), 409);
}

/// What files take, by space and in all, for whom it concerns.
#[tokio::test(flavor = "multi_thread")]
async fn room_is_measured() {
    let host = closed_setup().set("MERCURY_ADMINS", "api:root").start().await;
    for (path, bytes) in [("main/inbox/a", 3), ("main/outbox/b", 4), ("main/c", 5), ("team/inbox/d", 6)] {
        put(&host, path, bytes);
    }
    host.execute("INSERT INTO members (space, person, role) VALUES ('main', 'api:bob', 'admin')");
    assert_eq!(refused(&ask(&host, "api:ada", "GET", "/api/storage", Value::Null).await), (403, "forbidden"));
    let main = json!({ "spaceId": "main", "inboxBytes": 3, "outboxBytes": 4, "totalBytes": 12 });
    let own = ask(&host, "api:bob", "GET", "/api/storage", Value::Null).await.body;
    assert_eq!(own, json!({ "spaces": [main] }), "an admin of one space is told of that one");
    let all = ask(&host, "api:root", "GET", "/api/storage", Value::Null).await.body;
    assert_eq!((&all["spaces"][0], &all["spaces"][1]["totalBytes"]), (&main, &json!(6)));
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{all:#}"));
    assert!(number(&all["databaseBytes"]) > 0.0 && number(&all["disk"]["totalBytes"]) > 0.0);
    let shown = ask(&host, "", "GET", "/api/console/storage", Value::Null).await.body;
    assert_eq!(shown["spaces"], all["spaces"]);
}
