//! From a run's ending to its answer: its files, what the processors make of it, the row that is sent.

use super::{Runs, perform::Outcome};
use crate::{
    clock,
    domain::{
        failure::{Failure, Status},
        run::Run,
        stages::Marks,
        words::Voice,
    },
    plugins::{
        Processed, processor,
        types::{Caller, Media, MediaKind, Usage},
    },
    sandbox::{Collected, Directories},
    store::{NewOutbound, OutboundFile, Problem},
};

impl Runs {
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
        // Until there are scheduled tasks, every run answers somebody.
        scheduled: false,
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
