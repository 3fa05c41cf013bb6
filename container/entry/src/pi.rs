//! How pi is started and what its end means. The only place that starts a process; the process
//! itself is in [`crate::process`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mercury_protocol::io::Leg;
use rustix::process::WaitStatus;

use crate::browser::executable;
use crate::clock;
use crate::events::{Outcome, Stream};
use crate::failure::AttemptError;
use crate::memory;
use crate::process::Running;
use crate::signals::Signals;

/// SIGKILL, and the exit code that shells and `bwrap` make of it.
const KILL: i32 = 9;
const KILLED: i32 = 128 + KILL;

/// What to start. The same for every attempt but for provider and model.
#[derive(Debug)]
pub struct Plan {
    pub workspace: PathBuf,
    pub extensions: Vec<PathBuf>,
    pub system_prompt: PathBuf,
    /// Replace pi's own system prompt rather than add to it.
    pub override_system_prompt: bool,
    /// The only tools of the agent; `None`: all.
    pub tools: Option<Vec<String>>,
    pub environment: BTreeMap<OsString, OsString>,
    /// Written to pi's stdin.
    pub prompt: String,
    /// Where the kernel counts what it ended for want of memory.
    pub control_groups: PathBuf,
}

/// How it ended, and when, in microseconds since the epoch.
#[derive(Debug)]
pub struct End {
    pub result: Result<(), AttemptError>,
    pub outcome: Outcome,
    pub spawned: u64,
    /// pi printed its first byte; 0 if it never did.
    pub ready: u64,
    pub ended: u64,
}

/// agent-entry.md 7.1, the 0.9 form.
pub fn arguments(plan: &Plan, leg: &Leg) -> Vec<OsString> {
    let mut all: Vec<OsString> = ["--print", "--mode", "json", "--no-approve", "--no-session"].map(Into::into).into();
    all.extend(["--provider", &leg.provider, "--model", &leg.model].map(Into::into));
    match &plan.tools {
        _ if !leg.capabilities.tools => all.extend(["--no-tools", "--no-skills"].map(Into::into)),
        Some(tools) if tools.is_empty() => all.push("--no-tools".into()),
        Some(tools) => all.extend(["--tools".into(), tools.join(",").into()]),
        None => {}
    }
    all.push("--no-extensions".into());
    for extension in &plan.extensions {
        all.extend(["-e".into(), extension.clone().into()]);
    }
    let flag = if plan.override_system_prompt { "--system-prompt" } else { "--append-system-prompt" };
    all.push(flag.into());
    all.push(plan.system_prompt.clone().into());
    all
}

/// Runs pi once, by way of `wrapper` if there is one: `bwrap`'s arguments. `time` is how long the
/// model may take to begin its answer.
pub fn run(plan: &Plan, wrapper: Option<&[OsString]>, leg: &Leg, time: Duration, signals: &Signals) -> End {
    let spawned = clock::now_us();
    let deadline = Instant::now() + time;
    let ended_before = memory::killed(&plan.control_groups);
    let mut running = match start(plan, wrapper, leg) {
        Ok(running) => running,
        Err(error) => {
            let result = Err(AttemptError::NotStarted(error));
            return End { result, outcome: Stream::default().finish(), spawned, ready: 0, ended: clock::now_us() };
        }
    };
    let attended = running.attend(&plan.prompt, deadline, signals);
    let ended = clock::now_us();
    let heard = running.end(signals);
    let mut result = attended.and_then(|status| judge(status, &heard.outcome, heard.stderr));
    let killed = |error: &AttemptError| {
        // `bwrap` passes a signal on as a code.
        matches!(error, AttemptError::Killed { signal: KILL, .. } | AttemptError::Exited { code: KILLED, .. })
    };
    if result.as_ref().is_err_and(killed) && memory::killed(&plan.control_groups) > ended_before {
        result = Err(AttemptError::OutOfMemory);
    }
    End { result, outcome: heard.outcome, spawned, ready: heard.ready, ended }
}

/// `status` is `None` if we ended pi because of the failure that it had reported.
fn judge(status: Option<WaitStatus>, outcome: &Outcome, stderr: String) -> Result<(), AttemptError> {
    let Some(status) = status else {
        let failure = outcome.reply.as_ref().err().cloned();
        return Err(AttemptError::Model(failure.unwrap_or_else(|| "the model call failed".into())));
    };
    if let Some(signal) = status.terminating_signal() {
        return Err(AttemptError::Killed { signal, stderr });
    }
    // pi ends with code 0 after a failure of the model; and where both speak, the model's own
    // words are the better ones.
    match (&outcome.reply, status.exit_status()) {
        (Err(failure), _) => Err(AttemptError::Model(failure.clone())),
        (Ok(_), Some(0)) => Ok(()),
        (Ok(_), code) => Err(AttemptError::Exited { code: code.unwrap_or(-1), stderr }),
    }
}

fn start(plan: &Plan, wrapper: Option<&[OsString]>, leg: &Leg) -> Result<Running, String> {
    if !plan.workspace.is_dir() {
        return Err(format!("the workspace {} is missing", plan.workspace.display()));
    }
    let path = plan.environment.get(OsStr::new("PATH")).cloned().unwrap_or_default();
    let find = |name: &str| find(name, &path).ok_or_else(|| format!("no program '{name}' in {}", path.display()));
    let pi = find("pi")?;
    let program = if wrapper.is_some() { find("bwrap")? } else { pi.clone() };
    #[allow(clippy::disallowed_methods, reason = "starting pi is what this program is for")]
    let mut command = Command::new(&program);
    if let Some(wrapper) = wrapper {
        command.args(wrapper).arg(&pi);
    }
    command
        .args(arguments(plan, leg))
        .current_dir(&plan.workspace)
        .env_clear()
        .envs(&plan.environment)
        // A group of its own, so that it can be ended with what it started.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
    Running::new(child).map_err(|error| error.to_string())
}

/// The first executable of that name on `path`.
fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|dir| dir.join(name)).find(|file| executable(file))
}
