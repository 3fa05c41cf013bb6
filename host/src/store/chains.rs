//! What a person answers, followed back: from a message of the bot to the one that it answered, and from
//! that to the one that was quoted there.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{HistoryMessage, Store, StoreError, messages};
use crate::domain::ids::SpaceId;

/// The messages that lead to one, oldest first, with their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    pub ids: Vec<i64>,
    pub messages: Vec<HistoryMessage>,
}

struct Link {
    id: i64,
    message: HistoryMessage,
    run: Option<String>,
    inbound: Option<i64>,
}

/// Where a message of the bot, or of a person, is looked for by the platform's id of it. Platforms may number anew:
/// what has the number now is meant.
const SAID: &str = "SELECT m.id, m.role, m.content, m.created_at, m.run, m.inbound FROM said s
    JOIN deliveries d ON d.id = s.delivery JOIN outbound o ON o.id = d.outbound
    JOIN messages m ON m.run = o.run AND m.role = 'assistant'
    WHERE s.conversation = ?1 AND s.message = ?2 AND m.space = ?3 AND m.conversation = ?1";
const WRITTEN: &str = "SELECT m.id, m.role, m.content, m.created_at, m.run, m.inbound FROM inbound i
    JOIN messages m ON m.inbound IN (i.id, i.merged_into)
    WHERE i.id = (SELECT id FROM inbound WHERE conversation = ?1 AND message = ?2 ORDER BY id DESC LIMIT 1)
      AND NOT EXISTS (SELECT 1 FROM said WHERE conversation = ?1 AND message = ?2)
      AND m.space = ?3 AND m.conversation = ?1";

impl Store {
    /// At most `most` messages, of this space and conversation only, down to what is missing or was
    /// forgotten (`boundaries`).
    pub async fn reply_chain(
        &self,
        space: &SpaceId,
        conversation: &str,
        answered: &str,
        most: u32,
    ) -> Result<Chain, StoreError> {
        let (space, conversation, answered) = (space.clone(), conversation.to_owned(), answered.to_owned());
        self.read(move |db| {
            let boundary: i64 = db
                .query_row(
                    "SELECT max(compacted, cleared) FROM boundaries WHERE space = ?1 AND conversation = ?2",
                    params![space.as_str(), conversation],
                    |row| row.get(0),
                )
                .optional()?
                .unwrap_or(0);
            let (mut chain, mut seen) = (Chain::default(), HashSet::new());
            let mut next = find(db, &space, &conversation, &answered)?;
            while let Some(link) = next {
                // People may quote in a circle.
                if chain.ids.len() as u64 >= u64::from(most) || link.id <= boundary || !seen.insert(link.id) {
                    break;
                }
                next = before(db, &space, &conversation, &link)?;
                chain.ids.push(link.id);
                chain.messages.push(link.message);
            }
            chain.ids.reverse();
            chain.messages.reverse();
            Ok(chain)
        })
        .await
    }
}

fn find(db: &Connection, space: &SpaceId, conversation: &str, message: &str) -> rusqlite::Result<Option<Link>> {
    for sql in [SAID, WRITTEN] {
        let found =
            db.prepare_cached(sql)?.query_row(params![conversation, message, space.as_str()], link).optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The message that `link` answers.
fn before(db: &Connection, space: &SpaceId, conversation: &str, link: &Link) -> rusqlite::Result<Option<Link>> {
    if let (None, Some(run)) = (link.inbound, &link.run) {
        return db
            .prepare_cached(
                "SELECT id, role, content, created_at, run, inbound FROM messages WHERE run = ?1 AND role = 'user' AND space = ?2",
            )?
            .query_row(params![run, space.as_str()], self::link)
            .optional();
    }
    // Of several messages that are one the first says what is answered.
    let quoted: Option<Option<String>> = db
        .prepare_cached(
            "SELECT json_extract(chat, '$.quoted.messageId') FROM inbound WHERE id = ?1 OR merged_into = ?1 ORDER BY id LIMIT 1",
        )?
        .query_row([link.inbound], |row| row.get(0))
        .optional()?;
    match quoted.flatten() {
        Some(quoted) => find(db, space, conversation, &quoted),
        None => Ok(None),
    }
}

fn link(row: &Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link { id: row.get(0)?, message: messages::at(row, 1)?, run: row.get(4)?, inbound: row.get(5)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            chat::{Chat, Quoted},
            ids::RunId,
            stages::Marks,
        },
        store::{Batch, Happening, NewHappening, NewMessage, NewOutbound, NewRun, Room, Seen, Taken},
    };

    fn space(name: &str) -> SpaceId {
        SpaceId::try_from(name.to_owned()).unwrap()
    }

    /// A message of a conversation that answers another, its run and the bot's answer `b<id>`.
    async fn turn(store: &Store, conversation: &str, id: &str, answers: Option<&str>) {
        numbered_turn(store, conversation, id, answers, [id, &format!("b{id}")], 1).await;
    }

    /// With the platform's numbers of both.
    async fn numbered_turn(
        store: &Store,
        conversation: &str,
        id: &str,
        answers: Option<&str>,
        numbers: [&str; 2],
        now: i64,
    ) {
        let quoted = answers.map(|id| Quoted {
            message_id: Some(id.into()),
            author: None,
            author_name: None,
            text: String::new(),
            from_bot: false,
            known: true,
        });
        let message = NewMessage {
            conversation: Seen { id: conversation.into(), direct: true, title: None, address: None },
            author: "p:ada".into(),
            author_name: None,
            text: id.into(),
            attachments: Vec::new(),
            mentions_bot: false,
            chat: Chat { message_id: numbers[0].into(), direct: true, quoted, ..Chat::default() },
            received_at: now,
        };
        let happenings = vec![NewHappening { event: id.into(), happening: Happening::Message(Box::new(message)) }];
        let batch = Batch {
            happenings,
            cursor: None,
            auto: None,
            trigger: Default::default(),
            room: Room { most: 99, share: 99, one: 99 },
        };
        let taken = store.take("x", "p", batch, now).await.unwrap().unwrap().taken;
        let [Taken::New(inbound)] = &taken[..] else { panic!("{taken:?}") };
        let run = RunId::from_stored(id.into());
        let new = NewRun {
            id: run.clone(),
            inbound: inbound.id,
            role: "member".into(),
            created_at: 1,
            marks: Marks::default(),
        };
        store.queue(new).await.unwrap();
        store.fail(&run, &crate::domain::failure::Failure::Lost, Marks::default()).await.unwrap();
        let reply = NewOutbound {
            inbound: inbound.id,
            run: Some(run.clone()),
            reply: format!("re {id}"),
            files: Vec::new(),
            problem: None,
            suppressed: false,
        };
        store.answer(&run, reply, Marks::default(), 1).await.unwrap();
        let heads = store.heads().await.unwrap();
        let (delivery, _) = heads.iter().find(|(head, _)| head.new.conversation == conversation).unwrap();
        store.sent(delivery, vec![numbers[1].to_owned()], now).await.unwrap();
    }

    async fn linked(store: &Store, conversation: &str, to: &str) {
        let seen = NewMessage {
            conversation: Seen { id: conversation.into(), direct: true, title: None, address: None },
            author: "p:ada".into(),
            author_name: None,
            text: "x".into(),
            attachments: Vec::new(),
            mentions_bot: false,
            chat: Chat::default(),
            received_at: 1,
        };
        let happenings =
            vec![NewHappening { event: format!("seen {conversation}"), happening: Happening::Message(Box::new(seen)) }];
        store
            .take(
                "x",
                "p",
                Batch {
                    happenings,
                    cursor: None,
                    auto: None,
                    trigger: Default::default(),
                    room: Room { most: 99, share: 99, one: 99 },
                },
                1,
            )
            .await
            .unwrap();
        store.create_space(&space(to), 1).await.unwrap();
        assert!(store.link(conversation, Some(&space(to))).await.unwrap());
    }

    /// pipeline.md #38, storage.md #10, weakness W29: oldest first; a gap, a boundary, a circle and a border end it.
    #[tokio::test]
    async fn a_chain_is_followed_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        linked(&store, "p:1", "main").await;
        linked(&store, "p:2", "main").await;
        turn(&store, "p:1", "1", Some("gone")).await;
        turn(&store, "p:1", "2", Some("b1")).await;
        turn(&store, "p:1", "3", None).await;
        turn(&store, "p:1", "4", Some("2")).await;
        turn(&store, "p:2", "5", Some("b1")).await;
        let chain = async |place: &str, conversation: &str, answered: &str, most| {
            let chain = store.reply_chain(&space(place), conversation, answered, most).await.unwrap();
            chain.messages.into_iter().map(|message| message.content).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(chain("main", "p:1", "b2", 20).await, "1 re 1 2 re 2");
        assert_eq!(chain("main", "p:1", "b4", 20).await, "1 re 1 2 4 re 4", "what a person wrote is answered, too");
        assert_eq!(chain("main", "p:1", "b4", 2).await, "4 re 4");
        assert_eq!(chain("main", "p:1", "unknown", 20).await, "");
        assert_eq!(chain("main", "p:2", "b5", 20).await, "5 re 5", "not into another conversation");
        assert_eq!(chain("other", "p:1", "b2", 20).await, "", "nor into another space");
        // storage.md #11: what is told as the chain is not told again; of an unknown message there is no chain.
        let anchor = store.reply_chain(&space("main"), "p:1", "b2", 2).await.unwrap();
        let recent = store.history_without(&space("main"), "p:1", "", 4, &anchor.ids).await.unwrap();
        let recent: Vec<_> = recent.into_iter().map(|message| message.content).collect();
        assert_eq!((anchor.messages[0].content.as_str(), recent.join(" ").as_str()), ("2", "1 re 1 3 re 3 4 re 4"));
        assert_eq!(store.reply_chain(&space("main"), "p:1", "unknown", 2).await.unwrap(), Chain::default());
        store.compact(&space("main"), "p:1").await.unwrap();
        assert_eq!(chain("main", "p:1", "b4", 20).await, "");
        turn(&store, "p:1", "6", Some("b4")).await;
        assert_eq!(chain("main", "p:1", "b6", 20).await, "6 re 6");
        turn(&store, "p:1", "7", Some("b7")).await;
        assert_eq!(chain("main", "p:1", "b7", 20).await, "7 re 7", "a circle");
    }

    /// Where a platform numbers anew, what is answered is what has the number now, be it the bot's or a person's.
    #[tokio::test]
    async fn a_number_that_came_again_is_followed_to_its_newest_message() {
        const WEEK: i64 = 7 * 24 * 60 * 60 * 1000;
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        linked(&store, "p:1", "main").await;
        let chain = async |answered: &str| {
            let chain = store.reply_chain(&space("main"), "p:1", answered, 20).await.unwrap();
            chain.messages.into_iter().map(|message| message.content).collect::<Vec<_>>().join(" ")
        };
        for (turn, (id, numbers)) in
            [("a", ["7", "8"]), ("b", ["6", "8"]), ("c", ["7", "9"]), ("d", ["8", "10"]), ("e", ["11", "8"])]
                .into_iter()
                .enumerate()
        {
            numbered_turn(&store, "p:1", id, None, numbers, WEEK * (turn as i64 + 1)).await;
            let expected = [["a", "a re a"], ["a", "b re b"], ["c", "b re b"], ["c", "d"], ["c", "e re e"]][turn];
            assert_eq!([chain("7").await.as_str(), chain("8").await.as_str()], expected, "{id}");
        }
    }
}
