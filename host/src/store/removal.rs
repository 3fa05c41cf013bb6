//! Removing a space with all that is kept of it, and what is still to be deleted of its files. What was spent
//! stays in the ledger: a day's budget counts it.

use std::io;

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
    /// Its folder could not be moved, so nothing was removed: why.
    NotMoved(String),
    Done(Removed),
}

impl Store {
    /// Removes the rows of a space in which nothing is at work; its conversations lose their link and stay
    /// known. `aside` moves its folder to where the note `folder` says that it is to be deleted: both happen
    /// in the one transaction, so nobody makes a space of the same name in between.
    ///
    /// # Errors
    /// Then nothing was removed, but the folder may have been moved.
    pub async fn remove_space(
        &self,
        space: &SpaceId,
        folder: &str,
        now: i64,
        aside: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<Removal, StoreError> {
        let (space, folder) = (space.clone(), folder.to_owned());
        self.write(move |db| {
            let count = |from: &str| -> rusqlite::Result<i64> {
                db.query_row(&format!("SELECT count(*) FROM {from} = ?1"), [space.as_str()], |row| row.get(0))
            };
            if count("spaces WHERE id")? == 0 {
                return Ok(Removal::Unknown);
            }
            let busy = count("runs WHERE state IN ('queued', 'preparing', 'running') AND space")?
                + count("inbound WHERE decided = 0 AND space")?
                // An answer that is not written yet would find nothing that it belongs to.
                + count("runs WHERE answered = 0 AND state IN ('finished', 'failed', 'aborted') AND space")?;
            if busy > 0 {
                return Ok(Removal::Busy);
            }
            if let Err(error) = aside() {
                return Ok(Removal::NotMoved(error.to_string()));
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
                chat_state: count("boundaries WHERE space")?,
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
            db.execute("INSERT INTO removals (folder, removed_at) VALUES (?1, ?2)", params![folder, now])?;
            Ok(Removal::Done(removed))
        })
        .await
    }

    /// Folders of removed spaces that are still to be deleted.
    pub async fn removals(&self) -> Result<Vec<String>, StoreError> {
        self.read(|db| {
            db.prepare_cached("SELECT folder FROM removals ORDER BY folder")?.query_map([], |row| row.get(0))?.collect()
        })
        .await
    }

    /// The folder is deleted.
    pub async fn forget_removal(&self, folder: &str) -> Result<(), StoreError> {
        let folder = folder.to_owned();
        self.write(move |db| db.execute("DELETE FROM removals WHERE folder = ?1", [folder]).map(drop)).await
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

    async fn remove(store: &Store, space: &SpaceId) -> Result<Removal, StoreError> {
        store.remove_space(space, "aside", 1, || Ok(())).await
    }

    /// storage.md #3, weaknesses S4 and W28: nothing of a space comes back with its name, and what works in it
    /// is not pulled away from under it.
    #[tokio::test]
    async fn a_space_goes_with_all_that_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let temp = space("temp");
        assert_eq!(remove(&store, &temp).await.unwrap(), Removal::Unknown);
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
        assert_eq!(remove(&store, &temp).await.unwrap(), Removal::Busy);
        let run = RunId::from_stored("r".into());
        let new = NewRun { id: run.clone(), inbound, role: "member".into(), created_at: 1, marks: Marks::default() };
        store.queue(new).await.unwrap();
        assert_eq!(remove(&store, &temp).await.unwrap(), Removal::Busy);
        store.fail(&run, &crate::domain::failure::Failure::Lost, Marks::default()).await.unwrap();
        assert_eq!(remove(&store, &temp).await.unwrap(), Removal::Busy, "its answer is not written");
        let reply = NewOutbound {
            inbound,
            run: Some(run.clone()),
            reply: "x".into(),
            files: vec![],
            problem: None,
            suppressed: false,
        };
        store.answer(&run, reply, Marks::default(), 1).await.unwrap();
        let Removal::Done(removed) = remove(&store, &temp).await.unwrap() else { panic!("nothing is at work in it") };
        assert_eq!((removed.space, removed.messages, removed.conversations_unlinked), (1, 2, 0));
        store.create_space(&temp, 2).await.unwrap();
        assert!(store.mutes(&temp, &crate::domain::page::Page::read(None, None).unwrap(), 2).await.unwrap().is_empty());
        assert_eq!(store.space_settings(&temp).await.unwrap().text("rate_limit"), None);
    }

    /// storage.md #2 (but for usage: what was spent stays, since a day's budget counts it): each kind is counted,
    /// conversations stay known without their link, and the second time there is nothing.
    #[tokio::test]
    async fn what_goes_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let rows = "
            INSERT INTO spaces (id, name, created_at) VALUES ('temp', 'Temp', 1);
            INSERT INTO conversations (id, platform, direct, space, first_seen, last_seen) VALUES ('p:1', 'p', 1, 'temp', 1, 1), ('p:2', 'p', 0, 'temp', 1, 1), ('p:3', 'p', 0, 'main', 1, 1);
            INSERT INTO members (space, person, role) VALUES ('temp', 'p:a', 'admin'), ('main', 'p:a', 'member');
            INSERT INTO messages (space, conversation, role, content, created_at) VALUES ('temp', 'p:1', 'user', 'x', 1), ('temp', 'p:1', 'assistant', 'y', 2), ('main', 'p:3', 'user', 'z', 3);
            INSERT INTO tasks (space, prompt, cron, silent, created_by, platform, conversation, direct, next_run_at, created_at, updated_at)
                VALUES ('temp', 'report', '0 9 * * *', 0, 'p:a', 'p', 'p:1', 1, 60, 5, 5);
            INSERT INTO boundaries (space, conversation, compacted) VALUES ('temp', 'p:1', 1);
            INSERT INTO space_settings VALUES ('temp', 'rate_limit', '1', 'x', 1), ('main', 'rate_limit', '2', 'x', 1);
            INSERT INTO role_permissions VALUES ('temp', 'member', '[]', 'x', 1);
            INSERT INTO preferences VALUES ('temp', 'tone', 'short', 'x', 1, 1);
            INSERT INTO asked_daily VALUES ('temp', 'p:a', 20000, 3), ('temp', 'p:b', 20000, 1);
            INSERT INTO spending (run, space, person, provider, model, began_at, state) VALUES ('r', 'temp', 'p:a', 'a', 'm', 1, 'complete');";
        store.write(move |db| db.execute_batch(rows)).await.unwrap();
        let temp = space("temp");
        let expected = Removed {
            space: 1,
            messages: 2,
            tasks: 1,
            chat_state: 1,
            roles: 1,
            config: 2,
            preferences: 1,
            token_usage: 0,
            daily_rate_usage: 2,
            conversations_unlinked: 2,
        };
        assert_eq!(remove(&store, &temp).await.unwrap(), Removal::Done(expected));
        let list = |sql: &'static str| store.read(move |db| db.query_row(sql, [], |row| row.get::<_, String>(0)));
        let links = "SELECT group_concat(id || ' ' || coalesce(space, '-'), ', ' ORDER BY id) FROM conversations";
        assert_eq!(list(links).await.unwrap(), "p:1 -, p:2 -, p:3 main");
        for table in ["members", "messages", "space_settings"] {
            let left = format!("SELECT group_concat(space) FROM {table}");
            let left = store.read(move |db| db.query_row(&left, [], |row| row.get::<_, String>(0)));
            assert_eq!(left.await.unwrap(), "main", "{table}");
        }
        for table in ["tasks", "boundaries", "role_permissions", "preferences", "asked_daily"] {
            let left = format!("SELECT count(*) FROM {table}");
            let left = store.read(move |db| db.query_row(&left, [], |row| row.get::<_, i64>(0)));
            assert_eq!(left.await.unwrap(), 0, "{table}");
        }
        assert_eq!(list("SELECT space FROM spending").await.unwrap(), "temp");
        assert_eq!(remove(&store, &temp).await.unwrap(), Removal::Unknown);
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
        assert!(matches!(remove(&store, &space("temp")).await.unwrap(), Removal::Done(_)));
        let left = |sql: &'static str| store.read(move |db| db.query_row(sql, [], |row| row.get::<_, i64>(0)));
        assert_eq!(left("SELECT count(*) FROM deliveries").await.unwrap(), 0);
        let later = answered("main", 20).await;
        assert_eq!(later.1, "main");
        assert_eq!(left("SELECT id FROM outbound").await.unwrap(), 1, "the id is given again");
        assert_ne!(gone.0, later.0);
    }
}
