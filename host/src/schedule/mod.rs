//! What is done on the host's clock: the jobs of plugins, of the ends of whose tasks they hear as well, and
//! the tasks of people.
//!
//! One task of the runtime for each job, so that a job never overlaps itself. The last run of each is
//! on disk: what was missed while the host was down is run once.

mod endings;
mod tasks;

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
pub use tasks::run_tasks;

/// The longest sleep until the clock is looked at again: it may have been moved.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
/// Between two attempts to read what was run last.
const RETRY: Duration = Duration::from_secs(1);
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

/// A job that is kept at present.
struct Kept {
    job: Job,
    running: bool,
    next_at: Option<i64>,
    /// Ends the waiting for the next run, not the run.
    retired: CancellationToken,
    /// Held by the run: one that replaces this job waits for it.
    busy: Arc<tokio::sync::Mutex<()>>,
}

/// Runs the jobs. Cheap to clone.
#[derive(Clone)]
pub struct Schedule {
    plugins: Arc<Plugins>,
    store: Store,
    kept: Arc<Mutex<BTreeMap<Key, Kept>>>,
}

/// Plugin and job.
type Key = (String, String);

impl Schedule {
    pub fn new(plugins: Arc<Plugins>, store: Store) -> Self {
        Self { plugins, store, kept: Arc::default() }
    }

    /// Runs the jobs of all plugins, also of those that are installed meanwhile, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut changes = self.plugins.changes();
        loop {
            while let Err(error) = self.take_up(&stop).await {
                tracing::error!(%error, "the last runs of jobs cannot be read; trying again");
                tokio::time::sleep(RETRY).await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Keeps the jobs that there are now. One that stays the same goes on undisturbed.
    async fn take_up(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        let last: BTreeMap<_, _> =
            self.store.last_job_runs().await?.into_iter().map(|run| ((run.plugin, run.job), run.started_at)).collect();
        let jobs: BTreeMap<Key, Job> =
            self.plugins.jobs().into_iter().map(|(plugin, job)| ((plugin, job.name.clone()), job)).collect();
        let mut kept = self.kept();
        kept.retain(|key, known| {
            let stays = jobs.contains_key(key);
            if !stays {
                known.retired.cancel();
            }
            stays
        });
        for (key, job) in jobs {
            let former = kept.remove(&key);
            if let Some(former) = former.as_ref().filter(|former| former.job != job) {
                former.retired.cancel();
            }
            let entry = match former {
                Some(former) if former.job == job => former,
                former => {
                    let busy = former.map(|former| former.busy).unwrap_or_default();
                    let retired = stop.child_token();
                    let begun = self.clone().keep(
                        key.clone(),
                        job.clone(),
                        last.get(&key).copied(),
                        retired.clone(),
                        busy.clone(),
                    );
                    tokio::spawn(stop.clone().run_until_cancelled_owned(begun));
                    Kept { job, running: false, next_at: None, retired, busy }
                }
            };
            kept.insert(key, entry);
        }
        Ok(())
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
        let kept = self.kept();
        let views = self.plugins.jobs().into_iter().map(|(plugin, job)| {
            let key = (plugin, job.name.clone());
            let (last, known) = (last.get(&key), kept.get(&key));
            let running = known.is_some_and(|known| known.running);
            JobView {
                timing: describe(&job),
                running,
                next_at: known.and_then(|known| known.next_at),
                last_started_at: last.map(|run| run.started_at),
                last_finished_at: last.and_then(|run| run.finished_at),
                last_outcome: last.and_then(|run| match run.ok {
                    Some(true) => Some("ok"),
                    Some(false) => Some("failed"),
                    None if running => None,
                    None => Some("interrupted"),
                }),
                last_detail: last.and_then(|run| run.detail.clone()),
                plugin: key.0,
                job: key.1,
            }
        });
        Ok(views.collect())
    }

    /// One job, until it is retired.
    async fn keep(
        self,
        key: Key,
        job: Job,
        last: Option<i64>,
        retired: CancellationToken,
        busy: Arc<tokio::sync::Mutex<()>>,
    ) {
        let timing = match job.timing() {
            Ok(timing) => timing,
            Err(error) => {
                tracing::error!(plugin = key.0, job = key.1, error, "the job is not run");
                return;
            }
        };
        let mut looked = clock::millis();
        let mut due = timing.first(looked, last, rand::random());
        // Of this host, or of its predecessor.
        let mut last = last;
        loop {
            let Some(at) = due else {
                tracing::warn!(plugin = key.0, job = key.1, "the job is never due again");
                return;
            };
            self.note(&key, false, due);
            let left = at.saturating_sub(looked);
            if left > 0 {
                let pause = Duration::from_millis(left.unsigned_abs()).min(LONGEST_SLEEP);
                if retired.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
                let now = clock::millis();
                due = timing.looked_at(due, last, looked, now);
                looked = now;
                continue;
            }
            let _busy = busy.lock().await;
            if retired.is_cancelled() {
                return;
            }
            let started = clock::millis();
            self.note(&key, true, None);
            self.run_once(&key.0, &job, started).await;
            if retired.is_cancelled() {
                return;
            }
            looked = clock::millis();
            due = timing.after(started, looked);
            last = Some(started);
        }
    }

    fn note(&self, key: &Key, running: bool, next_at: Option<i64>) {
        if let Some(kept) = self.kept().get_mut(key) {
            (kept.running, kept.next_at) = (running, next_at);
        }
    }

    async fn run_once(&self, plugin: &str, job: &Job, started: i64) {
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

    fn kept(&self) -> MutexGuard<'_, BTreeMap<Key, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe(job: &Job) -> String {
    match (job.timing(), &job.cron) {
        (Ok(Timing::Every(interval)), _) => format!("every {} s", interval.as_secs()),
        (_, Some(cron)) => format!("{cron} ({})", job.time_zone.as_deref().unwrap_or("the host's time")),
        _ => String::new(),
    }
}
