//! What goes on in a fake's container: the request is taken, the scripted agent's orders are carried out, and the
//! result is handed in. Taking, sealing and handing in are `entry`'s own code.
//!
//! Of the scripted agent's orders it knows `!reply`, `!sleep`, `!write` and `!tool`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use mercury_entry::{clock, outbox::Snapshot, publish, request};
use mercury_protocol::{
    io::{AgentTimings, Request, RunResult},
    paths,
    socket::{TOOL_CALLS, ToolCall, ToolVerdict},
};
use mrctl::client;
use serde_json::json;

use crate::points::{Point, Trap};

/// From the start to the agent's first step, and from its result to the container's end.
const BOOT: Duration = Duration::from_millis(10);
const END: Duration = Duration::from_millis(5);
/// A host that is restarted is waited for this long, as the scripted agent does.
const BACK_WITHIN: Duration = Duration::from_secs(60);
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// A container's mounts: place inside → folder outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Mounts(pub(super) BTreeMap<String, PathBuf>);

impl Mounts {
    /// From the binds of a create request.
    pub(super) fn of(body: &serde_json::Value) -> Self {
        let binds = body["HostConfig"]["Binds"].as_array().into_iter().flatten().filter_map(|bind| bind.as_str());
        let pair = |bind: &str| {
            let mut parts = bind.split(':');
            let (outside, inside) = (parts.next()?, parts.next()?);
            Some((inside.to_owned(), PathBuf::from(outside)))
        };
        Self(binds.filter_map(pair).collect())
    }

    pub(super) fn io(&self) -> Option<&Path> {
        self.0.get(paths::IO_DIR).map(PathBuf::as_path)
    }

    fn workspace(&self, inside: &str) -> Option<&Path> {
        self.0.get(inside).map(PathBuf::as_path)
    }

    fn socket(&self) -> Option<PathBuf> {
        self.0.get(paths::RUN_DIR).map(|folder| folder.join(paths::SOCKET))
    }
}

/// From the container's start to its end: the exit code. `begun` is called when the request was taken.
pub(super) async fn live(mounts: Mounts, trap: Trap, begun: impl FnOnce()) -> i64 {
    let started = clock::now_us();
    tokio::time::sleep(BOOT).await;
    let Some(io) = mounts.io().map(Path::to_owned) else { return 1 };
    let take = io.clone();
    let Ok(Ok((request, _))) = tokio::task::spawn_blocking(move || request::take(&take)).await else { return 1 };
    begun();
    trap.reached(Point::AgentAtWork).await;
    let workspace = mounts.workspace(&request.space_workspace).map(Path::to_owned).unwrap_or_default();
    let before = Snapshot::of(&workspace);
    let spawned = clock::now_us();
    let reply = carry_out(&request, &workspace, mounts.socket()).await;
    let ended = clock::now_us();
    let timings =
        AgentTimings { entry_started: started, agent_spawned: spawned, agent_ready: spawned, agent_ended: ended };
    let result = RunResult {
        ok: true,
        reply: Some(reply),
        files: Some(before.written_until(&Snapshot::of(&workspace))),
        timings: Some(timings),
        ..RunResult::default()
    };
    trap.reached(Point::BeforeResult).await;
    if publish::to_directory(&io, &result, &request.seal).is_err() {
        return 1;
    }
    trap.reached(Point::ResultWritten).await;
    tokio::time::sleep(END).await;
    0
}

async fn carry_out(request: &Request, workspace: &Path, socket: Option<PathBuf>) -> String {
    let mut orders: Vec<&str> = request.prompt.lines().rev().take_while(|line| line.starts_with('!')).collect();
    orders.reverse();
    let mut said = Vec::new();
    for order in orders {
        let (name, rest) = order.split_once(' ').unwrap_or((order, ""));
        match name {
            "!reply" => said.push(rest.to_owned()),
            "!sleep" => tokio::time::sleep(Duration::from_millis(rest.parse().unwrap_or(0))).await,
            "!write" => {
                let (path, content) = rest.split_once(' ').unwrap_or((rest, ""));
                said.push(match std::fs::write(workspace.join(path), content) {
                    Ok(()) => format!("wrote {path}"),
                    Err(error) => format!("error: {path}: {error}"),
                });
            }
            "!tool" => said.push(tool(rest, socket.clone()).await),
            _ => said.push(format!("error: unknown order {name}")),
        }
    }
    said.join("\n")
}

/// Asks the host over the run's socket, and asks again where there is none.
async fn tool(rest: &str, socket: Option<PathBuf>) -> String {
    let (name, command) = rest.split_once(' ').unwrap_or((rest, ""));
    let Some(socket) = socket else { return "error: no socket".into() };
    let id = format!("{:x}", clock::now_us());
    let call = ToolCall { id: Some(id), tool: name.into(), arguments: json!({ "command": command }) };
    let body = serde_json::to_vec(&call).unwrap();
    let until = tokio::time::Instant::now() + BACK_WITHIN;
    loop {
        let (socket, body) = (socket.clone(), body.clone());
        let ask = move || client::exchange(&socket, &client::Request::post(TOOL_CALLS, body));
        match tokio::task::spawn_blocking(ask).await.unwrap() {
            Ok(answer) => {
                return match serde_json::from_slice(&answer.body) {
                    Ok(ToolVerdict::Allow) => "allow".into(),
                    Ok(ToolVerdict::Deny { reason }) => format!("deny: {reason}"),
                    other => format!("error: {other:?}"),
                };
            }
            Err(error) if tokio::time::Instant::now() > until => return format!("error: {error}"),
            Err(_) => tokio::time::sleep(RETRY_AFTER).await,
        }
    }
}
