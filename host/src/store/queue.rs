//! The queue as it stands, for whoever is told his place in it.

use std::{collections::HashMap, time::Duration};

use rusqlite::params;

use super::{NewDelivery, Store, StoreError, deliveries, standing};
use crate::domain::queue::{Snapshot, Waiting};

/// Ended runs of which the typical time is taken.
const LATELY: u32 = 20;
/// What people are told of their place; said again only when the place before is over.
const PLACE: &str = "place";

impl Store {
    pub async fn queue_snapshot(&self, now: i64) -> Result<Snapshot, StoreError> {
        self.read(move |db| {
            let waiting = db
                .prepare_cached("SELECT id, space FROM runs WHERE state IN ('queued', 'preparing', 'running') AND state = 'queued' ORDER BY id")?
                .query_map([], |row| Ok(Waiting { run: row.get(0)?, space: row.get(1)? }))?
                .collect::<Result<_, _>>()?;
            let active = db
                .prepare_cached("SELECT space, coalesce(started_at, ?1) FROM runs WHERE state IN ('queued', 'preparing', 'running') AND state <> 'queued'")?
                .query_map([now], |row| Ok((row.get(0)?, lasted(now, row.get(1)?))))?
                .collect::<Result<_, _>>()?;
            let served = db
                .prepare_cached("SELECT id, served_at FROM spaces")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<HashMap<_, _>, _>>()?;
            let mut times: Vec<i64> = db
                .prepare_cached(
                    "SELECT o.created_at - r.started_at FROM runs r JOIN outbound o ON o.inbound = r.inbound
                     WHERE r.id IN (SELECT id FROM runs ORDER BY id DESC LIMIT ?1) AND r.state = 'finished' AND r.started_at IS NOT NULL",
                )?
                .query_map([LATELY], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            times.sort_unstable();
            // The middle one: a single long run frightens nobody.
            let typical = times.get(times.len() / 2).map(|time| Duration::from_millis((*time).max(0).unsigned_abs()));
            Ok(Snapshot { waiting, active, served, typical })
        })
        .await
    }

    /// Whether a run that the same person has asked for in the same conversation and thread is queued or at work.
    pub async fn is_asking(&self, conversation: &str, thread: Option<&str>, person: &str) -> Result<bool, StoreError> {
        let (conversation, thread, person) = (conversation.to_owned(), thread.map(str::to_owned), person.to_owned());
        self.read(move |db| {
            db.prepare_cached(
                "SELECT 1 FROM runs r JOIN inbound i ON i.id = r.inbound
                 WHERE r.state IN ('queued', 'preparing', 'running') AND i.conversation = ?1 AND i.author = ?3
                   AND json_extract(i.chat, '$.thread') IS ?2 AND i.occasion IS NULL",
            )?
            .exists(params![conversation, thread, person])
        })
        .await
    }

    /// Tells the author of a chat's message where his run stands, unless he was told of another and that
    /// time is not over. Whether he is told.
    pub async fn tell_place(&self, inbound: i64, text: String, until: i64, now: i64) -> Result<bool, StoreError> {
        self.write(move |db| {
            let told = db
                .prepare_cached(
                    "SELECT 1 FROM told t JOIN inbound i ON i.conversation = t.conversation AND i.author = t.person
                     WHERE i.id = ?1 AND t.code = ?2 AND t.until > ?3",
                )?
                .exists(params![inbound, PLACE, now])?;
            if told {
                return Ok(false);
            }
            let delivery = db.query_row(
                "SELECT platform, conversation, json_extract(chat, '$.thread'),
                        CASE WHEN json_extract(chat, '$.direct') THEN NULL ELSE message END
                 FROM inbound WHERE id = ?1 AND chat IS NOT NULL",
                [inbound],
                |row| {
                    Ok(NewDelivery {
                        // SQLite gives the ids of removed rows again.
                        message: format!("place-{inbound}-{now}"),
                        platform: row.get(0)?,
                        conversation: row.get(1)?,
                        thread: row.get(2)?,
                        reply_to: row.get(3)?,
                        text,
                        choices: Vec::new(),
                    })
                },
            )?;
            deliveries::insert(db, &delivery, now)?;
            standing::tell(db, inbound, PLACE, until, now)?;
            Ok(true)
        })
        .await
    }
}

fn lasted(now: i64, since: i64) -> Duration {
    Duration::from_millis((now - since).max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        domain::{
            ids::{RunId, SpaceId},
            stages::Marks,
        },
        store::{NewInbound, NewRun},
    };

    async fn add(store: &Store, space: u8, number: usize) {
        let space = SpaceId::try_from(format!("s{space}")).unwrap();
        store.create_space(&space, 1).await.unwrap();
        let message = NewInbound {
            platform: "api".into(),
            event: number.to_string(),
            space,
            conversation: "api:x".into(),
            author: "api:x".into(),
            author_name: None,
            text: "x".into(),
            attachments: Vec::new(),
            received_at: 1,
            chat: None,
        };
        let inbound = store.accept(message).await.unwrap().id();
        let id = RunId::from_stored(format!("{number:04}"));
        let run = NewRun { id, inbound, role: "member".into(), created_at: 1, marks: Marks::default() };
        store.queue(run).await.unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Weakness W26: whatever arrives while the runs are worked off one after the other, and wherever the
        /// clock is moved, no space gets a second turn while another waits for its first; and who is told
        /// his place is told the truth, as long as nobody arrives behind him.
        #[test]
        fn turns_are_fair(steps in proptest::collection::vec((0_u8..4, 0_usize..3, 0_i64..100_000), 1..12)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let folder = tempfile::tempdir().unwrap();
                let store = Store::open(&folder.path().join("state.db")).unwrap();
                let (mut number, mut turns) = (0, HashMap::<String, HashMap<String, usize>>::new());
                for (space, count, now) in steps {
                    for _ in 0..count {
                        add(&store, space, number).await;
                        number += 1;
                    }
                    let snapshot = store.queue_snapshot(now).await.unwrap();
                    let first = snapshot.waiting.iter().find(|waiting| snapshot.place(&waiting.run, 1).unwrap().ahead == 0);
                    let Some((run, _)) = store.take_next(now, Vec::new).await.unwrap() else { continue };
                    assert_eq!(run.id.as_str(), first.unwrap().run);
                    let taken = run.space.to_string();
                    turns.remove(&taken);
                    let waiting: std::collections::HashSet<&String> =
                        snapshot.waiting.iter().map(|waiting| &waiting.space).filter(|space| **space != taken).collect();
                    for other in waiting {
                        let seen = turns.entry(other.clone()).or_default().entry(taken.clone()).or_default();
                        *seen += 1;
                        assert!(*seen <= 1, "{taken} had two turns while {other} waited");
                    }
                    store.fail(&run.id, &crate::domain::failure::Failure::Lost, Marks::default()).await.unwrap();
                }
            });
        }
    }
}
