//! Whether a request becomes a run: how often people have asked, and how much waits already. Read, decided
//! and written in one transaction, so that no two requests pass on the same count.

use rusqlite::{Connection, OptionalExtension, ToSql, Transaction, params};

use super::{NewRun, Store, StoreError, runs};
use crate::domain::limits::{Exceeded, Limits, Usage, day};

/// The longest window that may be configured, in milliseconds: an hour.
const LONGEST_WINDOW: i64 = 3_600_000;

/// What must hold for a request to be admitted. The default admits everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    pub limits: Limits,
    /// Runs that may wait, altogether and in one space; 0 is no limit.
    pub most_queued: u32,
    pub most_queued_in_space: u32,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    Queued,
    /// Nothing was written: a limit is reached.
    Limited(Exceeded),
    /// Nothing was written: too much waits.
    Full,
}

impl Store {
    /// Marks the message as decided and queues its run, if it is admitted.
    pub async fn admit_run(&self, run: NewRun, admission: Admission) -> Result<Admitted, StoreError> {
        self.write(move |db| {
            let asked = db
                .query_row("SELECT space, author FROM inbound WHERE id = ?1 AND decided = 0", [run.inbound], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
                })
                .optional()?;
            // Decided already, or gone with its space.
            let Some((space, person)) = asked else { return Ok(Admitted::Queued) };
            if let Err(exceeded) =
                admission.limits.check(&usage(db, &space, &person, &admission.limits, run.created_at)?, run.created_at)
            {
                return Ok(Admitted::Limited(exceeded));
            }
            if is_full(db, &space, admission)? {
                return Ok(Admitted::Full);
            }
            count(db, &space, &person, run.created_at)?;
            runs::insert(db, &run)?;
            Ok(Admitted::Queued)
        })
        .await
    }

    /// Whether a request of this person would be admitted now; nothing is counted.
    pub async fn admits(
        &self,
        space: &str,
        person: &str,
        admission: Admission,
        now: i64,
    ) -> Result<Admitted, StoreError> {
        let (space, person) = (space.to_owned(), person.to_owned());
        self.read(move |db| {
            let usage = usage(db, &space, &person, &admission.limits, now)?;
            Ok(match admission.limits.check(&usage, now) {
                Err(exceeded) => Admitted::Limited(exceeded),
                Ok(()) if is_full(db, &space, admission)? => Admitted::Full,
                Ok(()) => Admitted::Queued,
            })
        })
        .await
    }
}

fn usage(db: &Connection, space: &str, person: &str, limits: &Limits, now: i64) -> rusqlite::Result<Usage> {
    // Moments to come are of a clock that was set back: as many as there are, they must not hide the others.
    let (since, until) = (now.saturating_sub(limits.window), now.saturating_add(limits.window));
    // More than the limit decide nothing.
    let newest = |condition: &str, limit: u32, of: &[&dyn ToSql]| -> rusqlite::Result<Vec<i64>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT at FROM asked WHERE at > ?1 AND at < ?3 {condition} ORDER BY at DESC LIMIT ?2");
        let mut parameters: Vec<&dyn ToSql> = vec![&since, &limit, &until];
        parameters.extend(of);
        let mut statement = db.prepare_cached(&sql)?;
        let found = statement.query_map(&parameters[..], |row| row.get(0))?;
        let mut moments = found.collect::<rusqlite::Result<Vec<i64>>>()?;
        moments.reverse();
        Ok(moments)
    };
    Ok(Usage {
        person: newest("AND space = ?4 AND person = ?5", limits.person, &[&space, &person])?,
        space: newest("AND space = ?4", limits.space, &[&space])?,
        total: newest("", limits.total, &[])?,
        today: match limits.day {
            0 => 0,
            _ => db
                .prepare_cached("SELECT count FROM asked_daily WHERE space = ?1 AND person = ?2 AND day = ?3")?
                .query_row(params![space, person, day(now)], |row| row.get(0))
                .optional()?
                .unwrap_or(0),
        },
    })
}

fn count(db: &Transaction<'_>, space: &str, person: &str, now: i64) -> rusqlite::Result<()> {
    db.execute("DELETE FROM asked WHERE at <= ?1", [now.saturating_sub(LONGEST_WINDOW)])?;
    db.execute("INSERT INTO asked (space, person, at) VALUES (?1, ?2, ?3)", params![space, person, now])?;
    db.execute(
        "DELETE FROM asked_daily WHERE space = ?1 AND person = ?2 AND day < ?3",
        params![space, person, day(now)],
    )?;
    db.execute(
        "INSERT INTO asked_daily (space, person, day, count) VALUES (?1, ?2, ?3, 1)
         ON CONFLICT (space, person, day) DO UPDATE SET count = count + 1",
        params![space, person, day(now)],
    )?;
    Ok(())
}

fn is_full(db: &Connection, space: &str, admission: Admission) -> rusqlite::Result<bool> {
    let Admission { most_queued, most_queued_in_space, .. } = admission;
    if most_queued == 0 && most_queued_in_space == 0 {
        return Ok(false);
    }
    let (all, own): (u32, u32) = db
        .prepare_cached("SELECT count(*), count(*) FILTER (WHERE space = ?1) FROM runs WHERE state IN ('queued', 'preparing', 'running') AND state = 'queued'")?
        .query_row([space], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let reached = |most: u32, count: u32| most > 0 && count >= most;
    Ok(reached(most_queued, all) || reached(most_queued_in_space, own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            ids::{RunId, SpaceId},
            limits::Reach,
            stages::Marks,
        },
        store::NewInbound,
    };

    fn space(name: &str) -> SpaceId {
        SpaceId::try_from(name.to_owned()).unwrap()
    }

    async fn ask(store: &Store, place: &str, person: &str, now: i64, admission: Admission) -> Admitted {
        store.create_space(&space(place), 1).await.unwrap();
        let id = uuid::Uuid::now_v7();
        let message = NewInbound {
            platform: "api".into(),
            event: id.to_string(),
            space: space(place),
            conversation: "api:x".into(),
            author: person.into(),
            author_name: None,
            text: "hi".into(),
            attachments: Vec::new(),
            received_at: now,
            chat: None,
        };
        let inbound = store.accept(message).await.unwrap().id();
        let run = NewRun {
            id: RunId::from_uuid(id),
            inbound,
            role: "member".into(),
            created_at: now,
            marks: Marks::default(),
        };
        let expected = store.admits(place, person, admission, now).await.unwrap();
        let admitted = store.admit_run(run, admission).await.unwrap();
        assert_eq!(admitted, expected);
        admitted
    }

    fn limits(person: u32, space: u32, total: u32, day: u32) -> Admission {
        Admission { limits: Limits { window: 60_000, person, space, total, day }, ..Admission::default() }
    }

    fn reach(admitted: Admitted) -> Option<Reach> {
        match admitted {
            Admitted::Limited(exceeded) => Some(exceeded.reach),
            _ => None,
        }
    }

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        (folder, store)
    }

    /// pipeline.md #26, #28, #29: people and spaces are independent, a restart forgets nothing, and what is
    /// refused counts for nothing.
    #[tokio::test]
    async fn who_asks_too_often() {
        let (folder, store) = store().await;
        let three = limits(3, 0, 0, 0);
        for at in [0, 1, 2] {
            assert_eq!(ask(&store, "main", "ada", at, three).await, Admitted::Queued);
        }
        drop(store);
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        for _ in 0..3 {
            assert_eq!(reach(ask(&store, "main", "ada", 3, three).await), Some(Reach::Person));
        }
        assert_eq!(ask(&store, "main", "bob", 3, three).await, Admitted::Queued);
        assert_eq!(ask(&store, "other", "ada", 3, three).await, Admitted::Queued);
        assert_eq!(ask(&store, "main", "ada", 60_000, three).await, Admitted::Queued, "the first is over");
        assert_eq!(reach(ask(&store, "main", "ada", 60_000, three).await), Some(Reach::Person));
        assert_eq!(ask(&store, "main", "ada", 60_000, limits(4, 0, 0, 0)).await, Admitted::Queued, "another limit");
    }

    /// Moments to come, as many as there are, hide none of those that count.
    #[tokio::test]
    async fn a_clock_that_was_set_back() {
        let (_folder, store) = store().await;
        let three = limits(3, 0, 0, 0);
        for at in [9_000_000, 9_000_001, 9_000_002, 0, 1, 2] {
            assert_eq!(ask(&store, "main", "ada", at, three).await, Admitted::Queued, "{at}");
        }
        assert_eq!(reach(ask(&store, "main", "ada", 3, three).await), Some(Reach::Person));
    }

    #[tokio::test]
    async fn spaces_and_the_host_have_limits() {
        let (_folder, store) = store().await;
        assert_eq!(ask(&store, "a", "1", 0, limits(0, 1, 2, 0)).await, Admitted::Queued);
        assert_eq!(reach(ask(&store, "a", "2", 1, limits(0, 1, 2, 0)).await), Some(Reach::Space));
        assert_eq!(ask(&store, "b", "2", 1, limits(0, 1, 2, 0)).await, Admitted::Queued);
        assert_eq!(reach(ask(&store, "c", "2", 1, limits(0, 1, 2, 0)).await), Some(Reach::Host));
    }

    /// pipeline.md #29, storage.md #22: the third of the day counts for nothing, and the next day begins anew.
    #[tokio::test]
    async fn a_day_has_a_limit() {
        let (_folder, store) = store().await;
        let two = limits(0, 0, 0, 2);
        let at = |hour: i64| hour * 3_600_000;
        assert_eq!(ask(&store, "main", "ada", at(1), two).await, Admitted::Queued);
        assert_eq!(ask(&store, "main", "ada", at(9), two).await, Admitted::Queued);
        for _ in 0..2 {
            assert_eq!(reach(ask(&store, "main", "ada", at(10), two).await), Some(Reach::Day));
        }
        let counts = async || {
            let sql = "SELECT group_concat(day || ':' || count) FROM asked_daily WHERE person = 'ada'";
            store.read(|db| db.query_row(sql, [], |row| row.get::<_, String>(0))).await.unwrap()
        };
        assert_eq!(counts().await, "0:2", "what was refused is not counted");
        assert_eq!(ask(&store, "main", "bob", at(10), two).await, Admitted::Queued);
        assert_eq!(ask(&store, "main", "ada", at(24), two).await, Admitted::Queued);
        assert_eq!(counts().await, "1:1", "the day before is forgotten");
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let (_folder, store) = store().await;
        let bounded = Admission { most_queued: 3, most_queued_in_space: 2, ..Admission::default() };
        for (place, expected) in [
            ("a", Admitted::Queued),
            ("a", Admitted::Queued),
            ("a", Admitted::Full),
            ("b", Admitted::Queued),
            ("c", Admitted::Full),
        ] {
            assert_eq!(ask(&store, place, "x", 1, bounded).await, expected, "{place}");
        }
        assert_eq!(store.undecided().await.unwrap().len(), 2, "what was not admitted is still to be answered");
    }
}
