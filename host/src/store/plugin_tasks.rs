//! Agent runs that plugins asked for. A task is a message that nobody wrote, and its run: one transaction.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError, to_json};
use crate::domain::{
    confinement::Confinement,
    ids::{RunId, SpaceId},
    roles,
    run::TASK_PLATFORM,
    stages::Marks,
};

/// A day, in milliseconds.
const DAY: i64 = 86_400_000;

#[derive(Clone, Debug)]
pub struct NewTask {
    pub plugin: String,
    /// The plugin's own.
    pub id: String,
    pub space: SpaceId,
    pub prompt: String,
    pub system_prompt: Option<String>,
    pub confinement: Option<Confinement>,
    pub run: RunId,
    /// Milliseconds since the epoch.
    pub now: i64,
    /// Tasks that the plugin may start within 24 hours.
    pub per_day: u32,
    pub marks: Marks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStart {
    Started,
    /// It was started before.
    Known,
    UnknownSpace,
    /// Nothing is left for today; milliseconds until there is.
    Busy(u32),
}

/// A task that is over, and of which its plugin was not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskEnd {
    pub plugin: String,
    pub id: String,
    pub space: String,
    /// The agent's reply, or why there is none.
    pub outcome: Result<String, String>,
}

impl Store {
    /// Durable when it returns: the run is queued.
    pub async fn start_task(&self, task: NewTask) -> Result<TaskStart, StoreError> {
        self.write(move |db| {
            let exists = |sql: &str, given: &[&dyn rusqlite::ToSql]| db.prepare_cached(sql)?.exists(given);
            if exists("SELECT 1 FROM plugin_tasks WHERE plugin = ?1 AND id = ?2", &[&task.plugin, &task.id])? {
                return Ok(TaskStart::Known);
            }
            if !exists("SELECT 1 FROM spaces WHERE id = ?1", &[&task.space.as_str()])? {
                return Ok(TaskStart::UnknownSpace);
            }
            // The oldest of those that still count, where they are as many as there may be.
            let oldest: Option<i64> = db
                .query_row(
                    "SELECT started_at FROM plugin_tasks WHERE plugin = ?1 AND started_at > ?2
                     ORDER BY started_at DESC LIMIT 1 OFFSET ?3",
                    params![task.plugin, task.now - DAY, task.per_day.saturating_sub(1)],
                    |row| row.get(0),
                )
                .optional()?;
            if let Some(oldest) = oldest {
                let wait = (oldest + DAY - task.now).clamp(1, DAY);
                return Ok(TaskStart::Busy(u32::try_from(wait).unwrap_or(u32::MAX)));
            }
            let confinement = task.confinement.as_ref().map(to_json).transpose()?;
            let person = roles::of_plugin(&task.plugin);
            db.execute(
                "INSERT INTO inbound (platform, event, space, conversation, author, text, attachments, received_at, decided)
                 VALUES (?1, ?2, ?3, ?4, ?4, ?5, '[]', ?6, 1)",
                params![
                    TASK_PLATFORM,
                    format!("{}/{}", task.plugin, task.id),
                    task.space.as_str(),
                    person,
                    task.prompt,
                    task.now
                ],
            )?;
            let inbound = db.last_insert_rowid();
            db.execute(
                "INSERT INTO runs (id, inbound, space, role, state, created_at, marks) VALUES (?1, ?2, ?3, ?4, 'queued', ?5, ?6)",
                params![task.run.as_str(), inbound, task.space.as_str(), person, task.now, to_json(&task.marks)?],
            )?;
            db.execute(
                "INSERT INTO plugin_tasks (plugin, id, inbound, system_prompt, started_at, confinement)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![task.plugin, task.id, inbound, task.system_prompt, task.now, confinement],
            )?;
            Ok(TaskStart::Started)
        })
        .await
    }

    /// What the plugin wants to stand in the system prompt of the task that came as `inbound`.
    pub async fn task_system_prompt(&self, inbound: i64) -> Result<Option<String>, StoreError> {
        self.read(move |db| {
            db.query_row("SELECT system_prompt FROM plugin_tasks WHERE inbound = ?1", [inbound], |row| row.get(0))
                .optional()
                .map(Option::flatten)
        })
        .await
    }

    /// Oldest first.
    pub async fn untold_tasks(&self) -> Result<Vec<TaskEnd>, StoreError> {
        self.read(|db| {
            db.prepare_cached(
                "SELECT t.plugin, t.id, i.space, o.reply, o.problem IS NULL FROM plugin_tasks t
                 JOIN inbound i ON i.id = t.inbound JOIN outbound o ON o.inbound = t.inbound
                 WHERE t.told = 0 ORDER BY t.inbound",
            )?
            .query_map([], |row| {
                let reply: String = row.get(3)?;
                Ok(TaskEnd {
                    plugin: row.get(0)?,
                    id: row.get(1)?,
                    space: row.get(2)?,
                    outcome: if row.get(4)? { Ok(reply) } else { Err(reply) },
                })
            })?
            .collect()
        })
        .await
    }

    pub async fn task_told(&self, plugin: &str, id: &str) -> Result<(), StoreError> {
        let (plugin, id) = (plugin.to_owned(), id.to_owned());
        self.write(move |db| {
            db.execute("UPDATE plugin_tasks SET told = 1 WHERE plugin = ?1 AND id = ?2", params![plugin, id])?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, now: i64) -> NewTask {
        NewTask {
            plugin: "napkin".into(),
            id: id.into(),
            space: SpaceId::try_from("main".to_owned()).unwrap(),
            prompt: "distil".into(),
            system_prompt: Some("rules".into()),
            confinement: (id == "1").then(|| Confinement { no_network: true, ..Confinement::default() }),
            run: RunId::from_stored(format!("run-{id}")),
            now,
            per_day: 2,
            marks: Marks::default(),
        }
    }

    #[tokio::test]
    async fn a_task_is_started_once_and_a_day_has_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let elsewhere = NewTask { space: SpaceId::try_from("nowhere".to_owned()).unwrap(), ..task("0", 1) };
        assert_eq!(store.start_task(elsewhere).await.unwrap(), TaskStart::UnknownSpace);
        assert_eq!(store.start_task(task("1", 1_000)).await.unwrap(), TaskStart::Started);
        assert_eq!(store.start_task(task("1", 1_000)).await.unwrap(), TaskStart::Known);
        assert_eq!(store.start_task(task("2", 2_000)).await.unwrap(), TaskStart::Started);
        assert_eq!(store.start_task(task("3", 3_000)).await.unwrap(), TaskStart::Busy(DAY as u32 - 2_000));
        assert_eq!(store.start_task(task("1", 3_000)).await.unwrap(), TaskStart::Known, "a known one costs nothing");
        assert_eq!(store.start_task(task("3", 1_000 + DAY)).await.unwrap(), TaskStart::Started);

        let (run, _) = store.take_next(5, Vec::new).await.unwrap().unwrap();
        assert!(run.is_scheduled() && run.answers_to().is_none() && run.prompt == "distil");
        assert!(run.confinement.as_ref().unwrap().no_network, "what it is denied comes with the run");
        assert_eq!((run.caller.as_str(), run.role.as_str()), ("plugin:napkin", "plugin:napkin"));
        assert_eq!(store.task_system_prompt(run.inbound).await.unwrap().as_deref(), Some("rules"));
        assert!(store.entries("main", 0, 10, 1 << 20).await.unwrap().is_empty(), "it is no part of the conversation");
        let unfinished = store.unfinished().await.unwrap();
        let denied: Vec<bool> = unfinished.iter().map(|(run, _)| run.confinement.is_some()).collect();
        assert_eq!(denied, [true, false, false], "also for a host that takes it over");
    }
}
