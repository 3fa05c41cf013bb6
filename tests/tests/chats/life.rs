//! An adapter's life: start, trouble, silence, restart, stop.

use bytes::Bytes;
use mercury_tests::{
    host::{Host, Setup},
    parley::{self, bring, called, command, delivered, direct, running, until},
};
use serde_json::{Value, json};

async fn standing(host: &Host) -> Value {
    let answer = host.request("GET", "/api/adapters", &[], Bytes::new()).await.unwrap();
    answer.body["adapters"][0].clone()
}

/// What passes by itself is tried again; what does not stands still, and the operator learns why.
#[tokio::test(flavor = "multi_thread")]
async fn trouble_at_the_start() {
    let host = parley::start(&[]).await;
    parley::script(&host, "start", &["later", "operator"]).await;
    command(&host, &["adapters", "restart", "parley"]);
    let stands = until(&host, "it stands still", async || {
        let standing = standing(&host).await;
        (standing["condition"] == "needs-operator").then_some(standing)
    })
    .await;
    assert_eq!(stands["reason"], "the token of parley is dead");
    let shown = command(&host, &["status"]);
    assert!(shown.contains("parley") && shown.contains("needs operator") && shown.contains("dead"), "{shown}");
    assert!(host.log().contains("the token of parley is dead"));
    // Webhooks are to be sent again later, and the host itself goes on.
    let down = parley::post(&host, "", &json!([direct("1", "!reply hi")])).await;
    assert_eq!((down.status, down.code()), (503, "adapter_down"));
    assert_eq!(host.health().await.unwrap()["adapters"]["parley"], false);
    command(&host, &["adapters", "restart", "parley"]);
    running(&host).await;
    bring(&host, &[direct("1", "!reply hi")]).await;
    delivered(&host, "hi").await;
}

/// Where the adapter's next life is to be awaited, not the end of the one before.
async fn started_again(host: &Host) {
    until(host, "a second life", async || (called(host, "start").len() >= 2).then_some(())).await;
    running(host).await;
}

/// Promise 20: an adapter whose platform says nothing more is started anew, and that is told.
#[tokio::test(flavor = "multi_thread")]
async fn silence_is_noticed() {
    let host = parley::start(&[("silence", "500")]).await;
    parley::script(&host, "poll", &["silent"]).await;
    let said = async || host.log().contains("nothing was heard of the platform for 500 ms").then_some(());
    until(&host, "it is said", said).await;
    started_again(&host).await;
    parley::post(&host, "/queue", &json!([direct("1", "!reply awake")])).await;
    delivered(&host, "awake").await;
}

/// A trap costs its own call: the poll, the next webhook and other platforms go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_trap_costs_one_call() {
    let host = parley::start(&[]).await;
    let boom = parley::post(&host, "/boom", &json!(null)).await;
    assert_eq!((boom.status, boom.code()), (502, "webhook_failed"));
    bring(&host, &[direct("1", "!reply still here")]).await;
    delivered(&host, "still here").await;
    parley::script(&host, "poll", &["trap"]).await;
    started_again(&host).await;
    parley::post(&host, "/queue", &json!([direct("2", "!reply polled")])).await;
    delivered(&host, "polled").await;
}

/// An adapter that is not what its manifest says is not used; unknown platforms are unknown.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_platform() {
    let mut host = parley::prepare(Setup::scripted("runc"), &[("name", "telegram")], "");
    host.start().await;
    let stands = until(&host, "it stands still", async || {
        let standing = standing(&host).await;
        (standing["condition"] == "needs-operator").then_some(standing)
    })
    .await;
    assert!(stands["reason"].as_str().unwrap().contains("both must be the same"), "{stands}");
    let unknown = host.request("POST", "/webhooks/telegram", &[], Bytes::new()).await.unwrap();
    assert_eq!(unknown.status, 404);
}

/// A webhook's size has a limit of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_huge_webhook_is_refused() {
    let host = parley::start(&[]).await;
    let body = Bytes::from(vec![b' '; (8 << 20) + 1]);
    let answer = host.request("POST", "/webhooks/parley", &[("x-parley", "known")], body).await.unwrap();
    assert_eq!((answer.status, answer.code()), (413, "body_too_large"));
}

/// Stopping the host stops the adapter, and what is not sent is sent by the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_told() {
    let mut host = parley::start(&[]).await;
    assert_eq!(host.terminate().await, Some(0));
    assert_eq!(called(&host, "stop").len(), 1);
}

/// What the platform has already when the host is told to stop is not sent again by the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_a_delivery_end() {
    let mut host = parley::start(&[]).await;
    parley::script(&host, "deliver", &["slow"]).await;
    bring(&host, &[direct("1", "!reply once")]).await;
    delivered(&host, "once").await;
    assert_eq!(host.terminate().await, Some(0));
    assert_eq!(host.query::<String>("SELECT state FROM deliveries").as_deref(), Some("delivered"));
    host.start().await;
    running(&host).await;
    bring(&host, &[direct("2", "!reply twice")]).await;
    delivered(&host, "twice").await;
    assert_eq!(called(&host, "deliver").len(), 2);
}

/// config.md #22: a platform that is switched on without its secret stops the start, with the names of both.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_stops_the_start() {
    let secret = "[[secrets]]\nname = \"token\"\nvariable = \"MERCURY_PARLEY_TOKEN\"\n";
    let on = "plugins:\n  parley:\n    enabled: true\n";
    let mut host = parley::prepare(Setup::scripted("runc").yaml(on), &[], secret);
    host.spawn();
    assert_ne!(host.ended().await, Some(0));
    let log = host.log();
    assert!(log.contains("MERCURY_ENABLE_PARLEY") && log.contains("MERCURY_PARLEY_TOKEN is not set"), "{log}");
    host.set("MERCURY_PARLEY_TOKEN", "canary");
    host.start().await;
    running(&host).await;
}
