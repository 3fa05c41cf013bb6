//! What adapters hand over: events and the cursor behind them, in one transaction.

use mercury_protocol::io::Attachment;
use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    Store, StoreError,
    aliases::{self, Encounter},
    conversations::{self, Seen},
    inbound::{self, Accepted, Inbound, NewInbound},
    space_settings,
};
use crate::domain::{
    auto_space::AutoSpace,
    chat::Chat,
    trigger::{self, Heard},
};

/// Two events about a message of one number that are closer than this are about the same message: two days, in
/// milliseconds. Platforms number anew: a bot with another token counts from where its own account is.
const SAME_MESSAGE: i64 = 2 * 24 * 60 * 60 * 1000;

#[derive(Clone, Debug)]
pub struct NewMessage {
    pub conversation: Seen,
    pub author: String,
    pub author_name: Option<String>,
    pub text: String,
    pub attachments: Vec<Attachment>,
    /// The platform itself says that the bot is addressed.
    pub mentions_bot: bool,
    /// Its prompt is what was pressed, if anything was: what words call the bot is the space's to say.
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

/// What became of a batch.
#[derive(Clone, Debug, Default)]
pub struct TakenBatch {
    /// In the order of the happenings.
    pub taken: Vec<Taken>,
    /// Direct conversations whose person has another one under an alias.
    pub encounters: Vec<Encounter>,
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
    /// How the bot is called where the space says nothing of its own.
    pub trigger: trigger::Rules,
    pub room: Room,
}

/// What holds for all of a batch.
struct Terms {
    auto: Option<AutoSpace>,
    trigger: trigger::Rules,
    /// Messages of one conversation that may wait.
    most: u32,
    now: i64,
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
    ) -> Result<Option<TakenBatch>, StoreError> {
        let (plugin, platform) = (plugin.to_owned(), platform.to_owned());
        let Batch { happenings, cursor, auto, trigger, room } = batch;
        let terms = Terms { auto, trigger, most: room.one, now };
        self.write(move |db| {
            let messages = happenings.iter().any(|it| matches!(it.happening, Happening::Message(_)));
            if messages && waiting(db, room.share)? >= room.most {
                return Ok(None);
            }
            let mut batch = TakenBatch::default();
            for new in happenings {
                let taken = apply(db, &platform, new, &terms, &mut batch.encounters)?;
                batch.taken.push(taken);
            }
            if let Some(cursor) = cursor {
                db.execute(
                    "INSERT INTO cursors (plugin, cursor) VALUES (?1, ?2) ON CONFLICT (plugin) DO UPDATE SET cursor = excluded.cursor",
                    params![plugin, cursor],
                )?;
            }
            Ok(Some(batch))
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
    terms: &Terms,
    encounters: &mut Vec<Encounter>,
) -> rusqlite::Result<Taken> {
    match new.happening {
        Happening::Message(message) => accept(db, platform, new.event, *message, terms, encounters),
        Happening::Edited { conversation, message, text } => {
            let Some(id) = numbered(db, &conversation, &message)? else { return Ok(Taken::Ignored) };
            db.execute("UPDATE inbound SET text = ?2 WHERE id = ?1", params![id, text])?;
            db.execute(
                &format!(
                    "UPDATE messages SET content = (SELECT {} || coalesce(char(10, 10) || (SELECT r.appended FROM runs r WHERE r.inbound = i.id), '')
                                                    FROM inbound i WHERE i.id = messages.inbound) WHERE role = 'user'
                     AND inbound = (SELECT coalesce(merged_into, id) FROM inbound WHERE id = ?1)",
                    inbound::WHOLE_TEXT
                ),
                [id],
            )?;
            db.execute(
                "UPDATE messages SET content = (SELECT CASE WHEN coalesce(i.author_name, '') = '' THEN i.text
                     ELSE i.author_name || ': ' || i.text END FROM inbound i WHERE i.id = messages.inbound)
                 WHERE role = 'ambient' AND inbound = ?1",
                [id],
            )?;
            Ok(Taken::Applied)
        }
        Happening::Deleted { conversation, message } => {
            let Some(id) = numbered(db, &conversation, &message)? else { return Ok(Taken::Ignored) };
            // What was said to the assistant stays in the record of its run; the conversation forgets it.
            let asked = db.execute(
                "DELETE FROM messages WHERE role = 'user'
                 AND inbound = (SELECT coalesce(merged_into, id) FROM inbound WHERE id = ?1)",
                [id],
            )?;
            let heard = db.execute("DELETE FROM messages WHERE role = 'ambient' AND inbound = ?1", [id])?;
            Ok(if asked + heard > 0 { Taken::Applied } else { Taken::Ignored })
        }
        Happening::Removed { conversation } => {
            conversations::remove(db, &conversation, terms.now)?;
            Ok(Taken::Applied)
        }
        Happening::Moved { from, to } => {
            conversations::rekey(db, &from, &to, terms.now)?;
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
    terms: &Terms,
    encounters: &mut Vec<Encounter>,
) -> rusqlite::Result<Taken> {
    let (seen, name) = (&message.conversation, message.author_name.as_deref());
    let (space, encounter) =
        conversations::see(db, platform, seen, &message.author, name, terms.auto.as_ref(), terms.now)?;
    encounters.extend(encounter);
    let Some(space) = space else { return Ok(Taken::Ignored) };
    // A channel shows the bot its own posts, and nothing in them says whose they are.
    if has_said_lately(db, &seen.id, &message.chat.message_id, terms.now)? {
        return Ok(Taken::Ignored);
    }
    // Some platforms tell of one message by several events.
    let known = db
        .prepare_cached("SELECT 1 FROM inbound WHERE conversation = ?1 AND message = ?2 AND received_at > ?3")?
        .exists(params![seen.id, message.chat.message_id, message.received_at.saturating_sub(SAME_MESSAGE)])?;
    if known {
        return Ok(Taken::Duplicate);
    }
    let waiting: u32 =
        db.query_row("SELECT count(*) FROM inbound WHERE decided = 0 AND conversation = ?1", [&seen.id], |row| {
            row.get(0)
        })?;
    if waiting >= terms.most {
        return Ok(Taken::Refused);
    }
    if let Some(quoted) = &mut message.chat.quoted
        && let Some(id) = &quoted.message_id
    {
        quoted.known = has_said(db, &seen.id, id)?;
    }
    // What is asked is fixed with this: guards see it, and an edit that comes later changes the record only.
    if message.chat.prompt.is_none() {
        let heard = Heard {
            direct: message.chat.direct,
            text: &message.text,
            has_media: !message.attachments.is_empty() || !message.chat.missing.is_empty(),
            mentions_bot: message.mentions_bot,
        };
        message.chat.prompt = space_settings::read(db, &space)?.trigger(&terms.trigger).prompt(heard);
    }
    message.chat.prompt = message.chat.prompt(&message.text).map(str::to_owned);
    let new = NewInbound {
        platform: platform.to_owned(),
        event,
        space,
        conversation: message.conversation.id,
        author: aliases::person_of(db, &message.author)?,
        author_name: message.author_name,
        text: message.text,
        attachments: message.attachments,
        received_at: message.received_at,
        chat: Some(message.chat),
    };
    Ok(match inbound::insert(db, &new)? {
        Accepted::New(id) => {
            // Whatever the bot said under this number is known by it no more.
            if let Some(chat) = &new.chat {
                db.prepare_cached("DELETE FROM said WHERE conversation = ?1 AND message = ?2")?
                    .execute(params![new.conversation, chat.message_id])?;
            }
            Taken::New(Box::new(Inbound { id, message: new, occasion: None, consented: None }))
        }
        Accepted::Duplicate(_) => Taken::Duplicate,
    })
}

/// The message of a person that has this number now: the newest one, if the bot has not said something under it since.
fn numbered(db: &Transaction<'_>, conversation: &str, message: &str) -> rusqlite::Result<Option<i64>> {
    if has_said(db, conversation, message)? {
        return Ok(None);
    }
    db.prepare_cached("SELECT id FROM inbound WHERE conversation = ?1 AND message = ?2 ORDER BY id DESC LIMIT 1")?
        .query_row(params![conversation, message], |row| row.get(0))
        .optional()
}

fn has_said_lately(db: &Transaction<'_>, conversation: &str, message: &str, now: i64) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT 1 FROM said s JOIN deliveries d ON d.id = s.delivery
         WHERE s.conversation = ?1 AND s.message = ?2 AND coalesce(d.ended_at, d.created_at) > ?3",
    )?
    .exists(params![conversation, message, now.saturating_sub(SAME_MESSAGE)])
}

/// Whether the number is one of the bot's messages: whoever has it last, the bot or a person, has it.
fn has_said(db: &Transaction<'_>, conversation: &str, message: &str) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM said WHERE conversation = ?1 AND message = ?2")?
        .exists(params![conversation, message])
}

#[cfg(test)]
mod tests;
