//! The old database's rows, as this one keeps them.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{
    Old, Report, aliases,
    known::{self, Progress},
    tasks,
};
use crate::domain::{
    ids::SpaceId,
    roles,
    space_settings::{self, ACTIVE_MODEL, PAUSED, RESUME_AT, SENSITIVE_ALLOWED},
};

/// Tables whose rows have no place here yet, with the column that names one.
const LATER: &[(&str, &str, &str)] = &[
    ("project_config", "key", "it has no place here yet"),
    ("extension_state", "extension || '/' || key", "the old extensions do not run here; plugins keep their own state"),
];
/// Why what belongs to a space did not come along without it.
const NO_SPACE: &str = "their space was deleted, or has a name that is none here";
/// Of those, how many are named.
const MOST_NAMED: usize = 20;

pub(super) fn bring(old: &Old, db: &Transaction<'_>, mut report: Report, now: i64) -> rusqlite::Result<Report> {
    let source = old.database.to_string_lossy().into_owned();
    let from = &old.connection;
    let found = known::find(from, db, &source, &mut report)?;
    let (import, before) = found.map_or((None, Progress::default()), |(import, progress)| (Some(import), progress));
    spaces(from, db, &mut report)?;
    conversations(from, db, &mut report)?;
    members(from, db, &mut report)?;
    settings(from, db, &mut report)?;
    preferences(from, db, &mut report)?;
    mutes(from, db, &mut report)?;
    // Behind what is kept of people: it moves to the id that names them.
    aliases::bring(from, db, &mut report, now)?;
    let reached = Progress {
        message: messages(from, db, before.message, &mut report)?,
        usage: spending(from, db, before.usage, &mut report)?,
        task: tasks::bring(from, db, before.task, &mut report, now)?,
    };
    known::note(from, db, import, &source, reached, now)?;
    for (table, name, why) in LATER {
        leave(from, table, name, why, &mut report)?;
    }
    Ok(report)
}

fn spaces(from: &Connection, db: &Transaction<'_>, report: &mut Report) -> rusqlite::Result<()> {
    let mut rows =
        from.prepare("SELECT id, name, created_at, coalesce(tags, '') FROM spaces ORDER BY created_at, id")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let (id, name, created_at, tags): (String, String, i64, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        if let Err(error) = SpaceId::try_from(id.clone()) {
            report.leave(format!("space {id}"), &error.to_string());
            continue;
        }
        let taken = db.execute(
            "INSERT INTO spaces (id, name, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![id, name, created_at],
        )?;
        // `main` is here from the beginning, and nobody has named it.
        db.execute("UPDATE spaces SET name = ?2 WHERE id = ?1 AND name = id", params![id, name])?;
        report.count("spaces", taken == 1);
        if !tags.is_empty() {
            report.leave(format!("tags of space {id}: {tags}"), "spaces have no tags here");
        }
    }
    Ok(())
}

/// A link that somebody has made here already stays.
fn conversations(from: &Connection, db: &Transaction<'_>, report: &mut Report) -> rusqlite::Result<()> {
    let mut rows = from.prepare(
        "SELECT platform || ':' || external_id, platform, kind = 'dm', observed_title, space_id, first_seen_at, last_seen_at
         FROM conversations ORDER BY id",
    )?;
    let (mut rows, mut left) = (rows.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        let (id, old): (String, Option<String>) = (row.get(0)?, row.get(4)?);
        let space = known_space(db, old.clone())?;
        left.extend(old.filter(|_| space.is_none()).map(|old| format!("{id} to {old}")));
        let taken = db.execute(
            "INSERT INTO conversations (id, platform, direct, title, space, first_seen, last_seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (id) DO NOTHING",
            params![
                id,
                row.get::<_, String>(1)?,
                row.get::<_, bool>(2)?,
                row.get::<_, Option<String>>(3)?,
                space,
                row.get::<_, i64>(5)?,
                row.get::<_, i64>(6)?
            ],
        )?;
        if taken == 0 {
            db.execute("UPDATE conversations SET space = coalesce(space, ?2) WHERE id = ?1", params![id, space])?;
        }
        report.count("conversations", taken == 1);
    }
    name("links of conversations", &left, NO_SPACE, report);
    Ok(())
}

pub(super) fn known_space(db: &Transaction<'_>, space: Option<String>) -> rusqlite::Result<Option<String>> {
    let Some(space) = space else { return Ok(None) };
    db.prepare_cached("SELECT id FROM spaces WHERE id = ?1")?.query_row([space], |row| row.get(0)).optional()
}

fn members(from: &Connection, db: &Transaction<'_>, report: &mut Report) -> rusqlite::Result<()> {
    let shown = if has_column(from, "space_roles", "display_name")? { "display_name" } else { "NULL" };
    let mut rows = from.prepare(&format!(
        "SELECT space_id, platform_user_id, role, {shown} FROM space_roles ORDER BY space_id, platform_user_id"
    ))?;
    let (mut rows, mut left) = (rows.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        let (old, person, role): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let Some(space) = known_space(db, Some(old.clone()))? else {
            left.push(format!("{old}/{person}"));
            continue;
        };
        let taken = db.execute(
            "INSERT INTO members (space, person, role, display_name) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            params![space, person, role, row.get::<_, Option<String>>(3)?],
        )?;
        report.count("people", taken == 1);
    }
    name("space_roles", &left, NO_SPACE, report);
    Ok(())
}

/// Those that a space has here, too, with a value that is one here.
fn settings(from: &Connection, db: &Transaction<'_>, report: &mut Report) -> rusqlite::Result<()> {
    let mut rows = from.prepare(
        "SELECT space_id, key, value, coalesce(updated_by, 'imported'), updated_at FROM space_config ORDER BY space_id, key",
    )?;
    let mut rows = rows.query([])?;
    let mut left = Vec::new();
    let knows_media = knows_media(from)?;
    while let Some(row) = rows.next()? {
        let (old, key, value): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if let (Some(role), Some(space)) = (role_of(&key), known_space(db, Some(old.clone()))?) {
            let list = serde_json::Value::from(permissions(role, &value, knows_media)).to_string();
            let taken = db.execute(
                "INSERT INTO role_permissions (space, role, permissions, updated_by, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO NOTHING",
                params![space, role, list, row.get::<_, String>(3)?, row.get::<_, i64>(4)?],
            )?;
            report.count("permissions of roles", taken == 1);
            continue;
        }
        let paused = (key == PAUSED && value == "true") || (key == RESUME_AT && value.trim().parse::<i64>().is_ok());
        // Said of another guard, and of groups that may not be there: whoever wants it here says so again.
        let opens = key == SENSITIVE_ALLOWED && value == "true";
        let fits = paused || key == ACTIVE_MODEL || (!opens && space_settings::check(&key, &value).is_ok());
        let Some(space) = known_space(db, Some(old.clone()))?.filter(|_| fits) else {
            left.push(format!("{old}/{key}"));
            continue;
        };
        let taken = db.execute(
            "INSERT INTO space_settings (space, key, value, updated_by, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
            params![space, key, value, row.get::<_, String>(3)?, row.get::<_, i64>(4)?],
        )?;
        report.count("space settings", taken == 1);
    }
    name("space_config", &left, "no space has these here, or not with that value; set them again", report);
    Ok(())
}

/// The role of `role.<role>.permissions`.
fn role_of(key: &str) -> Option<&str> {
    key.strip_prefix("role.")?.strip_suffix(".permissions").filter(|role| roles::check_name(role).is_ok())
}

/// What the old system's list means here (permissions.md 7), and an admin can always give the others back. What is
/// not known here is held by nobody.
fn permissions(role: &str, list: &str, knows_media: bool) -> Vec<String> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    let mut list: Vec<String> = names.map(str::to_owned).collect();
    if !knows_media {
        list = roles::with_media(list);
    }
    if role == roles::ADMIN_ROLE {
        let kept = roles::ADMIN_KEEPS.into_iter().filter(|kept| !list.iter().any(|name| name == kept));
        list.extend(kept.map(str::to_owned).collect::<Vec<_>>());
    }
    list
}

/// Whether the old system has brought its lists to what files need, so that one without them means that.
fn knows_media(from: &Connection) -> rusqlite::Result<bool> {
    let there = from.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'project_config'")?.exists([])?;
    Ok(there
        && from.prepare("SELECT 1 FROM project_config WHERE key = 'migration.media_role_permissions'")?.exists([])?)
}

/// One that somebody has set here already stays.
fn preferences(from: &Connection, db: &Transaction<'_>, report: &mut Report) -> rusqlite::Result<()> {
    let mut rows = from.prepare(
        "SELECT space_id, key, value, created_by, created_at, updated_at FROM space_preferences ORDER BY space_id, key",
    )?;
    let (mut rows, mut left) = (rows.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        let (old, of): (String, String) = (row.get(0)?, row.get(1)?);
        let Some(space) = known_space(db, Some(old.clone()))? else {
            left.push(format!("{old}/{of}"));
            continue;
        };
        let taken = db.execute(
            "INSERT INTO preferences (space, key, value, created_by, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO NOTHING",
            params![
                space,
                of,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, i64>(4)?,
                row.get::<_, i64>(5)?
            ],
        )?;
        report.count("preferences", taken == 1);
    }
    name("space_preferences", &left, NO_SPACE, report);
    Ok(())
}

fn mutes(from: &Connection, db: &Transaction<'_>, report: &mut Report) -> rusqlite::Result<()> {
    if !has_table(from, "mutes")? {
        return Ok(());
    }
    let mut rows = from.prepare(
        "SELECT space_id, platform_user_id, expires_at, reason, muted_by, created_at FROM mutes ORDER BY 1, 2",
    )?;
    let (mut rows, mut left) = (rows.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        let (old, of): (String, String) = (row.get(0)?, row.get(1)?);
        let Some(space) = known_space(db, Some(old.clone()))? else {
            left.push(format!("{old}/{of}"));
            continue;
        };
        let taken = db.execute(
            "INSERT INTO mutes (space, person, expires_at, reason, muted_by, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO NOTHING",
            params![
                space,
                of,
                row.get::<_, i64>(2)?,
                row.get::<_, Option<String>>(3)?,
                row.get::<_, String>(4)?,
                row.get::<_, i64>(5)?
            ],
        )?;
        report.count("mutes", taken == 1);
    }
    name("mutes", &left, NO_SPACE, report);
    Ok(())
}

/// Those after `last`; returns the new last. The conversation of each is that of its platform id, else
/// that of the message which it answers, else the one of its space that was seen last. What lies before a
/// boundary (`/clear`, `/compact`) is kept and is no context for the agent: its conversation is `archived:…`.
fn messages(from: &Connection, db: &Transaction<'_>, last: i64, report: &mut Report) -> rusqlite::Result<i64> {
    let reply = if has_column(from, "messages", "reply_to_id")? { "m.reply_to_id" } else { "NULL" };
    let cleared = if has_column(from, "chat_state", "clear_boundary")? { "clear_boundary" } else { "0" };
    let mut rows = from.prepare(&format!(
        "SELECT m.id, m.space_id, m.role, m.content, m.created_at, {reply}, m.attachments IS NOT NULL,
                (SELECT platform || ':' || conversation_external_id FROM message_platform_ids WHERE mercury_message_id = m.id LIMIT 1),
                (SELECT platform || ':' || external_id FROM conversations WHERE space_id = m.space_id ORDER BY last_seen_at DESC LIMIT 1),
                m.id <= coalesce((SELECT max(min_message_id, {cleared}) FROM chat_state WHERE space_id = m.space_id), 0)
         FROM messages m ORDER BY m.id"
    ))?;
    let mut rows = rows.query([])?;
    let mut conversations: HashMap<i64, std::rc::Rc<str>> = HashMap::new();
    let (mut newest, mut homeless, mut with_files, mut strange) = (last, 0_u64, 0_u64, 0_u64);
    let mut insert = db
        .prepare("INSERT INTO messages (space, conversation, role, content, created_at) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    while let Some(row) = rows.next()? {
        let (id, space): (i64, String) = (row.get(0)?, row.get(1)?);
        let answered = row.get::<_, Option<i64>>(5)?.and_then(|id| conversations.get(&id).cloned());
        let own: Option<String> = row.get(7)?;
        let of_space: Option<String> = row.get(8)?;
        let conversation = own.map(Into::into).or(answered).or(of_space.map(Into::into));
        let conversation = conversation.unwrap_or_else(|| format!("imported:{space}").into());
        conversations.insert(id, conversation.clone());
        newest = newest.max(id);
        if id <= last {
            report.count("messages", false);
            continue;
        }
        if known_space(db, Some(space.clone()))?.is_none() {
            homeless += 1;
            continue;
        }
        let role: String = row.get(2)?;
        if !["user", "assistant", "ambient"].contains(&role.as_str()) {
            strange += 1;
            continue;
        }
        let shown = if row.get(9)? { format!("archived:{conversation}") } else { conversation.to_string() };
        insert.execute(params![space, shown, role, row.get::<_, String>(3)?, row.get::<_, i64>(4)?])?;
        with_files += u64::from(row.get::<_, bool>(6)?);
        report.count("messages", true);
    }
    said(from, db, last)?;
    for (count, what, why) in [
        (homeless, "messages of spaces that were deleted", "nobody could see them"),
        (strange, "messages of tools", "they were never shown"),
        (
            with_files,
            "messages with a list of attachments",
            "the list names places of the old machine; the files themselves are copied",
        ),
    ] {
        if count > 0 {
            report.leave(format!("{count} {what}"), why);
        }
    }
    Ok(newest)
}

/// The platforms' ids of what the bot said, so that an answer to it is known as one.
fn said(from: &Connection, db: &Transaction<'_>, last: i64) -> rusqlite::Result<()> {
    let mut rows = from.prepare(
        "SELECT p.platform || ':' || p.conversation_external_id, p.platform_message_id
         FROM message_platform_ids p JOIN messages m ON m.id = p.mercury_message_id WHERE m.role = 'assistant' AND m.id > ?1",
    )?;
    let mut rows = rows.query([last])?;
    let mut insert =
        db.prepare("INSERT INTO said (conversation, message, delivery) VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING")?;
    while let Some(row) = rows.next()? {
        insert.execute(params![row.get::<_, String>(0)?, row.get::<_, String>(1)?])?;
    }
    Ok(())
}

fn spending(from: &Connection, db: &Transaction<'_>, last: i64, report: &mut Report) -> rusqlite::Result<i64> {
    let mut rows = from.prepare(
        "SELECT id, space_id, coalesce(provider, ''), coalesce(model, ''), created_at, coalesce(input_tokens, 0),
                coalesce(output_tokens, 0), coalesce(cache_read_tokens, 0), coalesce(cache_write_tokens, 0),
                CAST(round(cost * 1000000) AS INTEGER)
         FROM token_usage ORDER BY id",
    )?;
    let mut rows = rows.query([])?;
    let mut insert = db.prepare(
        "INSERT INTO spending (run, space, person, provider, model, began_at, ended_at, state, input, output, cache_read, cache_write, micro_usd)
         VALUES ('imported', ?1, '', ?2, ?3, ?4, ?4, 'complete', ?5, ?6, ?7, ?8, ?9)",
    )?;
    let mut newest = last;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        newest = newest.max(id);
        if id > last {
            insert.execute(params![
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, i64>(4)?,
                row.get::<_, i64>(5)?,
                row.get::<_, i64>(6)?,
                row.get::<_, i64>(7)?,
                row.get::<_, i64>(8)?,
                row.get::<_, Option<i64>>(9)?
            ])?;
        }
        report.count("spending", id > last);
    }
    Ok(newest)
}

fn leave(from: &Connection, table: &str, name_of: &str, why: &str, report: &mut Report) -> rusqlite::Result<()> {
    if !has_table(from, table)? {
        return Ok(());
    }
    let mut rows = from.prepare(&format!("SELECT {name_of} FROM {table} ORDER BY 1"))?;
    let names: Vec<String> = rows.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    name(table, &names, why, report);
    Ok(())
}

pub(super) fn name(table: &str, names: &[String], why: &str, report: &mut Report) {
    if names.is_empty() {
        return;
    }
    let more = if names.len() > MOST_NAMED { ", …" } else { "" };
    let shown = names.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    report.leave(format!("{} of {table}: {shown}{more}", names.len()), why);
}

pub(super) fn has_table(from: &Connection, table: &str) -> rusqlite::Result<bool> {
    from.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1", [table], |row| row.get(0))
}

/// Files of older versions lack some.
pub(super) fn has_column(from: &Connection, table: &str, column: &str) -> rusqlite::Result<bool> {
    from.query_row("SELECT count(*) FROM pragma_table_info(?1) WHERE name = ?2", [table, column], |row| row.get(0))
}
