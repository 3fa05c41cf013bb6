//! The old database's scheduled tasks. There their answers went to every conversation of the space; here each
//! has one, and where nothing says which, the task comes along and rests.

use rusqlite::{Connection, Transaction, params};

use super::{
    Report,
    rows::{has_column, known_space},
};
use crate::{
    domain::{
        chat,
        ids::SpaceId,
        task::{MOST_NAME, Place, Schedule, Wish},
    },
    store::{Found, PlannedTask, insert_task, person_of, place_for, stop_task},
};

/// Those after `last`; returns the new last.
pub(super) fn bring(
    from: &Connection,
    db: &Transaction<'_>,
    last: i64,
    report: &mut Report,
    now: i64,
) -> rusqlite::Result<i64> {
    let column =
        |name: &'static str| Ok::<_, rusqlite::Error>(if has_column(from, "tasks", name)? { name } else { "NULL" });
    let (timezone, name) = (column("timezone")?, column("name")?);
    let mut rows = from.prepare(&format!(
        "SELECT id, space_id, cron, at, prompt, active, silent, next_run_at, created_by, {timezone}, {name} FROM tasks ORDER BY id"
    ))?;
    let mut rows = rows.query([])?;
    let mut newest = last;
    while let Some(row) = rows.next()? {
        let (id, old_space): (i64, String) = (row.get(0)?, row.get(1)?);
        newest = newest.max(id);
        if id <= last {
            report.count("tasks", false);
            continue;
        }
        let what = format!("task #{id} of {old_space}");
        let known = known_space(db, Some(old_space))?.and_then(|space| SpaceId::try_from(space).ok());
        let Some(space) = known else {
            report.leave(what, "its space was deleted");
            continue;
        };
        let created_by = person_of(db, &row.get::<_, String>(8)?)?;
        let silent: bool = row.get(6)?;
        let (cron, at): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
        let timezone: Option<String> = row.get(9)?;
        let wish = Wish { cron: cron.as_deref(), at: at.as_deref(), timezone: timezone.as_deref() };
        let found = place_for(db, &space, &created_by)?;
        // Exactly the old moment: a time without an offset was one on the old host's own clock.
        let due: i64 = row.get(7)?;
        let (next, rest) = match Schedule::parse(wish) {
            Err(error) => (due, Some(format!("{error}: {}", error.next_step()))),
            Ok(Schedule::At(_)) => (due, None),
            Ok(cron) => match cron.resumed(now) {
                None => (due, Some("there is no day any more on which it is due".to_owned())),
                // One that was missed while the two hosts changed places is made up for, once.
                Some(next) => (if due <= now { due } else { next }, None),
            },
        };
        let rest = rest.or_else(|| {
            let unclear = found == Found::Several && !silent;
            unclear.then(|| "its space has several conversations, and nothing says which it answers to".to_owned())
        });
        let place = match found {
            Found::One(place) => place,
            Found::Nobody | Found::Several => Place::of_program(&created_by),
        };
        let name: Option<String> = row.get(10)?;
        let task = PlannedTask {
            space,
            name: name.and_then(|name| chat::name(&name, MOST_NAME)),
            prompt: row.get(4)?,
            cron,
            at: at.map(|at| fixed(&at, due)),
            timezone,
            silent,
            created_by,
            place,
            next_run_at: next,
            now,
        };
        insert_task(db, &task)?;
        let new = db.last_insert_rowid();
        if !row.get::<_, bool>(5)? {
            db.execute("UPDATE tasks SET active = 0 WHERE id = ?1", params![new])?;
        } else if let Some(rest) = rest {
            stop_task(db, new, &rest, now)?;
            report.leave(format!("{what}, which is #{new} here, rests"), &rest);
        }
        report.count("tasks", true);
    }
    Ok(newest)
}

/// The moment as it was written, or where its meaning hung on the old host's clock, in UTC.
fn fixed(at: &str, due: i64) -> String {
    match (at.parse::<jiff::Timestamp>(), jiff::Timestamp::from_millisecond(due)) {
        (Err(_), Ok(due)) => due.to_string(),
        _ => at.to_owned(),
    }
}
