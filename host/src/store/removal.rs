//! Removing a space with all that is kept of it. What was spent stays in the ledger: a day's budget counts it.

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
    /// A run of it is queued or at work.
    Busy,
    Done(Removed),
}

impl Store {
    /// Removes the space's rows; its conversations lose their link and stay known.
    pub async fn remove_space(&self, space: &SpaceId) -> Result<Removal, StoreError> {
        let space = space.clone();
        self.write(move |db| {
            let count = |from: &str| -> rusqlite::Result<i64> {
                db.query_row(&format!("SELECT count(*) FROM {from} = ?1"), [space.as_str()], |row| row.get(0))
            };
            if count("runs WHERE state IN ('queued', 'preparing', 'running') AND space")? > 0 {
                return Ok(Removal::Busy);
            }
            let mut removed = Removed {
                messages: count("messages WHERE space")?,
                roles: count("members WHERE space")?,
                config: count("plugin_settings WHERE space")? + count("role_permissions WHERE space")?,
                preferences: count("preferences WHERE space")?,
                conversations_unlinked: count("conversations WHERE space")?,
                ..Removed::default()
            };
            removed.space = db.execute("DELETE FROM spaces WHERE id = ?1", params![space.as_str()])? as i64;
            Ok(if removed.space == 0 { Removal::Unknown } else { Removal::Done(removed) })
        })
        .await
    }
}
