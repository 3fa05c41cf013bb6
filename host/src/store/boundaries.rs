//! What was said before, and is no context any more.

use rusqlite::{Transaction, params};

use super::{Store, StoreError};
use crate::domain::ids::{RunId, SpaceId};

impl Store {
    /// From now on nothing that was said so far goes into a run of the conversation. The last message
    /// before, 0 where there is none.
    pub async fn compact(&self, space: &SpaceId, conversation: &str) -> Result<i64, StoreError> {
        self.set_boundary(space, conversation, "compacted").await
    }

    /// The same for the next run that is answered.
    pub async fn clear(&self, space: &SpaceId, conversation: &str) -> Result<i64, StoreError> {
        self.set_boundary(space, conversation, "cleared").await
    }

    /// [`Store::compact`] in every conversation of the space.
    pub async fn compact_space(&self, space: &SpaceId) -> Result<i64, StoreError> {
        self.set_boundaries(space, "compacted").await
    }

    /// [`Store::clear`] in every conversation of the space.
    pub async fn clear_space(&self, space: &SpaceId) -> Result<i64, StoreError> {
        self.set_boundaries(space, "cleared").await
    }

    async fn set_boundaries(&self, space: &SpaceId, column: &'static str) -> Result<i64, StoreError> {
        let space = space.clone();
        self.write(move |db| {
            db.execute(
                &format!(
                    "INSERT INTO boundaries (space, conversation, {column})
                     SELECT space, conversation, max(id) FROM messages WHERE space = ?1 GROUP BY conversation
                     ON CONFLICT (space, conversation) DO UPDATE SET {column} = excluded.{column}"
                ),
                [space.as_str()],
            )?;
            db.query_row("SELECT coalesce(max(id), 0) FROM messages WHERE space = ?1", [space.as_str()], |row| {
                row.get(0)
            })
        })
        .await
    }

    async fn set_boundary(&self, space: &SpaceId, conversation: &str, column: &'static str) -> Result<i64, StoreError> {
        let (space, conversation) = (space.clone(), conversation.to_owned());
        self.write(move |db| {
            db.execute(
                &format!(
                    "INSERT INTO boundaries (space, conversation, {column})
                     SELECT ?1, ?2, coalesce(max(id), 0) FROM messages WHERE space = ?1 AND conversation = ?2
                     ON CONFLICT (space, conversation) DO UPDATE SET {column} = excluded.{column}"
                ),
                params![space.as_str(), conversation],
            )?;
            db.query_row(
                &format!("SELECT {column} FROM boundaries WHERE space = ?1 AND conversation = ?2"),
                params![space.as_str(), conversation],
                |row| row.get(0),
            )
        })
        .await
    }
}

/// A boundary for one run is used up by the first that was asked behind it and has its answer.
pub(super) fn spend(db: &Transaction<'_>, run: &RunId) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE boundaries SET cleared = 0 WHERE cleared > 0 AND EXISTS (
             SELECT 1 FROM messages m WHERE m.run = ?1 AND m.role = 'user' AND m.space = boundaries.space
             AND m.conversation = boundaries.conversation AND m.id > boundaries.cleared)",
        [run.as_str()],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::stages::Marks,
        store::{NewInbound, NewOutbound, NewRun, Problem},
    };

    fn main() -> SpaceId {
        SpaceId::try_from("main".to_owned()).unwrap()
    }

    async fn queue(store: &Store, conversation: &str, text: &str) -> RunId {
        let message = NewInbound {
            platform: "api".into(),
            event: text.into(),
            space: main(),
            conversation: conversation.into(),
            author: "api:a".into(),
            author_name: None,
            text: text.into(),
            attachments: Vec::new(),
            received_at: 1,
            chat: None,
        };
        let inbound = store.accept(message).await.unwrap().id();
        let id = RunId::from_stored(text.into());
        let run = NewRun { id: id.clone(), inbound, role: "member".into(), created_at: 1, marks: Marks::default() };
        store.queue(run).await.unwrap();
        id
    }

    async fn answer(store: &Store, run: &RunId, problem: Option<Problem>) {
        let inbound =
            store.unfinished().await.unwrap().into_iter().find(|(known, _)| known.id == *run).unwrap().0.inbound;
        store.fail(run, &crate::domain::failure::Failure::Lost, Marks::default()).await.unwrap();
        let reply = NewOutbound {
            inbound,
            run: Some(run.clone()),
            reply: format!("re {}", run.as_str()),
            files: Vec::new(),
            problem,
            suppressed: false,
        };
        store.answer(run, reply, Marks::default(), 1).await.unwrap();
    }

    async fn told(store: &Store, conversation: &str) -> String {
        let history = store.history(&main(), conversation, "", 10).await.unwrap();
        history.into_iter().map(|message| message.content).collect::<Vec<_>>().join(" ")
    }

    /// pipeline.md #37, storage.md #5 #6, weakness W30: a boundary is of one conversation; a one-time one outlasts a
    /// failure and what was asked before it, and is gone after the first answer, where a lasting one still holds.
    #[tokio::test]
    async fn what_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let other = queue(&store, "api:b", "other").await;
        answer(&store, &other, None).await;
        let (one, two) = (queue(&store, "api:a", "one").await, queue(&store, "api:a", "two").await);
        answer(&store, &one, None).await;
        store.clear(&main(), "api:a").await.unwrap();
        assert_eq!(told(&store, "api:a").await, "");
        answer(&store, &two, None).await;
        assert_eq!(told(&store, "api:a").await, "re two", "it was asked before");
        let failed = queue(&store, "api:a", "three").await;
        let problem =
            Problem { code: "x".into(), status: 500, detail: String::new(), next: String::new(), again_at: None };
        answer(&store, &failed, Some(problem)).await;
        assert_eq!(told(&store, "api:a").await, "re two three");
        let four = queue(&store, "api:a", "four").await;
        answer(&store, &four, None).await;
        assert_eq!(told(&store, "api:a").await, "one two re one re two three four re four");

        store.compact(&main(), "api:a").await.unwrap();
        let five = queue(&store, "api:a", "five").await;
        answer(&store, &five, None).await;
        assert_eq!(told(&store, "api:a").await, "five re five");
        assert_eq!(told(&store, "api:b").await, "other re other");
        store.clear(&main(), "api:a").await.unwrap();
        assert_eq!(told(&store, "api:a").await, "");
        let six = queue(&store, "api:a", "six").await;
        answer(&store, &six, None).await;
        assert_eq!(told(&store, "api:a").await, "five re five six re six", "no further back than that");

        let last = store.compact_space(&main()).await.unwrap();
        assert_eq!(last, store.compact(&main(), "api:a").await.unwrap(), "the last message is this conversation's");
        assert_eq!(
            told(&store, "api:a").await + &told(&store, "api:b").await,
            "",
            "every conversation has its boundary"
        );
        let empty = SpaceId::try_from("empty".to_owned()).unwrap();
        store.create_space(&empty, 1).await.unwrap();
        assert_eq!((store.clear_space(&empty).await.unwrap(), store.clear(&empty, "api:a").await.unwrap()), (0, 0));
        assert_eq!((store.compact_space(&empty).await.unwrap(), store.compact(&empty, "api:a").await.unwrap()), (0, 0));
    }
}
