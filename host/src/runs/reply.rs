//! From a run's ending to its answer: its files, what the processors make of it, the row that is sent.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{Runs, hooks::caller, perform::Outcome};
use crate::{
    clock,
    domain::{
        failure::{Failure, Status},
        media::{Kind, extension_of_mime},
        notices::Notice,
        run::Run,
        stages::Marks,
        task::{self, MOST_FAILURES, Occasion, Word},
        words::Voice,
    },
    media::Lent,
    plugins::{Attachment, Keeping, Processed, processor, types::Usage},
    sandbox::Directories,
    store::{NewOutbound, OutboundFile, Problem},
};

impl Runs {
    /// Lets the processors see the ending, and writes the answer.
    pub(super) async fn answer(&self, run: &Run, directories: &Directories, outcome: Outcome, mut marks: Marks) {
        let files = match &outcome {
            // Its outbox was its own, and is gone: the names that it left would be those of others' files.
            _ if run.denied().folders.is_some() => Vec::new(),
            Ok(result) => self.collect(run, directories, result.files.clone().unwrap_or_default()).await,
            Err(_) => Vec::new(),
        };
        let may_send = self.may_send(run).await;
        let mut reply = self.process(run, &outcome, files, &marks, may_send).await;
        if let Some(occasion) = run.occasion.as_ref().filter(|_| !matches!(outcome, Err(Failure::Aborted))) {
            self.count_for_task(occasion, run.inbound, &mut reply).await;
        }
        if !may_send {
            self.withhold_files(run, &mut reply).await;
        }
        marks.processed = clock::micros();
        self.insist(|| self.store.answer(&run.id, reply.clone(), marks, clock::millis())).await;
        for stage in marks.stages() {
            metrics::histogram!("mercury_stage_seconds", "stage" => stage.name).record(stage.micros as f64 / 1e6);
        }
        self.delivery.announce(run.inbound);
        if run.is_of_plugin() {
            self.task_ended.notify_one();
        }
    }

    /// A task that fails is told of once, and stopped where it goes on failing.
    async fn count_for_task(&self, occasion: &Occasion, inbound: i64, reply: &mut NewOutbound) {
        let Some(problem) = &reply.problem else {
            if let Err(error) = self.store.task_went_well(occasion.task).await {
                tracing::warn!(task = occasion.task, %error, "that a task went well cannot be noted");
            }
            return;
        };
        let why = format!("it failed {MOST_FAILURES} times in a row: {}", problem.detail);
        let failures =
            self.store.task_failed(occasion.task, inbound, why, clock::millis()).await.unwrap_or_else(|error| {
                tracing::warn!(task = occasion.task, %error, "a task's failure cannot be counted");
                1
            });
        let (label, reason, locale) = (occasion.label(), reply.reply.clone(), self.config.voice.locale);
        let (task, reason) = (label.as_str(), reason.as_str());
        match task::word(failures) {
            Word::Said => reply.reply = Notice::TaskFailed { task, reason }.say(locale),
            Word::Unsaid => reply.suppressed = true,
            Word::GivenUp => reply.reply = Notice::TaskGivenUp { task, reason, times: failures }.say(locale),
        }
    }

    pub(super) fn delivery_folder(&self, run: &Run) -> PathBuf {
        self.config.data_dir.join("delivery").join(run.id.as_str())
    }

    /// The files that the run left, copied to where no agent can change them, each opened.
    async fn collect(&self, run: &Run, directories: &Directories, manifest: Vec<String>) -> Vec<(Lent, PathBuf)> {
        let (directories, store) = (directories.clone(), self.delivery_folder(run));
        let collect = move || {
            let collected = directories.collect(&manifest, &store)?;
            let lent = collected.into_iter().map(|file| {
                let mime = mime(&file.filename);
                let lent = Lent::of_host(&file.path, Kind::of_mime(&mime), mime, Some(file.filename))?;
                Ok((lent, file.path))
            });
            lent.collect::<io::Result<Vec<_>>>()
        };
        match tokio::task::spawn_blocking(collect).await {
            Ok(Ok(files)) => files,
            Ok(Err(error)) => {
                tracing::error!(run = Self::log_name(&run.id), %error, "the outbox cannot be read; the reply goes without its files");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    async fn process(
        &self,
        run: &Run,
        outcome: &Outcome,
        files: Vec<(Lent, PathBuf)>,
        marks: &Marks,
        may_send: bool,
    ) -> NewOutbound {
        let failure = outcome.as_ref().err();
        let (lent, paths): (Vec<_>, BTreeMap<_, _>) =
            files.into_iter().map(|(lent, path)| (lent.clone(), (lent.handle().to_owned(), path))).unzip();
        let result = result_for_processors(run, outcome, marks, &self.config.voice);
        let mut reply = NewOutbound {
            inbound: run.inbound,
            run: Some(run.id.clone()),
            reply: String::new(),
            files: Vec::new(),
            problem: failure.map(problem),
            suppressed: false,
        };
        let folder = self.delivery_folder(run);
        let keeping = Keeping { folder: &folder, is_allowed: may_send };
        match self.plugins.process(result, lent, keeping).await {
            Processed::Deliver { reply: text, attachments, overrides } => {
                if overrides {
                    reply.problem = None;
                }
                reply.reply = text;
                for attachment in attachments {
                    let own = paths.get(&attachment.description().handle).map(PathBuf::as_path);
                    let path = attachment.moved().or(own);
                    reply.files.extend(path.map(|path| self.outbound_file(&attachment, path)));
                }
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

    fn outbound_file(&self, attachment: &Attachment, path: &Path) -> OutboundFile {
        let description = attachment.description().clone();
        let unnamed = || format!("{}.{}", description.kind, extension_of_mime(&description.mime_type));
        OutboundFile {
            filename: description.file_name.clone().unwrap_or_else(unnamed),
            mime_type: description.mime_type,
            size_bytes: description.size_bytes,
            path: path.strip_prefix(&self.config.data_dir).unwrap_or(path).display().to_string(),
        }
    }
}

fn problem(failure: &Failure) -> Problem {
    let status = match failure.status() {
        Status::Forbidden => 403,
        Status::Conflict => 409,
        Status::TooManyRequests => 429,
        Status::BadGateway => 502,
        Status::Unavailable => 503,
        Status::GatewayTimeout => 504,
        Status::InsufficientStorage => 507,
    };
    Problem {
        code: failure.code().to_owned(),
        status,
        detail: failure.for_operator(),
        next: failure.next_step(),
        again_at: None,
    }
}

fn mime(filename: &str) -> String {
    mime_guess::from_path(filename).first_or_octet_stream().to_string()
}

fn result_for_processors(run: &Run, outcome: &Outcome, marks: &Marks, voice: &Voice) -> processor::RunResult {
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
        caller: caller(run),
        platform: run.platform.clone(),
        prompt: run.full_prompt(),
        scheduled: run.is_scheduled(),
        reply: match outcome {
            // container.md #27: no reply at all is reported as done.
            Ok(result) => result.reply.clone().unwrap_or_else(|| "Done.".to_owned()),
            Err(failure) => voice.explain(failure),
        },
        failure,
        // Those of each processor's call, by handles of that call.
        attachments: Vec::new(),
        usage,
        duration_ms: marks.noticed.saturating_sub(marks.received) / 1000,
    }
}
