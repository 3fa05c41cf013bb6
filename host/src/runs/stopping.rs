//! Stopping runs: one space's, or all of them.
//!
//! A stop is on disk before it is promised, and belongs to one run: it can neither be lost by a
//! restart nor hit the run after (container.md W4, W19).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::Runs;
use crate::{
    callers::{Callers, Stopped, Stops},
    domain::{
        failure::Failure,
        ids::{RunId, SpaceId},
    },
    store::StoreError,
};

/// The runs that this process works on, by which each can be told to stop.
#[derive(Debug, Default)]
pub(super) struct StopTokens(Mutex<HashMap<RunId, CancellationToken>>);

impl StopTokens {
    fn insert(&self, run: &RunId) -> CancellationToken {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(run.clone()).or_default().clone()
    }

    fn cancel(&self, run: &RunId) {
        if let Some(token) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(run) {
            token.cancel();
        }
    }

    pub(super) fn forget(&self, run: &RunId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(run);
    }
}

/// Who ends runs where nobody knows of more. Beside [`Runs`], since a stop answers what it drops in tasks of
/// its own.
struct Stopper(Arc<Runs>);

impl Stops for Stopper {
    fn stop<'a>(&'a self, space: &'a SpaceId) -> BoxFuture<'a, Result<Stopped, StoreError>> {
        Box::pin(self.0.abort(space))
    }
}

impl Runs {
    /// Has callers' stops go by way of `stops`, which knows of messages that are no runs yet. To be called once.
    pub fn stop_by(&self, stops: &Arc<dyn Stops>) {
        let _ = self.stopper.set(Arc::downgrade(stops));
    }

    /// The state of what callers may ask.
    pub fn callers(self: &Arc<Self>) -> Callers {
        Callers {
            store: self.store.clone(),
            plugins: self.plugins.clone(),
            config: self.config.clone(),
            delivery: self.delivery.clone(),
            removals: self.removals.clone(),
            storage: self.storage.clone(),
            stops: self.stopper.get().and_then(Weak::upgrade).unwrap_or_else(|| Arc::new(Stopper(self.clone()))),
            tasks_changed: self.tasks_changed.clone(),
        }
    }

    /// The token by which the run is stopped. A stop that was asked for before is in the row; one that
    /// is asked for from now on finds the token. To be called before anything else is awaited.
    pub(super) async fn stop_token(&self, run: &RunId) -> CancellationToken {
        let token = self.stops.insert(run);
        match self.store.is_stop_requested(run).await {
            Ok(true) => token.cancel(),
            Ok(false) => {}
            Err(error) => tracing::warn!(run = run.as_str(), %error, "cannot tell whether the run was asked to stop"),
        }
        token
    }

    /// Stops the run of a space, and answers what waits behind it with the same word. Returns when
    /// the stop is on disk; the container ends meanwhile.
    pub async fn abort(self: &Arc<Self>, space: &SpaceId) -> Result<Stopped, StoreError> {
        let asked = self.store.request_stop(space).await?;
        for run in &asked.active {
            self.stops.cancel(run);
        }
        tracing::info!(%space, active = asked.active.len(), dropped = asked.dropped.len(), "stop requested");
        let found = Stopped { stopped: !asked.active.is_empty(), dropped: asked.dropped.len() };
        if found.dropped > 0 {
            self.answer_dropped(asked.dropped).await?;
        }
        Ok(found)
    }

    /// Stops every run at work; what is queued stays on disk for the next start.
    pub async fn kill_all(&self) -> Result<usize, StoreError> {
        let runs = self.store.request_stop_of_all().await?;
        for run in &runs {
            self.stops.cancel(run);
        }
        Ok(runs.len())
    }

    async fn answer_dropped(self: &Arc<Self>, dropped: Vec<RunId>) -> Result<(), StoreError> {
        for (run, marks, _) in self.store.unanswered().await?.into_iter().filter(|(run, ..)| dropped.contains(&run.id))
        {
            let runs = self.clone();
            self.spawn(async move {
                let directories = runs.sandbox.directories(&run.space, &run.id);
                runs.answer(&run, &directories, Err(Failure::Aborted), marks).await;
            });
        }
        Ok(())
    }
}
