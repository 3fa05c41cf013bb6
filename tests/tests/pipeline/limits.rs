//! How often people may ask, and what they are told.

use bytes::Bytes;
use http_body_util::BodyExt;
use mercury_tests::{
    away_from_midnight,
    host::Setup,
    parley::{bring, direct},
};
use serde_json::{Value, json};

use super::{bob, decided, said, say, set, start};

/// A window that no slow machine outlasts.
fn windowed(most: &str) -> Setup {
    let setup = Setup::scripted("runc").set("MERCURY_RATE_LIMIT_PER_USER", most);
    setup.set("MERCURY_RATE_LIMIT_WINDOW_MS", "3600000")
}

/// pipeline.md #26: the fourth of a minute is refused, once; others are not touched, and a stop works. A
/// restart forgets nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_limited() {
    let mut host = start(windowed("3")).await;
    for n in 1..=3 {
        say(&host, direct(&n.to_string(), &format!("!reply {n}")), &n.to_string()).await;
    }
    say(&host, direct("4", "!reply four"), "You have sent 3 messages in a short time. Please ask again in").await;
    let before = said(&host).len();
    bring(&host, &[direct("5", "!reply five"), direct("6", "!reply six")]).await;
    decided(&host).await;
    say(&host, bob("7", "!reply bob"), "bob").await;
    say(&host, direct("8", "stop"), "Nothing is active here.").await;
    assert_eq!(said(&host).len(), before + 2, "a flood gets one answer");
    host.kill();
    host.start().await;
    mercury_tests::parley::running(&host).await;
    bring(&host, &[direct("9", "!reply nine")]).await;
    decided(&host).await;
    assert_eq!(host.query::<i64>("SELECT count(*) FROM runs").unwrap(), 4);
}

/// A program is told each time, with a status that says what it is.
#[tokio::test(flavor = "multi_thread")]
async fn programs_are_limited_too() {
    let host = windowed("1").start().await;
    assert_eq!(host.ask("!reply one").await.reply(), "one");
    for _ in 0..2 {
        let answer = host.ask("!reply two").await;
        assert_eq!((answer.status, answer.code()), (429, "rate_limit_burst"), "{answer:?}");
        assert!(answer.body["reply"].as_str().unwrap().contains("ask again"), "{answer:?}");
    }
    let message = Bytes::from_static(br#"{"text":"!reply two"}"#);
    let (head, body) = host.exchange("POST", "/chat", &[], message).await.unwrap().into_parts();
    let seconds: u64 = head.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3_000..=3_600).contains(&seconds), "until the first is an hour old: {seconds}");
    let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(body["retryable"], true, "{body}");
    let other = host.chat(json!({ "text": "!reply three", "callerId": "api:eve" })).await;
    assert_eq!(other.reply(), "three");
}

/// pipeline.md #27, #29: a space's own limits.
#[tokio::test(flavor = "multi_thread")]
async fn a_space_has_its_limits() {
    away_from_midnight().await;
    let host = start(windowed("0")).await;
    say(&host, bob("1", "!reply one"), "one").await;
    set(&host, "dm-parley-bob", "rate_limit.member", "2").await;
    say(&host, bob("2", "!reply two"), "two").await;
    say(&host, bob("3", "!reply three"), "your 2/2 messages of today").await;
    set(&host, "dm-parley-bob", "rate_limit.member", "0").await;
    say(&host, bob("4", "!reply four"), "four").await;
    set(&host, "dm-parley-bob", "rate_limit", "1").await;
    say(&host, bob("5", "!reply five"), "You have sent 1 messages").await;
    say(&host, direct("6", "!reply six"), "six").await;
}
