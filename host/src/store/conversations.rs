//! Where people talk, and which space that is.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{
    Store, StoreError,
    aliases::{self, Encounter, Met},
    to_json,
};
use crate::domain::{
    auto_space::{self, AutoSpace},
    chat,
    ids::SpaceId,
    roles,
    space_settings::{SENSITIVE_ALLOWED, SYSTEM_PROMPT},
};

/// A conversation as an adapter describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub id: String,
    pub direct: bool,
    pub title: Option<String>,
    pub address: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    pub id: String,
    pub platform: String,
    pub direct: bool,
    pub title: Option<String>,
    pub space: Option<String>,
    /// Milliseconds since the epoch.
    pub first_seen: i64,
    pub last_seen: i64,
    /// When the bot was last removed from it.
    pub removed_at: Option<i64>,
}

const COLUMNS: &str = "id, platform, direct, title, space, first_seen, last_seen, removed_at";

/// Where what is said in a direct conversation belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectPlace {
    Space(SpaceId),
    /// It has no space, and gets none by itself.
    Unlinked,
    /// It is known, and no direct one.
    Group,
}

impl Store {
    pub async fn conversations(&self) -> Result<Vec<Conversation>, StoreError> {
        self.read(|db| {
            db.prepare(&format!("SELECT {COLUMNS} FROM conversations ORDER BY last_seen DESC, id"))?
                .query_map([], read)?
                .collect()
        })
        .await
    }

    pub async fn conversation(&self, id: &str) -> Result<Option<Conversation>, StoreError> {
        let id = id.to_owned();
        self.read(move |db| {
            db.query_row(&format!("SELECT {COLUMNS} FROM conversations WHERE id = ?1"), [id], read).optional()
        })
        .await
    }

    /// The conversations that are linked to a space, the one with the latest message first.
    pub async fn conversations_of(&self, space: &SpaceId) -> Result<Vec<Conversation>, StoreError> {
        let space = space.clone();
        self.read(move |db| {
            db.prepare(&format!("SELECT {COLUMNS} FROM conversations WHERE space = ?1 ORDER BY last_seen DESC, id"))?
                .query_map([space.as_str()], read)?
                .collect()
        })
        .await
    }

    /// Whether several people read along in a space: a conversation that is no direct one is linked to it.
    pub async fn is_shared(&self, space: &SpaceId) -> Result<bool, StoreError> {
        let space = space.clone();
        self.read(move |db| {
            db.prepare_cached("SELECT 1 FROM conversations WHERE space = ?1 AND direct = 0")?.exists([space.as_str()])
        })
        .await
    }

    /// The spaces in which several people read along, and that do not allow agents beside a sensitive connection.
    pub async fn closed_spaces(&self) -> Result<Vec<String>, StoreError> {
        self.read(|db| {
            db.prepare(
                "SELECT DISTINCT c.space FROM conversations c WHERE c.space IS NOT NULL AND c.direct = 0 AND NOT EXISTS
                     (SELECT 1 FROM space_settings s WHERE s.space = c.space AND s.key = ?1 AND s.value = 'true')
                 ORDER BY c.space",
            )?
            .query_map([SENSITIVE_ALLOWED], |row| row.get(0))?
            .collect()
        })
        .await
    }

    /// The direct conversations that are linked to a space such as they get by themselves, the one with the
    /// latest message first.
    pub async fn conversations_of_own_spaces(&self) -> Result<Vec<Conversation>, StoreError> {
        self.read(|db| {
            db.prepare(&format!(
                "SELECT {COLUMNS} FROM conversations WHERE direct AND substr(space, 1, length(?1)) = ?1 ORDER BY last_seen DESC, id"
            ))?
            .query_map([chat::OWN_SPACE], read)?
            .collect()
        })
        .await
    }

    /// The direct conversation in which a person has written last.
    pub async fn direct_conversation(&self, person: &str) -> Result<Option<Conversation>, StoreError> {
        let person = person.to_owned();
        self.read(move |db| {
            db.query_row(
                &format!(
                    "SELECT {COLUMNS} FROM conversations WHERE direct AND id =
                     (SELECT conversation FROM inbound WHERE author = ?1 AND json_extract(chat, '$.direct') ORDER BY id DESC LIMIT 1)"
                ),
                [person],
                read,
            )
            .optional()
        })
        .await
    }

    /// Writes down that a direct conversation was heard of, and returns its space: the one that it has, or
    /// that `auto` gives it.
    pub async fn see_direct(
        &self,
        platform: &str,
        conversation: &str,
        author_name: Option<&str>,
        auto: Option<AutoSpace>,
        now: i64,
    ) -> Result<DirectPlace, StoreError> {
        let (platform, name) = (platform.to_owned(), author_name.map(str::to_owned));
        let seen = Seen { id: conversation.to_owned(), direct: true, title: None, address: None };
        self.write(move |db| {
            let is_group =
                db.prepare_cached("SELECT 1 FROM conversations WHERE id = ?1 AND direct = 0")?.exists([&seen.id])?;
            if is_group {
                return Ok(DirectPlace::Group);
            }
            let (space, _) = see(db, &platform, &seen, &seen.id, name.as_deref(), auto.as_ref(), now)?;
            Ok(space.map_or(DirectPlace::Unlinked, DirectPlace::Space))
        })
        .await
    }

    /// Links a conversation, or takes its link away as [`Store::unlink`] does. `false` where there is no such
    /// conversation.
    pub async fn link(&self, id: &str, space: Option<&SpaceId>) -> Result<bool, StoreError> {
        let Some(space) = space.cloned() else { return Ok(self.unlink(id).await?.is_some()) };
        let id = id.to_owned();
        self.write(move |db| {
            let changed = db
                .execute("UPDATE conversations SET space = ?2, apart = 0 WHERE id = ?1", params![id, space.as_str()])?;
            Ok(changed == 1)
        })
        .await
    }

    /// Takes the link of a conversation away, and with that of a direct one those to the same space that its person
    /// has under other ids. None of them takes a space over from another id any more ([`aliases::meet`]), until
    /// somebody links it. Returns the others; none where there is no such conversation.
    pub async fn unlink(&self, id: &str) -> Result<Option<Vec<String>>, StoreError> {
        let id = id.to_owned();
        self.write(move |db| {
            let known: Option<(bool, Option<String>)> = db
                .query_row("SELECT direct, space FROM conversations WHERE id = ?1", [&id], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            let Some((direct, space)) = known else { return Ok(None) };
            db.execute("UPDATE conversations SET space = NULL, apart = 1 WHERE id = ?1", [&id])?;
            if !direct {
                return Ok(Some(Vec::new()));
            }
            let mut others: Vec<String> = db
                .prepare_cached(
                    "UPDATE conversations SET space = NULL, apart = 1 WHERE space = ?2 AND direct
                     AND id IN (SELECT ?1 UNION ALL SELECT alias FROM aliases WHERE person = ?1) RETURNING id",
                )?
                .query_map(params![aliases::person_of(db, &id)?, space], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            others.sort();
            Ok(Some(others))
        })
        .await
    }
}

/// Writes down that something happened in a conversation, and returns its space. A direct one without
/// a space gets that of its person's alias, or else its own where `auto` says so.
pub(super) fn see(
    db: &Transaction<'_>,
    platform: &str,
    seen: &Seen,
    author: &str,
    author_name: Option<&str>,
    auto: Option<&AutoSpace>,
    now: i64,
) -> rusqlite::Result<(Option<SpaceId>, Option<Encounter>)> {
    db.execute(
        "INSERT INTO conversations (id, platform, direct, title, address, first_seen, last_seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
         ON CONFLICT (id) DO UPDATE SET direct = excluded.direct, title = coalesce(excluded.title, title),
             address = coalesce(excluded.address, address), last_seen = excluded.last_seen, removed_at = NULL",
        params![seen.id, platform, seen.direct, seen.title, seen.address, now],
    )?;
    let encounter = if seen.direct { aliases::meet(db, &seen.id, now)? } else { None };
    let linked = match &encounter {
        Some(Encounter { met: Met::Adopted { space, .. }, .. }) => Some(space.clone()),
        _ => space_of(db, &seen.id)?,
    };
    let Some(auto) = auto.filter(|_| linked.is_none() && seen.direct) else { return Ok((linked, encounter)) };
    let author = aliases::identity_of(db, author)?;
    let Some(space) = auto.space_for(platform, &seen.id, &author) else { return Ok((None, None)) };
    let made = db.execute(
        "INSERT INTO spaces (id, name, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![space.as_str(), author_name.unwrap_or(space.as_str()), now],
    )?;
    if made == 1 {
        furnish(db, &space, auto, now)?;
    }
    db.execute("UPDATE conversations SET space = ?2 WHERE id = ?1", params![seen.id, space.as_str()])?;
    Ok((Some(space), None))
}

/// Writes what the new space of a direct conversation begins with.
fn furnish(db: &Transaction<'_>, space: &SpaceId, auto: &AutoSpace, now: i64) -> rusqlite::Result<()> {
    if let Some(list) = &auto.member_permissions {
        db.execute(
            "INSERT INTO role_permissions (space, role, permissions, updated_by, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![space.as_str(), roles::MEMBER_ROLE, to_json(list)?, auto_space::WRITER, now],
        )?;
    }
    if let Some(text) = &auto.system_prompt {
        db.execute(
            "INSERT INTO space_settings (space, key, value, updated_by, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![space.as_str(), SYSTEM_PROMPT, text, auto_space::WRITER, now],
        )?;
    }
    Ok(())
}

pub(super) fn space_of(db: &Connection, conversation: &str) -> rusqlite::Result<Option<SpaceId>> {
    let space: Option<Option<String>> =
        db.query_row("SELECT space FROM conversations WHERE id = ?1", [conversation], |row| row.get(0)).optional()?;
    Ok(space.flatten().and_then(|space| SpaceId::try_from(space).ok()))
}

/// The space of a direct conversation, where it is one and has one.
pub(super) fn direct_space_of(db: &Connection, conversation: &str) -> rusqlite::Result<Option<SpaceId>> {
    let sql = "SELECT space FROM conversations WHERE id = ?1 AND direct";
    let space: Option<Option<String>> =
        db.prepare_cached(sql)?.query_row([conversation], |row| row.get(0)).optional()?;
    Ok(space.flatten().and_then(|space| SpaceId::try_from(space).ok()))
}

/// Whether somebody took it out of its space.
pub(super) fn is_apart(db: &Connection, conversation: &str) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM conversations WHERE id = ?1 AND apart")?.exists([conversation])
}

/// Whether somebody has written there and the bot is still in it.
pub(super) fn has_direct(db: &Connection, conversation: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM conversations WHERE id = ?1 AND direct AND removed_at IS NULL";
    db.prepare_cached(sql)?.exists([conversation])
}

/// The bot is gone from a conversation and its threads: they lose their space, and the agent may read
/// that it was so.
pub(super) fn remove(db: &Transaction<'_>, conversation: &str, now: i64) -> rusqlite::Result<()> {
    let all: Vec<(String, Option<String>)> = db
        .prepare("SELECT id, space FROM conversations WHERE id >= ?1 AND substr(id, 1, length(?1)) = ?1")?
        .query_map([conversation], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (id, space) in all.into_iter().filter(|(id, _)| chat::belongs_to(id, conversation)) {
        if let Some(space) = space {
            db.execute(
                "INSERT INTO messages (space, conversation, role, content, created_at) VALUES (?1, ?2, 'ambient', ?3, ?4)",
                params![space, id, "The assistant was removed from this conversation.", now],
            )?;
        }
        db.execute("UPDATE conversations SET space = NULL, removed_at = ?2 WHERE id = ?1", params![id, now])?;
    }
    Ok(())
}

/// The platform gave a conversation another id: whatever is kept under the old one follows. Its messages are numbered
/// anew there (a supergroup of Telegram begins with 1), so that what was is known by its number no more.
pub(super) fn rekey(db: &Transaction<'_>, from: &str, to: &str, now: i64) -> rusqlite::Result<()> {
    // It may have been seen under its new id before: then that one takes the space.
    db.execute(
        "INSERT INTO conversations (id, platform, direct, title, address, space, first_seen, last_seen)
         SELECT ?2, platform, direct, title, address, space, first_seen, ?3 FROM conversations WHERE id = ?1
         ON CONFLICT (id) DO UPDATE SET space = coalesce(excluded.space, space), first_seen = min(first_seen, excluded.first_seen)",
        params![from, to, now],
    )?;
    db.execute("DELETE FROM conversations WHERE id = ?1 AND ?1 <> ?2", params![from, to])?;
    db.execute("UPDATE inbound SET message = NULL WHERE conversation = ?1 AND message IS NOT NULL", [from])?;
    db.execute("UPDATE deliveries SET reply_to = NULL WHERE conversation = ?1 AND state = 'pending'", [from])?;
    db.execute("DELETE FROM said WHERE conversation = ?1", [from])?;
    for table in ["inbound", "messages", "deliveries", "tasks"] {
        db.execute(&format!("UPDATE {table} SET conversation = ?2 WHERE conversation = ?1"), params![from, to])?;
    }
    for table in ["progress", "boundaries", "told", "confirmations", "unconfirmed"] {
        db.execute(
            &format!("UPDATE OR REPLACE {table} SET conversation = ?2 WHERE conversation = ?1"),
            params![from, to],
        )?;
    }
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    Ok(Conversation {
        id: row.get(0)?,
        platform: row.get(1)?,
        direct: row.get(2)?,
        title: row.get(3)?,
        space: row.get(4)?,
        first_seen: row.get(5)?,
        last_seen: row.get(6)?,
        removed_at: row.get(7)?,
    })
}
