//! The conversation as the agent may see it later.

use rusqlite::{Row, params};

use super::{Store, StoreError, inbound, to_json};
use crate::domain::ids::SpaceId;

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageRole {
    Person,
    Assistant,
    /// Said in the conversation, and not to the assistant.
    Ambient,
}

fn role(text: &str) -> MessageRole {
    match text {
        "user" => MessageRole::Person,
        "ambient" => MessageRole::Ambient,
        _ => MessageRole::Assistant,
    }
}

/// Role, text and time, from `column` on.
pub(super) fn at(row: &Row<'_>, column: usize) -> rusqlite::Result<HistoryMessage> {
    Ok(HistoryMessage {
        role: role(&row.get::<_, String>(column)?),
        content: row.get(column + 1)?,
        created_at: row.get(column + 2)?,
    })
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryMessage {
    pub role: MessageRole,
    pub content: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}

/// What people said to each other, of which the agent sees at most this many, the newest.
const MOST_AMBIENT: u32 = 100;

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
    /// Keeps a message that is not for the assistant as something overheard, and marks it as decided.
    pub async fn overhear(&self, inbound: i64) -> Result<(), StoreError> {
        self.write(move |db| {
            db.execute(
                "INSERT INTO messages (space, conversation, role, content, created_at, inbound)
                 SELECT space, conversation, 'ambient',
                        CASE WHEN coalesce(author_name, '') = '' THEN text ELSE author_name || ': ' || text END, received_at, id
                 FROM inbound WHERE (id = ?1 OR merged_into = ?1) AND decided = 0 AND trim(text) <> '' ORDER BY id",
                [inbound],
            )?;
            inbound::decided(db, inbound)
        })
        .await
    }

    /// What was said in the space after `after`, oldest first, at most `limit` entries with `most_bytes` of
    /// text together: no more of them is read. At least one, however long, so that whoever pages gets on.
    pub async fn entries(
        &self,
        space: &str,
        after: i64,
        limit: u32,
        most_bytes: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let space = space.to_owned();
        self.read(move |db| {
            let mut statement = db.prepare_cached(
                "SELECT id, conversation, role, content, created_at FROM messages
                 WHERE space = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            )?;
            let mut rows = statement.query(params![space, after, limit])?;
            let (mut entries, mut bytes) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                let content: String = row.get(3)?;
                bytes += content.len();
                if bytes > most_bytes && !entries.is_empty() {
                    break;
                }
                entries.push(Entry {
                    id: row.get(0)?,
                    conversation: row.get(1)?,
                    role: row.get(2)?,
                    content,
                    created_at: row.get(4)?,
                });
            }
            Ok(entries)
        })
        .await
    }

    /// The last `turns` user messages of the conversation with their answers, oldest first, without
    /// those of `current` and those before a boundary.
    pub async fn history(
        &self,
        space: &SpaceId,
        conversation: &str,
        current: &str,
        turns: u32,
    ) -> Result<Vec<HistoryMessage>, StoreError> {
        self.history_without(space, conversation, current, turns, &[]).await
    }

    /// The same, of which those that are `known` otherwise are left out.
    pub async fn history_without(
        &self,
        space: &SpaceId,
        conversation: &str,
        current: &str,
        turns: u32,
        known: &[i64],
    ) -> Result<Vec<HistoryMessage>, StoreError> {
        let (space, conversation, current) = (space.clone(), conversation.to_owned(), current.to_owned());
        let known = known.to_vec();
        self.read(move |db| {
            // Where the page begins is found first: only from there on rows are looked at, however long the
            // conversation is. Turns have an index of their own, so that what is overheard between them costs nothing.
            db.prepare_cached(
                "WITH page (first) AS MATERIALIZED (SELECT max(
                   coalesce((SELECT max(compacted, cleared) + 1 FROM boundaries WHERE space = ?1 AND conversation = ?2), 0),
                   coalesce((SELECT min(id) FROM (SELECT id FROM messages
                      WHERE space = ?1 AND conversation = ?2 AND run IS NOT ?3 AND role = 'user' AND role <> 'ambient'
                      ORDER BY id DESC LIMIT ?4)), 0)))
                 SELECT role, content, created_at FROM (
                   SELECT id, role, content, created_at FROM messages
                   WHERE space = ?1 AND conversation = ?2 AND run IS NOT ?3 AND role <> 'ambient'
                     AND id >= (SELECT first FROM page)
                   UNION ALL
                   SELECT * FROM (SELECT id, role, content, created_at FROM messages
                   WHERE space = ?1 AND conversation = ?2 AND run IS NOT ?3 AND role = 'ambient'
                     AND id >= (SELECT first FROM page) ORDER BY id DESC LIMIT ?5))
                 WHERE id NOT IN (SELECT value FROM json_each(?6))
                 ORDER BY id",
            )?
            .query_map(params![space.as_str(), conversation, current, turns, MOST_AMBIENT, to_json(&known)?], |row| at(row, 0))?
            .collect()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand long answers would be hundreds of megabytes.
    #[tokio::test]
    async fn entries_are_bounded_in_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        store
            .write(|db| {
                let sql = "INSERT INTO messages (space, conversation, role, content, created_at) VALUES ('main', 'c', 'ambient', ?1, 1)";
                [10, 10, 100, 10].into_iter().try_for_each(|length| db.execute(sql, ["x".repeat(length)]).map(drop))
            })
            .await
            .unwrap();
        let lengths = async |after, limit, most| {
            let found = store.entries("main", after, limit, most).await.unwrap();
            found.iter().map(|entry| entry.content.len()).collect::<Vec<_>>()
        };
        assert_eq!(lengths(0, 10, 1_000).await, [10, 10, 100, 10]);
        assert_eq!(lengths(0, 3, 1_000).await, [10, 10, 100]);
        assert_eq!(lengths(0, 10, 119).await, [10, 10]);
        assert_eq!(lengths(2, 10, 50).await, [100], "whoever pages gets on");
        assert_eq!(lengths(0, 10, 0).await, [10]);
    }
}
