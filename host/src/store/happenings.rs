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

/// What an adapter brings at once.
#[derive(Clone, Debug)]
pub struct Batch {
    pub happenings: Vec<NewHappening>,
    /// Where the adapter goes on.
    pub cursor: Option<String>,
    /// For direct conversations that nobody linked.
    pub auto: Option<AutoSpace>,
    /// Messages that may wait for their decision.
    pub most_undecided: u32,
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
        let Batch { happenings, cursor, auto, most_undecided } = batch;
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
                &format!(
                    "UPDATE messages SET content = (SELECT {} FROM inbound i WHERE i.id = messages.inbound) WHERE role = 'user'
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
            let changed = db.execute(
                "DELETE FROM messages WHERE role IN ('user', 'ambient')
                 AND inbound IN (SELECT CASE messages.role WHEN 'user' THEN coalesce(merged_into, id) ELSE id END
                                 FROM inbound WHERE conversation = ?1 AND message = ?2)",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::SpaceId;

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        (folder, store)
    }

    fn main() -> SpaceId {
        SpaceId::try_from("main".to_owned()).unwrap()
    }

    fn said(event: &str, conversation: &str, text: &str) -> NewHappening {
        let message = NewMessage {
            conversation: Seen { id: conversation.into(), direct: false, title: None, address: None },
            author: "p:ada".into(),
            author_name: Some("Ada".into()),
            text: text.into(),
            attachments: Vec::new(),
            chat: Chat { message_id: event.into(), ..Chat::default() },
            received_at: 1,
        };
        NewHappening { event: event.into(), happening: Happening::Message(Box::new(message)) }
    }

    async fn take(store: &Store, all: Vec<NewHappening>, cursor: &str, most: u32) -> Option<Vec<Taken>> {
        store
            .take(
                "plugin",
                "p",
                Batch { happenings: all, cursor: Some(cursor.into()), auto: None, most_undecided: most },
                1,
            )
            .await
            .unwrap()
    }

    async fn linked() -> (tempfile::TempDir, Store) {
        let (folder, store) = store().await;
        assert!(matches!(take(&store, vec![said("0", "p:g", "x")], "0", 9).await.unwrap()[..], [Taken::Ignored]));
        assert!(store.link("p:g", Some(&main())).await.unwrap());
        (folder, store)
    }

    /// adapters.md #18, and bounded intake: what is not taken moves no cursor.
    #[tokio::test]
    async fn the_cursor_moves_with_the_events() {
        let (_folder, store) = linked().await;
        assert!(take(&store, vec![said("1", "p:g", "a"), said("2", "p:g", "b")], "2", 2).await.is_some());
        assert_eq!(store.cursor("plugin").await.unwrap().as_deref(), Some("2"));
        assert!(take(&store, vec![said("3", "p:g", "c")], "3", 2).await.is_none(), "two wait already");
        assert_eq!(store.cursor("plugin").await.unwrap().as_deref(), Some("2"));
        // What is no message is no burden.
        let removed = NewHappening { event: "4".into(), happening: Happening::Removed { conversation: "p:x".into() } };
        assert!(take(&store, vec![removed], "4", 2).await.is_some());
        assert_eq!(store.cursor("other").await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_was_overheard_follows_its_message() {
        let (_folder, store) = linked().await;
        let taken = take(&store, vec![said("1", "p:g", "lunch at noon")], "1", 9).await.unwrap();
        let [Taken::New(inbound)] = &taken[..] else { panic!("{taken:?}") };
        for _ in 0..2 {
            store.overhear(inbound.id).await.unwrap();
        }
        let ambient = async || {
            let history = store.history(&main(), "p:g", "", 9).await.unwrap();
            history.into_iter().map(|message| message.content).collect::<Vec<_>>()
        };
        assert_eq!(ambient().await, ["Ada: lunch at noon"]);
        let on = |happening| vec![NewHappening { event: "e".into(), happening }];
        let (conversation, message) = ("p:g".to_owned(), "1".to_owned());
        let edit = Happening::Edited {
            conversation: conversation.clone(),
            message: message.clone(),
            text: "lunch at one".into(),
        };
        take(&store, on(edit), "2", 9).await.unwrap();
        assert_eq!(ambient().await, ["Ada: lunch at one"]);
        take(&store, on(Happening::Deleted { conversation, message }), "3", 9).await.unwrap();
        assert!(ambient().await.is_empty());
    }

    /// adapters.md #19: the space and what waits there go along, also where the new id was seen before.
    #[tokio::test]
    async fn a_conversation_moves() {
        let (_folder, store) = linked().await;
        take(&store, vec![said("1", "p:g", "x"), said("2", "p:new", "y")], "1", 9).await.unwrap();
        let moved = Happening::Moved { from: "p:g".into(), to: "p:new".into() };
        take(&store, vec![NewHappening { event: "m".into(), happening: moved }], "2", 9).await.unwrap();
        assert_eq!(store.conversation("p:g").await.unwrap(), None);
        assert_eq!(store.conversation("p:new").await.unwrap().unwrap().space.as_deref(), Some("main"));
        assert_eq!(store.undecided().await.unwrap()[0].message.conversation, "p:new");
        let again = take(&store, vec![said("1", "p:new", "x")], "3", 9).await.unwrap();
        assert!(matches!(again[..], [Taken::Duplicate]));
    }
}
