//! What a platform waits for: from the request that brings a message to the answer, which goes out when the
//! message is on disk. The built host with the carried Telegram adapter, over one kept connection a client.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use mercury_tests::{
    host::Host,
    telegram::{
        group,
        hosted::{SECRET, bring, link_known, with_webhook},
    },
};
use serde_json::json;

use crate::{median, percentile, show};

/// Messages for one figure.
const MESSAGES: i64 = 500;
/// Clients for the second figure. Telegram opens up to 40 connections.
const AT_ONCE: i64 = 8;

pub(crate) async fn run() {
    let (_fake, host) = with_webhook().await;
    // Between people of a linked group: kept, and no run beside it.
    let mut first = group(1, json!({ "text": "hello" }));
    first["update_id"] = json!(1);
    assert_eq!(bring(&host, SECRET, &first).await, 200);
    link_known(&host, -1001);
    let alone = send(&host, 1_000, MESSAGES).await;
    let (began, each) = (Instant::now(), MESSAGES / AT_ONCE);
    let clients = (0..AT_ONCE).map(|client| send(&host, 10_000 * (client + 1), each));
    let together = futures_util::future::join_all(clients).await.concat();
    let rate = together.len() as f64 / began.elapsed().as_secs_f64();
    let kept: i64 = host.query("SELECT count(*) FROM inbound").unwrap();
    assert_eq!(kept, MESSAGES + each * AT_ONCE, "every answer stands for a row");
    println!(
        "webhook → row committed     p50 {:>8} p99 {:>8} one by one; p50 {:>8} p99 {:>8} {AT_ONCE} at once, {rate:.0} a second",
        show(median(&alone)),
        show(percentile(&alone, 99)),
        show(median(&together)),
        show(percentile(&together, 99)),
    );
}

async fn send(host: &Host, from: i64, count: i64) -> Vec<Duration> {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let uri = format!("http://127.0.0.1:{}/webhooks/telegram", host.port());
    let mut took = Vec::new();
    for number in from..from + count {
        let mut update = group(number, json!({ "text": "a message of a usual length, between people" }));
        update["update_id"] = json!(number);
        let request = hyper::Request::post(&uri).header("x-telegram-bot-api-secret-token", SECRET);
        let request = request.body(Full::new(Bytes::from(update.to_string()))).unwrap();
        let began = Instant::now();
        let answer = client.request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.unwrap();
        took.push(began.elapsed());
    }
    took
}
