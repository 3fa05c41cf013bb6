//! What plugins do on the host's clock, and hear of without being asked: jobs, and the ends of tasks.
//!
//! One task of the runtime for each job, so that a job never overlaps itself. The last run of each is
//! on disk: what was missed while the host was down is run once.

mod endings;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    domain::schedule::Timing,
    plugins::{Job, Plugins},
    store::{Store, StoreError},
};

pub use endings::tell_endings;

/// The longest sleep until the clock is looked at again: it may have been moved.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
/// Characters of a failure that are kept.
const MOST_DETAIL: usize = 2_000;

/// One job, as an operator sees it. Times are milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    pub plugin: String,
    pub job: String,
    /// `every 60 s` or the cron line with its time zone.
    pub timing: String,
    pub running: bool,
    pub next_at: Option<i64>,
    pub last_started_at: Option<i64>,
    pub last_finished_at: Option<i64>,
    /// `ok`, `failed`, or `interrupted` where the host ended in it.
    pub last_outcome: Option<&'static str>,
    pub last_detail: Option<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Present {
    running: bool,
    next_at: Option<i64>,
}

/// Runs the jobs. Cheap to clone.
#[derive(Clone)]
pub struct Schedule {
    plugins: Arc<Plugins>,
    store: Store,
    present: Arc<Mutex<BTreeMap<(String, String), Present>>>,
}

impl Schedule {
    pub fn new(plugins: Arc<Plugins>, store: Store) -> Self {
        Self { plugins, store, present: Arc::default() }
    }

    /// Begins to run the jobs of all plugins, until `stop`.
    ///
    /// # Errors
    /// Where the last runs cannot be read: without them everything would be run at once.
    pub async fn start(&self, stop: &CancellationToken) -> Result<usize, StoreError> {
        let last: BTreeMap<_, _> =
            self.store.last_job_runs().await?.into_iter().map(|run| ((run.plugin, run.job), run.started_at)).collect();
        let jobs = self.plugins.jobs();
        let count = jobs.len();
        for (plugin, job) in jobs {
            let last = last.get(&(plugin.clone(), job.name.clone())).copied();
            let (schedule, stop) = (self.clone(), stop.clone());
            tokio::spawn(async move { stop.run_until_cancelled(schedule.keep(plugin, job, last)).await });
        }
        Ok(count)
    }

    /// All jobs, with what became of their last run.
    pub async fn list(&self) -> Result<Vec<JobView>, StoreError> {
        let last: BTreeMap<_, _> = self
            .store
            .last_job_runs()
            .await?
            .into_iter()
            .map(|run| ((run.plugin.clone(), run.job.clone()), run))
            .collect();
        let present = self.present();
        let views = self.plugins.jobs().into_iter().map(|(plugin, job)| {
            let key = (plugin, job.name.clone());
            let (last, now) = (last.get(&key), present.get(&key).copied().unwrap_or_default());
            JobView {
                timing: describe(&job),
                running: now.running,
                next_at: now.next_at,
                last_started_at: last.map(|run| run.started_at),
                last_finished_at: last.and_then(|run| run.finished_at),
                last_outcome: last.and_then(|run| match run.ok {
                    Some(true) => Some("ok"),
                    Some(false) => Some("failed"),
                    None if now.running => None,
                    None => Some("interrupted"),
                }),
                last_detail: last.and_then(|run| run.detail.clone()),
                plugin: key.0,
                job: key.1,
            }
        });
        Ok(views.collect())
    }

    /// One job, for as long as the host runs.
    async fn keep(self, plugin: String, job: Job, mut last: Option<i64>) {
        let timing = match job.timing() {
            Ok(timing) => timing,
            Err(error) => {
                tracing::error!(plugin, job = job.name, error, "the job is not run");
                return;
            }
        };
        let key = (plugin, job.name.clone());
        let mut due = timing.first(clock::millis(), last, rand::random());
        loop {
            self.present().insert(key.clone(), Present { running: false, next_at: due });
            let Some(at) = due else {
                tracing::warn!(plugin = key.0, job = key.1, "the job is never due again");
                return;
            };
            sleep_until(at).await;
            let started = clock::millis();
            self.present().insert(key.clone(), Present { running: true, next_at: None });
            self.run(&key.0, &job, started).await;
            last = Some(started);
            due = timing.after(last.unwrap_or(started), clock::millis());
        }
    }

    async fn run(&self, plugin: &str, job: &Job, started: i64) {
        let name = job.name.as_str();
        if let Err(error) = self.store.job_started(plugin, name, started).await {
            tracing::error!(plugin, job = name, %error, "the job's start cannot be written");
        }
        let outcome = self.plugins.run_job(plugin, job).await;
        let took = clock::millis() - started;
        let failure = match outcome {
            Ok(()) => {
                tracing::debug!(plugin, job = name, took, "a job was run");
                None
            }
            Err(error) => {
                tracing::error!(plugin, job = name, took, error, "a job failed");
                Some(error.chars().take(MOST_DETAIL).collect())
            }
        };
        metrics::counter!("mercury_job_runs_total", "plugin" => plugin.to_owned(), "ok" => failure.is_none().to_string())
            .increment(1);
        if let Err(error) = self.store.job_finished(plugin, name, failure, clock::millis()).await {
            tracing::error!(plugin, job = name, %error, "the job's end cannot be written");
        }
    }

    fn present(&self) -> MutexGuard<'_, BTreeMap<(String, String), Present>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By the wall clock, looked at again now and then.
async fn sleep_until(at: i64) {
    loop {
        let left = at.saturating_sub(clock::millis());
        if left <= 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(left.unsigned_abs()).min(LONGEST_SLEEP)).await;
    }
}

fn describe(job: &Job) -> String {
    match (job.timing(), &job.cron) {
        (Ok(Timing::Every(interval)), _) => format!("every {} s", interval.as_secs()),
        (_, Some(cron)) => format!("{cron} ({})", job.time_zone.as_deref().unwrap_or("the host's time")),
        _ => String::new(),
    }
}
