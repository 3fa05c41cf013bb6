//! One run, from its container to its answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use mercury_protocol::{io as protocol, paths};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{REST, Runs};
use crate::{
    agent::{self, Identity},
    approvals::RunClock,
    clock,
    config::Network,
    domain::{
        failure::{Failure, Status},
        outcome::{self, Ending},
        run::{Run, time_left},
        stages::Marks,
        words::Voice,
    },
    gateway::{Access, Payer},
    http::{SocketServer, serve_on_socket},
    plugins::{
        Processed, processor,
        types::{Caller, Media, MediaKind, Usage},
    },
    sandbox::{self, Collected, Directories},
    store::{NewOutbound, OutboundFile, Problem, StoreError},
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
type Outcome = Result<protocol::RunResult, Failure>;

impl Runs {
    /// Brings a run that was taken from the queue to its end.
    pub(super) async fn perform(&self, run: Run, mut marks: Marks, permit: OwnedSemaphorePermit) {
        let directories = self.sandbox.directories(&run.space, &run.id);
        let stop = self.stop_token(&run.id).await;
        tracing::info!(run = Self::log_name(&run.id), space = %run.space, attempt = run.attempts, "run begins");
        let outcome = match self.launch(&run, &directories, &stop, &mut marks).await {
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
        &self,
        run: &Run,
        directories: &Directories,
        stop: &CancellationToken,
        marks: &mut Marks,
    ) -> Result<Line, Failure> {
        let storage = |error: std::io::Error| Failure::Storage { detail: error.to_string() };
        let prepare = async {
            let (model, mut credentials) = self.model().await?;
            // A variable never takes a credential's place.
            for (name, value) in self.variables(&run.role) {
                credentials.environment.entry(name).or_insert(value);
            }
            Ok::<_, Failure>((self.request(run, model, directories).await?, credentials))
        };
        let (request, credentials) = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Failure::Aborted),
            prepared = prepare => prepared?,
        };
        let (to_make, user) = (directories.clone(), self.sandbox.user());
        let write = move || {
            // An earlier attempt may have left its files.
            to_make.sweep();
            to_make.make(user)?;
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
            created = self.create(run, directories, stop) => created?,
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
    async fn create(&self, run: &Run, directories: &Directories, stop: &CancellationToken) -> Result<(), Failure> {
        let (sandbox, space, id) = (self.sandbox.clone(), run.space.clone(), run.id.clone());
        let (directories, stop) = (directories.clone(), stop.clone());
        let creating = tokio::spawn(async move {
            let created = sandbox.create(&space, &id, &directories).await;
            if stop.is_cancelled() {
                let _ = sandbox.remove(&id).await;
            }
            created
        });
        creating.await.unwrap_or_else(|error| Err(Failure::Refused { detail: error.to_string() }))
    }

    /// Opens the run's socket, under the identity that was fixed when the message was accepted.
    pub(super) fn serve(&self, run: &Run, directories: &Directories) -> std::io::Result<Line> {
        let identity = Identity {
            run: run.id.clone(),
            caller: run.caller.clone(),
            role: run.role.clone(),
            space: run.space.to_string(),
            conversation: run.conversation.clone(),
        };
        let caller = identity.for_plugins();
        let payer = Payer { run: run.id.clone(), space: run.space.to_string(), person: run.caller.clone() };
        let models = self.gateway.access(payer);
        let router = agent::router(identity, self.approvals.clone(), &models);
        let router = self.egress.in_front_of(router, &run.id, caller);
        let socket = serve_on_socket(&directories.socket(), self.sandbox.user(), router)?;
        Ok(Line { socket, models })
    }

    /// The models that can be asked, and the credentials of those that the container asks itself.
    /// Refused only when no leg is left.
    async fn model(&self) -> Result<(protocol::ModelSettings, protocol::Credentials), Failure> {
        let providers: BTreeSet<&str> = self.config.model_chain.iter().map(|leg| leg.provider.as_str()).collect();
        let (served, direct): (Vec<_>, Vec<_>) =
            providers.into_iter().partition(|provider| self.gateway.serves(provider));
        let given = self.credentials.for_run(direct).await;
        let mut refused = given.refused;
        for provider in served {
            if let Err(error) = self.gateway.ready(provider).await {
                tracing::warn!(provider, "the model's leg is left out: {error}");
                refused.insert(provider.to_owned(), error);
            }
        }
        let usable = |leg: &&crate::config::Leg| {
            !refused.contains_key(&leg.provider) || self.config.model_endpoints.contains_key(&leg.provider)
        };
        let chain: Vec<_> = self
            .config
            .model_chain
            .iter()
            .filter(usable)
            .map(|leg| protocol::Leg {
                provider: leg.provider.clone(),
                model: leg.model.clone(),
                endpoint: match self.gateway.serves(&leg.provider) {
                    true => None,
                    false => self.config.model_endpoints.get(&leg.provider).cloned(),
                },
                capabilities: self.config.capabilities.of(&leg.provider, &leg.model),
            })
            .collect();
        if chain.is_empty() {
            // The first leg's reason: it is the model that was meant.
            let first = self.config.model_chain.iter().find_map(|leg| refused.remove(&leg.provider));
            let console = self.config.console_url.as_deref();
            return Err(first.map_or_else(
                || Failure::NoCredentials { provider: String::new(), detail: String::new(), variable: None },
                |error| error.into_failure(console),
            ));
        }
        let settings = protocol::ModelSettings {
            chain,
            hosted: self.gateway.hosted().await,
            max_retries_per_leg: self.config.model_retries_per_leg,
            budget_ms: self.config.model_budget.as_millis() as u64,
            override_system_prompt: self.config.override_pi_system_prompt,
            subagent_models: self.config.allowed_models.clone(),
        };
        Ok((settings, given.credentials))
    }

    async fn request(
        &self,
        run: &Run,
        model: protocol::ModelSettings,
        directories: &Directories,
    ) -> Result<protocol::Request, Failure> {
        let turns = if self.config.context_enabled { self.config.context_window } else { 0 };
        let history = match turns {
            0 => Vec::new(),
            turns => self
                .store
                .history(&run.space, &run.conversation, run.id.as_str(), turns)
                .await
                .map_err(|error| Failure::Storage { detail: error.to_string() })?,
        };
        Ok(protocol::Request {
            run_id: run.id.to_string(),
            space_id: run.space.to_string(),
            space_workspace: format!("{}/{}", paths::SPACES, run.space),
            messages: history
                .into_iter()
                .map(|message| protocol::StoredMessage {
                    role: if message.from_user { protocol::Role::User } else { protocol::Role::Assistant },
                    content: message.content,
                    created_at: message.created_at.unsigned_abs(),
                })
                .collect(),
            anchor_messages: Vec::new(),
            prompt: run.prompt.clone(),
            caller_id: run.caller.clone(),
            caller_role: run.role.clone(),
            author_name: run.author_name.clone(),
            attachments: run.attachments.clone(),
            preferences: Vec::new(),
            nonce: format!("{:016x}", rand::random::<u64>()),
            seal: directories.seal.clone(),
            bot_username: self.config.bot_username.clone(),
            system_prompt: self.config.network.note_for_agent().map(str::to_owned),
            model,
            environment: BTreeMap::new(),
            egress_proxy: self.config.network == Network::Filtered,
        })
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
        self.answer(run, directories, outcome, marks).await;
        // The answer did not wait for the clearing up; the space does: what a container still writes
        // would else turn up in the next run's outbox.
        if self.sandbox.discard(&run.id, directories, grace).await {
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

    /// Lets the processors see the ending, and writes the answer.
    pub(super) async fn answer(&self, run: &Run, directories: &Directories, outcome: Outcome, mut marks: Marks) {
        let files = match &outcome {
            Ok(result) => self.collect(run, directories, result.files.clone().unwrap_or_default()).await,
            Err(_) => Vec::new(),
        };
        let reply = self.process(run, &outcome, &files, &marks).await;
        marks.processed = clock::micros();
        self.insist(|| self.store.answer(&run.id, reply.clone(), marks, clock::millis())).await;
        for stage in marks.stages() {
            metrics::histogram!("mercury_stage_seconds", "stage" => stage.name).record(stage.micros as f64 / 1e6);
        }
        self.delivery.announce(run.inbound);
    }

    async fn collect(&self, run: &Run, directories: &Directories, manifest: Vec<String>) -> Vec<Collected> {
        let (directories, store) = (directories.clone(), self.config.data_dir.join("delivery").join(run.id.as_str()));
        match tokio::task::spawn_blocking(move || directories.collect(&manifest, &store)).await {
            Ok(Ok(files)) => files,
            Ok(Err(error)) => {
                tracing::error!(run = Self::log_name(&run.id), %error, "the outbox cannot be read; the reply goes without its files");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    async fn process(&self, run: &Run, outcome: &Outcome, files: &[Collected], marks: &Marks) -> NewOutbound {
        let failure = outcome.as_ref().err();
        let processed =
            self.plugins.process(result_for_processors(run, outcome, files, marks, &self.config.voice)).await;
        let mut reply = NewOutbound {
            inbound: run.inbound,
            run: Some(run.id.clone()),
            reply: String::new(),
            files: Vec::new(),
            problem: failure.map(problem),
            suppressed: false,
        };
        match processed {
            Processed::Deliver(delivery) => {
                reply.reply = delivery.reply;
                let kept = files
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| delivery.attachments.iter().any(|kept| kept.handle == index.to_string()));
                reply.files = kept
                    .map(|(_, file)| OutboundFile {
                        filename: file.filename.clone(),
                        mime_type: mime(&file.filename),
                        size_bytes: file.size_bytes,
                        path: file.path.strip_prefix(&self.config.data_dir).unwrap_or(&file.path).display().to_string(),
                    })
                    .collect();
            }
            Processed::Suppress(why) => {
                tracing::info!(run = Self::log_name(&run.id), why, "a processor decided that nothing is sent");
                reply.suppressed = true;
            }
            Processed::Withhold { plugin } => {
                let failure = Failure::Withheld { plugin };
                reply.reply = self.config.voice.explain(&failure);
                reply.problem = Some(problem(&failure));
            }
        }
        reply
    }

    /// Repeats a write until the database takes it: nothing accepted is lost to a passing fault.
    pub(super) async fn insist<F: Future<Output = Result<(), StoreError>>>(&self, write: impl Fn() -> F) {
        while let Err(error) = write().await {
            tracing::error!(%error, "a run's ending cannot be written; trying again");
            tokio::time::sleep(REST).await;
        }
    }
}

fn problem(failure: &Failure) -> Problem {
    let status = match failure.status() {
        Status::Conflict => 409,
        Status::TooManyRequests => 429,
        Status::BadGateway => 502,
        Status::Unavailable => 503,
        Status::GatewayTimeout => 504,
        Status::InsufficientStorage => 507,
    };
    Problem { code: failure.code().to_owned(), status, detail: failure.for_operator(), next: failure.next_step() }
}

fn mime(filename: &str) -> String {
    mime_guess::from_path(filename).first_or_octet_stream().to_string()
}

fn result_for_processors(
    run: &Run,
    outcome: &Outcome,
    files: &[Collected],
    marks: &Marks,
    voice: &Voice,
) -> processor::RunResult {
    let usage = outcome.as_ref().ok().and_then(|result| result.usage.as_ref()).map(|usage| Usage {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cache_read_tokens: usage.cache_read_tokens.unwrap_or(0),
        cache_write_tokens: usage.cache_write_tokens.unwrap_or(0),
        cost_micro_usd: (usage.cost.unwrap_or(0.0).max(0.0) * 1e6) as u64,
        model: usage.model.clone(),
    });
    let failure = outcome.as_ref().err().map(|failure| processor::Failure {
        reason: match failure {
            Failure::Timeout { .. } => "timeout",
            Failure::OutOfMemory { .. } => "out-of-memory",
            Failure::Aborted => "aborted",
            _ => "error",
        }
        .to_owned(),
        message: failure.for_operator(),
    });
    processor::RunResult {
        run: run.id.to_string(),
        caller: Caller {
            person: run.caller.clone(),
            role: run.role.clone(),
            space: run.space.to_string(),
            conversation: Some(run.conversation.clone()),
        },
        platform: run.platform.clone(),
        prompt: run.prompt.clone(),
        reply: match outcome {
            // container.md #27: no reply at all is reported as done.
            Ok(result) => result.reply.clone().unwrap_or_else(|| "Done.".to_owned()),
            Err(failure) => voice.explain(failure),
        },
        failure,
        attachments: files
            .iter()
            .enumerate()
            .map(|(index, file)| Media {
                handle: index.to_string(),
                kind: media_kind(&mime(&file.filename)),
                mime_type: mime(&file.filename),
                file_name: Some(file.filename.clone()),
                size_bytes: file.size_bytes,
            })
            .collect(),
        usage,
        duration_ms: marks.noticed.saturating_sub(marks.received) / 1000,
    }
}

fn media_kind(mime: &str) -> MediaKind {
    match mime.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}
