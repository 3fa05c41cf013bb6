//! Components' own state, each in a namespace that it cannot leave.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Store, StoreError};

#[derive(Debug, thiserror::Error)]
pub enum KvError {
    #[error("the quota of {quota} bytes is used up")]
    Quota { quota: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    pub async fn kv_get(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        self.read(move |db| {
            db.query_row("SELECT value FROM plugin_kv WHERE plugin = ?1 AND key = ?2", params![plugin, key], |row| {
                row.get(0)
            })
            .optional()
        })
        .await
    }

    /// Sets `key` to `value`. With `expected` only if that is the present value (`Some(None)`: only
    /// if there is none); tells whether it did.
    pub async fn kv_set(
        &self,
        plugin: &str,
        key: &str,
        value: Vec<u8>,
        expected: Option<Option<Vec<u8>>>,
        quota: u64,
    ) -> Result<bool, KvError> {
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        let outcome = self
            .write(move |db| {
                let present: Option<Vec<u8>> = db
                    .query_row(
                        "SELECT value FROM plugin_kv WHERE plugin = ?1 AND key = ?2",
                        params![plugin, key],
                        |row| row.get(0),
                    )
                    .optional()?;
                if expected.is_some_and(|expected| expected != present) {
                    return Ok(Ok(false));
                }
                let others = used_by_others(db, &plugin, &key)?;
                if others + key.len() as u64 + value.len() as u64 > quota {
                    return Ok(Err(quota));
                }
                db.execute(
                    "INSERT INTO plugin_kv (plugin, key, value) VALUES (?1, ?2, ?3)
                     ON CONFLICT (plugin, key) DO UPDATE SET value = excluded.value",
                    params![plugin, key, value],
                )?;
                Ok(Ok(true))
            })
            .await?;
        outcome.map_err(|quota| KvError::Quota { quota })
    }

    pub async fn kv_remove(&self, plugin: &str, key: &str) -> Result<bool, StoreError> {
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        self.write(move |db| {
            Ok(db.execute("DELETE FROM plugin_kv WHERE plugin = ?1 AND key = ?2", params![plugin, key])? == 1)
        })
        .await
    }

    /// Keys that begin with `prefix`, sorted, at most 1,000 after `after`.
    pub async fn kv_keys(&self, plugin: &str, prefix: &str, after: Option<&str>) -> Result<Vec<String>, StoreError> {
        let (plugin, prefix, after) = (plugin.to_owned(), prefix.to_owned(), after.unwrap_or_default().to_owned());
        self.read(move |db| {
            db.prepare_cached(
                "SELECT key FROM plugin_kv WHERE plugin = ?1 AND substr(key, 1, length(?2)) = ?2 AND key > ?3 ORDER BY key LIMIT 1000",
            )?
            .query_map(params![plugin, prefix, after], |row| row.get(0))?
            .collect()
        })
        .await
    }
}

fn used_by_others(db: &Transaction<'_>, plugin: &str, key: &str) -> rusqlite::Result<u64> {
    let used: i64 = db.query_row(
        "SELECT coalesce(sum(length(CAST(key AS BLOB)) + length(value)), 0) FROM plugin_kv WHERE plugin = ?1 AND key <> ?2",
        params![plugin, key],
        |row| row.get(0),
    )?;
    Ok(used.unsigned_abs())
}
