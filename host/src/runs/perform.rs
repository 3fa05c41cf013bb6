//! One run, from its container to its answer.

use std::{collections::BTreeMap, time::Duration};

use mercury_protocol::{io as protocol, paths};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{REST, Runs};
use crate::{
    agent::{self, Identity},
    clock,
    domain::{
        failure::{Failure, Status},
        outcome::{self, Ending},
        run::Run,
        stages::Marks,
    },
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

/// An answer or a failure, with the files that belong to it.
type Outcome = Result<protocol::RunResult, Failure>;

impl Runs {
    /// Brings a run that was taken from the queue to its end.
    pub(super) async fn perform(&self, run: Run, mut marks: Marks, permit: OwnedSemaphorePermit) {
        let directories = self.sandbox.directories(&run.space, &run.id);
        tracing::info!(run = Self::log_name(&run.id), space = %run.space, attempt = run.attempts, "run begins");
        let outcome = match self.launch(&run, &directories, &mut marks).await {
            Ok(socket) => {
                let deadline = Instant::now() + self.config.container_timeout;
                self.await_result(&run, &directories, deadline, socket, &mut marks).await
            }
            Err(failure) => Err(failure),
        };
        self.conclude(&run, &directories, outcome, marks).await;
        drop(permit);
        self.wake();
    }

    /// Files, socket, container, start. The caller's waiting begins when this returns.
    async fn launch(&self, run: &Run, directories: &Directories, marks: &mut Marks) -> Result<SocketServer, Failure> {
        let storage = |error: std::io::Error| Failure::Storage { detail: error.to_string() };
        let model = self.model()?;
        let credentials = self.credentials.for_run(model.chain.iter().map(|leg| leg.provider.as_str()));
        let request = self.request(run, model, directories).await?;
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
        let socket = self.serve(run, directories).map_err(storage)?;
        marks.prepared = clock::micros();
        self.sandbox.create(&run.space, &run.id, directories).await?;
        marks.created = clock::micros();
        // Before the start is asked for: a host that ends in between finds a container to adopt.
        let stored = self.store.mark_running(&run.id, clock::millis()).await;
        stored.map_err(|error| Failure::Storage { detail: error.to_string() })?;
        let _ = self.store.save_marks(&run.id, *marks).await;
        Ok(socket)
    }

    /// Opens the run's socket, under the identity that was fixed when the message was accepted.
    pub(super) fn serve(&self, run: &Run, directories: &Directories) -> std::io::Result<SocketServer> {
        let identity = Identity {
            run: run.id.clone(),
            caller: run.caller.clone(),
            role: run.role.clone(),
            space: run.space.to_string(),
            conversation: run.conversation.clone(),
        };
        let router = agent::router(identity, self.plugins.clone(), self.upstreams.clone());
        serve_on_socket(&directories.socket(), self.sandbox.user(), router)
    }

    /// The models that can be asked: those with a credential, or with an endpoint that the operator
    /// or the host itself answers for.
    fn model(&self) -> Result<protocol::ModelSettings, Failure> {
        let usable = |leg: &&crate::config::Leg| {
            self.credentials.has(&leg.provider)
                || self.upstreams.contains_key(&leg.provider)
                || self.config.model_endpoints.contains_key(&leg.provider)
        };
        let chain: Vec<_> = self
            .config
            .model_chain
            .iter()
            .filter(usable)
            .map(|leg| protocol::Leg {
                provider: leg.provider.clone(),
                model: leg.model.clone(),
                endpoint: match self.config.model_endpoints.get(&leg.provider) {
                    _ if self.upstreams.contains_key(&leg.provider) => Some(protocol::Endpoint::Host),
                    Some(url) => Some(protocol::Endpoint::Url { url: url.clone() }),
                    None => None,
                },
                capabilities: self.config.capabilities.of(&leg.provider, &leg.model),
            })
            .collect();
        if chain.is_empty() {
            let provider = self.config.model_chain.first().map(|leg| leg.provider.clone()).unwrap_or_default();
            return Err(Failure::NoCredentials { provider });
        }
        Ok(protocol::ModelSettings {
            chain,
            max_retries_per_leg: self.config.model_retries_per_leg,
            budget_ms: self.config.model_budget.as_millis() as u64,
            override_system_prompt: self.config.override_pi_system_prompt,
            subagent_models: Vec::new(),
        })
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
            system_prompt: None,
            model,
            environment: BTreeMap::new(),
        })
    }

    /// Starts the container and waits for its end, whichever it is.
    async fn await_result(
        &self,
        run: &Run,
        directories: &Directories,
        deadline: Instant,
        socket: SocketServer,
        marks: &mut Marks,
    ) -> Outcome {
        let waiter = self.sandbox.waiter(&run.id, directories);
        self.sandbox.start(&run.id).await?;
        marks.started = clock::micros();
        let ending = waiter.wait(deadline, self.config.container_timeout, &CancellationToken::new()).await;
        self.decide(run, directories, ending, socket, marks).await
    }

    /// The same for a container that a predecessor started.
    pub(super) async fn await_adopted(
        &self,
        run: &Run,
        directories: &Directories,
        socket: SocketServer,
        marks: &mut Marks,
    ) -> Outcome {
        let waiter = self.sandbox.waiter(&run.id, directories);
        let used = run.started_at.map_or(0, |started| (clock::millis() - started).max(0)) as u64;
        let left = self.config.container_timeout.saturating_sub(Duration::from_millis(used));
        let ending = waiter.wait(Instant::now() + left, self.config.container_timeout, &CancellationToken::new()).await;
        self.decide(run, directories, ending, socket, marks).await
    }

    async fn decide(
        &self,
        run: &Run,
        directories: &Directories,
        ending: Ending,
        socket: SocketServer,
        marks: &mut Marks,
    ) -> Outcome {
        let found = sandbox::read_result(directories).await;
        marks.noticed = clock::micros();
        drop(socket);
        let output = match (&ending, &found) {
            (Ending::Exit(_), outcome::Found::Nothing) => self.sandbox.output(&run.id).await,
            _ => String::new(),
        };
        let result = outcome::decide(ending, found, (self.config.limits.memory_bytes >> 20).unsigned_abs(), &output)?;
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
        let grace = if outcome.is_ok() { GRACE } else { Duration::ZERO };
        self.answer(run, directories, outcome, marks).await;
        // The answer did not wait for the clearing up; the space does: what a container still writes
        // would else turn up in the next run's outbox.
        self.sandbox.discard(&run.id, directories, grace).await;
        self.clearing().remove(&run.space);
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
        let processed = self.plugins.process(result_for_processors(run, outcome, files, marks)).await;
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
                reply.reply = failure.for_person();
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

fn result_for_processors(run: &Run, outcome: &Outcome, files: &[Collected], marks: &Marks) -> processor::RunResult {
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
            Err(failure) => failure.for_person(),
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
