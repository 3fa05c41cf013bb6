//! Messages as they arrived.

use mercury_protocol::io::Attachment;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{Store, StoreError, from_json, to_json};
use crate::domain::{
    batch::{self, Part},
    chat::Chat,
    ids::SpaceId,
    task::Occasion,
};

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
    /// Where nobody has written it: the time at which somebody's task was due.
    pub occasion: Option<Occasion>,
    /// Where its author was asked about it, and this is the yes: the connections that were named.
    pub consented: Option<Vec<String>>,
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

const SELECT: &str = "SELECT i.id, i.platform, i.event, i.space, i.conversation, i.author, i.author_name, i.text, i.attachments, i.received_at, i.chat,
    i.occasion, i.consented";

/// The messages that are parts of the message `i`, oldest first, as JSON.
pub(super) const PARTS: &str =
    "(SELECT json_group_array(json_object('text', p.text, 'attachments', json(p.attachments), 'chat', json(p.chat)) ORDER BY p.id)
      FROM inbound p WHERE p.merged_into = i.id)";

/// The text of the message `i` with those of its parts.
pub(super) const WHOLE_TEXT: &str = "coalesce((SELECT group_concat(p.text, char(10) ORDER BY p.id) FROM inbound p
     WHERE (p.id = i.id OR p.merged_into = i.id) AND p.text <> ''), '')";

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
            db.prepare(&format!(
                "{SELECT}, {PARTS} FROM inbound i WHERE i.decided = 0 AND i.merged_into IS NULL ORDER BY i.id"
            ))?
            .query_map([], read)?
            .collect()
        })
        .await
    }

    /// Makes `parts` and what is a part of them parts of `whole`, for good, and returns the whole. None
    /// where it is decided already.
    pub async fn merge(&self, whole: i64, parts: Vec<i64>) -> Result<Option<Inbound>, StoreError> {
        self.write(move |db| {
            let open = db.prepare_cached("SELECT 1 FROM inbound WHERE id = ?1 AND decided = 0")?.exists([whole])?;
            if !open {
                return Ok(None);
            }
            for part in parts {
                db.execute(
                    "UPDATE inbound SET merged_into = ?1 WHERE (id = ?2 OR merged_into = ?2) AND id <> ?1 AND decided = 0",
                    params![whole, part],
                )?;
            }
            self::whole(db, whole)
        })
        .await
    }
}

/// A message with its parts.
pub(super) fn whole(db: &Transaction<'_>, id: i64) -> rusqlite::Result<Option<Inbound>> {
    db.query_row(&format!("{SELECT}, {PARTS} FROM inbound i WHERE i.id = ?1"), [id], read).optional()
}

/// Marks a message as decided, with its parts.
pub(super) fn decided(db: &Transaction<'_>, inbound: i64) -> rusqlite::Result<()> {
    db.execute("UPDATE inbound SET decided = 1 WHERE id = ?1 OR merged_into = ?1", [inbound])?;
    Ok(())
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
    let last = Part {
        text: row.get(7)?,
        attachments: from_json(8, &row.get::<_, String>(8)?)?,
        chat: row.get::<_, Option<String>>(10)?.map(|text| from_json(10, &text)).transpose()?,
    };
    let whole = batch::merge(from_json(13, &row.get::<_, String>(13)?)?, last);
    Ok(Inbound {
        id: row.get(0)?,
        occasion: row.get::<_, Option<String>>(11)?.map(|text| from_json(11, &text)).transpose()?,
        consented: row.get::<_, Option<String>>(12)?.map(|names| from_json(12, &names)).transpose()?,
        message: NewInbound {
            platform: row.get(1)?,
            event: row.get(2)?,
            space: super::runs::space_id(row, 3)?,
            conversation: row.get(4)?,
            author: row.get(5)?,
            author_name: row.get(6)?,
            text: whole.text,
            attachments: whole.attachments,
            received_at: row.get(9)?,
            chat: whole.chat,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{ids::RunId, stages::Marks},
        store::NewRun,
    };

    async fn said(store: &Store, text: &str) -> i64 {
        let message = NewInbound {
            platform: "p".into(),
            event: text.into(),
            space: SpaceId::try_from("main".to_owned()).unwrap(),
            conversation: "p:1".into(),
            author: "p:ada".into(),
            author_name: None,
            text: text.into(),
            attachments: Vec::new(),
            received_at: 1,
            chat: Some(Chat { message_id: text.into(), direct: true, ..Chat::default() }),
        };
        store.accept(message).await.unwrap().id()
    }

    /// Weakness W15: a host may end before and behind each step; what was one message stays one, and no part of
    /// it is decided without the others.
    #[tokio::test]
    async fn messages_become_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let ids = [said(&store, "one").await, said(&store, "two").await, said(&store, "three").await];
        let whole = store.merge(ids[1], vec![ids[0]]).await.unwrap().unwrap();
        assert_eq!(whole.message.text, "one\ntwo");
        let undecided = store.undecided().await.unwrap();
        let texts: Vec<_> = undecided.iter().map(|inbound| inbound.message.text.as_str()).collect();
        assert_eq!(texts, ["one\ntwo", "three"]);
        let whole = store.merge(ids[2], vec![ids[1]]).await.unwrap().unwrap();
        assert_eq!((whole.id, whole.message.text.as_str()), (ids[2], "one\ntwo\nthree"));
        assert_eq!(whole.message.chat.unwrap().message_id, "three");
        let id = RunId::from_stored("r".into());
        let run = NewRun { id, inbound: ids[2], role: "member".into(), created_at: 1, marks: Marks::default() };
        store.queue(run).await.unwrap();
        assert!(store.undecided().await.unwrap().is_empty());
        let (run, _) = store.take_next(1, Vec::new).await.unwrap().unwrap();
        assert_eq!(run.prompt, "one\ntwo\nthree");
        let late = said(&store, "four").await;
        assert!(store.merge(ids[2], vec![late]).await.unwrap().is_none(), "it is decided");
        assert_eq!(store.undecided().await.unwrap()[0].id, late, "and what was written after it is not lost");
    }
}
