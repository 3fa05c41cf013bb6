//! One run from its request to its result: the order of steps, and nothing of how they are done.

use std::fs;
use std::io;
use std::mem;
use std::path::Path;
use std::time::{Duration, Instant};

use mercury_protocol::io::{AgentTimings, Credentials, FailureKind, Leg, Request, RunResult, Seal};
use thiserror::Error;

use crate::agent_dir::{self, AgentDirError};
use crate::browser;
use crate::bubblewrap;
use crate::chain::{self, Agent, Attempt, ChainError};
use crate::clock;
use crate::environment;
use crate::failure::AttemptError;
use crate::gateway;
use crate::init;
use crate::leak;
use crate::outbox::Snapshot;
use crate::pi::{self, Plan};
use crate::place::Place;
use crate::prompt::{system, user};
use crate::publish;
use crate::request::{self, IntakeError};
use crate::settings;
use crate::signals::Signals;
use crate::usage::Tally;

/// What a person reads when the model ended well and said nothing.
const DONE: &str = "Done.";

/// Why a run failed. The text is what the result says.
#[derive(Debug, Error)]
pub enum Error {
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    AgentDir(#[from] AgentDirError),
    #[error("could not close this process to the agent: {0}")]
    Private(io::Error),
    #[error("could not open the way to the host's models: {0}")]
    Gateway(io::Error),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("could not publish the result: {0}")]
    Publish(io::Error),
}

impl Error {
    fn kind(&self) -> Option<FailureKind> {
        match self {
            Self::Chain(ChainError::Attempt(AttemptError::OutOfMemory)) => Some(FailureKind::OutOfMemory),
            Self::Chain(ChainError::Stopped) => Some(FailureKind::Stopped),
            _ => None,
        }
    }
}

/// Does the whole run and publishes its result, also if it failed. `started` is when this
/// program began, in microseconds since the epoch.
pub fn run(place: &Place, signals: &Signals, started: u64) -> Result<(), Error> {
    let timings = AgentTimings { entry_started: started, ..AgentTimings::default() };
    let mut record = Record { timings, ..Record::default() };
    let reply = attempt(place, signals, &mut record);
    let failure = reply.as_ref().err().and_then(Error::kind);
    let said = Some(record.said).filter(|said| failure == Some(FailureKind::Stopped) && !said.trim().is_empty());
    let result = RunResult {
        ok: reply.is_ok(),
        reply: reply.as_ref().ok().cloned().or(said),
        error: reply.as_ref().err().map(ToString::to_string),
        usage: record.tally.shown(record.model, record.provider),
        files: record.files,
        timings: Some(record.timings),
        failure,
    };
    let published = match &place.io_dir {
        Some(io_dir) => publish::to_directory(io_dir, &result, &record.seal),
        None => publish::between_markers(io::stdout().lock(), &record.nonce, &result),
    };
    published.map_err(Error::Publish)?;
    reply.map(drop)
}

/// What is told of a run besides its reply, however it ends.
#[derive(Debug, Default)]
struct Record {
    tally: Tally,
    model: Option<String>,
    provider: Option<String>,
    /// What the agent had said when it was stopped.
    said: String,
    files: Option<Vec<String>>,
    timings: AgentTimings,
    nonce: String,
    seal: Seal,
}

fn attempt(place: &Place, signals: &Signals, record: &mut Record) -> Result<String, Error> {
    // Before there is anything to keep.
    init::keep_private().map_err(Error::Private)?;
    let (mut request, credentials) = match &place.io_dir {
        Some(io_dir) => request::take(io_dir)?,
        None => (request::read(io::stdin().lock())?, Credentials::default()),
    };
    record.nonce = mem::take(&mut request.nonce);
    record.seal = mem::take(&mut request.seal);
    request.model = settings::resolve(request.model, |name| std::env::var(name).ok());
    let workspace = Path::new(&request.space_workspace);
    let before = Snapshot::of(workspace);
    let reply = converse(place, signals, &request, &credentials, record);
    record.files = Some(before.written_until(&Snapshot::of(workspace)));
    reply
}

fn converse(
    place: &Place,
    signals: &Signals,
    request: &Request,
    credentials: &Credentials,
    record: &mut Record,
) -> Result<String, Error> {
    let through_host = !request.model.hosted.is_empty() || request.egress_proxy;
    let port = through_host.then(|| gateway::open(&place.socket)).transpose().map_err(Error::Gateway)?;
    agent_dir::prepare(place, &request.model, &request.skills, port)?;
    let proxy = port.filter(|_| request.egress_proxy);
    let mut environment = environment::for_pi(std::env::vars_os(), place, request, credentials, proxy);
    browser::choose(&mut environment, browser::executable);
    let plan = Plan {
        workspace: request.space_workspace.clone().into(),
        extensions: place.extensions(),
        override_system_prompt: request.model.override_system_prompt,
        tools: request.tools.clone(),
        environment,
        prompt: user::build(request),
        system_prompt: place.system_prompt(),
        control_groups: place.control_groups.clone(),
    };
    let wrapped = bubblewrap::wanted(|name| std::env::var_os(name));
    let mut agent = PiAgent { place, request, plan: &plan, wrapped, signals, record, began: Instant::now() };
    Ok(chain::run(&request.model, &mut agent)?)
}

/// `pi` as the chain sees it.
struct PiAgent<'a> {
    place: &'a Place,
    request: &'a Request,
    plan: &'a Plan,
    /// By `bwrap`.
    wrapped: bool,
    signals: &'a Signals,
    record: &'a mut Record,
    began: Instant,
}

impl Agent for PiAgent<'_> {
    fn attempt(&mut self, leg: &Leg, time: Duration) -> Attempt {
        // What a model is told depends on what it can do.
        let system_prompt = system::build(self.request, leg.capabilities.tools, clock::now_us() / 1000);
        if let Err(error) = fs::write(&self.plan.system_prompt, system_prompt) {
            let error = AttemptError::NotStarted(format!("could not write the system prompt: {error}"));
            return Attempt { reply: Err(error), tool_ran: false };
        }
        let found = |_| bubblewrap::arguments(self.place, &self.plan.workspace, &bubblewrap::Found::look(self.place));
        let wrapper = Some(()).filter(|()| self.wrapped).map(found);
        let end = pi::run(self.plan, wrapper.as_deref(), leg, time, self.signals);
        let _ = fs::remove_file(&self.plan.system_prompt);
        let timings = &mut self.record.timings;
        (timings.agent_spawned, timings.agent_ready, timings.agent_ended) = (end.spawned, end.ready, end.ended);
        self.record.tally.merge(&end.outcome.tally);
        self.record.model = end.outcome.model.or(self.record.model.take());
        self.record.provider = end.outcome.provider.or(self.record.provider.take());
        self.record.said = end.outcome.said;
        let tool_ran = end.outcome.tool_ran;
        let reply =
            end.result.map(|()| presentable(end.outcome.reply.unwrap_or_default(), tool_ran, leg.capabilities.tools));
        Attempt { reply, tool_ran }
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn pause(&mut self, time: Duration) {
        self.signals.pause(time);
    }

    fn stopped(&self) -> bool {
        self.signals.stopped()
    }

    fn random(&mut self) -> u64 {
        // Only spreads retries apart: the clock's last digits are random enough.
        clock::now_us()
    }
}

/// The reply as a person gets it.
fn presentable(reply: String, tool_ran: bool, has_tools: bool) -> String {
    let reply = match leak::before_leak(&reply).filter(|_| !tool_ran) {
        Some(_) if has_tools => return leak::NOTICE.into(),
        // It was told that it has no tools; what it said beside the call may be an answer.
        Some(before) => before.to_owned(),
        None => reply,
    };
    if reply.trim().is_empty() { DONE.into() } else { reply }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// agent-entry.md #43, #45
    #[test]
    fn silence_is_done_and_a_leak_is_told() {
        let leak = "sh{\"command\":\"ls\"}";
        assert_eq!(presentable(" \n".into(), false, true), DONE);
        assert_eq!(presentable(leak.into(), false, true), leak::NOTICE);
        assert_eq!(presentable(leak.into(), true, true), leak);
        assert_eq!(presentable(leak.into(), false, false), DONE);
        assert_eq!(presentable(format!("Look: {leak}"), false, false), "Look: sh");
    }
}
