//! Tasks that people have scheduled. That one is due and the message that it becomes are one transaction, so
//! a host that ends at any point has done both or neither.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{Admission, Inbound, NewInbound, Store, StoreError, space_settings, to_json};
use crate::domain::{
    chat::Chat,
    ids::SpaceId,
    page::Page,
    task::{self, Due, MOST_FAILURES, Occasion, Place, Schedule, Turn, Wish},
};

/// As clients of the replaced system know it, with some more at the end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    pub id: i64,
    pub space_id: String,
    pub cron: Option<String>,
    pub at: Option<String>,
    pub prompt: String,
    /// 0 or 1, as in the replaced system.
    pub active: u8,
    pub silent: u8,
    /// Milliseconds since the epoch, like all moments here.
    pub next_run_at: i64,
    pub created_by: String,
    pub timezone: Option<String>,
    pub name: Option<String>,
    pub created_at: i64,
    pub updated_at: i64,
    /// Where its answers go.
    pub conversation: String,
    pub last_run_at: Option<i64>,
    /// Why the host itself has stopped it.
    pub note: Option<String>,
}

#[derive(Clone, Debug)]
pub struct PlannedTask {
    pub space: SpaceId,
    pub name: Option<String>,
    pub prompt: String,
    /// Exactly one of the two, as it was written.
    pub cron: Option<String>,
    pub at: Option<String>,
    pub timezone: Option<String>,
    pub silent: bool,
    pub created_by: String,
    pub place: Place,
    pub next_run_at: i64,
    pub now: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    Done(Box<Task>),
    UnknownSpace,
    /// The space has as many as it may have.
    TooMany,
}

/// What became of the wish that a task runs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested {
    /// It runs soon.
    Noted,
    Unknown,
    Paused,
    /// Its last run is not over.
    Busy,
}

/// Where the answers of a task go that nobody named a conversation for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    One(Place),
    /// Nobody is written to in the space.
    Nobody,
    /// One of several, and nothing says which.
    Several,
}

/// What became of the tasks that were due.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    /// Messages that are on disk, and to be decided.
    pub begun: Vec<Inbound>,
    /// Tasks that were stopped, and why.
    pub stopped: Vec<(i64, String)>,
    /// Times that were left out, since the run before was not over.
    pub skipped: Vec<i64>,
    /// Some wait for their space or the queue.
    pub held: bool,
    /// When the next one is due.
    pub next: Option<i64>,
}

const SELECT: &str =
    "SELECT id, space, cron, at, prompt, active, silent, next_run_at, created_by, timezone, name, created_at,
    updated_at, conversation, last_run_at, note FROM tasks";

/// What [`turn`] needs of a task beside what everybody sees of it.
struct Behind {
    requested: Option<i64>,
    last_inbound: Option<i64>,
    place: Place,
}

impl Store {
    /// Keeps a task, unless its space has `most` already.
    pub async fn plan_task(&self, task: PlannedTask, most: u32) -> Result<Planned, StoreError> {
        self.write(move |db| {
            let space = task.space.as_str();
            if !db.prepare_cached("SELECT 1 FROM spaces WHERE id = ?1")?.exists([space])? {
                return Ok(Planned::UnknownSpace);
            }
            let there: u32 = db.query_row("SELECT count(*) FROM tasks WHERE space = ?1", [space], |row| row.get(0))?;
            if there >= most {
                return Ok(Planned::TooMany);
            }
            insert(db, &task)?;
            let id = db.last_insert_rowid();
            Ok(Planned::Done(Box::new(db.query_row(&format!("{SELECT} WHERE id = ?1"), [id], read)?)))
        })
        .await
    }

    /// The tasks of a space, or of all; the oldest first, and one more than the page shows.
    pub async fn tasks(&self, space: Option<&SpaceId>, page: &Page) -> Result<Vec<Task>, StoreError> {
        let (space, wanted) = (space.map(SpaceId::to_string), page.wanted());
        let after = page.after.as_ref().map_or(0, |(id, _)| *id);
        self.read(move |db| match space {
            Some(space) => db
                .prepare_cached(&format!("{SELECT} WHERE space = ?1 AND id > ?2 ORDER BY id LIMIT ?3"))?
                .query_map(params![space, after, wanted], read)?
                .collect(),
            None => db
                .prepare_cached(&format!("{SELECT} WHERE id > ?1 ORDER BY id LIMIT ?2"))?
                .query_map(params![after, wanted], read)?
                .collect(),
        })
        .await
    }

    /// A task of a space, or of any.
    pub async fn task(&self, space: Option<&SpaceId>, id: i64) -> Result<Option<Task>, StoreError> {
        let space = space.map(SpaceId::to_string);
        self.read(move |db| one(db, space.as_deref(), id)).await
    }

    /// Lets a task rest, or go on from now. None where the space has no such task.
    pub async fn set_task_active(
        &self,
        space: Option<&SpaceId>,
        id: i64,
        active: bool,
        now: i64,
    ) -> Result<Option<Task>, StoreError> {
        let space = space.map(SpaceId::to_string);
        self.write(move |db| {
            let Some(task) = one(db, space.as_deref(), id)? else { return Ok(None) };
            // Of one that is at it already nothing is put off.
            if active && task.active == 0 {
                let wish =
                    Wish { cron: task.cron.as_deref(), at: task.at.as_deref(), timezone: task.timezone.as_deref() };
                let next = Schedule::parse(wish).ok().and_then(|schedule| schedule.resumed(now));
                db.execute(
                    "UPDATE tasks SET active = 1, next_run_at = ?2, note = NULL, failures = 0, updated_at = ?3 WHERE id = ?1",
                    params![id, next.unwrap_or(task.next_run_at), now],
                )?;
            } else if !active {
                db.execute(
                    "UPDATE tasks SET active = 0, requested_at = NULL, note = NULL, updated_at = ?2 WHERE id = ?1",
                    params![id, now],
                )?;
            }
            one(db, space.as_deref(), id)
        })
        .await
    }

    /// Notes that a task is to run now, whatever its schedule says.
    pub async fn request_task(&self, space: &SpaceId, id: i64, now: i64) -> Result<Requested, StoreError> {
        let space = space.to_string();
        self.write(move |db| {
            let Some(task) = one(db, Some(&space), id)? else { return Ok(Requested::Unknown) };
            if task.active == 0 {
                return Ok(Requested::Paused);
            }
            let last = db.query_row("SELECT last_inbound FROM tasks WHERE id = ?1", [id], |row| row.get(0))?;
            if is_busy(db, last)? {
                return Ok(Requested::Busy);
            }
            db.execute("UPDATE tasks SET requested_at = coalesce(requested_at, ?2) WHERE id = ?1", params![id, now])?;
            Ok(Requested::Noted)
        })
        .await
    }

    /// `false` where the space has no such task.
    pub async fn remove_task(&self, space: Option<&SpaceId>, id: i64) -> Result<bool, StoreError> {
        let space = space.map(SpaceId::to_string);
        self.write(move |db| {
            if one(db, space.as_deref(), id)?.is_none() {
                return Ok(false);
            }
            db.execute("DELETE FROM tasks WHERE id = ?1", [id])?;
            Ok(true)
        })
        .await
    }

    /// Makes messages of the tasks that are due, as far as there is room in the queue.
    pub async fn turn_tasks(&self, now: i64, room: Admission) -> Result<Turns, StoreError> {
        self.write(move |db| {
            let due: Vec<(Task, Behind)> = db
                .prepare_cached(
                    "SELECT id, space, cron, at, prompt, active, silent, next_run_at, created_by, timezone, name, created_at,
                     updated_at, conversation, last_run_at, note, requested_at, last_inbound, platform, thread, direct FROM tasks
                     WHERE active = 1 AND (next_run_at <= ?1 OR requested_at IS NOT NULL) ORDER BY next_run_at, id",
                )?
                .query_map([now], |row| Ok((read(row)?, read_more(row)?)))?
                .collect::<Result<_, _>>()?;
            let mut turns = Turns::default();
            for (task, more) in due {
                turn(db, &task, more, now, room, &mut turns)?;
            }
            turns.next = db
                .prepare_cached("SELECT min(next_run_at) FROM tasks WHERE active = 1 AND next_run_at > ?1")?
                .query_row([now], |row| row.get(0))?;
            Ok(turns)
        })
        .await
    }

    /// Aims anew at the next time of everything that comes again and is not due: clocks and time zones may
    /// have been changed. The event of each time sees to it that none comes twice.
    pub async fn aim_tasks(&self, now: i64) -> Result<(), StoreError> {
        self.write(move |db| {
            let ahead: Vec<Task> = db
                .prepare_cached(&format!("{SELECT} WHERE active = 1 AND cron IS NOT NULL AND next_run_at > ?1"))?
                .query_map([now], read)?
                .collect::<Result<_, _>>()?;
            for task in ahead {
                let wish = Wish { cron: task.cron.as_deref(), at: None, timezone: task.timezone.as_deref() };
                let next = Schedule::parse(wish).ok().and_then(|schedule| schedule.resumed(now));
                if let Some(next) = next.filter(|next| *next != task.next_run_at) {
                    db.execute("UPDATE tasks SET next_run_at = ?2 WHERE id = ?1", params![task.id, next])?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Counts a failure, and says how many there were in a row. The task that has too many is stopped.
    pub async fn task_failed(&self, id: i64, inbound: i64, why: String, now: i64) -> Result<u32, StoreError> {
        self.write(move |db| {
            let sql = "UPDATE tasks SET failures = failures + (counted IS NOT ?2), counted = ?2 WHERE id = ?1
                       RETURNING failures";
            let failures = db.query_row(sql, params![id, inbound], |row| row.get(0)).optional()?.unwrap_or(1);
            if failures >= MOST_FAILURES {
                stop(db, id, &why, now)?;
            }
            Ok(failures)
        })
        .await
    }

    pub async fn task_went_well(&self, id: i64) -> Result<(), StoreError> {
        self.write(move |db| {
            db.execute("UPDATE tasks SET failures = 0 WHERE id = ?1 AND failures > 0", [id])?;
            Ok(())
        })
        .await
    }

    /// Stops a task, and notes why.
    pub async fn stop_task(&self, id: i64, why: &str, now: i64) -> Result<(), StoreError> {
        let why = why.to_owned();
        self.write(move |db| stop(db, id, &why, now)).await
    }

    /// Where a person's task of a space answers to, if nobody says it.
    pub async fn task_place(&self, space: &SpaceId, person: &str) -> Result<Found, StoreError> {
        let (space, person) = (space.clone(), person.to_owned());
        self.read(move |db| place_for(db, &space, &person)).await
    }

    /// The place of a conversation that is linked to the space.
    pub async fn task_place_in(&self, space: &SpaceId, conversation: &str) -> Result<Option<Place>, StoreError> {
        let (space, conversation) = (space.clone(), conversation.to_owned());
        self.read(move |db| {
            let sql = "SELECT platform, id, direct FROM conversations WHERE id = ?2 AND space = ?1";
            db.prepare_cached(sql)?.query_row(params![space.as_str(), conversation], read_place).optional()
        })
        .await
    }
}

pub(crate) fn insert(db: &Transaction<'_>, task: &PlannedTask) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO tasks (space, name, prompt, cron, at, timezone, silent, created_by, platform, conversation, thread, direct,
             next_run_at, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14)",
        params![
            task.space.as_str(),
            task.name,
            task.prompt,
            task.cron,
            task.at,
            task.timezone,
            task.silent,
            task.created_by,
            task.place.platform,
            task.place.conversation,
            task.place.thread,
            task.place.direct,
            task.next_run_at,
            task.now
        ],
    )?;
    Ok(())
}

pub(crate) fn stop(db: &Transaction<'_>, id: i64, why: &str, now: i64) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE tasks SET active = 0, requested_at = NULL, note = ?2, updated_at = ?3 WHERE id = ?1",
        params![id, why, now],
    )?;
    Ok(())
}

/// The person's own conversation with the assistant, else the only one that the space has.
pub(crate) fn place_for(db: &Connection, space: &SpaceId, person: &str) -> rusqlite::Result<Found> {
    let mut linked = db.prepare_cached(
        "SELECT platform, id, direct FROM conversations WHERE space = ?1 AND removed_at IS NULL ORDER BY id",
    )?;
    let linked: Vec<Place> = linked.query_map([space.as_str()], read_place)?.collect::<Result<_, _>>()?;
    let latest: Option<String> = db
        .prepare_cached(
            "SELECT conversation FROM inbound WHERE author = ?1 AND json_extract(chat, '$.direct') ORDER BY id DESC LIMIT 1",
        )?
        .query_row([person], |row| row.get(0))
        .optional()?;
    let own =
        |place: &&Place| place.direct && (place.conversation == person || Some(&place.conversation) == latest.as_ref());
    Ok(match (linked.iter().find(own), &linked[..]) {
        (Some(own), _) => Found::One(own.clone()),
        (None, [only]) => Found::One(only.clone()),
        (None, []) => Found::Nobody,
        (None, _) => Found::Several,
    })
}

fn turn(
    db: &Transaction<'_>,
    task: &Task,
    more: Behind,
    now: i64,
    room: Admission,
    turns: &mut Turns,
) -> rusqlite::Result<()> {
    let Ok(space) = SpaceId::try_from(task.space_id.clone()) else { return Ok(()) };
    let paused = space_settings::read(db, &space)?.pause().is_some_and(|pause| pause.holds(now));
    let linked = || {
        db.prepare_cached("SELECT 1 FROM conversations WHERE id = ?1 AND space = ?2")?
            .exists(params![task.conversation, task.space_id])
    };
    let due = Due {
        cron: task.cron.clone(),
        at: task.at.clone(),
        timezone: task.timezone.clone(),
        due: task.next_run_at,
        requested: more.requested,
        silent: task.silent == 1,
        busy: is_busy(db, more.last_inbound)?,
        reachable: !more.place.is_told() || linked()?,
        held: paused || is_crowded(db, &space, room)?,
    };
    match task::turn(&due, now) {
        Turn::Hold => turns.held = true,
        Turn::Stop { why } => {
            stop(db, task.id, &why, now)?;
            turns.stopped.push((task.id, why));
        }
        Turn::Skip { next } => {
            go_on(db, task, next, now)?;
            turns.skipped.push(task.id);
        }
        Turn::Run { due, by_hand, next } => {
            if let Some(inbound) = accept(db, task, &space, more.place, (due, by_hand), now)? {
                db.execute(
                    "UPDATE tasks SET last_inbound = ?2, last_run_at = ?3 WHERE id = ?1",
                    params![task.id, inbound.id, now],
                )?;
                turns.begun.push(inbound);
            }
            go_on(db, task, next, now)?;
        }
    }
    Ok(())
}

/// What comes again has its next time; what came once, or comes never again, is over.
fn go_on(db: &Transaction<'_>, task: &Task, next: Option<i64>, now: i64) -> rusqlite::Result<()> {
    match next {
        Some(next) => {
            db.execute("UPDATE tasks SET next_run_at = ?2, requested_at = NULL WHERE id = ?1", params![task.id, next])?;
        }
        None if task.cron.is_some() => stop(db, task.id, "there is no day any more on which it is due", now)?,
        None => {
            db.execute("DELETE FROM tasks WHERE id = ?1", [task.id])?;
        }
    }
    Ok(())
}

/// The message that the task becomes at this time; none where it became one already.
fn accept(
    db: &Transaction<'_>,
    task: &Task,
    space: &SpaceId,
    place: Place,
    (due, by_hand): (i64, bool),
    now: i64,
) -> rusqlite::Result<Option<Inbound>> {
    let occasion = Occasion {
        task: task.id,
        name: task.name.clone(),
        due,
        by_hand,
        silent: task.silent == 1,
        timezone: task.timezone.clone(),
    };
    let told = place.is_told() && !occasion.silent;
    let chat = told.then(|| Chat {
        thread: place.thread.clone(),
        direct: place.direct,
        prompt: Some(task.prompt.clone()),
        ..Chat::default()
    });
    let author_name: Option<String> = db
        .prepare_cached("SELECT display_name FROM members WHERE space = ?1 AND person = ?2")?
        .query_row(params![task.space_id, task.created_by], |row| row.get(0))
        .optional()?
        .flatten();
    let event = occasion.event();
    let inserted = db.execute(
        "INSERT INTO inbound (platform, event, space, conversation, author, author_name, text, attachments, received_at, chat, occasion)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, '[]', ?8, ?9, ?10) ON CONFLICT (platform, event) DO NOTHING",
        params![
            place.platform,
            event,
            task.space_id,
            place.conversation,
            task.created_by,
            author_name,
            task.prompt,
            now,
            chat.as_ref().map(to_json).transpose()?,
            to_json(&occasion)?
        ],
    )?;
    if inserted == 0 {
        return Ok(None);
    }
    let message = NewInbound {
        platform: place.platform,
        event,
        space: space.clone(),
        conversation: place.conversation,
        author: task.created_by.clone(),
        author_name,
        text: task.prompt.clone(),
        attachments: Vec::new(),
        received_at: now,
        chat,
    };
    Ok(Some(Inbound { id: db.last_insert_rowid(), message, occasion: Some(occasion), consented: None }))
}

/// Whether the message is to be decided or its run to be done.
fn is_busy(db: &Connection, inbound: Option<i64>) -> rusqlite::Result<bool> {
    let Some(inbound) = inbound else { return Ok(false) };
    db.prepare_cached(
        "SELECT 1 FROM inbound i LEFT JOIN runs r ON r.inbound = i.id
         WHERE i.id = ?1 AND (i.decided = 0 OR r.state IN ('queued', 'preparing', 'running'))",
    )?
    .exists([inbound])
}

/// Whether half of the queue's room is taken: the other half is for people, who are waiting for their answer.
fn is_crowded(db: &Connection, space: &SpaceId, room: Admission) -> rusqlite::Result<bool> {
    if room.most_queued == 0 && room.most_queued_in_space == 0 {
        return Ok(false);
    }
    let count = |sql: &str| -> rusqlite::Result<(u32, u32)> {
        db.prepare_cached(sql)?.query_row([space.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
    };
    let (all, own) = count(
        "SELECT count(*), count(*) FILTER (WHERE space = ?1) FROM runs WHERE state IN ('queued', 'preparing', 'running') AND state = 'queued'",
    )?;
    let (more, more_own) = count(
        "SELECT count(*), count(*) FILTER (WHERE space = ?1) FROM inbound WHERE decided = 0 AND occasion IS NOT NULL",
    )?;
    let reached = |most: u32, count: u32| most > 0 && count >= most.div_ceil(2);
    Ok(reached(room.most_queued, all + more) || reached(room.most_queued_in_space, own + more_own))
}

fn one(db: &Connection, space: Option<&str>, id: i64) -> rusqlite::Result<Option<Task>> {
    db.prepare_cached(&format!("{SELECT} WHERE id = ?1 AND space = coalesce(?2, space)"))?
        .query_row(params![id, space], read)
        .optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Task> {
    Ok(Task {
        id: row.get(0)?,
        space_id: row.get(1)?,
        cron: row.get(2)?,
        at: row.get(3)?,
        prompt: row.get(4)?,
        active: row.get(5)?,
        silent: row.get(6)?,
        next_run_at: row.get(7)?,
        created_by: row.get(8)?,
        timezone: row.get(9)?,
        name: row.get(10)?,
        created_at: row.get(11)?,
        updated_at: row.get(12)?,
        conversation: row.get(13)?,
        last_run_at: row.get(14)?,
        note: row.get(15)?,
    })
}

fn read_more(row: &Row<'_>) -> rusqlite::Result<Behind> {
    Ok(Behind {
        requested: row.get(16)?,
        last_inbound: row.get(17)?,
        place: Place { platform: row.get(18)?, conversation: row.get(13)?, thread: row.get(19)?, direct: row.get(20)? },
    })
}

/// Of platform, conversation and whether it is direct.
fn read_place(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place { platform: row.get(0)?, conversation: row.get(1)?, thread: None, direct: row.get(2)? })
}

#[cfg(test)]
mod tests;
