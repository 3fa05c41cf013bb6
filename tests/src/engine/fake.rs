//! The fake engine: containers under names, and what the host asks about them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{body::Body, http::StatusCode, response::Response};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::{sync::broadcast, task::AbortHandle};
use tokio_stream::wrappers::BroadcastStream;

use super::{Call, IMAGE, agent, answer, done, refused};
use crate::points::Trap;

/// What an engine takes its time for, shortened.
const CREATE: Duration = Duration::from_millis(4);
const START: Duration = Duration::from_millis(8);
const REMOVE: Duration = Duration::from_millis(4);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Created,
    Running,
    Exited(i64),
}

struct Container {
    name: String,
    labels: BTreeMap<String, String>,
    mounts: agent::Mounts,
    status: Status,
    agent: Option<AbortHandle>,
}

/// The end of a container, as it is announced.
#[derive(Clone)]
struct Death {
    id: String,
    name: String,
    labels: BTreeMap<String, String>,
    code: i64,
}

#[derive(Default)]
struct World {
    next: u64,
    /// By id.
    containers: HashMap<String, Container>,
    agents: BTreeMap<String, u32>,
    unknown: Vec<String>,
}

impl World {
    /// The id behind a name or an id.
    fn find(&self, wanted: &str) -> Option<String> {
        let named =
            |(id, container): (&String, &Container)| (container.name == wanted || id == wanted).then(|| id.clone());
        self.containers.iter().find_map(named)
    }
}

pub(super) struct Fake {
    world: Arc<Mutex<World>>,
    deaths: broadcast::Sender<Death>,
    trap: Trap,
}

impl Fake {
    pub(super) fn new(trap: Trap) -> Self {
        Self { world: Arc::default(), deaths: broadcast::Sender::new(1024), trap }
    }

    pub(super) fn containers(&self) -> usize {
        self.world.lock().unwrap().containers.len()
    }

    pub(super) fn agents(&self) -> BTreeMap<String, u32> {
        self.world.lock().unwrap().agents.clone()
    }

    pub(super) fn unknown(&self) -> Vec<String> {
        self.world.lock().unwrap().unknown.clone()
    }

    pub(super) async fn answer(&self, call: &Call) -> Response {
        match (call.method.as_str(), &call.segments()[..]) {
            ("GET" | "HEAD", ["_ping"]) => Response::new(Body::from("OK")),
            ("GET", ["version"]) => answer(
                StatusCode::OK,
                &json!({ "Version": "27.0.0-fake", "ApiVersion": "1.46", "MinAPIVersion": "1.24" }),
            ),
            ("GET", ["info"]) => {
                let info =
                    json!({ "ServerVersion": "27.0.0-fake", "NCPU": 2, "Runtimes": { "runc": { "path": "runc" } } });
                answer(StatusCode::OK, &info)
            }
            ("GET", ["images", "json"]) => answer(StatusCode::OK, &json!([])),
            ("GET", ["images", image, "json"]) => match *image == IMAGE {
                true => answer(StatusCode::OK, &json!({ "Id": "sha256:fa4e", "RepoTags": [IMAGE] })),
                false => refused(StatusCode::NOT_FOUND, &format!("No such image: {image}")),
            },
            ("GET", ["events"]) => self.events(call),
            ("GET", ["containers", "json"]) => self.list(call),
            ("POST", ["containers", "create"]) => self.create(call).await,
            ("POST", ["containers", name, "start"]) => self.start(name).await,
            ("GET", ["containers", name, "json"]) => self.inspect(name),
            ("GET", ["containers", _, "logs"]) => Response::new(Body::empty()),
            ("POST", ["containers", name, "kill"]) => self.kill(name),
            ("DELETE", ["containers", name]) => {
                self.remove(name, call.parameter("force").as_deref() == Some("true")).await
            }
            _ => {
                self.world.lock().unwrap().unknown.push(format!("{} {}", call.method, call.path));
                refused(StatusCode::NOT_FOUND, "page not found")
            }
        }
    }

    async fn create(&self, call: &Call) -> Response {
        let Ok(body) = serde_json::from_slice::<Value>(&call.body) else {
            return refused(StatusCode::BAD_REQUEST, "invalid JSON");
        };
        let name = call.parameter("name").unwrap_or_default();
        if body["Image"] != IMAGE {
            return refused(
                StatusCode::NOT_FOUND,
                &format!("No such image: {}", body["Image"].as_str().unwrap_or_default()),
            );
        }
        if body["HostConfig"]["Runtime"] != "runc" {
            return refused(StatusCode::BAD_REQUEST, "unknown or invalid runtime name");
        }
        tokio::time::sleep(CREATE).await;
        let labels = serde_json::from_value(body["Labels"].clone()).unwrap_or_default();
        let mut world = self.world.lock().unwrap();
        if let Some(other) = world.find(&name) {
            let message =
                format!("Conflict. The container name \"/{name}\" is already in use by container \"{other}\".");
            return refused(StatusCode::CONFLICT, &message);
        }
        world.next += 1;
        let id = format!("{:064x}", world.next);
        let container =
            Container { name, labels, mounts: agent::Mounts::of(&body), status: Status::Created, agent: None };
        world.containers.insert(id.clone(), container);
        answer(StatusCode::CREATED, &json!({ "Id": id, "Warnings": [] }))
    }

    async fn start(&self, name: &str) -> Response {
        tokio::time::sleep(START).await;
        let mut world = self.world.lock().unwrap();
        let Some(id) = world.find(name) else { return missing(name) };
        let Some(container) = world.containers.get_mut(&id) else { return missing(name) };
        if container.status == Status::Running {
            return Response::builder().status(StatusCode::NOT_MODIFIED).body(Body::empty()).unwrap();
        }
        container.status = Status::Running;
        let run = container.labels.get("mercury.run").cloned().unwrap_or_default();
        let (mounts, trap, world, deaths) =
            (container.mounts.clone(), self.trap.clone(), self.world.clone(), self.deaths.clone());
        let living = tokio::spawn(async move {
            let counted = world.clone();
            let code =
                agent::live(mounts, trap, move || *counted.lock().unwrap().agents.entry(run).or_default() += 1).await;
            ended(&world, &deaths, &id, code);
        });
        container.agent = Some(living.abort_handle());
        done()
    }

    fn inspect(&self, name: &str) -> Response {
        let world = self.world.lock().unwrap();
        let Some(id) = world.find(name) else { return missing(name) };
        let container = &world.containers[&id];
        let (status, code) = match container.status {
            Status::Created => ("created", 0),
            Status::Running => ("running", 0),
            Status::Exited(code) => ("exited", code),
        };
        let running = container.status == Status::Running;
        let state = json!({ "Status": status, "Running": running, "ExitCode": code, "OOMKilled": false });
        answer(StatusCode::OK, &json!({ "Id": id, "Name": format!("/{}", container.name), "State": state }))
    }

    fn kill(&self, name: &str) -> Response {
        let (id, status) = {
            let world = self.world.lock().unwrap();
            let Some(id) = world.find(name) else { return missing(name) };
            let status = world.containers[&id].status;
            (id, status)
        };
        if status != Status::Running {
            return refused(StatusCode::CONFLICT, &format!("container {id} is not running"));
        }
        ended(&self.world, &self.deaths, &id, 137);
        done()
    }

    async fn remove(&self, name: &str, force: bool) -> Response {
        let found = |world: &World| world.find(name).map(|id| (world.containers[&id].status, id));
        let Some((status, id)) = found(&self.world.lock().unwrap()) else { return missing(name) };
        if status == Status::Running {
            if !force {
                return refused(StatusCode::CONFLICT, "cannot remove a running container");
            }
            ended(&self.world, &self.deaths, &id, 137);
        }
        tokio::time::sleep(REMOVE).await;
        match self.world.lock().unwrap().containers.remove(&id) {
            Some(_) => done(),
            None => missing(name),
        }
    }

    fn list(&self, call: &Call) -> Response {
        let wanted = Wanted::of(call);
        let world = self.world.lock().unwrap();
        let matching = world.containers.iter().filter(|(_, container)| wanted.labels_fit(&container.labels));
        let shown = matching.map(|(id, container)| {
            let state = match container.status {
                Status::Created => "created",
                Status::Running => "running",
                Status::Exited(_) => "exited",
            };
            json!({ "Id": id, "Names": [format!("/{}", container.name)], "Labels": container.labels, "State": state })
        });
        answer(StatusCode::OK, &Value::Array(shown.collect()))
    }

    /// The ends of containers, until whoever asked is gone.
    fn events(&self, call: &Call) -> Response {
        let wanted = Wanted::of(call);
        let lines = BroadcastStream::new(self.deaths.subscribe()).filter_map(move |death| {
            let line = death.ok().filter(|death| wanted.labels_fit(&death.labels)).map(|death| {
                let mut attributes = json!({ "name": death.name, "exitCode": death.code.to_string() });
                for (label, value) in death.labels {
                    attributes[label] = value.into();
                }
                let actor = json!({ "ID": death.id, "Attributes": attributes });
                let event = json!({ "Type": "container", "Action": "die", "Actor": actor, "scope": "local" });
                Ok::<_, std::io::Error>(Bytes::from(format!("{event}\n")))
            });
            std::future::ready(line)
        });
        let response = Response::builder().header("content-type", "application/json");
        response.body(Body::from_stream(lines)).unwrap()
    }
}

fn missing(name: &str) -> Response {
    refused(StatusCode::NOT_FOUND, &format!("No such container: {name}"))
}

/// Once, whichever end comes first.
fn ended(world: &Mutex<World>, deaths: &broadcast::Sender<Death>, id: &str, code: i64) {
    let mut world = world.lock().unwrap();
    let Some(container) = world.containers.get_mut(id).filter(|container| container.status == Status::Running) else {
        return;
    };
    container.status = Status::Exited(code);
    if let Some(agent) = container.agent.take() {
        // Where it has ended by itself this is its own last step.
        agent.abort();
    }
    // Nobody may be listening.
    let _ =
        deaths.send(Death { id: id.to_owned(), name: container.name.clone(), labels: container.labels.clone(), code });
}

/// The filters of a request, as far as the host uses them.
struct Wanted(Vec<String>);

impl Wanted {
    fn of(call: &Call) -> Self {
        let filters = call.parameter("filters").and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let labels = filters.map(|filters| filters["label"].clone()).unwrap_or_default();
        Self(serde_json::from_value(labels).unwrap_or_default())
    }

    fn labels_fit(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|wanted| {
            wanted.split_once('=').is_some_and(|(label, value)| labels.get(label).is_some_and(|found| found == value))
        })
    }
}
