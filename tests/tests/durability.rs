//! Promise 1 in small: the host is killed at each named point. `./dev bench durability` does the same with 10,000
//! messages, and with the real engine.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use mercury_tests::{
    durability::{self, Plan},
    engine::Engine,
    points::Point,
};

/// storage.md #30, in the middle of everything else: nothing is lost, nothing is answered twice, nothing is left,
/// and each point was really reached.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_named_point() {
    let plan = Plan { messages: 120, spaces: 12, seed: 7, kills: 1, concurrency: 8, log_level: "info" };
    let verdict = durability::run(plan, Engine::fake).await;
    assert_eq!(verdict.faults(), Vec::<String>::new(), "{verdict}");
    assert!(verdict.written >= 120);
    let reached: BTreeSet<Point> = verdict.kills.at.keys().copied().collect();
    assert_eq!(reached, BTreeSet::from(Point::ALL), "{verdict}");
}

/// Promise 1 without any crash: many conversations at once, and none is sent the same answer again.
#[tokio::test(flavor = "multi_thread")]
async fn one_host_sends_nothing_twice() {
    let plan = Plan { messages: 400, spaces: 40, seed: 3, kills: 0, concurrency: 16, log_level: "info" };
    let verdict = durability::run(plan, Engine::fake).await;
    assert_eq!(verdict.faults(), Vec::<String>::new(), "{verdict}");
    assert_eq!((verdict.written, verdict.repeats), (400, 0), "{verdict}");
}
