//! People who are not heard in a space for a while.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Store, StoreError};
use crate::domain::ids::SpaceId;

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mute {
    #[serde(rename = "platformUserId")]
    pub person: String,
    /// Milliseconds since the epoch.
    pub expires_at: i64,
    pub reason: Option<String>,
    pub muted_by: String,
    pub created_at: i64,
}

impl Store {
    /// Mutes somebody, or changes until when, why and by whom he is.
    pub async fn mute(&self, space: &SpaceId, mute: Mute) -> Result<(), StoreError> {
        let space = space.clone();
        self.write(move |db| {
            db.execute(
                "INSERT INTO mutes (space, person, expires_at, reason, muted_by, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (space, person) DO UPDATE SET expires_at = excluded.expires_at, reason = excluded.reason,
                     muted_by = excluded.muted_by",
                params![space.as_str(), mute.person, mute.expires_at, mute.reason, mute.muted_by, mute.created_at],
            )?;
            Ok(())
        })
        .await
    }

    /// `false` where nobody of that name is muted.
    pub async fn unmute(&self, space: &SpaceId, person: &str, now: i64) -> Result<bool, StoreError> {
        let (space, person) = (space.clone(), person.to_owned());
        self.write(move |db| {
            let sql = "DELETE FROM mutes WHERE space = ?1 AND person = ?2 RETURNING expires_at";
            let ended: Option<i64> = db.query_row(sql, params![space.as_str(), person], |row| row.get(0)).optional()?;
            Ok(ended.is_some_and(|expires_at| expires_at > now))
        })
        .await
    }

    /// Those that hold, the one that ends first before the others.
    pub async fn mutes(&self, space: &SpaceId, now: i64) -> Result<Vec<Mute>, StoreError> {
        let space = space.clone();
        self.write(move |db| {
            db.execute("DELETE FROM mutes WHERE space = ?1 AND expires_at <= ?2", params![space.as_str(), now])?;
            db.prepare_cached(
                "SELECT person, expires_at, reason, muted_by, created_at FROM mutes WHERE space = ?1 ORDER BY expires_at, person",
            )?
            .query_map([space.as_str()], |row| {
                Ok(Mute {
                    person: row.get(0)?,
                    expires_at: row.get(1)?,
                    reason: row.get(2)?,
                    muted_by: row.get(3)?,
                    created_at: row.get(4)?,
                })
            })?
            .collect()
        })
        .await
    }
}

pub(super) fn is_muted(db: &Connection, space: &SpaceId, person: &str, now: i64) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM mutes WHERE space = ?1 AND person = ?2 AND expires_at > ?3")?.exists(params![
        space.as_str(),
        person,
        now
    ])
}
