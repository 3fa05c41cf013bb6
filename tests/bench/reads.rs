//! How many authenticated reads the built host answers in a second, beside a database of a million messages.
//! The replaced system: 3,000–5,000 with its database on disk, since its reads write.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use mercury_tests::host::{Host, Setup};

use crate::{median, percentile, show};

/// Said in the space that is read.
const MESSAGES: usize = 1_000_000;
/// Requests for one figure.
const REQUESTS: usize = 8_000;
/// Connections that are kept.
const AT_ONCE: usize = 16;
const SECRET: &str = "the-api-secret-0123";

pub(crate) async fn run() {
    let mut host =
        Setup::scripted("runc").set("MERCURY_API_SECRET", SECRET).set("MERCURY_ADMINS", "api:root").start().await;
    host.kill();
    let began = Instant::now();
    host.change(&format!(
        "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {MESSAGES})
         INSERT INTO messages (space, conversation, role, content, created_at)
         SELECT 'main', 'api:x', iif(i % 2, 'user', 'assistant'),
                iif(i % 1000, 'some words that were said', 'a needle in it'), i FROM n"
    ));
    println!("{MESSAGES} messages kept in {:.0} s", began.elapsed().as_secs_f64());
    host.start().await;
    for (what, path, requests) in [
        ("who am I", "/api/whoami", REQUESTS),
        ("a space", "/api/spaces/current", REQUESTS),
        ("50 newest messages", "/api/console/spaces/main/messages?limit=50", REQUESTS),
        ("search of a rare word", "/api/messages/search?q=needle&limit=20", REQUESTS / 4),
        ("search of a usual word", "/api/messages/search?q=words&limit=20", REQUESTS / 4),
    ] {
        let began = Instant::now();
        let clients = (0..AT_ONCE).map(|_| read(&host, path, requests / AT_ONCE));
        let took = futures_util::future::join_all(clients).await.concat();
        println!(
            "GET {what:<24} {:>7.0}/s with {AT_ONCE} at once   median {:>8}   p99 {:>8}",
            took.len() as f64 / began.elapsed().as_secs_f64(),
            show(median(&took)),
            show(percentile(&took, 99))
        );
    }
}

async fn read(host: &Host, path: &str, count: usize) -> Vec<Duration> {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut took = Vec::new();
    for _ in 0..count {
        let request = hyper::Request::get(format!("http://127.0.0.1:{}{path}", host.port()));
        let request = request.header("authorization", format!("Bearer {SECRET}"));
        let request = request.header("x-mercury-caller", "api:root").header("x-mercury-space", "main");
        let began = Instant::now();
        let answer = client.request(request.body(Full::default()).unwrap()).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        took.push(began.elapsed());
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
    }
    took
}
