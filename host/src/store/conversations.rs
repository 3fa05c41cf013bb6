//! Where people talk, and which space that is.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{Store, StoreError};
use crate::domain::{admins::Admins, chat, ids::SpaceId};

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

/// Spaces that direct conversations get by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AutoSpace {
    /// Whose direct conversations are linked to `main`.
    pub admins: Admins,
}

impl AutoSpace {
    /// The space of a direct conversation that has none.
    pub fn space_for(&self, platform: &str, conversation: &str, author: &str) -> Option<SpaceId> {
        let id = if self.admins.contains(author) {
            SpaceId::MAIN.to_owned()
        } else {
            chat::own_space(platform, conversation)
        };
        SpaceId::try_from(id).ok()
    }
}

const COLUMNS: &str = "id, platform, direct, title, space, first_seen, last_seen, removed_at";

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

    /// Links a conversation, or takes its link away. `false` where there is no such conversation.
    pub async fn link(&self, id: &str, space: Option<&SpaceId>) -> Result<bool, StoreError> {
        let (id, space) = (id.to_owned(), space.cloned());
        self.write(move |db| {
            let changed = db.execute(
                "UPDATE conversations SET space = ?2 WHERE id = ?1",
                params![id, space.as_ref().map(SpaceId::as_str)],
            )?;
            Ok(changed == 1)
        })
        .await
    }
}

/// Writes down that something happened in a conversation, and returns its space. A direct one without
/// a space gets its own where `auto` says so.
pub(super) fn see(
    db: &Transaction<'_>,
    platform: &str,
    seen: &Seen,
    author: &str,
    author_name: Option<&str>,
    auto: Option<&AutoSpace>,
    now: i64,
) -> rusqlite::Result<Option<SpaceId>> {
    db.execute(
        "INSERT INTO conversations (id, platform, direct, title, address, first_seen, last_seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
         ON CONFLICT (id) DO UPDATE SET direct = excluded.direct, title = coalesce(excluded.title, title),
             address = coalesce(excluded.address, address), last_seen = excluded.last_seen, removed_at = NULL",
        params![seen.id, platform, seen.direct, seen.title, seen.address, now],
    )?;
    let linked = space_of(db, &seen.id)?;
    let Some(auto) = auto.filter(|_| linked.is_none() && seen.direct) else { return Ok(linked) };
    let Some(space) = auto.space_for(platform, &seen.id, author) else { return Ok(None) };
    db.execute(
        "INSERT INTO spaces (id, name, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![space.as_str(), author_name.unwrap_or(space.as_str()), now],
    )?;
    db.execute("UPDATE conversations SET space = ?2 WHERE id = ?1", params![seen.id, space.as_str()])?;
    Ok(Some(space))
}

pub(super) fn space_of(db: &Transaction<'_>, conversation: &str) -> rusqlite::Result<Option<SpaceId>> {
    let space: Option<Option<String>> =
        db.query_row("SELECT space FROM conversations WHERE id = ?1", [conversation], |row| row.get(0)).optional()?;
    Ok(space.flatten().and_then(|space| SpaceId::try_from(space).ok()))
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

/// The platform gave a conversation another id: whatever is kept under the old one follows.
pub(super) fn rekey(db: &Transaction<'_>, from: &str, to: &str, now: i64) -> rusqlite::Result<()> {
    // It may have been seen under its new id before: then that one takes the space.
    db.execute(
        "INSERT INTO conversations (id, platform, direct, title, address, space, first_seen, last_seen)
         SELECT ?2, platform, direct, title, address, space, first_seen, ?3 FROM conversations WHERE id = ?1
         ON CONFLICT (id) DO UPDATE SET space = coalesce(excluded.space, space), first_seen = min(first_seen, excluded.first_seen)",
        params![from, to, now],
    )?;
    db.execute("DELETE FROM conversations WHERE id = ?1 AND ?1 <> ?2", params![from, to])?;
    for table in ["inbound", "messages", "deliveries", "tasks"] {
        db.execute(&format!("UPDATE {table} SET conversation = ?2 WHERE conversation = ?1"), params![from, to])?;
    }
    for table in ["said", "progress", "boundaries", "told", "confirmations"] {
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
