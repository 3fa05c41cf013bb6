//! Runs and their states. Every change of state is one transaction with what belongs to it.

use mercury_protocol::io::{Attachment, RunResult};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{
    NewOutbound, Store, StoreError, boundaries, from_json,
    inbound::{self, PARTS, WHOLE_TEXT},
    members, outbound, to_json,
};
use crate::domain::{
    batch::{self, Part},
    failure::Failure,
    ids::{RunId, SpaceId},
    run::{Run, RunState, TASK_PLATFORM},
    stages::Marks,
};

/// The code of [`Failure::Blocked`].
const BLOCKED: &str = "blocked";

#[derive(Clone, Debug)]
pub struct NewRun {
    pub id: RunId,
    pub inbound: i64,
    pub role: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    pub marks: Marks,
}

/// How much is going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    pub queued: i64,
    pub active: i64,
}

/// The runs that a stop is meant for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopRequest {
    /// At work, and not asked to stop before.
    pub active: Vec<RunId>,
    /// Were queued, and are aborted now; their answers are still to be written.
    pub dropped: Vec<RunId>,
}

/// The condition of the index `runs_unfinished`, word for word: without it a query reads every run that
/// there ever was.
pub(super) const UNFINISHED: &str = "r.state IN ('queued', 'preparing', 'running')";

/// What belongs to the conversation: all but a task that answers to nobody.
const HEARD: &str = "NOT coalesce(json_extract(i.occasion, '$.silent'), 0)";

fn select() -> String {
    format!(
        "SELECT r.id, r.inbound, r.space, i.platform, i.conversation, i.author, i.author_name, r.role, i.text,
         i.attachments, r.state, r.attempts, r.started_at, r.marks, r.result, r.failure, r.stop_requested, i.chat, r.appended,
         {PARTS}, t.confinement, i.occasion, r.withheld, i.consented
         FROM runs r JOIN inbound i ON i.id = r.inbound LEFT JOIN plugin_tasks t ON t.inbound = r.inbound"
    )
}

impl Store {
    /// Marks the message as decided and queues its run, whatever waits already.
    pub async fn queue(&self, run: NewRun) -> Result<(), StoreError> {
        self.write(move |db| insert(db, &run)).await
    }

    /// Takes the next run and makes it `preparing`: of the idle spaces the least recently served
    /// one, and of that its oldest. So a space with many messages delays no other.
    ///
    /// Spaces that are `clearing` wait: their last container is answered for but not gone yet. They are asked for
    /// when this is written, behind the end of the run that left such a container.
    pub async fn take_next(
        &self,
        now: i64,
        clearing: impl FnOnce() -> Vec<SpaceId> + Send + 'static,
    ) -> Result<Option<(Run, Marks)>, StoreError> {
        self.write(move |db| {
            let clearing = to_json(&clearing())?;
            let next: Option<String> = db
                .query_row(
                    &format!("SELECT r.id FROM runs r JOIN spaces s ON s.id = r.space
                     WHERE r.state = 'queued' AND {UNFINISHED}
                       AND r.space NOT IN (SELECT r.space FROM runs r WHERE r.state IN ('preparing', 'running') AND {UNFINISHED})
                       AND r.space NOT IN (SELECT value FROM json_each(?1))
                     ORDER BY s.served_at, r.id LIMIT 1"),
                    [clearing],
                    |row| row.get(0),
                )
                .optional()?;
            let Some(id) = next else { return Ok(None) };
            db.execute("UPDATE runs SET state = 'preparing', attempts = attempts + 1 WHERE id = ?1", [&id])?;
            // Later than any other, also where the clock was set back: else a space would be served first, or
            // last, until the clock has caught up.
            db.execute(
                "UPDATE spaces SET served_at = max(?2, (SELECT max(served_at) + 1 FROM spaces))
                 WHERE id = (SELECT space FROM runs WHERE id = ?1)",
                params![id, now],
            )?;
            db.query_row(&format!("{} WHERE r.id = ?1", select()), [&id], |row| Ok((read(row)?, marks(row)?))).map(Some)
        })
        .await
    }

    /// Makes a `preparing` run `running`. `false` where it is no longer preparing.
    pub async fn mark_running(&self, run: &RunId, now: i64) -> Result<bool, StoreError> {
        let run = run.clone();
        self.write(move |db| {
            let changed = db.execute(
                "UPDATE runs SET state = 'running', started_at = ?2 WHERE id = ?1 AND state = 'preparing'",
                params![run.as_str(), now],
            )?;
            Ok(changed == 1)
        })
        .await
    }

    /// Leaves the message of a run only `kept` of its files: `withheld` are taken away for good.
    pub async fn keep_files(&self, run: &RunId, kept: Vec<Attachment>, withheld: u32) -> Result<(), StoreError> {
        let run = run.clone();
        self.write(move |db| {
            db.execute(
                "UPDATE inbound SET attachments = '[]' WHERE merged_into = (SELECT inbound FROM runs WHERE id = ?1)",
                [run.as_str()],
            )?;
            db.execute(
                "UPDATE inbound SET attachments = ?2 WHERE id = (SELECT inbound FROM runs WHERE id = ?1)",
                params![run.as_str(), to_json(&kept)?],
            )?;
            db.execute("UPDATE runs SET withheld = withheld + ?2 WHERE id = ?1", params![run.as_str(), withheld])?;
            Ok(())
        })
        .await
    }

    /// Keeps what run hooks put behind the prompt, also in the person's message as later runs see it.
    pub async fn append_to_prompt(&self, run: &RunId, appended: Option<String>) -> Result<(), StoreError> {
        let run = run.clone();
        self.write(move |db| {
            db.execute("UPDATE runs SET appended = ?2 WHERE id = ?1", params![run.as_str(), appended])?;
            db.execute(
                &format!(
                    "UPDATE messages SET content = (SELECT {WHOLE_TEXT} || coalesce(char(10, 10) || ?2, '') FROM inbound i
                        JOIN runs r ON r.inbound = i.id WHERE r.id = ?1)
                     WHERE run = ?1 AND role = 'user'"
                ),
                params![run.as_str(), appended],
            )?;
            Ok(())
        })
        .await
    }

    /// Puts a run back that never started.
    pub async fn requeue(&self, run: &RunId) -> Result<(), StoreError> {
        let run = run.clone();
        self.write(move |db| {
            db.execute(
                "UPDATE runs SET state = 'queued' WHERE id = ?1 AND state IN ('preparing', 'running')",
                [run.as_str()],
            )?;
            Ok(())
        })
        .await
    }

    /// Keeps the agent's result before anything is done with it.
    pub async fn finish(&self, run: &RunId, result: &RunResult, marks: Marks) -> Result<(), StoreError> {
        let (run, result) = (run.clone(), result.clone());
        self.write(move |db| {
            db.execute(
                "UPDATE runs SET state = 'finished', result = ?2, marks = ?3 WHERE id = ?1 AND state IN ('preparing', 'running')",
                params![run.as_str(), to_json(&result)?, to_json(&marks)?],
            )?;
            Ok(())
        })
        .await
    }

    /// Ends a run without a result. The outbound row follows when processors have seen the failure.
    pub async fn fail(&self, run: &RunId, failure: &Failure, marks: Marks) -> Result<(), StoreError> {
        let (run, failure) = (run.clone(), failure.clone());
        let state = if failure == Failure::Aborted { RunState::Aborted } else { RunState::Failed };
        self.write(move |db| {
            db.execute(
                "UPDATE runs SET state = ?2, failure = ?3, marks = ?4 WHERE id = ?1 AND state IN ('queued', 'preparing', 'running')",
                params![run.as_str(), state.as_str(), to_json(&failure)?, to_json(&marks)?],
            )?;
            Ok(())
        })
        .await
    }

    /// Writes the answer of a run that is over: the outbound row and the assistant's message. Where a
    /// plugin blocked the run nothing of it stays in the conversation, and what a plugin asked for is
    /// no part of one.
    pub async fn answer(&self, run: &RunId, reply: NewOutbound, marks: Marks, now: i64) -> Result<(), StoreError> {
        let run = run.clone();
        self.write(move |db| {
            outbound::insert(db, &reply, now)?;
            save_marks(db, &run, &marks)?;
            if reply.problem.is_none() {
                boundaries::spend(db, &run)?;
            }
            match &reply.problem {
                None if reply.suppressed => {}
                None => {
                    db.execute(
                        &format!(
                            "INSERT INTO messages (space, conversation, run, role, content, created_at)
                             SELECT i.space, i.conversation, ?1, 'assistant', ?2, ?3 FROM inbound i
                             WHERE i.id = ?4 AND i.platform <> ?5 AND {HEARD} ON CONFLICT DO NOTHING"
                        ),
                        params![run.as_str(), reply.reply, now, reply.inbound, TASK_PLATFORM],
                    )?;
                }
                Some(problem) if problem.code == BLOCKED => {
                    db.execute("DELETE FROM messages WHERE run = ?1", [run.as_str()])?;
                }
                Some(_) => {}
            }
            Ok(())
        })
        .await
    }

    /// Runs that are queued or at work, oldest first.
    pub async fn unfinished(&self) -> Result<Vec<(Run, Marks)>, StoreError> {
        self.read(|db| {
            db.prepare(&format!("{} WHERE {UNFINISHED} ORDER BY r.id", select()))?
                .query_map([], |row| Ok((read(row)?, marks(row)?)))?
                .collect()
        })
        .await
    }

    /// Runs that are over but whose answer was not written: the host ended in between.
    pub async fn unanswered(&self) -> Result<Vec<(Run, Marks, Result<RunResult, Failure>)>, StoreError> {
        self.read(|db| {
            db.prepare(&format!(
                "{} WHERE r.answered = 0 AND r.state IN ('finished', 'failed', 'aborted') ORDER BY r.id",
                select()
            ))?
            .query_map([], |row| {
                let result: Option<String> = row.get(14)?;
                let failure: Option<String> = row.get(15)?;
                let ending = match (result, failure) {
                    (Some(result), _) => Ok(from_json(14, &result)?),
                    (None, Some(failure)) => Err(from_json(15, &failure)?),
                    (None, None) => Err(Failure::Lost),
                };
                Ok((read(row)?, marks(row)?, ending))
            })?
            .collect()
        })
        .await
    }

    /// Asks the active run of a space to stop, and drops what waits behind it.
    pub async fn request_stop(&self, space: &SpaceId) -> Result<StopRequest, StoreError> {
        let space = space.to_string();
        self.write(move |db| {
            let failure = to_json(&Failure::Aborted)?;
            let active = db
                .prepare(&format!(
                    "UPDATE runs AS r SET stop_requested = 1
                     WHERE space = ?1 AND state IN ('preparing', 'running') AND {UNFINISHED} AND stop_requested = 0 RETURNING id"
                ))?
                .query_map([&space], run_id)?
                .collect::<Result<_, _>>()?;
            let dropped = db
                .prepare(&format!(
                    "UPDATE runs AS r SET state = 'aborted', failure = ?2 WHERE space = ?1 AND state = 'queued' AND {UNFINISHED} RETURNING id"
                ))?
                .query_map([&space, &failure], run_id)?
                .collect::<Result<_, _>>()?;
            Ok(StopRequest { active, dropped })
        })
        .await
    }

    /// Asks every active run to stop. What is queued stays for the next start.
    pub async fn request_stop_of_all(&self) -> Result<Vec<RunId>, StoreError> {
        self.write(|db| {
            db.prepare(&format!(
                "UPDATE runs AS r SET stop_requested = 1 WHERE state IN ('preparing', 'running') AND {UNFINISHED} RETURNING id"
            ))?
            .query_map([], run_id)?
            .collect()
        })
        .await
    }

    pub async fn is_stop_requested(&self, run: &RunId) -> Result<bool, StoreError> {
        let run = run.clone();
        self.read(move |db| {
            db.query_row("SELECT stop_requested FROM runs WHERE id = ?1", [run.as_str()], |row| row.get(0))
        })
        .await
    }

    pub async fn activity(&self) -> Result<Activity, StoreError> {
        self.read(|db| {
            db.query_row(
                "SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state <> 'queued')
                 FROM runs WHERE state IN ('queued', 'preparing', 'running')",
                [],
                |row| Ok(Activity { queued: row.get(0)?, active: row.get(1)? }),
            )
        })
        .await
    }

    pub async fn save_marks(&self, run: &RunId, marks: Marks) -> Result<(), StoreError> {
        let run = run.clone();
        self.write(move |db| save_marks(db, &run, &marks)).await
    }

    pub async fn marks_of(&self, run: &RunId) -> Result<Option<Marks>, StoreError> {
        let run = run.clone();
        self.read(move |db| {
            let text: Option<String> =
                db.query_row("SELECT marks FROM runs WHERE id = ?1", [run.as_str()], |row| row.get(0)).optional()?;
            text.map(|text| from_json(0, &text)).transpose()
        })
        .await
    }
}

/// Marks the message as decided and queues its run.
pub(super) fn insert(db: &Transaction<'_>, run: &NewRun) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO runs (id, inbound, space, role, state, created_at, marks)
         SELECT ?1, id, space, ?3, 'queued', ?4, ?5 FROM inbound WHERE id = ?2 ON CONFLICT (inbound) DO NOTHING",
        params![run.id.as_str(), run.inbound, run.role, run.created_at, to_json(&run.marks)?],
    )?;
    inbound::decided(db, run.inbound)?;
    members::meet(db, run.inbound)?;
    db.execute(
        &format!(
            "INSERT INTO messages (space, conversation, run, role, content, created_at, inbound)
             SELECT i.space, i.conversation, ?1, 'user', {WHOLE_TEXT}, i.received_at, i.id FROM inbound i
             WHERE i.id = ?2 AND {HEARD} ON CONFLICT DO NOTHING"
        ),
        params![run.id.as_str(), run.inbound],
    )?;
    Ok(())
}

fn save_marks(db: &Transaction<'_>, run: &RunId, marks: &Marks) -> rusqlite::Result<()> {
    db.execute("UPDATE runs SET marks = ?2 WHERE id = ?1", params![run.as_str(), to_json(marks)?])?;
    Ok(())
}

fn run_id(row: &Row<'_>) -> rusqlite::Result<RunId> {
    Ok(RunId::from_stored(row.get(0)?))
}

fn marks(row: &Row<'_>) -> rusqlite::Result<Marks> {
    from_json(13, &row.get::<_, String>(13)?)
}

pub(super) fn space_id(row: &Row<'_>, column: usize) -> rusqlite::Result<SpaceId> {
    SpaceId::try_from(row.get::<_, String>(column)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<Run> {
    let state: String = row.get(10)?;
    let confinement = row.get::<_, Option<String>>(20)?.map(|denied| from_json(20, &denied)).transpose()?;
    let last = Part {
        text: row.get(8)?,
        attachments: from_json(9, &row.get::<_, String>(9)?)?,
        chat: row.get::<_, Option<String>>(17)?.map(|chat| from_json(17, &chat)).transpose()?,
    };
    let whole = batch::merge(from_json(19, &row.get::<_, String>(19)?)?, last);
    Ok(Run {
        id: RunId::from_stored(row.get(0)?),
        inbound: row.get(1)?,
        space: space_id(row, 2)?,
        platform: row.get(3)?,
        conversation: row.get(4)?,
        caller: row.get(5)?,
        author_name: row.get(6)?,
        role: row.get(7)?,
        prompt: whole.prompt().to_owned(),
        attachments: whole.attachments,
        state: RunState::parse(&state).ok_or_else(|| {
            rusqlite::Error::FromSqlConversionFailure(
                10,
                rusqlite::types::Type::Text,
                format!("unknown run state `{state}`").into(),
            )
        })?,
        attempts: row.get(11)?,
        started_at: row.get(12)?,
        stop_requested: row.get(16)?,
        chat: whole.chat,
        appended: row.get(18)?,
        confinement,
        occasion: row.get::<_, Option<String>>(21)?.map(|text| from_json(21, &text)).transpose()?,
        withheld: row.get(22)?,
        consented: row.get::<_, Option<String>>(23)?.map(|names| from_json(23, &names)).transpose()?,
    })
}
