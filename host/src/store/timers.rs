//! Wake-ups that components have asked for.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    pub plugin: String,
    pub name: String,
    /// Milliseconds since the epoch.
    pub due_at: i64,
    /// Times that it fired and failed.
    pub attempts: u32,
    pub version: i64,
}

impl Store {
    /// Sets a timer, or sets it anew. `false` where the plugin has `most` others already.
    pub async fn set_timer(&self, plugin: &str, name: &str, due_at: i64, most: u32) -> Result<bool, StoreError> {
        let (plugin, name) = (plugin.to_owned(), name.to_owned());
        self.write(move |db| {
            let others: u32 = db.query_row(
                "SELECT count(*) FROM timers WHERE plugin = ?1 AND name <> ?2",
                params![plugin, name],
                |row| row.get(0),
            )?;
            if others >= most {
                return Ok(false);
            }
            db.execute(
                "INSERT INTO timers (plugin, name, due_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (plugin, name) DO UPDATE SET due_at = excluded.due_at, attempts = 0, version = version + 1",
                params![plugin, name, due_at],
            )?;
            Ok(true)
        })
        .await
    }

    pub async fn cancel_timer(&self, plugin: &str, name: &str) -> Result<(), StoreError> {
        let (plugin, name) = (plugin.to_owned(), name.to_owned());
        self.write(move |db| {
            db.execute("DELETE FROM timers WHERE plugin = ?1 AND name = ?2", params![plugin, name])?;
            Ok(())
        })
        .await
    }

    /// The plugin's timer that is due first.
    pub async fn next_timer(&self, plugin: &str) -> Result<Option<Timer>, StoreError> {
        let plugin = plugin.to_owned();
        self.read(move |db| {
            db.query_row(
                "SELECT plugin, name, due_at, attempts, version FROM timers WHERE plugin = ?1 ORDER BY due_at LIMIT 1",
                [plugin],
                |row| {
                    Ok(Timer {
                        plugin: row.get(0)?,
                        name: row.get(1)?,
                        due_at: row.get(2)?,
                        attempts: row.get(3)?,
                        version: row.get(4)?,
                    })
                },
            )
            .optional()
        })
        .await
    }

    /// Takes a timer away that has fired, unless it was set anew meanwhile.
    pub async fn fired(&self, timer: &Timer) -> Result<(), StoreError> {
        let timer = timer.clone();
        self.write(move |db| {
            db.execute(
                "DELETE FROM timers WHERE plugin = ?1 AND name = ?2 AND version = ?3",
                params![timer.plugin, timer.name, timer.version],
            )?;
            Ok(())
        })
        .await
    }

    /// Puts a timer off that fired and failed.
    pub async fn put_off(&self, timer: &Timer, due_at: i64) -> Result<(), StoreError> {
        let timer = timer.clone();
        self.write(move |db| {
            db.execute(
                "UPDATE timers SET due_at = ?4, attempts = attempts + 1 WHERE plugin = ?1 AND name = ?2 AND version = ?3",
                params![timer.plugin, timer.name, timer.version, due_at],
            )?;
            Ok(())
        })
        .await
    }
}
