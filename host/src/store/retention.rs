//! What is still needed of a space's and a run's files.

use std::path::Path;

use mercury_protocol::io::Attachment;
use rusqlite::{Connection, params};

use super::{Store, StoreError, from_json, runs::UNFINISHED};
use crate::domain::ids::{RunId, SpaceId};

/// Messages whose files are known to be written down: more than come to a space in some minutes.
const NEWEST: i64 = 500;

fn names(lists: Vec<Vec<Attachment>>) -> Vec<String> {
    let name = |file: Attachment| Path::new(&file.path).file_name()?.to_str().map(str::to_owned);
    lists.into_iter().flatten().filter_map(name).collect()
}

impl Store {
    /// Names in the inbox of the space that messages brought whose agent has not begun, at `now`.
    pub async fn waiting_files(&self, space: &SpaceId, now: i64) -> Result<Vec<String>, StoreError> {
        let space = space.clone();
        self.read(move |db| {
            // What is held back until its author says yes is decided and has no run, and the yes takes it up as its
            // part before it has one itself.
            let lists = db
                .prepare_cached(&format!(
                    "SELECT attachments FROM inbound WHERE decided = 0 AND space = ?1 UNION ALL
                     SELECT p.attachments FROM inbound i CROSS JOIN inbound p ON p.merged_into = i.id
                     WHERE i.decided = 0 AND +i.space = ?1 UNION ALL
                     SELECT i.attachments FROM unconfirmed CROSS JOIN inbound i ON i.id = unconfirmed.inbound
                     WHERE expires_at > ?2 AND i.space = ?1 UNION ALL
                     SELECT p.attachments FROM unconfirmed CROSS JOIN inbound p ON p.merged_into = unconfirmed.inbound
                     WHERE expires_at > ?2 AND +p.space = ?1 UNION ALL
                     SELECT i.attachments FROM runs r JOIN inbound i ON i.id = r.inbound
                     WHERE {UNFINISHED} AND r.state <> 'running' AND +r.space = ?1 UNION ALL
                     SELECT p.attachments FROM runs r JOIN inbound p ON p.merged_into = r.inbound
                     WHERE {UNFINISHED} AND r.state <> 'running' AND +r.space = ?1"
                ))?
                .query_map(params![space.as_str(), now], |row| {
                    from_json::<Vec<Attachment>>(0, &row.get::<_, String>(0)?)
                })?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(names(lists))
        })
        .await
    }

    /// Names in the inbox of the space that its newest messages brought.
    pub async fn newest_files(&self, space: &SpaceId) -> Result<Vec<String>, StoreError> {
        let space = space.clone();
        self.read(move |db| {
            let lists = db
                .prepare_cached("SELECT attachments FROM inbound WHERE space = ?1 ORDER BY id DESC LIMIT ?2")?
                .query_map(params![space.as_str(), NEWEST], |row| {
                    from_json::<Vec<Attachment>>(0, &row.get::<_, String>(0)?)
                })?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(names(lists))
        })
        .await
    }

    /// Spaces in which something is going on at `now`: their files stay as they are.
    pub async fn busy_spaces(&self, now: i64) -> Result<Vec<String>, StoreError> {
        self.read(move |db| {
            db.prepare_cached(&format!(
                "SELECT r.space FROM runs r WHERE {UNFINISHED}
                 UNION ALL SELECT space FROM runs WHERE answered = 0 AND state IN ('finished', 'failed', 'aborted')
                 UNION ALL SELECT space FROM inbound WHERE decided = 0
                 UNION ALL SELECT i.space FROM unconfirmed CROSS JOIN inbound i ON i.id = unconfirmed.inbound
                 WHERE expires_at > ?1"
            ))?
            .query_map([now], |row| row.get(0))?
            .collect()
        })
        .await
    }

    /// Those of `runs` whose answer is sent or given away with the run: nobody will ask for its files.
    /// What waits or was given up may be sent again, and is not among them.
    pub async fn answered_and_sent(&self, runs: Vec<RunId>) -> Result<Vec<RunId>, StoreError> {
        self.read(move |db| {
            let over = |db: &Connection, run: &RunId| {
                db.prepare_cached(
                    "SELECT NOT EXISTS (SELECT 1 FROM runs WHERE id = ?1 AND answered = 0)
                        AND NOT EXISTS (SELECT 1 FROM outbound o JOIN deliveries d ON d.outbound = o.id
                                        WHERE o.run = ?1 AND d.state <> 'delivered')",
                )?
                .query_row([run.as_str()], |row| row.get::<_, bool>(0))
            };
            runs.into_iter().filter_map(|run| over(db, &run).map(|over| over.then_some(run)).transpose()).collect()
        })
        .await
    }

    /// Those of `runs` that are over, or that nobody knows.
    pub async fn ended(&self, runs: Vec<RunId>) -> Result<Vec<RunId>, StoreError> {
        self.read(move |db| {
            let mut present = db.prepare_cached(&format!("SELECT r.id FROM runs r WHERE {UNFINISHED}"))?;
            let present: std::collections::BTreeSet<String> =
                present.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(runs.into_iter().filter(|run| !present.contains(run.as_str())).collect())
        })
        .await
    }
}
