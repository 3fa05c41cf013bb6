//! Which old database this is, and how far it was brought over before. A database has no name of its own, and
//! its path says nothing: projects are moved, and others put in their place. So it is known by what never
//! changes in it: when its spaces were made, and when its first conversation was seen.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::Report;

/// How far a database was brought over: what is newer comes along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub message: i64,
    pub usage: i64,
    pub task: i64,
}

/// The import that goes on; none where it is the first of this database.
pub(super) fn find(
    from: &Connection,
    db: &Transaction<'_>,
    source: &str,
    report: &mut Report,
) -> rusqlite::Result<Option<(i64, Progress)>> {
    for import in candidates(from, db, source)? {
        let (place, progress, written_at) = db.query_row(
            "SELECT source, last_message, last_usage, last_task, last_message_at FROM imports WHERE id = ?1",
            [import],
            |row| {
                let progress = Progress { message: row.get(1)?, usage: row.get(2)?, task: row.get(3)? };
                Ok((row.get::<_, String>(0)?, progress, row.get::<_, Option<i64>>(4)?))
            },
        )?;
        let there = written(from, progress.message)?;
        if written_at.is_some() && there.is_some() && there != written_at {
            // Both come from one project, and each has gone its own way since.
            continue;
        }
        if newest_ever(from)? < progress.message {
            report.leave(
                format!("what is in this database up to message #{}", progress.message),
                "it is an older state of one that was brought over before; if it is another project, made from a copy, import it into a project of its own",
            );
        }
        report.before = Some(place);
        return Ok(Some((import, progress)));
    }
    Ok(None)
}

/// Notes how far it is brought over now.
pub(super) fn note(
    from: &Connection,
    db: &Transaction<'_>,
    import: Option<i64>,
    source: &str,
    reached: Progress,
    now: i64,
) -> rusqlite::Result<()> {
    let import = match import {
        Some(import) => import,
        None => {
            let begin =
                "INSERT INTO imports (source, last_message, last_usage, last_task, at) VALUES (?1, 0, 0, 0, ?2)";
            db.execute(begin, params![source, now])?;
            db.last_insert_rowid()
        }
    };
    let Progress { message, usage, task } = reached;
    db.execute(
        "UPDATE imports SET source = ?2, last_message = ?3, last_usage = ?4, last_task = ?5, at = ?6,
             last_message_at = coalesce(?7, last_message_at) WHERE id = ?1",
        params![import, source, message, usage, task, now, written(from, message)?],
    )?;
    let mut insert = db.prepare("INSERT INTO import_marks (import, mark) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
    for mark in marks(from)? {
        insert.execute(params![import, mark])?;
    }
    Ok(())
}

/// Those that share a mark, the newest first. Imports of before there were marks are known by their path.
fn candidates(from: &Connection, db: &Transaction<'_>, source: &str) -> rusqlite::Result<Vec<i64>> {
    let mut found = BTreeSet::new();
    let mut with_mark = db.prepare("SELECT import FROM import_marks WHERE mark = ?1")?;
    for mark in marks(from)? {
        for import in with_mark.query_map([mark], |row| row.get(0))? {
            found.insert(import?);
        }
    }
    if found.is_empty() {
        let unmarked = "SELECT id FROM imports i WHERE source = ?1
                        AND NOT EXISTS (SELECT 1 FROM import_marks WHERE import = i.id)";
        found.extend(db.query_row(unmarked, [source], |row| row.get::<_, i64>(0)).optional()?);
    }
    Ok(found.into_iter().rev().collect())
}

/// Several, since a space may be deleted there; conversations are kept for ever.
fn marks(from: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut marks = from.prepare(
        "SELECT 'space ' || id || ' ' || created_at FROM spaces
         UNION ALL
         SELECT * FROM (SELECT 'conversation ' || platform || ' ' || first_seen_at FROM conversations ORDER BY id LIMIT 1)",
    )?;
    marks.query_map([], |row| row.get(0))?.collect()
}

/// When a message was written; none where it is deleted, or not there yet.
fn written(from: &Connection, message: i64) -> rusqlite::Result<Option<i64>> {
    from.query_row("SELECT created_at FROM messages WHERE id = ?1", [message], |row| row.get(0)).optional()
}

/// The number of the newest message that ever was, also where it is deleted by now.
fn newest_ever(from: &Connection) -> rusqlite::Result<i64> {
    let there: i64 = from.query_row("SELECT coalesce(max(id), 0) FROM messages", [], |row| row.get(0))?;
    let counted = from.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'")?.exists([])?;
    if !counted {
        return Ok(there);
    }
    let ever = "SELECT seq FROM sqlite_sequence WHERE name = 'messages'";
    Ok(from.query_row(ever, [], |row| row.get(0)).optional()?.unwrap_or(0).max(there))
}
