//! One run from its request to its result: the order of steps, and nothing of how they are done.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use mercury_protocol::io::{AgentTimings, Credentials, Leg, Request, RunResult};
use thiserror::Error;

use crate::agent_dir::{self, AgentDirError};
use crate::chain::{self, Agent, Attempt, ChainError};
use crate::clock;
use crate::environment;
use crate::gateway;
use crate::leak;
use crate::outbox::Snapshot;
use crate::pi::{self, Plan};
use crate::place::Place;
use crate::prompt::{system, user};
use crate::publish;
use crate::request::{self, IntakeError};
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
    #[error("could not write the system prompt: {0}")]
    SystemPrompt(io::Error),
    #[error("could not open the way to the host's models: {0}")]
    Gateway(io::Error),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("could not publish the result: {0}")]
    Publish(io::Error),
}

/// Does the whole run and publishes its result, also if it failed. `started` is when this
/// program began, in microseconds since the epoch.
pub fn run(place: &Place, signals: &Signals, started: u64) -> Result<(), Error> {
    let mut record =
        Record { timings: AgentTimings { entry_started: started, ..AgentTimings::default() }, ..Record::default() };
    let reply = attempt(place, signals, &mut record);
    let result = RunResult {
        ok: reply.is_ok(),
        reply: reply.as_ref().ok().cloned(),
        error: reply.as_ref().err().map(ToString::to_string),
        usage: record.tally.shown(record.model, record.provider),
        files: record.files,
        timings: Some(record.timings),
    };
    publish::publish(&place.io_dir, &result).map_err(Error::Publish)?;
    reply.map(drop)
}

/// What is told of a run besides its reply, however it ends.
#[derive(Debug, Default)]
struct Record {
    tally: Tally,
    model: Option<String>,
    provider: Option<String>,
    files: Option<Vec<String>>,
    timings: AgentTimings,
}

fn attempt(place: &Place, signals: &Signals, record: &mut Record) -> Result<String, Error> {
    let (request, credentials) = request::read(&place.io_dir)?;
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
    let through_host = !request.model.hosted.is_empty();
    let port = through_host.then(|| gateway::open(&place.socket)).transpose().map_err(Error::Gateway)?;
    agent_dir::prepare(place, &request.model, port)?;
    let system_prompt = place.system_prompt();
    fs::write(&system_prompt, system::build(request, clock::now_us() / 1000)).map_err(Error::SystemPrompt)?;
    let plan = Plan {
        workspace: request.space_workspace.clone().into(),
        tool_guard: place.tool_guard(),
        override_system_prompt: request.model.override_system_prompt,
        environment: environment::for_pi(std::env::vars_os(), place, request, credentials),
        prompt: user::build(request),
        system_prompt,
    };
    let mut agent = PiAgent { plan: &plan, signals, record, began: Instant::now() };
    let reply = chain::run(&request.model, &mut agent);
    let _ = fs::remove_file(&plan.system_prompt);
    Ok(reply?)
}

/// `pi` as the chain sees it.
struct PiAgent<'a> {
    plan: &'a Plan,
    signals: &'a Signals,
    record: &'a mut Record,
    began: Instant,
}

impl Agent for PiAgent<'_> {
    fn attempt(&mut self, leg: &Leg, time: Duration) -> Attempt {
        let end = pi::run(self.plan, &leg.provider, &leg.model, time, self.signals);
        let timings = &mut self.record.timings;
        (timings.agent_spawned, timings.agent_ready, timings.agent_ended) = (end.spawned, end.ready, end.ended);
        self.record.tally.merge(&end.outcome.tally);
        self.record.model = end.outcome.model.or(self.record.model.take());
        self.record.provider = end.outcome.provider.or(self.record.provider.take());
        let tool_ran = end.outcome.tool_ran;
        let reply = end.result.map(|()| presentable(end.outcome.reply.unwrap_or_default(), tool_ran));
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
fn presentable(reply: String, tool_ran: bool) -> String {
    if !tool_ran && leak::before_leak(&reply).is_some() {
        return leak::NOTICE.into();
    }
    match reply.trim() {
        "" => DONE.into(),
        _ => reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// agent-entry.md #43, #45
    #[test]
    fn silence_is_done_and_a_leak_is_told() {
        assert_eq!(presentable(" \n".into(), false), DONE);
        assert_eq!(presentable("sh{\"command\":\"ls\"}".into(), false), leak::NOTICE);
        assert_eq!(presentable("sh{\"command\":\"ls\"}".into(), true), "sh{\"command\":\"ls\"}");
    }
}
