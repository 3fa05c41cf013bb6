//! The real engine behind the front: calls are passed on as they are. What its containers do is seen by the run's
//! folder, a moment later than the fake tells it; a result is never held back, so `before-result` is not seen.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{body::Body, http::StatusCode, response::Response};
use http_body_util::Full;
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use mercury_protocol::paths;
use serde_json::Value;
use tokio::net::UnixStream;

use super::{Call, agent::Mounts, refused};
use crate::{
    points::{Point, Trap},
    required,
};

/// Between two looks into a run's folder.
const LOOK: Duration = Duration::from_millis(2);
/// After which a folder is looked at no more.
const LONGEST: Duration = Duration::from_secs(120);

/// What a name stands for: the run, and its folder.
type Created = HashMap<String, (String, PathBuf)>;

pub(super) struct Real {
    engine: PathBuf,
    trap: Trap,
    created: Mutex<Created>,
    agents: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Real {
    pub(super) fn new(trap: Trap) -> Self {
        let engine = PathBuf::from(required("DOCKER_HOST").trim_start_matches("unix://"));
        Self { engine, trap, created: Mutex::default(), agents: Arc::default() }
    }

    pub(super) fn agents(&self) -> BTreeMap<String, u32> {
        self.agents.lock().unwrap().clone()
    }

    pub(super) async fn answer(&self, call: Call) -> Response {
        let (name, starts) = (call.parameter("name"), started(&call));
        let asked = serde_json::from_slice::<Value>(&call.body).unwrap_or_default();
        let response = match self.pass(call).await {
            Ok(response) => response,
            Err(error) => return refused(StatusCode::BAD_GATEWAY, &format!("{error:#}")),
        };
        if !response.status().is_success() {
            return response;
        }
        if let (Some(name), Some(io)) = (name, Mounts::of(&asked).io()) {
            let run = asked["Labels"]["mercury.run"].as_str().unwrap_or_default().to_owned();
            self.created.lock().unwrap().insert(name, (run, io.to_owned()));
        }
        let begun = starts.and_then(|name| self.created.lock().unwrap().get(&name).cloned());
        if let Some((run, io)) = begun {
            tokio::spawn(watch(run, io, self.trap.clone(), self.agents.clone()));
        }
        response
    }

    async fn pass(&self, call: Call) -> anyhow::Result<Response> {
        let stream = UnixStream::connect(&self.engine).await?;
        let (mut engine, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let target = if call.query.is_empty() { call.path } else { format!("{}?{}", call.path, call.query) };
        let request = Request::builder().method(call.method).uri(target).header("host", "docker");
        let request = request.header("content-type", "application/json").body(Full::new(call.body))?;
        Ok(engine.send_request(request).await?.map(Body::new))
    }
}

/// The container that the call starts.
fn started(call: &Call) -> Option<String> {
    match (call.method.as_str(), &call.segments()[..]) {
        ("POST", ["containers", name, "start"]) => Some((*name).to_owned()),
        _ => None,
    }
}

/// Follows a run by its folder, until its result is there or the folder is gone.
async fn watch(run: String, io: PathBuf, trap: Trap, agents: Arc<Mutex<BTreeMap<String, u32>>>) {
    let is_there = async |name: &str| tokio::fs::symlink_metadata(io.join(name)).await.is_ok();
    let begun = tokio::time::Instant::now();
    let mut taken = false;
    while begun.elapsed() < LONGEST && folder(&io).await {
        if !taken && !is_there(paths::INPUT).await && folder(&io).await {
            taken = true;
            *agents.lock().unwrap().entry(run.clone()).or_default() += 1;
            trap.reached(Point::AgentAtWork).await;
        }
        if is_there(paths::RESULT).await {
            trap.reached(Point::ResultWritten).await;
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn folder(path: &Path) -> bool {
    tokio::fs::symlink_metadata(path).await.is_ok_and(|found| found.is_dir())
}
