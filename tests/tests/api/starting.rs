//! What is answered before the host is ready.

use std::time::Duration;

use bytes::Bytes;
use mercury_tests::host::{Host, Setup};

/// The first answer on `path`; until somebody listens there is none.
async fn first(host: &Host, path: &str) -> mercury_tests::host::Answer {
    for _ in 0..6_000 {
        if let Ok(answer) = host.request("GET", path, &[], Bytes::new()).await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody listens; the log:\n{}", host.log());
}

/// http-api.md #1, #23 in its last part: a start that has to wait for the database, which somebody else holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_says_that_it_is_warming() {
    let mut host = Setup::scripted("runc").start().await;
    assert_eq!(host.terminate().await, Some(0));
    let database = host.data_dir().join("state.db");
    let holder = rusqlite::Connection::open(&database).unwrap();
    // A reader could come by otherwise: the log belongs to whoever holds all of it.
    holder.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    host.spawn();
    let warming = first(&host, "/health").await;
    assert_eq!((warming.status, &warming.body["status"]), (200, &"warming".into()), "{:#}", warming.body);
    assert!(warming.body["uptime"].is_u64() && warming.body["queue"].is_null(), "{:#}", warming.body);
    let paths = ["/api/whoami", "/api/send", "/chat", "/dashboard/session", "/nowhere"];
    // At once: a start waits five seconds for its database.
    for (path, answer) in paths.iter().zip(futures_util::future::join_all(paths.map(|path| first(&host, path))).await) {
        assert_eq!((answer.status, answer.code()), (503, "warming"), "{path}");
    }
    holder.execute_batch("ROLLBACK").unwrap();
    drop(holder);
    for _ in 0..6_000 {
        let health = host.health().await.unwrap_or_default();
        if !health["queue"].is_null() {
            assert_eq!(health["queue"], serde_json::json!({ "active": 0, "pending": 0 }));
            assert!(health["containers"]["active"].is_u64() && health["version"].is_string(), "{health:#}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the host is not ready; its log:\n{}", host.log());
}
