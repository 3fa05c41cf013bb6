//! `kill -9` at the worst moments: nothing is lost, nothing runs twice.

use mercury_tests::parley::{self, bring, called, delivered, direct, until};
use serde_json::json;

/// adapters.md #18, weakness W6: the cursor moves with the events, so that a round that was cut off is
/// read again and nothing of it runs twice.
#[tokio::test(flavor = "multi_thread")]
async fn killed_in_a_long_poll() {
    let mut host = parley::start(&[]).await;
    parley::post(&host, "/queue", &json!([direct("1", "!reply one"), direct("2", "!reply two")])).await;
    delivered(&host, "two").await;
    assert_eq!(host.query::<String>("SELECT cursor FROM cursors").unwrap(), "2");
    parley::script(&host, "poll", &["silent"]).await;
    until(&host, "the poll begins", async || {
        let steps: String = host.query("SELECT CAST(value AS TEXT) FROM plugin_kv WHERE key = 'script/poll'")?;
        (steps == "[]").then_some(())
    })
    .await;
    parley::post(&host, "/queue", &json!([direct("3", "!reply three")])).await;
    host.kill();
    host.start().await;
    delivered(&host, "three").await;
    assert_eq!(host.query::<i64>("SELECT count(*) FROM runs").unwrap(), 3);
    assert_eq!(host.query::<String>("SELECT cursor FROM cursors").unwrap(), "3");
}

/// Promise 1: what was acknowledged is answered, and answered once.
#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_acknowledgement() {
    let mut host = parley::start(&[]).await;
    let events: Vec<_> = (0..5).map(|n| direct(&n.to_string(), &format!("!reply answer {n}"))).collect();
    bring(&host, &events).await;
    host.kill();
    host.start().await;
    for n in 0..5 {
        delivered(&host, &format!("answer {n}")).await;
    }
    host.until("SELECT group_concat(DISTINCT state) FROM deliveries", "delivered").await;
    assert_eq!(host.query::<i64>("SELECT count(*) FROM runs").unwrap(), 5);
}

/// Promise 1: between sending and the mark. The platform of this adapter knows no idempotency, so the
/// message is repeated once, under the same id.
#[tokio::test(flavor = "multi_thread")]
async fn killed_while_sending() {
    let mut host = parley::start(&[]).await;
    parley::script(&host, "deliver", &["hang"]).await;
    bring(&host, &[direct("1", "!reply perhaps")]).await;
    delivered(&host, "perhaps").await;
    host.kill();
    host.start().await;
    host.until("SELECT state FROM deliveries", "delivered").await;
    let calls = called(&host, "deliver");
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0]["id"], calls[1]["id"]);
}
