//! How many messages the database takes, and how long one waits until it is on disk.

use std::time::{Duration, Instant};

use mercury::{
    domain::ids::SpaceId,
    store::{NewInbound, Store},
};

use crate::{median, percentile, show};

/// Messages of each measurement.
const MESSAGES: usize = 4_000;
/// Rows of the space whose history is read.
const HISTORY: usize = 100_000;

pub(crate) async fn run() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    for writers in [1, 8, 64] {
        accept(&store, writers).await;
    }
    history(&store).await;
}

async fn accept(store: &Store, writers: usize) {
    let began = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut waits = Vec::new();
                for number in 0..MESSAGES / writers {
                    let began = Instant::now();
                    store.accept(message(format!("{writers}-{writer}-{number}"))).await.unwrap();
                    waits.push(began.elapsed());
                }
                waits
            })
        })
        .collect();
    let mut waits: Vec<Duration> = Vec::new();
    for task in tasks {
        waits.extend(task.await.unwrap());
    }
    println!(
        "messages accepted  {:>7.0}/s with {writers:>2} at once   median {:>8}   p99 {:>8}",
        waits.len() as f64 / began.elapsed().as_secs_f64(),
        show(median(&waits)),
        show(percentile(&waits, 99))
    );
}

/// storage.md #31: what was said last is found as fast in a large space as in a small one.
async fn history(store: &Store) {
    store
        .write(|db| {
            db.execute(
                "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                 INSERT INTO messages (space, conversation, role, content, created_at)
                 SELECT 'main', 'api:x', iif(i % 2, 'user', 'assistant'), 'some words that were said', i FROM n",
                [HISTORY as i64],
            )
        })
        .await
        .unwrap();
    let main = SpaceId::try_from("main".to_owned()).unwrap();
    let mut reads = Vec::new();
    for _ in 0..500 {
        let began = Instant::now();
        assert_eq!(store.history(&main, "api:x", "", 25).await.unwrap().len(), 50);
        reads.push(began.elapsed());
    }
    println!("last 50 of {HISTORY}   median {:>8}   p99 {:>8}", show(median(&reads)), show(percentile(&reads, 99)));
}

fn message(event: String) -> NewInbound {
    NewInbound {
        platform: "api".into(),
        event,
        space: SpaceId::try_from("main".to_owned()).unwrap(),
        conversation: "api:x".into(),
        author: "api:ada".into(),
        author_name: None,
        text: "What is in this folder, and which of it may go?".into(),
        attachments: Vec::new(),
        received_at: 1,
        chat: None,
    }
}
