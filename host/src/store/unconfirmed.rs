//! What people have asked and are to say yes to, until they do.
//!
//! It stays the message that it was, with its files and the one that it answers: the yes takes it up as its part,
//! as the last message of a batch takes up those before it. So an answer is to the yes, and a host that ends in
//! between finds either the question open or the yes given.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Inbound, NewOutbound, Store, StoreError, inbound, outbound, to_json};

impl Store {
    /// Answers a message with a question that names `connections`, and keeps it until its author says yes, in the
    /// same place and before `until`. What the same person was asked about there before is given up, so that a yes is
    /// to one thing.
    pub async fn hold_back(
        &self,
        question: NewOutbound,
        connections: Vec<String>,
        until: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        self.write(move |db| {
            outbound::insert(db, &question, now)?;
            inbound::decided(db, question.inbound)?;
            db.execute("DELETE FROM unconfirmed WHERE expires_at <= ?1", [now])?;
            db.execute(
                "DELETE FROM confirmations
                 WHERE (conversation, person) = (SELECT conversation, author FROM inbound WHERE id = ?1)",
                [question.inbound],
            )?;
            db.execute(
                "INSERT INTO unconfirmed (conversation, thread, person, inbound, connections, expires_at)
                 SELECT conversation, coalesce(json_extract(chat, '$.thread'), ''), author, id, ?2, ?3 FROM inbound WHERE id = ?1
                 ON CONFLICT (conversation, thread, person) DO UPDATE SET inbound = excluded.inbound,
                     connections = excluded.connections, expires_at = excluded.expires_at",
                params![question.inbound, to_json(&connections)?, until],
            )?;
            Ok(())
        })
        .await
    }

    /// Makes of the message `yes` what its author has asked before, with all that came with it. None where there
    /// is nothing to say yes to. Done twice it is the same.
    pub async fn confirm(&self, yes: i64, now: i64) -> Result<Option<Inbound>, StoreError> {
        self.write(move |db| {
            let known =
                db.prepare_cached("SELECT 1 FROM inbound WHERE id = ?1 AND consented IS NOT NULL")?.exists([yes])?;
            if !known {
                let Some(held) = held(db, yes, now)? else { return Ok(None) };
                db.execute("UPDATE inbound SET merged_into = ?1 WHERE merged_into = ?2", params![yes, held])?;
                db.execute("UPDATE inbound SET merged_into = ?1 WHERE id = ?2", params![yes, held])?;
                db.execute(
                    "UPDATE inbound SET text = '', chat = json_set(chat, '$.prompt', ''),
                         consented = (SELECT connections FROM unconfirmed WHERE inbound = ?2) WHERE id = ?1",
                    params![yes, held],
                )?;
                db.execute("DELETE FROM unconfirmed WHERE inbound = ?1", [held])?;
            }
            inbound::whole(db, yes)
        })
        .await
    }

    /// Gives up what the author of a message has asked before, and answers the message with `reply`. `false`
    /// where there was nothing: then nothing is answered.
    pub async fn give_up(&self, reply: NewOutbound, now: i64) -> Result<bool, StoreError> {
        self.write(move |db| {
            let Some(held) = held(db, reply.inbound, now)? else { return Ok(false) };
            db.execute("DELETE FROM unconfirmed WHERE inbound = ?1", [held])?;
            outbound::insert(db, &reply, now)?;
            inbound::decided(db, reply.inbound)?;
            Ok(true)
        })
        .await
    }
}

/// What the author of this message was asked about in the same place. A conversation may have got another space
/// since: what was asked in the one is not asked in the other.
fn held(db: &Transaction<'_>, answer: i64, now: i64) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached(
        "SELECT h.id FROM inbound a
         JOIN unconfirmed u ON u.conversation = a.conversation AND u.person = a.author
             AND u.thread = coalesce(json_extract(a.chat, '$.thread'), '')
         JOIN inbound h ON h.id = u.inbound AND h.space = a.space
         WHERE a.id = ?1 AND a.decided = 0 AND u.expires_at > ?2",
    )?
    .query_row(params![answer, now], |row| row.get(0))
    .optional()
}

#[cfg(test)]
mod tests {
    use mercury_protocol::io::Attachment;

    use super::*;
    use crate::{
        domain::{
            chat::Chat,
            ids::{RunId, SpaceId},
            stages::Marks,
        },
        store::{NewInbound, NewRun, Problem},
    };

    fn message(event: &str, author: &str, thread: Option<&str>, text: &str, files: &[&str]) -> NewInbound {
        let file = |path: &&str| Attachment {
            path: (*path).into(),
            kind: "document".into(),
            mime_type: "text/plain".into(),
            filename: None,
            size_bytes: None,
        };
        let chat = Chat {
            message_id: event.into(),
            thread: thread.map(str::to_owned),
            prompt: Some(text.into()),
            ..Chat::default()
        };
        NewInbound {
            platform: "p".into(),
            event: event.into(),
            space: SpaceId::try_from("main".to_owned()).unwrap(),
            conversation: "p:team".into(),
            author: author.into(),
            author_name: None,
            text: text.into(),
            attachments: files.iter().map(file).collect(),
            received_at: 1,
            chat: Some(chat),
        }
    }

    fn reply(inbound: i64) -> NewOutbound {
        let problem =
            Problem { code: "q".into(), status: 403, detail: "sure?".into(), next: String::new(), again_at: None };
        NewOutbound {
            inbound,
            run: None,
            reply: "sure?".into(),
            files: Vec::new(),
            problem: Some(problem),
            suppressed: false,
        }
    }

    /// pipeline.md #33 and weakness W20 in the store: the same person, in the same place and in time; a batch is
    /// taken up with its files; a host may end before and behind each step.
    #[tokio::test]
    async fn a_yes_is_what_was_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let store = Store::open(&path).unwrap();
        let say = async |event: &str, author: &str, thread: Option<&str>, text: &str, files: &[&str]| {
            store.accept(message(event, author, thread, text, files)).await.unwrap().id()
        };
        let first = say("1", "p:ada", None, "read", &["a"]).await;
        let last = say("2", "p:ada", None, "my mail", &["b"]).await;
        store.merge(last, vec![first]).await.unwrap().unwrap();
        store.hold_back(reply(last), vec!["Mail".into()], 100, 1).await.unwrap();
        let needed = async |now| {
            let main = SpaceId::try_from("main".to_owned()).unwrap();
            let mut files = store.waiting_files(&main, now).await.unwrap();
            files.sort();
            (files.join(" "), store.busy_spaces(now).await.unwrap().join(" "))
        };
        assert_eq!(needed(99).await, ("a b".into(), "main".into()), "the files of what is held back are needed");
        assert_eq!(needed(100).await, (String::new(), String::new()), "until its time is over");
        for (event, author, thread, now) in
            [("3", "p:bob", None, 2), ("4", "p:ada", Some("t"), 2), ("5", "p:ada", None, 100)]
        {
            let other = say(event, author, thread, "yes", &[]).await;
            assert!(store.confirm(other, now).await.unwrap().is_none(), "{event}");
            assert!(!store.give_up(reply(other), now).await.unwrap(), "{event}");
            store.ignore(other, now).await.unwrap();
        }
        let yes = say("6", "p:ada", None, "yes", &[]).await;
        assert_eq!(store.undecided().await.unwrap().len(), 1);
        for _ in 0..2 {
            let whole = store.confirm(yes, 99).await.unwrap().unwrap();
            let files: Vec<_> = whole.message.attachments.iter().map(|file| file.path.as_str()).collect();
            assert_eq!((whole.message.text.as_str(), files), ("read\nmy mail", vec!["a", "b"]));
            let chat = whole.message.chat.unwrap();
            assert_eq!((chat.message_id.as_str(), chat.prompt.as_deref()), ("6", Some("read\nmy mail")));
            assert_eq!((whole.consented, whole.id), (Some(vec!["Mail".to_owned()]), yes));
            assert_eq!(needed(100).await, ("a b".into(), "main".into()), "with the yes, which has no run yet");
        }
        let store = Store::open(&path).unwrap();
        let undecided = store.undecided().await.unwrap();
        assert!(undecided.len() == 1 && undecided[0].consented.is_some(), "the next host knows that it was said");
        let run = NewRun {
            id: RunId::from_stored("r".into()),
            inbound: yes,
            role: "member".into(),
            created_at: 1,
            marks: Marks::default(),
        };
        store.queue(run).await.unwrap();
        let (run, _) = store.take_next(1, Vec::new).await.unwrap().unwrap();
        assert_eq!((run.prompt.as_str(), run.attachments.len()), ("read\nmy mail", 2));
    }

    /// A later question takes the place of the one before; a no gives it up.
    #[tokio::test]
    async fn one_thing_is_asked_about_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let mut event = 0;
        let mut say = async |text: &str| {
            event += 1;
            store.accept(message(&event.to_string(), "p:ada", None, text, &[])).await.unwrap().id()
        };
        for text in ["one", "two"] {
            let asked = say(text).await;
            store.hold_back(reply(asked), Vec::new(), 100, 1).await.unwrap();
        }
        let yes = say("yes").await;
        assert_eq!(store.confirm(yes, 2).await.unwrap().unwrap().message.text, "two");
        let asked = say("three").await;
        store.hold_back(reply(asked), Vec::new(), 100, 2).await.unwrap();
        let no = say("no").await;
        assert!(store.give_up(reply(no), 3).await.unwrap());
        let yes = say("yes").await;
        assert!(store.confirm(yes, 3).await.unwrap().is_none());
    }
}
