//! Preferences: what people want the assistant to know in each run of a space.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError};
use crate::domain::ids::SpaceId;

/// Of one space (http-api.md 5.3).
pub const MOST_PREFERENCES: u32 = 50;

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preference {
    pub space_id: String,
    pub key: String,
    pub value: String,
    pub created_by: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    pub updated_at: i64,
}

impl Store {
    /// By key; there are [`MOST_PREFERENCES`] at most.
    pub async fn preferences(&self, space: &SpaceId) -> Result<Vec<Preference>, StoreError> {
        let space = space.clone();
        self.read(move |db| {
            db.prepare_cached(
                "SELECT space, key, value, created_by, created_at, updated_at FROM preferences WHERE space = ?1 ORDER BY key",
            )?
            .query_map([space.as_str()], |row| {
                Ok(Preference {
                    space_id: row.get(0)?,
                    key: row.get(1)?,
                    value: row.get(2)?,
                    created_by: row.get(3)?,
                    created_at: row.get(4)?,
                    updated_at: row.get(5)?,
                })
            })?
            .collect()
        })
        .await
    }

    pub async fn preference(&self, space: &SpaceId, key: &str) -> Result<Option<String>, StoreError> {
        let (space, key) = (space.clone(), key.to_owned());
        self.read(move |db| {
            db.query_row(
                "SELECT value FROM preferences WHERE space = ?1 AND key = ?2",
                params![space.as_str(), key],
                |row| row.get(0),
            )
            .optional()
        })
        .await
    }

    /// `false`, and nothing is changed, where the space has [`MOST_PREFERENCES`] others already.
    pub async fn set_preference(
        &self,
        space: &SpaceId,
        key: &str,
        value: &str,
        by: &str,
        at: i64,
    ) -> Result<bool, StoreError> {
        let (space, key, value, by) = (space.clone(), key.to_owned(), value.to_owned(), by.to_owned());
        self.write(move |db| {
            let others: u32 = db.query_row(
                "SELECT count(*) FROM preferences WHERE space = ?1 AND key <> ?2",
                params![space.as_str(), key],
                |row| row.get(0),
            )?;
            if others >= MOST_PREFERENCES {
                return Ok(false);
            }
            db.execute(
                "INSERT INTO preferences (space, key, value, created_by, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
                 ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
                params![space.as_str(), key, value, by, at],
            )?;
            Ok(true)
        })
        .await
    }

    /// Whether there was one.
    pub async fn delete_preference(&self, space: &SpaceId, key: &str) -> Result<bool, StoreError> {
        let (space, key) = (space.clone(), key.to_owned());
        self.write(move |db| {
            Ok(db.execute("DELETE FROM preferences WHERE space = ?1 AND key = ?2", params![space.as_str(), key])? == 1)
        })
        .await
    }
}
