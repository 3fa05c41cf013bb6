//! One run, from its container to its answer.

use std::{sync::Arc, time::Duration};

use mercury_protocol::io as protocol;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{REST, Runs};
use crate::{
    agent::{self, Identity},
    approvals::RunClock,
    clock,
    domain::{
        failure::Failure,
        outcome::{self, Ending},
        run::{Run, time_left},
        stages::Marks,
    },
    gateway::{Access, Payer},
    http::{SocketServer, serve_on_socket},
    media::Folder,
    sandbox::{self, Directories, Made},
    store::StoreError,
};

/// How long a container that has answered may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// How long a space waits for a container that cannot be removed.
const LONGEST_HOLD: Duration = Duration::from_secs(60);
/// Between two attempts to remove a container.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The host's end of a run's socket, and what the run may use by it.
pub(super) struct Line {
    socket: SocketServer,
    models: Access,
}

/// An answer or a failure, with the files that belong to it.
pub(super) type Outcome = Result<protocol::RunResult, Failure>;

impl Runs {
    /// Brings a run that was taken from the queue to its end.
    pub(super) async fn perform(self: &Arc<Self>, mut run: Run, mut marks: Marks, permit: OwnedSemaphorePermit) {
        let directories = self.sandbox.directories(&run.space, &run.id);
        let stop = self.stop_token(&run.id).await;
        tracing::info!(run = Self::log_name(&run.id), space = %run.space, attempt = run.attempts, "run begins");
        let outcome = match self.launch(&mut run, &directories, &stop, &mut marks).await {
            Ok(line) => self.await_result(&run, &directories, line, &stop, &mut marks).await,
            Err(failure) => Err(failure),
        };
        self.conclude(&run, &directories, outcome, marks).await;
        drop(permit);
        self.wake();
    }

    /// Files, socket, container. The caller's waiting begins when this returns; a stop meanwhile ends
    /// it at once.
    async fn launch(
        self: &Arc<Self>,
        run: &mut Run,
        directories: &Directories,
        stop: &CancellationToken,
        marks: &mut Marks,
    ) -> Result<Line, Failure> {
        let storage = |error: std::io::Error| Failure::Storage { detail: error.to_string() };
        let prepare = async {
            self.may_begin(run).await?;
            let held = self.held(run).await.map_err(|error| Failure::Storage { detail: error.to_string() })?;
            // Before anything sees them.
            self.admit_files(run, directories, &held).await?;
            let additions = self.hook(run).await?;
            let (model, mut credentials) = self.model(run).await?;
            // A variable never takes a credential's place, nor a hook's word that of what an operator set.
            for (name, value) in self.variables(&held).into_iter().chain(additions.environment.clone()) {
                credentials.environment.entry(name).or_insert(value);
            }
            let hidden = self.plugins.registry().denied_programs(&held);
            let request = self.request(run, &held, model, &additions, directories).await?;
            Ok::<_, Failure>((request, credentials, hidden))
        };
        let (request, credentials, hidden) = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Failure::Aborted),
            prepared = prepare => prepared?,
        };
        let (to_make, user, denied) = (directories.clone(), self.sandbox.user(), run.denied().clone());
        let write = move || {
            // An earlier attempt may have left its files.
            to_make.sweep();
            to_make.make(user)?;
            to_make.make_granted(user, &denied)?;
            to_make.write_request(user, &request, &credentials)
        };
        tokio::task::spawn_blocking(write)
            .await
            .map_err(|error| Failure::Storage { detail: error.to_string() })?
            .map_err(storage)?;
        let line = self.serve(run, directories).map_err(storage)?;
        marks.prepared = clock::micros();
        tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Failure::Aborted),
            created = self.create(run, directories, hidden, stop) => created?,
        }
        marks.created = clock::micros();
        // Before the start is asked for: a host that ends in between finds a container to adopt.
        let stored = self.store.mark_running(&run.id, clock::millis()).await;
        stored.map_err(|error| Failure::Storage { detail: error.to_string() })?;
        let _ = self.store.save_marks(&run.id, *marks).await;
        Ok(line)
    }

    /// Creates the container in a task of its own: where nobody waits for it any more, it removes what
    /// the daemon made after all.
    async fn create(
        &self,
        run: &Run,
        directories: &Directories,
        hidden: Vec<String>,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let (sandbox, space, id) = (self.sandbox.clone(), run.space.clone(), run.id.clone());
        let (directories, stop) = (directories.clone(), stop.clone());
        let denied = run.denied().clone();
        let creating = tokio::spawn(async move {
            let made =
                Made { space: &space, run: &id, directories: &directories, hidden: &hidden, confinement: &denied };
            let created = sandbox.create(&made).await;
            if stop.is_cancelled() {
                let _ = sandbox.remove(&id).await;
            }
            created
        });
        creating.await.unwrap_or_else(|error| Err(Failure::Refused { detail: error.to_string() }))
    }

    /// Opens the run's socket, under the identity that was fixed when the message was accepted.
    pub(super) fn serve(self: &Arc<Self>, run: &Run, directories: &Directories) -> std::io::Result<Line> {
        let identity = Identity {
            run: run.id.clone(),
            caller: run.caller.clone(),
            role: run.role.clone(),
            space: run.space.clone(),
            conversation: run.answers_to(),
            place: run.place(),
            confinement: run.denied().clone(),
        };
        let caller = identity.for_plugins();
        let payer = Payer { run: run.id.clone(), space: run.space.to_string(), person: run.caller.clone() };
        let models = self.gateway.access(payer);
        let outbox = Folder { workspace: directories.workspace.clone(), name: "outbox", user: self.sandbox.user() };
        let router =
            agent::router(identity, self.approvals.clone(), self.plugins.clone(), outbox, &models, self.callers());
        let router = match run.denied().no_network {
            true => router,
            false => self.egress.in_front_of(router, &run.id, caller),
        };
        let socket = serve_on_socket(&directories.socket(), self.sandbox.user(), router)?;
        Ok(Line { socket, models })
    }

    /// Starts the container and waits for its end, whichever it is.
    async fn await_result(
        &self,
        run: &Run,
        directories: &Directories,
        line: Line,
        stop: &CancellationToken,
        marks: &mut Marks,
    ) -> Outcome {
        let clock = self.clock(run, |_| self.config.container_timeout).await?;
        let waiter = self.sandbox.waiter(&run.id, directories);
        let started = std::sync::atomic::AtomicU64::new(0);
        let start = async {
            let outcome = self.sandbox.start(&run.id).await;
            started.store(clock::micros(), std::sync::atomic::Ordering::Relaxed);
            outcome
        };
        let ending = waiter.wait(start, clock.deadline.clone(), self.config.container_timeout, stop).await;
        // The result may be there before the daemon's answer to the start.
        marks.started = Some(started.into_inner()).filter(|at| *at != 0).unwrap_or_else(clock::micros);
        self.decide(run, directories, ending, line, marks).await
    }

    /// The same for a container that a predecessor started.
    pub(super) async fn await_adopted(
        &self,
        run: &Run,
        directories: &Directories,
        line: Line,
        stop: &CancellationToken,
        marks: &mut Marks,
    ) -> Outcome {
        let waiter = self.sandbox.waiter(&run.id, directories);
        let limit = self.config.container_timeout;
        let left = |waited| time_left(limit, run.started_at.map(|at| at.saturating_add(waited)), clock::millis());
        let clock = self.clock(run, left).await?;
        let ending = waiter.wait(std::future::ready(Ok(())), clock.deadline.clone(), limit, stop).await;
        self.decide(run, directories, ending, line, marks).await
    }

    /// The run's time, which stands still while a person is asked.
    async fn clock(&self, run: &Run, left: impl FnOnce(i64) -> Duration) -> Result<RunClock, Failure> {
        let clock = self.approvals.start_clock(&run.id, left).await;
        clock.map_err(|error| Failure::Storage { detail: error.to_string() })
    }

    async fn decide(
        &self,
        run: &Run,
        directories: &Directories,
        ending: Ending,
        line: Line,
        marks: &mut Marks,
    ) -> Outcome {
        let found = sandbox::read_result(directories).await;
        marks.noticed = clock::micros();
        drop(line.socket);
        // The kernel may have killed the agent alone, and `entry` lived to report it.
        let oom = match &found {
            outcome::Found::Result(result) if !result.ok => self.sandbox.was_out_of_memory(&run.id, GRACE).await,
            _ => false,
        };
        let output = match (&ending, &found) {
            (Ending::Exit(_), outcome::Found::Nothing) => self.sandbox.output(&run.id).await,
            _ => String::new(),
        };
        let memory_mb = (self.config.limits.memory_bytes >> 20).unsigned_abs();
        let decided = outcome::decide(ending, found, oom, memory_mb, &output);
        let mut result = decided.map_err(|failure| line.models.explain(failure))?;
        match line.models.usage().await {
            // The agent's own word counts only for what did not pass by the host.
            None if !self.config.model_chain.iter().all(|leg| self.gateway.serves(&leg.provider)) => {}
            counted => result.usage = counted,
        }
        if let Some(timings) = result.timings {
            marks.agent = timings;
        }
        Ok(result)
    }

    /// Writes the ending down, answers, and clears up behind the run.
    pub(super) async fn conclude(&self, run: &Run, directories: &Directories, outcome: Outcome, marks: Marks) {
        let name = Self::log_name(&run.id);
        match &outcome {
            Ok(_) => tracing::info!(run = name, space = %run.space, "run finished"),
            Err(failure) => {
                tracing::warn!(run = name, space = %run.space, code = failure.code(), "run failed: {}", failure.for_operator())
            }
        }
        metrics::counter!("mercury_runs_total", "outcome" => outcome.as_ref().err().map_or("finished", Failure::code))
            .increment(1);
        self.clearing().insert(run.space.clone());
        self.insist(|| async {
            match &outcome {
                Ok(result) => self.store.finish(&run.id, result, marks).await,
                Err(failure) => self.store.fail(&run.id, failure, marks).await,
            }
        })
        .await;
        // Behind the ending: a question is taken back for a run that is over.
        self.insist(|| self.approvals.withdraw(&run.id)).await;
        let grace = if outcome.is_ok() { GRACE } else { Duration::ZERO };
        // Nobody waits for a task's answer, and its plugin may look at what the run has made: nothing is
        // to write there any more.
        let gone_first = run.is_of_plugin() && self.sandbox.discard(&run.id, directories, grace).await;
        self.answer(run, directories, outcome, marks).await;
        // The answer did not wait for the clearing up; the space does: what a container still writes
        // would else turn up in the next run's outbox.
        if gone_first || self.sandbox.discard(&run.id, directories, grace).await {
            self.clearing().remove(&run.space);
        } else {
            self.discard_later(run, directories, marks.created != 0);
        }
        self.stops.forget(&run.id);
    }

    /// Goes on until the container is gone. A space whose container may be at work waits for that, but
    /// not for ever: an engine that does not answer must not leave people without an answer.
    fn discard_later(&self, run: &Run, directories: &Directories, may_be_alive: bool) {
        let (sandbox, clearing, queue) = (self.sandbox.clone(), self.clearing.clone(), self.queue.clone());
        let (space, id, directories) = (run.space.clone(), run.id.clone(), directories.clone());
        let release = move || {
            clearing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&space);
            queue.notify_one();
        };
        if !may_be_alive {
            release();
        }
        self.spawn(async move {
            let began = tokio::time::Instant::now();
            let mut pause = REST;
            let mut held = may_be_alive;
            loop {
                tokio::time::sleep(pause).await;
                let gone = sandbox.discard(&id, &directories, Duration::ZERO).await;
                if held && (gone || began.elapsed() > LONGEST_HOLD) {
                    release();
                    held = false;
                }
                if gone {
                    return;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    /// Repeats a write until the database takes it: nothing accepted is lost to a passing fault.
    pub(super) async fn insist<F: Future<Output = Result<(), StoreError>>>(&self, write: impl Fn() -> F) {
        while let Err(error) = write().await {
            tracing::error!(%error, "a run's ending cannot be written; trying again");
            tokio::time::sleep(REST).await;
        }
    }
}
