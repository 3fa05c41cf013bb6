//! Messages as they arrived.

use mercury_protocol::io::Attachment;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{Store, StoreError, from_json, to_json};
use crate::domain::{chat::Chat, ids::SpaceId};

#[derive(Clone, Debug)]
pub struct NewInbound {
    pub platform: String,
    /// Unique on the platform: a second delivery is recognised by it.
    pub event: String,
    pub space: SpaceId,
    pub conversation: String,
    pub author: String,
    pub author_name: Option<String>,
    pub text: String,
    pub attachments: Vec<Attachment>,
    /// Milliseconds since the epoch.
    pub received_at: i64,
    /// For messages of chat platforms; their answers go out by an adapter.
    pub chat: Option<Chat>,
}

#[derive(Clone, Debug)]
pub struct Inbound {
    pub id: i64,
    pub message: NewInbound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    New(i64),
    /// The same event was accepted before, under this id.
    Duplicate(i64),
}

impl Accepted {
    pub fn id(self) -> i64 {
        match self {
            Self::New(id) | Self::Duplicate(id) => id,
        }
    }
}

const COLUMNS: &str =
    "id, platform, event, space, conversation, author, author_name, text, attachments, received_at, chat";

impl Store {
    /// Durable when it returns.
    pub async fn accept(&self, message: NewInbound) -> Result<Accepted, StoreError> {
        self.write(move |db| insert(db, &message)).await
    }

    /// The platform and the chat's part of a message, if it came by an adapter.
    pub async fn chat_of(&self, inbound: i64) -> Result<Option<(String, Chat)>, StoreError> {
        self.read(move |db| {
            db.query_row("SELECT platform, chat FROM inbound WHERE id = ?1 AND chat IS NOT NULL", [inbound], |row| {
                Ok((row.get(0)?, from_json(1, &row.get::<_, String>(1)?)?))
            })
            .optional()
        })
        .await
    }

    /// Messages that were accepted but not decided: the host ended in between. Oldest first.
    pub async fn undecided(&self) -> Result<Vec<Inbound>, StoreError> {
        self.read(|db| {
            db.prepare(&format!("SELECT {COLUMNS} FROM inbound WHERE decided = 0 ORDER BY id"))?
                .query_map([], read)?
                .collect()
        })
        .await
    }
}

pub(super) fn insert(db: &Transaction<'_>, message: &NewInbound) -> rusqlite::Result<Accepted> {
    let known = db
        .query_row(
            "SELECT id FROM inbound WHERE platform = ?1 AND event = ?2",
            params![message.platform, message.event],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(id) = known {
        return Ok(Accepted::Duplicate(id));
    }
    db.execute(
        "INSERT INTO inbound (platform, event, space, conversation, author, author_name, text, attachments, received_at, message, chat)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            message.platform,
            message.event,
            message.space.as_str(),
            message.conversation,
            message.author,
            message.author_name,
            message.text,
            to_json(&message.attachments)?,
            message.received_at,
            message.chat.as_ref().map(|chat| &chat.message_id),
            message.chat.as_ref().map(to_json).transpose()?,
        ],
    )?;
    Ok(Accepted::New(db.last_insert_rowid()))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Inbound> {
    Ok(Inbound {
        id: row.get(0)?,
        message: NewInbound {
            platform: row.get(1)?,
            event: row.get(2)?,
            space: super::runs::space_id(row, 3)?,
            conversation: row.get(4)?,
            author: row.get(5)?,
            author_name: row.get(6)?,
            text: row.get(7)?,
            attachments: from_json(8, &row.get::<_, String>(8)?)?,
            received_at: row.get(9)?,
            chat: row.get::<_, Option<String>>(10)?.map(|text| from_json(10, &text)).transpose()?,
        },
    })
}
