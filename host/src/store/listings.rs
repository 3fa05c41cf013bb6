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

    /// Makes a space with a name. `false` where there is one of this id.
    pub async fn add_space(&self, id: &SpaceId, name: &str, at: i64) -> Result<bool, StoreError> {
        let (id, name) = (id.clone(), name.to_owned());
        self.write(move |db| {
            let made = db.execute(
                "INSERT INTO spaces (id, name, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![id.as_str(), name, at],
            )?;
            Ok(made == 1)
        })
        .await
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
    pub async fn search(&self, space: &SpaceId, text: &str, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let (space, text) = (space.clone(), text.to_lowercase());
        // The work has it, not who waits for it: a caller that goes away must not let another one in.
        let place = self.searching.clone().acquire_owned().await;
        self.read(move |db| {
            let _place = place;
            let mut statement = db.prepare_cached(
                "SELECT id, conversation, role, content, created_at FROM messages WHERE space = ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let mut found = Vec::new();
            // SQLite itself knows the case of ASCII only.
            for row in statement.query_map(params![space.as_str(), MOST_SEARCHED], entry)? {
                let row = row?;
                if row.content.to_lowercase().contains(&text) {
                    found.push(row);
                    if found.len() == limit as usize {
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
