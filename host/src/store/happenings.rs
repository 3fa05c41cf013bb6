//! What adapters hand over: events and the cursor behind them, in one transaction.

use mercury_protocol::io::Attachment;
use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    Store, StoreError,
    conversations::{self, AutoSpace, Seen},
    inbound::{self, Accepted, Inbound, NewInbound},
};
use crate::domain::chat::Chat;

#[derive(Clone, Debug)]
pub struct NewMessage {
    pub conversation: Seen,
    pub author: String,
    pub author_name: Option<String>,
    pub text: String,
    pub attachments: Vec<Attachment>,
    pub chat: Chat,
    /// Milliseconds since the epoch.
    pub received_at: i64,
}

#[derive(Clone, Debug)]
pub enum Happening {
    Message(Box<NewMessage>),
    /// The same message with its new text.
    Edited {
        conversation: String,
        message: String,
        text: String,
    },
    Deleted {
        conversation: String,
        message: String,
    },
    /// The bot was removed.
    Removed {
        conversation: String,
    },
    /// The conversation has another id now.
    Moved {
        from: String,
        to: String,
    },
    /// Seen and of no concern; or a message that nobody wants.
    Nothing,
}

#[derive(Clone, Debug)]
pub struct NewHappening {
    /// Unique on the platform.
    pub event: String,
    pub happening: Happening,
}

/// What became of one.
#[derive(Clone, Debug)]
pub enum Taken {
    New(Box<Inbound>),
    /// It changed something that is kept.
    Applied,
    Duplicate,
    Ignored,
}

impl Store {
    /// Takes all of `happenings` and moves the cursor of `plugin`, or nothing of it. `None` where more
    /// than `most_undecided` messages wait already.
    pub async fn take(
        &self,
        plugin: &str,
        platform: &str,
        happenings: Vec<NewHappening>,
        cursor: Option<String>,
        auto: Option<AutoSpace>,
        most_undecided: u32,
        now: i64,
    ) -> Result<Option<Vec<Taken>>, StoreError> {
        let (plugin, platform) = (plugin.to_owned(), platform.to_owned());
        self.write(move |db| {
            let waiting: u32 = db.query_row("SELECT count(*) FROM inbound WHERE decided = 0", [], |row| row.get(0))?;
            let messages = happenings.iter().any(|it| matches!(it.happening, Happening::Message(_)));
            if messages && waiting >= most_undecided {
                return Ok(None);
            }
            let mut taken = Vec::with_capacity(happenings.len());
            for new in happenings {
                taken.push(apply(db, &platform, new, auto.as_ref(), now)?);
            }
            if let Some(cursor) = cursor {
                db.execute(
                    "INSERT INTO cursors (plugin, cursor) VALUES (?1, ?2) ON CONFLICT (plugin) DO UPDATE SET cursor = excluded.cursor",
                    params![plugin, cursor],
                )?;
            }
            Ok(Some(taken))
        })
        .await
    }

    pub async fn cursor(&self, plugin: &str) -> Result<Option<String>, StoreError> {
        let plugin = plugin.to_owned();
        self.read(move |db| {
            db.query_row("SELECT cursor FROM cursors WHERE plugin = ?1", [plugin], |row| row.get(0)).optional()
        })
        .await
    }
}

fn apply(
    db: &Transaction<'_>,
    platform: &str,
    new: NewHappening,
    auto: Option<&AutoSpace>,
    now: i64,
) -> rusqlite::Result<Taken> {
    match new.happening {
        Happening::Message(message) => accept(db, platform, new.event, *message, auto, now),
        Happening::Edited { conversation, message, text } => {
            let changed = db.execute(
                "UPDATE inbound SET text = ?3 WHERE conversation = ?1 AND message = ?2",
                params![conversation, message, text],
            )?;
            db.execute(
                "UPDATE messages SET content = ?3 WHERE role = 'user'
                 AND inbound IN (SELECT id FROM inbound WHERE conversation = ?1 AND message = ?2)",
                params![conversation, message, text],
            )?;
            db.execute(
                "UPDATE messages SET content = (SELECT CASE WHEN coalesce(i.author_name, '') = '' THEN i.text
                     ELSE i.author_name || ': ' || i.text END FROM inbound i WHERE i.id = messages.inbound)
                 WHERE role = 'ambient' AND inbound IN (SELECT id FROM inbound WHERE conversation = ?1 AND message = ?2)",
                params![conversation, message],
            )?;
            Ok(if changed > 0 { Taken::Applied } else { Taken::Ignored })
        }
        Happening::Deleted { conversation, message } => {
            // What was said to the assistant stays in the record of its run; the conversation forgets it.
            let changed = db.execute(
                "DELETE FROM messages WHERE role IN ('user', 'ambient')
                 AND inbound IN (SELECT id FROM inbound WHERE conversation = ?1 AND message = ?2)",
                params![conversation, message],
            )?;
            Ok(if changed > 0 { Taken::Applied } else { Taken::Ignored })
        }
        Happening::Removed { conversation } => {
            conversations::remove(db, &conversation, now)?;
            Ok(Taken::Applied)
        }
        Happening::Moved { from, to } => {
            conversations::rekey(db, &from, &to, now)?;
            Ok(Taken::Applied)
        }
        Happening::Nothing => Ok(Taken::Ignored),
    }
}

fn accept(
    db: &Transaction<'_>,
    platform: &str,
    event: String,
    mut message: NewMessage,
    auto: Option<&AutoSpace>,
    now: i64,
) -> rusqlite::Result<Taken> {
    let seen = &message.conversation;
    let space = conversations::see(db, platform, seen, &message.author, message.author_name.as_deref(), auto, now)?;
    let Some(space) = space else { return Ok(Taken::Ignored) };
    // Some platforms tell of one message by several events.
    let known = db
        .query_row(
            "SELECT 1 FROM inbound WHERE conversation = ?1 AND message = ?2",
            params![seen.id, message.chat.message_id],
            |_| Ok(()),
        )
        .optional()?;
    if known.is_some() {
        return Ok(Taken::Duplicate);
    }
    if let Some(quoted) = &mut message.chat.quoted
        && let Some(id) = &quoted.message_id
    {
        let said = db.query_row(
            "SELECT EXISTS (SELECT 1 FROM said WHERE conversation = ?1 AND message = ?2)",
            params![seen.id, id],
            |row| row.get(0),
        )?;
        quoted.known = said;
    }
    let new = NewInbound {
        platform: platform.to_owned(),
        event,
        space,
        conversation: message.conversation.id,
        author: message.author,
        author_name: message.author_name,
        text: message.text,
        attachments: message.attachments,
        received_at: message.received_at,
        chat: Some(message.chat),
    };
    Ok(match inbound::insert(db, &new)? {
        Accepted::New(id) => Taken::New(Box::new(Inbound { id, message: new })),
        Accepted::Duplicate(_) => Taken::Duplicate,
    })
}
