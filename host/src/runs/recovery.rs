//! What a starting host does about the runs that its predecessor left.

use std::sync::Arc;

use super::{REST, Runs};
use crate::{
    domain::{
        failure::Failure,
        ids::RunId,
        outcome::Found,
        run::{Container, Recovery, Remains, Run, RunState, recover},
        stages::Marks,
    },
    sandbox::{self, Liveness},
    store::StoreError,
};

impl Runs {
    /// Answers runs that were over, adopts those whose container is at work, puts back those that
    /// never started, and says of the rest that they are lost.
    ///
    /// Runs whose container cannot be looked at (Docker is down) are taken up in the background,
    /// once Docker answers; their spaces wait for them.
    pub async fn recover(self: &Arc<Self>) -> Result<usize, StoreError> {
        for (run, marks, outcome) in self.store.unanswered().await? {
            tracing::info!(run = Self::log_name(&run.id), "answering a run that was over");
            let directories = self.sandbox.directories(&run.space, &run.id);
            self.clearing().insert(run.space.clone());
            let runs = self.clone();
            self.spawn(async move {
                runs.conclude(&run, &directories, outcome, marks).await;
                runs.wake();
            });
        }
        let unfinished = self.store.unfinished().await?;
        self.sandbox.sweep_folders(&unfinished.iter().map(|(run, _)| run.id.clone()).collect::<Vec<_>>());
        let active: Vec<_> = unfinished.iter().filter(|(run, _)| run.state != RunState::Queued).cloned().collect();
        let count = active.len();
        for (run, marks) in active {
            let permit = self.permit_for_adopted();
            let runs = self.clone();
            self.spawn(async move {
                runs.take_up(run, marks).await;
                drop(permit);
                runs.wake();
            });
        }
        Ok(count)
    }

    async fn take_up(self: &Arc<Self>, run: Run, mut marks: Marks) {
        let name = Self::log_name(&run.id);
        let directories = self.sandbox.directories(&run.space, &run.id);
        let stop = self.stop_token(&run.id).await;
        let container = loop {
            if stop.is_cancelled() {
                // Its container is removed whatever became of it.
                break Container::Started;
            }
            match self.sandbox.inspect(&run.id).await {
                Ok(Liveness::Gone) => break Container::Gone,
                Ok(Liveness::Created) => break Container::Created,
                Ok(Liveness::Alive | Liveness::Exited(_)) => break Container::Started,
                Err(error) => {
                    tracing::warn!(run = name, %error, "cannot tell what became of the run; asking Docker again");
                    let _ = tokio::time::timeout(REST, stop.cancelled()).await;
                }
            }
        };
        let result = sandbox::read_result(&directories).await != Found::Nothing;
        let recovery = recover(run.state, run.attempts, stop.is_cancelled(), Remains { result, container });
        tracing::info!(run = name, state = run.state.as_str(), ?recovery, "a predecessor's run");
        metrics::counter!("mercury_runs_recovered_total").increment(1);
        match recovery {
            Recovery::Keep => {}
            Recovery::Requeue => self.insist(|| self.store.requeue(&run.id)).await,
            Recovery::Stop => self.conclude(&run, &directories, Err(Failure::Aborted), marks).await,
            Recovery::Lost => self.conclude(&run, &directories, Err(Failure::Lost), marks).await,
            Recovery::Adopt => {
                let _ = self.store.mark_running(&run.id, crate::clock::millis()).await;
                let outcome = match self.serve(&run, &directories) {
                    Ok(socket) => self.await_adopted(&run, &directories, socket, &stop, &mut marks).await,
                    Err(error) => Err(Failure::Storage { detail: error.to_string() }),
                };
                self.conclude(&run, &directories, outcome, marks).await;
            }
        }
    }

    /// Removes containers of this data directory that belong to no unfinished run.
    pub async fn clear_orphans(&self) {
        match self.remove_orphans().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "removed containers that belong to no unfinished run"),
            Err(error) => tracing::warn!("left-over containers were not removed: {error:#}"),
        }
    }

    /// Removes derived images that nothing uses any more.
    pub async fn prune_images(&self) {
        match self.store.unfinished().await {
            Ok(unfinished) => {
                let runs: Vec<RunId> = unfinished.into_iter().map(|(run, _)| run.id).collect();
                self.sandbox.prune_derived(&runs).await;
            }
            Err(error) => tracing::warn!(%error, "old agent images are not removed"),
        }
    }

    /// The containers are listed first, the runs read after: a run is on disk before its container
    /// exists, so a container whose run is not found then is nobody's.
    async fn remove_orphans(&self) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
        let containers = self.sandbox.managed().await?;
        let unfinished: Vec<RunId> = self.store.unfinished().await?.into_iter().map(|(run, _)| run.id).collect();
        let mut removed = 0;
        for container in containers {
            if !unfinished.iter().any(|run| Some(run.as_str()) == container.run.as_deref()) {
                self.sandbox.daemon().remove(&container.id).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
