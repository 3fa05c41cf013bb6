//! What operators look at: spaces, runs, messages and usage, in pages.

use rusqlite::{OptionalExtension, Row, params};

use super::{Entry, Store, StoreError, from_json};
use crate::domain::{failure::Failure, ids::SpaceId, page::Page};

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpaceView {
    pub id: String,
    pub name: String,
    /// Kept for clients of the replaced system: there are none.
    pub tags: Option<String>,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    pub id: String,
    pub space_id: String,
    pub caller_id: String,
    pub conversation: String,
    pub role: String,
    pub state: String,
    /// Stable, for programs; of a run that failed.
    pub failure: Option<String>,
    pub attempts: i64,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    pub started_at: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveRun {
    pub id: String,
    pub space_id: String,
    pub state: String,
    /// Milliseconds since the epoch.
    pub started_at: Option<i64>,
}

/// What the models were asked for in a space.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub space_id: String,
    pub total_input_tokens: i64,
    pub total_output_tokens: i64,
    pub total_tokens: i64,
    /// US dollars, as far as prices are known.
    pub total_cost: f64,
    pub run_count: i64,
    /// Milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<i64>,
}

/// What a search came to.
#[derive(Clone, Debug)]
pub struct Matches {
    pub messages: Vec<Entry>,
    /// `false` where there are messages that it did not get to.
    pub complete: bool,
}

/// Messages that one search looks at: our own bound, some tenths of a second.
const MOST_SEARCHED: u32 = 50_000;

const SPACE: &str = "SELECT id, name, created_at, max(created_at, updated_at) FROM spaces";

fn space(row: &Row<'_>) -> rusqlite::Result<SpaceView> {
    let (id, name) = (row.get(0)?, row.get(1)?);
    Ok(SpaceView { id, name, tags: None, created_at: row.get(2)?, updated_at: row.get(3)? })
}

const SUMS: &str = "coalesce(sum(input + cache_read + cache_write), 0), coalesce(sum(output), 0),
    coalesce(sum(micro_usd), 0), count(DISTINCT run), max(began_at)";

fn usage(row: &Row<'_>) -> rusqlite::Result<Usage> {
    let (input, output): (i64, i64) = (row.get(1)?, row.get(2)?);
    Ok(Usage {
        space_id: row.get(0)?,
        total_input_tokens: input,
        total_output_tokens: output,
        total_tokens: input + output,
        total_cost: row.get::<_, i64>(3)? as f64 / 1e6,
        run_count: row.get(4)?,
        last_used_at: row.get(5)?,
    })
}

impl Store {
    /// The oldest first; one more than the page shows.
    pub async fn spaces_page(&self, page: &Page) -> Result<Vec<SpaceView>, StoreError> {
        let wanted = page.wanted();
        let (at, id) = page.after.clone().unwrap_or((i64::MIN, String::new()));
        self.read(move |db| {
            db.prepare_cached(&format!("{SPACE} WHERE (created_at, id) > (?1, ?2) ORDER BY created_at, id LIMIT ?3"))?
                .query_map(params![at, id, wanted], space)?
                .collect()
        })
        .await
    }

    pub async fn space(&self, id: &SpaceId) -> Result<Option<SpaceView>, StoreError> {
        let id = id.clone();
        self.read(move |db| db.query_row(&format!("{SPACE} WHERE id = ?1"), [id.as_str()], space).optional()).await
    }

    /// `false` where there is no such space.
    pub async fn rename_space(&self, id: &SpaceId, name: &str, at: i64) -> Result<bool, StoreError> {
        let (id, name) = (id.clone(), name.to_owned());
        self.write(move |db| {
            let changed = db.execute(
                "UPDATE spaces SET name = ?2, updated_at = ?3 WHERE id = ?1",
                params![id.as_str(), name, at],
            )?;
            Ok(changed == 1)
        })
        .await
    }

    /// The newest first, of one space or of all; one more than the page shows. Its place in the list is its
    /// id, which begins with its time.
    pub async fn runs_page(&self, space: Option<&SpaceId>, page: &Page) -> Result<Vec<RunView>, StoreError> {
        let (space, wanted) = (space.map(|space| space.to_string()), page.wanted());
        // Above every id of hexadecimal digits.
        let before = page.after.clone().map_or("g".to_owned(), |(_, id)| id);
        self.read(move |db| {
            let of = if space.is_some() { "r.space = ?1" } else { "?1 IS NULL" };
            db.prepare_cached(&format!(
                "SELECT r.id, r.space, i.author, i.conversation, r.role, r.state, r.failure, r.attempts, r.created_at, r.started_at
                 FROM runs r JOIN inbound i ON i.id = r.inbound WHERE {of} AND r.id < ?2 ORDER BY r.id DESC LIMIT ?3"
            ))?
            .query_map(params![space, before, wanted], run)?
            .collect()
        })
        .await
    }

    /// The runs at work, the oldest first.
    pub async fn active_runs(&self) -> Result<Vec<ActiveRun>, StoreError> {
        self.read(|db| {
            db.prepare_cached(
                "SELECT id, space, state, started_at FROM runs
                 WHERE state IN ('queued', 'preparing', 'running') AND state <> 'queued' ORDER BY id",
            )?
            .query_map([], |row| {
                Ok(ActiveRun { id: row.get(0)?, space_id: row.get(1)?, state: row.get(2)?, started_at: row.get(3)? })
            })?
            .collect()
        })
        .await
    }

    /// What was said in a space, the newest first; one more than the page shows.
    pub async fn messages_page(&self, space: &SpaceId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        let (space, wanted) = (space.clone(), page.wanted());
        let before = page.after.as_ref().map_or(i64::MAX, |(id, _)| *id);
        self.read(move |db| {
            db.prepare_cached(
                "SELECT id, conversation, role, content, created_at FROM messages
                 WHERE space = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
            )?
            .query_map(params![space.as_str(), before, wanted], entry)?
            .collect()
        })
        .await
    }

    /// Messages of the space that hold `text`, whatever its case, the newest first; among the newest
    /// [`MOST_SEARCHED`].
    pub async fn search(&self, space: &SpaceId, text: &str, limit: u32) -> Result<Matches, StoreError> {
        let (space, text) = (space.clone(), text.to_lowercase());
        // The work has it, not who waits for it: a caller that goes away must not let another one in.
        let place = self.searching.clone().acquire_owned().await;
        self.read(move |db| {
            let _place = place;
            let mut statement = db.prepare_cached(
                "SELECT id, conversation, role, content, created_at FROM messages WHERE space = ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let mut found = Matches { messages: Vec::new(), complete: true };
            // SQLite itself knows the case of ASCII only.
            for (looked_at, row) in statement.query_map(params![space.as_str(), MOST_SEARCHED + 1], entry)?.enumerate() {
                let row = row?;
                if looked_at == MOST_SEARCHED as usize {
                    found.complete = false;
                } else if row.content.to_lowercase().contains(&text) {
                    found.messages.push(row);
                    if found.messages.len() == limit as usize {
                        break;
                    }
                }
            }
            Ok(found)
        })
        .await
    }

    /// All spaces together, and each, the one that was used last first.
    pub async fn usage(&self) -> Result<(Usage, Vec<Usage>), StoreError> {
        self.read(|db| {
            let totals = db.query_row(&format!("SELECT '', {SUMS} FROM spending WHERE state <> 'failed'"), [], usage)?;
            let spaces = db
                .prepare_cached(&format!(
                    "SELECT space, {SUMS} FROM spending WHERE state <> 'failed' GROUP BY space ORDER BY max(began_at) DESC, space"
                ))?
                .query_map([], usage)?
                .collect::<Result<_, _>>()?;
            Ok((Usage { last_used_at: None, ..totals }, spaces))
        })
        .await
    }
}

fn run(row: &Row<'_>) -> rusqlite::Result<RunView> {
    let failure: Option<String> = row.get(6)?;
    let failure = failure.map(|failure| from_json::<Failure>(6, &failure)).transpose()?;
    Ok(RunView {
        id: row.get(0)?,
        space_id: row.get(1)?,
        caller_id: row.get(2)?,
        conversation: row.get(3)?,
        role: row.get(4)?,
        state: row.get(5)?,
        failure: failure.map(|failure| failure.code().to_owned()),
        attempts: row.get(7)?,
        created_at: row.get(8)?,
        started_at: row.get(9)?,
    })
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        id: row.get(0)?,
        conversation: row.get(1)?,
        role: row.get(2)?,
        content: row.get(3)?,
        created_at: row.get(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn main() -> SpaceId {
        SpaceId::try_from("main".to_owned()).unwrap()
    }

    /// Words that stand only beyond the bound are not said to be nowhere.
    #[tokio::test]
    async fn what_was_not_looked_at_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let rows = "
            INSERT INTO messages (space, conversation, role, content, created_at) VALUES ('main', 'c', 'user', 'old', 1);
            WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
                INSERT INTO messages (space, conversation, role, content, created_at)
                SELECT 'main', 'c', 'user', 'new', i FROM n;";
        store.write(move |db| db.execute_batch(rows)).await.unwrap();
        let found = async |text: &str| {
            let found = store.search(&main(), text, 20).await.unwrap();
            (found.messages.len(), found.complete)
        };
        assert_eq!(found("old").await, (1, true), "the last that is looked at");
        let another = "INSERT INTO messages (space, conversation, role, content, created_at) VALUES ('main', 'c', 'user', 'new', 0)";
        store.write(move |db| db.execute_batch(another)).await.unwrap();
        assert_eq!(found("old").await, (0, false));
        assert_eq!(found("new").await, (20, true), "as many as were wanted");
    }

    /// storage.md #7: whatever its case, the newest first, in one space, and not beyond the limit.
    #[tokio::test]
    async fn words_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let rows = "
            INSERT INTO spaces (id, name, created_at) VALUES ('other', 'other', 1);
            INSERT INTO messages (space, conversation, role, content, created_at) VALUES
                ('main', 'c', 'user', 'Hello FooBar', 1), ('main', 'c', 'user', 'foo bar', 2),
                ('other', 'c', 'user', 'foobar elsewhere', 3), ('main', 'd', 'assistant', 'FOOBAR again', 4),
                ('main', 'c', 'user', '50% of ÄPFEL_', 5);";
        store.write(move |db| db.execute_batch(rows)).await.unwrap();
        let found = async |text: &str, limit| {
            let found = store.search(&main(), text, limit).await.unwrap().messages;
            found.into_iter().map(|entry| entry.content).collect::<Vec<_>>()
        };
        assert_eq!(found("foobar", 20).await, ["FOOBAR again", "Hello FooBar"]);
        assert_eq!(found("FooBar", 1).await, ["FOOBAR again"]);
        assert_eq!(found("äpfel_", 20).await, ["50% of ÄPFEL_"]);
        assert!(found("f%r", 20).await.is_empty(), "nothing is a wildcard");
    }

    /// storage.md #24, but for its last part: what a space has spent stays when it is removed, since a day's budget
    /// counts it.
    #[tokio::test]
    async fn usage_is_added_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let rows = "
            INSERT INTO spending (run, space, person, provider, model, began_at, state, input, output, cache_read, cache_write, micro_usd) VALUES
                ('r1', 'main', 'p:a', 'a', 'm', 10, 'complete', 100, 20, 3, 4, 1500000),
                ('r1', 'main', 'p:a', 'a', 'm', 11, 'complete', 50, 10, 0, 0, NULL),
                ('r2', 'main', 'p:a', 'a', 'm', 12, 'failed', 999, 999, 0, 0, 999),
                ('r3', 'other', 'p:b', 'a', 'm', 20, 'estimated', 7, 1, 0, 0, 250000);";
        store.write(move |db| db.execute_batch(rows)).await.unwrap();
        let (totals, spaces) = store.usage().await.unwrap();
        let of = |space: &str, input, output, total_cost, run_count, last_used_at| Usage {
            space_id: space.into(),
            total_input_tokens: input,
            total_output_tokens: output,
            total_tokens: input + output,
            total_cost,
            run_count,
            last_used_at,
        };
        assert_eq!(totals, of("", 164, 31, 1.75, 2, None));
        assert_eq!(spaces, [of("other", 7, 1, 0.25, 1, Some(20)), of("main", 157, 30, 1.5, 1, Some(11))]);
    }
}
