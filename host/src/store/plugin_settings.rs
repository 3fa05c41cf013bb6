//! Values that were set of plugins' settings, for one space or for all.

use rusqlite::params;

use super::{Store, StoreError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSetting {
    pub plugin: String,
    pub key: String,
    /// `None`: for every space.
    pub space: Option<String>,
    pub value: String,
}

impl Store {
    pub async fn plugin_settings(&self) -> Result<Vec<StoredSetting>, StoreError> {
        self.read(|db| {
            db.prepare("SELECT plugin, key, space, value FROM plugin_settings ORDER BY plugin, key, space")?
                .query_map([], |row| {
                    Ok(StoredSetting { plugin: row.get(0)?, key: row.get(1)?, space: row.get(2)?, value: row.get(3)? })
                })?
                .collect()
        })
        .await
    }

    /// Sets the value; `None` takes it back.
    pub async fn set_plugin_setting(
        &self,
        plugin: &str,
        key: &str,
        space: Option<&str>,
        value: Option<&str>,
        now: i64,
    ) -> Result<(), StoreError> {
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        let (space, value) = (space.map(str::to_owned), value.map(str::to_owned));
        self.write(move |db| {
            match value {
                Some(value) => db.execute(
                    "INSERT INTO plugin_settings (plugin, key, space, value, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (plugin, key, coalesce(space, '')) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
                    params![plugin, key, space, value, now],
                )?,
                None => db.execute(
                    "DELETE FROM plugin_settings WHERE plugin = ?1 AND key = ?2 AND space IS ?3",
                    params![plugin, key, space],
                )?,
            };
            Ok(())
        })
        .await
    }
}
