//! The last run of each plugin's job.

use rusqlite::params;

use super::{Store, StoreError};

/// Times are milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    pub plugin: String,
    pub job: String,
    pub started_at: i64,
    /// `None`: it is at work, or the host ended in it.
    pub finished_at: Option<i64>,
    pub ok: Option<bool>,
    /// What the failure said.
    pub detail: Option<String>,
}

impl Store {
    pub async fn last_job_runs(&self) -> Result<Vec<LastRun>, StoreError> {
        self.read(|db| {
            db.prepare(
                "SELECT plugin, job, started_at, finished_at, outcome, detail FROM plugin_jobs ORDER BY plugin, job",
            )?
            .query_map([], |row| {
                let outcome: Option<String> = row.get(4)?;
                Ok(LastRun {
                    plugin: row.get(0)?,
                    job: row.get(1)?,
                    started_at: row.get(2)?,
                    finished_at: row.get(3)?,
                    ok: outcome.map(|outcome| outcome == "ok"),
                    detail: row.get(5)?,
                })
            })?
            .collect()
        })
        .await
    }

    pub async fn job_started(&self, plugin: &str, job: &str, now: i64) -> Result<(), StoreError> {
        let (plugin, job) = (plugin.to_owned(), job.to_owned());
        self.write(move |db| {
            db.execute(
                "INSERT INTO plugin_jobs (plugin, job, started_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (plugin, job) DO UPDATE SET started_at = excluded.started_at, finished_at = NULL,
                     outcome = NULL, detail = NULL",
                params![plugin, job, now],
            )?;
            Ok(())
        })
        .await
    }

    /// `failure` is what the job said, if it failed.
    pub async fn job_finished(
        &self,
        plugin: &str,
        job: &str,
        failure: Option<String>,
        now: i64,
    ) -> Result<(), StoreError> {
        let (plugin, job) = (plugin.to_owned(), job.to_owned());
        self.write(move |db| {
            db.execute(
                "UPDATE plugin_jobs SET finished_at = ?3, outcome = ?4, detail = ?5 WHERE plugin = ?1 AND job = ?2",
                params![plugin, job, now, if failure.is_none() { "ok" } else { "failed" }, failure],
            )?;
            Ok(())
        })
        .await
    }
}
