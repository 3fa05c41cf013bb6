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

#[cfg(test)]
mod tests {
    use super::*;

    /// storage.md #18: 50 keys and not one more, of which each may be changed; by key, with who made them. What a key
    /// may be is said where they come in (`callers::preferences`).
    #[tokio::test]
    async fn preferences_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let [main, other] = ["main", "other"].map(|name| SpaceId::try_from(name.to_owned()).unwrap());
        store.create_space(&other, 1).await.unwrap();
        for number in (0..MOST_PREFERENCES).rev() {
            assert!(store.set_preference(&main, &format!("key-{number:02}"), "x", "p:a", 1).await.unwrap());
        }
        assert!(!store.set_preference(&main, "one-more", "x", "p:a", 2).await.unwrap());
        assert_eq!(store.preference(&main, "one-more").await.unwrap(), None);
        assert!(store.set_preference(&main, "key-07", "changed", "p:b", 3).await.unwrap());
        assert!(store.set_preference(&other, "one-more", "x", "p:a", 3).await.unwrap(), "another space has its own");
        let all = store.preferences(&main).await.unwrap();
        assert!(all.len() == 50 && all.is_sorted_by_key(|it| it.key.clone()));
        let changed = &all[7];
        assert_eq!((changed.value.as_str(), changed.created_by.as_str()), ("changed", "p:a"));
        assert_eq!((changed.created_at, changed.updated_at), (1, 3));
        assert!(store.delete_preference(&main, "key-07").await.unwrap());
        assert!(!store.delete_preference(&main, "key-07").await.unwrap());
        assert!(store.set_preference(&main, "one-more", "x", "p:a", 4).await.unwrap(), "there is room again");
    }
}
