//! The conversation as the agent may see it later.

use rusqlite::params;

use super::{Store, StoreError};
use crate::domain::ids::SpaceId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryMessage {
    pub from_user: bool,
    pub content: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}

/// What was said, for plugins that keep knowledge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: i64,
    pub conversation: String,
    /// `user`, `assistant` or `ambient`.
    pub role: String,
    pub content: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}

impl Store {
    /// What was said in the space after `after`, oldest first, at most `limit`.
    pub async fn entries(&self, space: &str, after: i64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let space = space.to_owned();
        self.read(move |db| {
            db.prepare_cached(
                "SELECT id, conversation, role, content, created_at FROM messages
                 WHERE space = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            )?
            .query_map(params![space, after, limit], |row| {
                Ok(Entry {
                    id: row.get(0)?,
                    conversation: row.get(1)?,
                    role: row.get(2)?,
                    content: row.get(3)?,
                    created_at: row.get(4)?,
                })
            })?
            .collect()
        })
        .await
    }

    /// The last `turns` user messages of the conversation with their answers, oldest first, without
    /// those of `current`.
    pub async fn history(
        &self,
        space: &SpaceId,
        conversation: &str,
        current: &str,
        turns: u32,
    ) -> Result<Vec<HistoryMessage>, StoreError> {
        let (space, conversation, current) = (space.clone(), conversation.to_owned(), current.to_owned());
        self.read(move |db| {
            db.prepare_cached(
                "SELECT role = 'user', content, created_at FROM messages
                 WHERE space = ?1 AND conversation = ?2 AND run IS NOT ?3 AND id >= coalesce(
                     (SELECT min(id) FROM (SELECT id FROM messages
                        WHERE space = ?1 AND conversation = ?2 AND run IS NOT ?3 AND role = 'user' ORDER BY id DESC LIMIT ?4)), 0)
                 ORDER BY id",
            )?
            .query_map(params![space.as_str(), conversation, current, turns], |row| {
                Ok(HistoryMessage { from_user: row.get(0)?, content: row.get(1)?, created_at: row.get(2)? })
            })?
            .collect()
        })
        .await
    }
}
