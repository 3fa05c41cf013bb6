//! Runs: taken from the queue, fairly over spaces, and brought to exactly one ending each.
//!
//! Whatever is in memory here can be lost: a starting host rebuilds it from the rows (`recovery`).

mod context;
mod environment;
mod files;
mod hooks;
mod perform;
mod recovery;
mod reply;
mod request;
mod sensitive;
mod stopping;
mod tasks;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    approvals::Approvals,
    callers::Stops,
    clock,
    config::Config,
    credentials::Credentials,
    delivery::Delivery,
    domain::{
        ids::{RunId, SpaceId},
        run::Run,
        stages::Marks,
    },
    egress::Egress,
    gateway::Gateway,
    plugins::Plugins,
    removal::Removals,
    retention::Storage,
    sandbox::Sandbox,
    store::Store,
};

/// How long the executor rests after the database failed it.
const REST: std::time::Duration = std::time::Duration::from_secs(1);

pub struct Runs {
    pub store: Store,
    pub sandbox: Arc<Sandbox>,
    pub plugins: Arc<Plugins>,
    pub approvals: Arc<Approvals>,
    pub credentials: Credentials,
    pub delivery: Delivery,
    pub config: Arc<Config>,
    pub gateway: Arc<Gateway>,
    pub removals: Removals,
    /// The way out for agents without a network.
    egress: Egress,
    queue: Arc<Notify>,
    /// What the spaces' files take, for callers who ask.
    pub storage: Arc<Storage>,
    /// Notified when a task of a plugin has its answer on disk.
    pub task_ended: Arc<Notify>,
    /// Notified when somebody's tasks were changed.
    pub tasks_changed: Arc<Notify>,
    /// Spaces whose last run is answered while its container is still being removed.
    clearing: Arc<Mutex<HashSet<SpaceId>>>,
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
    stops: stopping::StopTokens,
    stopper: OnceLock<Weak<dyn Stops>>,
    /// No further run is begun: the host is about to stop.
    closing: CancellationToken,
    /// Ends the work of this process; the containers go on and are adopted by the next start.
    hand_over: CancellationToken,
}

impl Runs {
    #[allow(clippy::too_many_arguments, reason = "each is a room of its own")]
    pub fn new(
        store: Store,
        sandbox: Arc<Sandbox>,
        plugins: Arc<Plugins>,
        approvals: Arc<Approvals>,
        credentials: Credentials,
        delivery: Delivery,
        config: Arc<Config>,
        gateway: Arc<Gateway>,
        hand_over: CancellationToken,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(config.max_concurrency));
        let egress = Egress::new(&config, plugins.clone());
        let storage = Arc::new(Storage::new(config.data_dir.clone()));
        let removals = Removals::new(store.clone(), config.spaces_dir()).telling(plugins.clone());
        Self {
            store,
            sandbox,
            plugins,
            approvals,
            credentials,
            delivery,
            config,
            gateway,
            removals,
            egress,
            queue: Arc::default(),
            storage,
            task_ended: Arc::default(),
            tasks_changed: Arc::default(),
            clearing: Arc::default(),
            permits,
            tasks: TaskTracker::new(),
            stops: stopping::StopTokens::default(),
            stopper: OnceLock::new(),
            closing: CancellationToken::new(),
            hand_over,
        }
    }

    /// Says that the queue has changed.
    pub fn wake(&self) {
        self.queue.notify_one();
    }

    /// Takes runs from the queue until the host stops. Each run holds its permit to its end, so the
    /// limit on concurrency cannot drift.
    pub async fn execute(self: Arc<Self>) {
        let work = async {
            loop {
                let Ok(permit) = self.permits.clone().acquire_owned().await else { return };
                let (run, marks) = self.next().await;
                let runs = self.clone();
                self.spawn(async move { runs.perform(run, marks, permit).await });
            }
        };
        tokio::select! {
            () = self.hand_over.cancelled() => {}
            () = self.closing.cancelled() => {}
            () = work => {}
        }
    }

    /// Begins no further run. Those at work go on.
    pub fn close(&self) {
        self.closing.cancel();
    }

    async fn next(&self) -> (Run, Marks) {
        loop {
            let mut changed = std::pin::pin!(self.queue.notified());
            changed.as_mut().enable();
            let clearing = self.clearing.clone();
            let clearing = move || clearing.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
            match self.store.take_next(clock::millis(), clearing).await {
                Ok(Some((run, mut marks))) => {
                    marks.picked = clock::micros();
                    return (run, marks);
                }
                Ok(None) => changed.await,
                Err(error) => {
                    tracing::error!(%error, "the queue cannot be read; trying again");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// Runs `work` until it is done or the host hands over.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let hand_over = self.hand_over.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = hand_over.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Waits until no task of this process works on a run any more.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// One run's place among the concurrent ones; an adopted run may exceed a limit that was lowered.
    fn permit_for_adopted(&self) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().try_acquire_owned().ok()
    }

    fn clearing(&self) -> MutexGuard<'_, HashSet<SpaceId>> {
        self.clearing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_name(run: &RunId) -> &str {
        run.as_str()
    }
}
