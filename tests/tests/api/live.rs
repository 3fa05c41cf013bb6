//! Server-sent events.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use mercury_tests::host::Host;
use serde_json::{Value, json};

use super::{BEARER, CHAT_KEY, closed};

struct Events {
    body: Incoming,
    read: String,
}

impl Events {
    async fn open(host: &Host) -> Self {
        let response = host.exchange("GET", "/api/events", &[("authorization", BEARER)], Bytes::new()).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), read: String::new() }
    }

    /// The next event's name and data; none where the stream has ended.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.read.find("\n\n") {
                let event: String = self.read.drain(..end + 2).collect();
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                if let (Some(name), Some(data)) = (field("event:"), field("data:")) {
                    return Some((name.to_owned(), serde_json::from_str(data).unwrap()));
                }
                continue;
            }
            let frame = self.body.frame().await?.ok()?;
            self.read.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }

    /// Waits for the number of active runs to be `count`.
    async fn until_active(&mut self, count: i64) -> Value {
        loop {
            let (name, data) = self.next().await.expect("the stream goes on");
            if name == "active-count" && data["active"] == count {
                return data;
            }
        }
    }
}

/// http-api.md #37: what is so comes at once, what changes as it changes; the stream ends with the host.
#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told() {
    let mut host = closed().await;
    let mut events = Events::open(&host).await;
    let (name, health) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &health["status"]), ("health", &json!("healthy")));
    let (name, active) = events.next().await.unwrap();
    assert_eq!((name.as_str(), active), ("active-count", json!({ "active": 0, "pending": 0, "runs": [] })));
    let key = format!("Bearer {CHAT_KEY}");
    let message = Bytes::from(json!({ "text": "!sleep 1500\n!reply done" }).to_string());
    let headers = [("authorization", key.as_str())];
    let (answer, ()) = tokio::join!(host.request("POST", "/chat", &headers, message), async {
        let active = events.until_active(1).await;
        assert_eq!((&active["runs"][0]["spaceId"], &active["pending"]), (&json!("main"), &json!(0)));
    });
    assert_eq!(answer.unwrap().reply(), "done");
    events.until_active(0).await;
    assert_eq!(host.terminate().await, Some(0), "an open stream does not hold the host up");
    while events.next().await.is_some() {}
}

/// Streams are bounded, and one that was closed makes room.
#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded() {
    let host = closed().await;
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(Events::open(&host).await);
    }
    let refused = host.request("GET", "/api/events", &[("authorization", BEARER)], Bytes::new()).await.unwrap();
    assert_eq!((refused.status, refused.code()), (503, "too_many_streams"));
    drop(open);
    loop {
        let response = host.exchange("GET", "/api/events", &[("authorization", BEARER)], Bytes::new()).await.unwrap();
        if response.status() == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
