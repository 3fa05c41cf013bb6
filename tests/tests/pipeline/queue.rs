//! The queue is bounded, and people are told where they stand.

use mercury_tests::{
    docker::{at_work, pause_all},
    host::Setup,
    parley::{bring, delivered, direct, group, link_group},
};

use super::{bob, said, start};

/// Promise 21 for a full queue; and pipeline.md #34 in part: whoever is sent away is told when to come again,
/// whoever waits, behind how many.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_so() {
    let setup = Setup::scripted("runc").set("MERCURY_MAX_CONCURRENCY", "1").set("MERCURY_MAX_QUEUED_PER_SPACE", "2");
    let host = start(setup).await;
    link_group(&host).await;
    bring(&host, &[direct("1", "!sleep 600000")]).await;
    host.until("SELECT state FROM runs", "running").await;
    bring(&host, &[direct("2", "!reply two")]).await;
    host.until("SELECT CAST(count(*) AS TEXT) FROM runs", "2").await;
    bring(&host, &[direct("3", "!reply three")]).await;
    delivered(&host, "I have this. One request is before it; its turn comes in about 1 min.").await;
    bring(&host, &[direct("4", "!reply four"), direct("5", "!reply five")]).await;
    delivered(&host, "There is too much waiting already").await;
    // Another space still has room.
    bring(&host, &[group("6", "@Mercury\n!reply six")]).await;
    host.until("SELECT CAST(count(*) AS TEXT) FROM runs WHERE space = 'main'", "1").await;
    bring(&host, &[direct("7", "stop")]).await;
    delivered(&host, "six").await;
    let turned_away = said(&host).iter().filter(|text| text.contains("too much waiting")).count();
    assert_eq!(turned_away, 1, "a flood gets one answer");
}

/// Weakness W26: a space with many messages delays another by one run.
#[tokio::test(flavor = "multi_thread")]
async fn spaces_take_turns() {
    let host = start(Setup::scripted("runc").set("MERCURY_MAX_CONCURRENCY", "1")).await;
    bring(&host, &[direct("1", "!sleep 3000\n!reply 1")]).await;
    host.until("SELECT state FROM runs", "running").await;
    at_work(&host.instance(), 1).await;
    // However long the others take to be queued, the first is not done before it.
    pause_all(&host.instance(), true).await;
    bring(&host, &(2..6).map(|n| direct(&n.to_string(), &format!("!reply {n}"))).collect::<Vec<_>>()).await;
    host.until("SELECT CAST(count(*) AS TEXT) FROM runs", "5").await;
    bring(&host, &[bob("6", "!reply bob")]).await;
    host.until("SELECT CAST(count(*) AS TEXT) FROM runs", "6").await;
    pause_all(&host.instance(), false).await;
    host.until("SELECT CAST(count(*) AS TEXT) FROM runs WHERE answered = 1", "6").await;
    let order: String = host
        .query("SELECT group_concat(json_extract(result, '$.reply'), ' ') FROM (SELECT result FROM runs ORDER BY started_at)")
        .unwrap();
    assert_eq!(order, "1 bob 2 3 4 5");
}
