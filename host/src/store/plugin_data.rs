//! All that the database keeps of a plugin, to be said and to be deleted.

use rusqlite::{Connection, params};

use super::{Store, StoreError};

/// How much of each there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginData {
    /// Keys of its own state.
    pub keys: usize,
    pub timers: usize,
    /// Values that were set of its settings, in the chat or by command.
    pub settings: usize,
    /// Jobs with a last run.
    pub jobs: usize,
    /// Agent runs that it asked for. Their messages are the space's and stay.
    pub tasks: usize,
    /// How far an adapter has read its platform.
    pub cursors: usize,
}

/// Its tables, in the order of [`PluginData`].
const TABLES: [&str; 6] = ["plugin_kv", "timers", "plugin_settings", "plugin_jobs", "plugin_tasks", "cursors"];

impl PluginData {
    fn of(counts: [usize; 6]) -> Self {
        let [keys, timers, settings, jobs, tasks, cursors] = counts;
        Self { keys, timers, settings, jobs, tasks, cursors }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Store {
    pub async fn plugin_data(&self, plugin: &str) -> Result<PluginData, StoreError> {
        let plugin = plugin.to_owned();
        self.read(move |db| {
            each_table(|table| {
                let count = format!("SELECT count(*) FROM {table} WHERE plugin = ?1");
                db.query_row(&count, params![plugin], |row| row.get::<_, i64>(0)).map(|count| count as usize)
            })
        })
        .await
    }

    /// Deletes it all at once, and returns what that was.
    pub async fn purge_plugin(&self, plugin: &str) -> Result<PluginData, StoreError> {
        let plugin = plugin.to_owned();
        self.write(move |db| {
            let db: &Connection = db;
            each_table(|table| db.execute(&format!("DELETE FROM {table} WHERE plugin = ?1"), params![plugin]))
        })
        .await
    }
}

fn each_table(mut count: impl FnMut(&str) -> rusqlite::Result<usize>) -> rusqlite::Result<PluginData> {
    let mut counts = [0; 6];
    for (found, table) in counts.iter_mut().zip(TABLES) {
        *found = count(table)?;
    }
    Ok(PluginData::of(counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever table has a column for a plugin is either among these, or keeps a record of what happened, or counts what is in one of these.
    #[tokio::test]
    async fn every_table_of_a_plugin_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let tables: Vec<String> = store
            .read(|db| {
                db.prepare(
                    "SELECT t.name FROM sqlite_schema t, pragma_table_info(t.name) c
                     WHERE t.type = 'table' AND c.name = 'plugin' ORDER BY t.name",
                )?
                .query_map([], |row| row.get(0))?
                .collect()
            })
            .await
            .unwrap();
        let mut known: Vec<&str> = TABLES.into_iter().chain(["questions", "decisions", "plugin_kv_usage"]).collect();
        known.sort_unstable();
        assert_eq!(tables, known);
    }

    #[tokio::test]
    async fn a_purge_takes_all_of_one_plugin_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        for plugin in ["gone", "stays"] {
            for key in ["a", "b"] {
                store.kv_set(plugin, key, b"1".to_vec(), None, 100).await.unwrap();
            }
            store.set_timer(plugin, "t", 1, 10).await.unwrap();
            store.set_plugin_setting(plugin, "s", None, Some("v"), 1).await.unwrap();
            store.job_started(plugin, "j", 1).await.unwrap();
            let task = crate::store::NewTask {
                plugin: plugin.into(),
                id: "1".into(),
                space: crate::domain::ids::SpaceId::try_from("main".to_owned()).unwrap(),
                prompt: "p".into(),
                system_prompt: None,
                run: crate::domain::ids::RunId::from_uuid(uuid::Uuid::now_v7()),
                now: 1,
                per_day: 9,
                marks: Default::default(),
                confinement: Default::default(),
            };
            store.start_task(task).await.unwrap();
        }
        let all = PluginData { keys: 2, timers: 1, settings: 1, jobs: 1, tasks: 1, cursors: 0 };
        assert_eq!(store.plugin_data("gone").await.unwrap(), all);
        assert_eq!(store.purge_plugin("gone").await.unwrap(), all);
        assert!(store.plugin_data("gone").await.unwrap().is_empty());
        assert_eq!(store.plugin_data("stays").await.unwrap(), all);
        assert!(store.purge_plugin("never").await.unwrap().is_empty());
    }
}
