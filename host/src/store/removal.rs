//! Removing a space with all that is kept of it. What was spent stays in the ledger: a day's budget counts it.

use rusqlite::params;

use super::{Store, StoreError};
use crate::domain::ids::SpaceId;

/// How many rows went, under the names of the replaced system; what this one does not keep is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    pub space: i64,
    pub messages: i64,
    pub tasks: i64,
    pub chat_state: i64,
    pub roles: i64,
    pub config: i64,
    pub preferences: i64,
    pub token_usage: i64,
    pub daily_rate_usage: i64,
    pub conversations_unlinked: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    Unknown,
    /// Something is at work in it, or waits.
    Busy,
    Done(Removed),
}

impl Store {
    /// Removes the rows of a space in which nothing is at work; its conversations lose their link and stay
    /// known. Its folder is the caller's.
    pub async fn remove_space(&self, space: &SpaceId) -> Result<Removal, StoreError> {
        let space = space.clone();
        self.write(move |db| {
            let count = |from: &str| -> rusqlite::Result<i64> {
                db.query_row(&format!("SELECT count(*) FROM {from} = ?1"), [space.as_str()], |row| row.get(0))
            };
            let busy = count("runs WHERE state IN ('queued', 'preparing', 'running') AND space")?
                + count("inbound WHERE decided = 0 AND space")?
                // An answer that is not written yet would find nothing that it belongs to.
                + count("runs WHERE answered = 0 AND state IN ('finished', 'failed', 'aborted') AND space")?;
            if busy > 0 {
                return Ok(Removal::Busy);
            }
            let mut removed = Removed {
                messages: count("messages WHERE space")?,
                tasks: count("tasks WHERE space")?,
                roles: count("members WHERE space")?,
                config: count("plugin_settings WHERE space")?
                    + count("role_permissions WHERE space")?
                    + count("space_settings WHERE space")?,
                daily_rate_usage: count("asked_daily WHERE space")?,
                preferences: count("preferences WHERE space")?,
                conversations_unlinked: count("conversations WHERE space")?,
                ..Removed::default()
            };
            // What is still to be sent of it is not sent any more, and what was sent was said in it.
            db.execute(
                "DELETE FROM deliveries WHERE outbound IN (
                     SELECT o.id FROM outbound o JOIN inbound i ON i.id = o.inbound WHERE i.space = ?1)",
                params![space.as_str()],
            )?;
            removed.space = db.execute("DELETE FROM spaces WHERE id = ?1", params![space.as_str()])? as i64;
            Ok(if removed.space == 0 { Removal::Unknown } else { Removal::Done(removed) })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{ids::RunId, stages::Marks},
        store::{Mute, NewInbound, NewOutbound, NewRun},
    };

    fn space(name: &str) -> SpaceId {
        SpaceId::try_from(name.to_owned()).unwrap()
    }

    /// storage.md #3, weaknesses S4 and W28: nothing of a space comes back with its name, and what works in it
    /// is not pulled away from under it.
    #[tokio::test]
    async fn a_space_goes_with_all_that_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let temp = space("temp");
        assert_eq!(store.remove_space(&temp).await.unwrap(), Removal::Unknown);
        store.create_space(&temp, 1).await.unwrap();
        let mute = Mute { person: "p:a".into(), expires_at: 99, reason: None, muted_by: "x".into(), created_at: 1 };
        store.mute(&temp, mute).await.unwrap();
        store.set_space_settings(Some(&temp), vec![("rate_limit", Some("1".into()))], "x", 1).await.unwrap();
        let message = NewInbound {
            platform: "api".into(),
            event: "1".into(),
            space: temp.clone(),
            conversation: "api:a".into(),
            author: "api:a".into(),
            author_name: None,
            text: "hi".into(),
            attachments: Vec::new(),
            received_at: 1,
            chat: None,
        };
        let inbound = store.accept(message).await.unwrap().id();
        assert_eq!(store.remove_space(&temp).await.unwrap(), Removal::Busy);
        let run = RunId::from_stored("r".into());
        let new = NewRun { id: run.clone(), inbound, role: "member".into(), created_at: 1, marks: Marks::default() };
        store.queue(new).await.unwrap();
        assert_eq!(store.remove_space(&temp).await.unwrap(), Removal::Busy);
        store.fail(&run, &crate::domain::failure::Failure::Lost, Marks::default()).await.unwrap();
        assert_eq!(store.remove_space(&temp).await.unwrap(), Removal::Busy, "its answer is not written");
        let reply = NewOutbound {
            inbound,
            run: Some(run.clone()),
            reply: "x".into(),
            files: vec![],
            problem: None,
            suppressed: false,
        };
        store.answer(&run, reply, Marks::default(), 1).await.unwrap();
        let Removal::Done(removed) = store.remove_space(&temp).await.unwrap() else {
            panic!("nothing is at work in it")
        };
        assert_eq!((removed.space, removed.messages, removed.conversations_unlinked), (1, 2, 0));
        store.create_space(&temp, 2).await.unwrap();
        assert!(store.mutes(&temp, 2).await.unwrap().is_empty());
        assert_eq!(store.space_settings(&temp).await.unwrap().text("rate_limit"), None);
    }

    /// What was sent goes along, and a later answer is not taken for it though it has its row's id.
    #[tokio::test]
    async fn an_answer_after_it_has_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        store.create_space(&space("temp"), 1).await.unwrap();
        let answered = async |place: &str, now: i64| {
            let message = NewInbound {
                platform: "p".into(),
                event: now.to_string(),
                space: space(place),
                conversation: format!("p:{place}"),
                author: "p:a".into(),
                author_name: None,
                text: "hi".into(),
                attachments: Vec::new(),
                received_at: now,
                chat: Some(crate::domain::chat::Chat {
                    message_id: now.to_string(),
                    direct: true,
                    ..Default::default()
                }),
            };
            let inbound = store.accept(message).await.unwrap().id();
            let run = RunId::from_stored(format!("r{now}"));
            let new =
                NewRun { id: run.clone(), inbound, role: "member".into(), created_at: now, marks: Marks::default() };
            store.queue(new).await.unwrap();
            store.fail(&run, &crate::domain::failure::Failure::Lost, Marks::default()).await.unwrap();
            let (reply, files) = (place.to_owned(), Vec::new());
            let reply = NewOutbound { inbound, run: Some(run.clone()), reply, files, problem: None, suppressed: false };
            store.answer(&run, reply, Marks::default(), now).await.unwrap();
            let heads = store.heads().await.unwrap();
            let [(head, _)] = &heads[..] else { panic!("{heads:?}") };
            store.sent(head, vec![now.to_string()], now).await.unwrap();
            (head.new.message.clone(), head.new.text.clone())
        };
        let gone = answered("temp", 10).await;
        assert!(matches!(store.remove_space(&space("temp")).await.unwrap(), Removal::Done(_)));
        let left = |sql: &'static str| store.read(move |db| db.query_row(sql, [], |row| row.get::<_, i64>(0)));
        assert_eq!(left("SELECT count(*) FROM deliveries").await.unwrap(), 0);
        let later = answered("main", 20).await;
        assert_eq!(later.1, "main");
        assert_eq!(left("SELECT id FROM outbound").await.unwrap(), 1, "the id is given again");
        assert_ne!(gone.0, later.0);
    }
}
