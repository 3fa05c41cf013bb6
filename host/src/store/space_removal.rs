//! The end of a space: its rows in one transaction, all or none.

use rusqlite::params;

use super::{Store, StoreError};
use crate::domain::ids::SpaceId;

/// What became of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// With what was said in it, and the conversations that have no space now.
    Removed { messages: u32, conversations: u32 },
    /// Something is at work in it, or waits.
    Busy,
    /// There is none of that name.
    Unknown,
}

impl Store {
    /// Removes a space in which nothing is at work: members, messages, runs, settings and mutes go with it,
    /// its conversations lose their link. Its folder is the caller's.
    pub async fn remove_space(&self, space: &SpaceId) -> Result<Removal, StoreError> {
        let space = space.clone();
        self.write(move |db| {
            let count = |sql: &str| db.query_row(sql, [space.as_str()], |row| row.get::<_, u32>(0));
            if count("SELECT count(*) FROM spaces WHERE id = ?1")? == 0 {
                return Ok(Removal::Unknown);
            }
            let busy = count("SELECT count(*) FROM runs WHERE space = ?1 AND state IN ('queued', 'preparing', 'running')")?
                + count("SELECT count(*) FROM inbound WHERE space = ?1 AND decided = 0")?
                // An answer that is not written yet would find nothing that it belongs to.
                + count(
                    "SELECT count(*) FROM runs r WHERE r.space = ?1 AND NOT EXISTS (SELECT 1 FROM outbound o WHERE o.inbound = r.inbound)",
                )?;
            if busy > 0 {
                return Ok(Removal::Busy);
            }
            let messages = count("SELECT count(*) FROM messages WHERE space = ?1")?;
            let conversations = count("SELECT count(*) FROM conversations WHERE space = ?1")?;
            // What is still to be sent of it is not sent any more.
            db.execute(
                "DELETE FROM deliveries WHERE state = 'pending' AND outbound IN (
                     SELECT o.id FROM outbound o JOIN inbound i ON i.id = o.inbound WHERE i.space = ?1)",
                params![space.as_str()],
            )?;
            db.execute("DELETE FROM spaces WHERE id = ?1", [space.as_str()])?;
            Ok(Removal::Removed { messages, conversations })
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
        assert_eq!(store.remove_space(&temp).await.unwrap(), Removal::Removed { messages: 2, conversations: 0 });
        store.create_space(&temp, 2).await.unwrap();
        assert!(store.mutes(&temp, 2).await.unwrap().is_empty());
        assert_eq!(store.space_settings(&temp).await.unwrap().text("rate_limit"), None);
    }
}
