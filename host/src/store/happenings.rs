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
    /// Too much of its conversation waits already.
    Refused,
}

/// How many messages may wait for their decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// In all. From then on adapters are told to wait.
    pub most: u32,
    /// Of one conversation, counted towards `most`: who writes without end does not stop the others.
    pub share: u32,
    /// Of one conversation. What goes beyond is not taken.
    pub one: u32,
}

/// What an adapter brings at once.
#[derive(Clone, Debug)]
pub struct Batch {
    pub happenings: Vec<NewHappening>,
    /// Where the adapter goes on.
    pub cursor: Option<String>,
    /// For direct conversations that nobody linked.
    pub auto: Option<AutoSpace>,
    pub room: Room,
}

impl Store {
    /// Takes all of the batch and moves the cursor of `plugin`, or nothing of it. `None` where too many
    /// messages wait already.
    pub async fn take(
        &self,
        plugin: &str,
        platform: &str,
        batch: Batch,
        now: i64,
    ) -> Result<Option<Vec<Taken>>, StoreError> {
        let (plugin, platform) = (plugin.to_owned(), platform.to_owned());
        let Batch { happenings, cursor, auto, room } = batch;
        self.write(move |db| {
            let messages = happenings.iter().any(|it| matches!(it.happening, Happening::Message(_)));
            if messages && waiting(db, room.share)? >= room.most {
                return Ok(None);
            }
            let mut taken = Vec::with_capacity(happenings.len());
            for new in happenings {
                taken.push(apply(db, &platform, new, auto.as_ref(), room.one, now)?);
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

/// Messages without a decision, of each conversation at most `share`.
fn waiting(db: &Transaction<'_>, share: u32) -> rusqlite::Result<u32> {
    db.query_row(
        "SELECT coalesce(sum(min(waiting, ?1)), 0)
         FROM (SELECT count(*) AS waiting FROM inbound WHERE decided = 0 GROUP BY conversation)",
        [share],
        |row| row.get(0),
    )
}

fn apply(
    db: &Transaction<'_>,
    platform: &str,
    new: NewHappening,
    auto: Option<&AutoSpace>,
    most: u32,
    now: i64,
) -> rusqlite::Result<Taken> {
    match new.happening {
        Happening::Message(message) => accept(db, platform, new.event, *message, auto, most, now),
        Happening::Edited { conversation, message, text } => {
            let changed = db.execute(
                "UPDATE inbound SET text = ?3 WHERE conversation = ?1 AND message = ?2",
                params![conversation, message, text],
            )?;
            db.execute(
                &format!(
                    "UPDATE messages SET content = (SELECT {} || coalesce(char(10, 10) || (SELECT r.appended FROM runs r WHERE r.inbound = i.id), '')
                                                    FROM inbound i WHERE i.id = messages.inbound) WHERE role = 'user'
                     AND inbound IN (SELECT coalesce(merged_into, id) FROM inbound WHERE conversation = ?1 AND message = ?2)",
                    inbound::WHOLE_TEXT
                ),
                params![conversation, message],
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
            let asked = db.execute(
                "DELETE FROM messages WHERE role = 'user'
                 AND inbound IN (SELECT coalesce(merged_into, id) FROM inbound WHERE conversation = ?1 AND message = ?2)",
                params![conversation, message],
            )?;
            let heard = db.execute(
                "DELETE FROM messages WHERE role = 'ambient'
                 AND inbound IN (SELECT id FROM inbound WHERE conversation = ?1 AND message = ?2)",
                params![conversation, message],
            )?;
            Ok(if asked + heard > 0 { Taken::Applied } else { Taken::Ignored })
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
    most: u32,
    now: i64,
) -> rusqlite::Result<Taken> {
    let seen = &message.conversation;
    let space = conversations::see(db, platform, seen, &message.author, message.author_name.as_deref(), auto, now)?;
    let Some(space) = space else { return Ok(Taken::Ignored) };
    // A channel shows the bot its own posts, and nothing in them says whose they are.
    if has_said(db, &seen.id, &message.chat.message_id)? {
        return Ok(Taken::Ignored);
    }
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
    let waiting: u32 =
        db.query_row("SELECT count(*) FROM inbound WHERE decided = 0 AND conversation = ?1", [&seen.id], |row| {
            row.get(0)
        })?;
    if waiting >= most {
        return Ok(Taken::Refused);
    }
    if let Some(quoted) = &mut message.chat.quoted
        && let Some(id) = &quoted.message_id
    {
        quoted.known = has_said(db, &seen.id, id)?;
    }
    // What is asked is fixed with this: guards see it, and an edit that comes later changes the record only.
    message.chat.prompt = message.chat.prompt(&message.text).map(str::to_owned);
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
        Accepted::New(id) => Taken::New(Box::new(Inbound { id, message: new, occasion: None })),
        Accepted::Duplicate(_) => Taken::Duplicate,
    })
}

fn has_said(db: &Transaction<'_>, conversation: &str, message: &str) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM said WHERE conversation = ?1 AND message = ?2")?
        .exists(params![conversation, message])
}

#[cfg(test)]
mod tests;
