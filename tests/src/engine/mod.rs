//! A Docker Engine for the durability suites: a FAKE one, or the real one behind the same front.
//!
//! The front speaks Docker's HTTP API over a unix socket and reports the calls that pass it as [`Point`]s. The
//! fake behind it knows what the host uses, and no more: it keeps containers under their names, starts in each
//! an agent that reads and writes the run's folder as `entry` does ([`agent`]), announces their ends, and lives in
//! the suite's process, so it outlives every host as a real engine does. A container costs it milliseconds
//! instead of half a second. It knows no other runtime than runc, no image but its own, no network, no limits, and no build.
//! What it does not know it refuses and remembers, so that a suite notices.
//!
//! That it is faithful is shown by the same suite against the real engine ([`Engine::real`]).

mod agent;
mod fake;
mod real;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body, extract::State, http::StatusCode, response::Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{Method, Request};
use serde_json::json;
use tokio::net::UnixListener;

use crate::points::{Point, Trap};

/// The image that the fake has.
pub const IMAGE: &str = "mercury-fake-agent:latest";

#[derive(Clone)]
enum Behind {
    Fake(Arc<fake::Fake>),
    Real(Arc<real::Real>),
}

#[derive(Clone)]
struct Front {
    behind: Behind,
    trap: Trap,
    /// What becomes of a request whose host was killed when it arrived: by turns it is carried out and lost.
    lose: Arc<Mutex<bool>>,
}

pub struct Engine {
    front: Front,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Engine {
    pub async fn fake(trap: Trap) -> Self {
        let fake = Arc::new(fake::Fake::new(trap.clone()));
        Self::serve(Behind::Fake(fake), trap)
    }

    /// The one of `DOCKER_HOST`.
    pub async fn real(trap: Trap) -> Self {
        let real = Arc::new(real::Real::new(trap.clone()));
        Self::serve(Behind::Real(real), trap)
    }

    fn serve(behind: Behind, trap: Trap) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let front = Front { behind, trap, lose: Arc::default() };
        let router = Router::new().fallback(take).with_state(front.clone());
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { front, path, _folder: folder }
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    pub fn is_real(&self) -> bool {
        matches!(self.front.behind, Behind::Real(_))
    }

    /// The image that hosts of this engine use.
    pub fn image(&self) -> String {
        if self.is_real() { crate::minimal_image() } else { IMAGE.to_owned() }
    }

    /// Containers of a data directory that are there now.
    pub async fn containers(&self, instance: &str) -> usize {
        match &self.front.behind {
            Behind::Fake(fake) => fake.containers(),
            Behind::Real(_) => crate::docker::inspect_all(instance).await.len(),
        }
    }

    /// How many agents began to work, for each run.
    pub fn agents(&self) -> BTreeMap<String, u32> {
        match &self.front.behind {
            Behind::Fake(fake) => fake.agents(),
            Behind::Real(real) => real.agents(),
        }
    }

    /// Requests that the fake did not know.
    pub fn unknown(&self) -> Vec<String> {
        match &self.front.behind {
            Behind::Fake(fake) => fake.unknown(),
            Behind::Real(_) => Vec::new(),
        }
    }
}

/// A call as it arrived, without the API's version.
struct Call {
    method: Method,
    path: String,
    query: String,
    body: Bytes,
}

impl Call {
    fn segments(&self) -> Vec<&str> {
        self.path.split('/').filter(|segment| !segment.is_empty()).collect()
    }

    /// A parameter of the query.
    fn parameter(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The points at its arrival, and between what it does and its answer.
    fn points(&self) -> (Option<Point>, Option<Point>) {
        match (self.method.as_str(), &self.segments()[..]) {
            ("POST", ["containers", "create"]) => (Some(Point::CreateAsked), Some(Point::Created)),
            ("POST", ["containers", _, "start"]) => (Some(Point::StartAsked), Some(Point::Started)),
            ("GET", ["containers", "json"]) => (Some(Point::ListAsked), None),
            ("GET", ["containers", _, "json"]) => (Some(Point::InspectAsked), None),
            ("DELETE", ["containers", _]) => (Some(Point::RemoveAsked), Some(Point::Removed)),
            _ => (None, None),
        }
    }
}

/// In a task of its own: an engine finishes what it was asked, whether the asker lives or not.
async fn take(State(front): State<Front>, request: Request<Body>) -> Response {
    tokio::spawn(front.answer(request)).await.unwrap()
}

impl Front {
    async fn answer(self, request: Request<Body>) -> Response {
        let (head, body) = request.into_parts();
        // Its host may have died while it asked.
        let Ok(body) = body.collect().await else { return refused(StatusCode::BAD_REQUEST, "cut off") };
        let path = without_version(head.uri.path());
        let query = head.uri.query().unwrap_or_default().to_owned();
        let call = Call { method: head.method, path, query, body: body.to_bytes() };
        let (arrived, done) = call.points();
        if let Some(point) = arrived
            && self.trap.reached(point).await
            && self.is_lost()
        {
            return refused(StatusCode::INTERNAL_SERVER_ERROR, "the asker is gone");
        }
        let response = match &self.behind {
            Behind::Fake(fake) => fake.answer(&call).await,
            Behind::Real(real) => real.answer(call).await,
        };
        if let Some(point) = done {
            self.trap.reached(point).await;
        }
        response
    }

    fn is_lost(&self) -> bool {
        let mut lose = self.lose.lock().unwrap();
        *lose = !*lose;
        *lose
    }
}

fn without_version(path: &str) -> String {
    match path.strip_prefix("/v").and_then(|rest| rest.split_once('/')) {
        Some((version, rest)) if version.starts_with(|first: char| first.is_ascii_digit()) => format!("/{rest}"),
        _ => path.to_owned(),
    }
}

/// As an engine refuses.
fn refused(status: StatusCode, message: &str) -> Response {
    answer(status, &json!({ "message": message }))
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Body::from(body.to_string())).unwrap()
}

fn done() -> Response {
    Response::builder().status(StatusCode::NO_CONTENT).body(Body::empty()).unwrap()
}
