//! The Docker Engine, through its HTTP API. Plain request and response calls only: the stream of
//! events is an acceleration that may be missing (a proxy may carry neither it nor long waits).

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    models::{ContainerCreateBody, ContainerStateStatusEnum},
    query_parameters::{
        CreateContainerOptions, CreateImageOptions, EventsOptions, InspectContainerOptions, KillContainerOptions,
        ListContainersOptions, LogsOptions, RemoveContainerOptions, StartContainerOptions,
    },
};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use super::create::{LABEL_INSTANCE, LABEL_MANAGED, LABEL_RUN};
use crate::domain::{failure::Failure, outcome::Exit};

/// Create, start, kill and so on: 20 s, as in the replaced system.
const PATIENCE: Duration = Duration::from_secs(20);
/// An inspect is asked again later, so it need not wait that long.
const INSPECT_PATIENCE: Duration = Duration::from_secs(5);
/// Lines of a crashed container's output that are looked at.
const OUTPUT_LINES: &str = "40";

#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error("{0}")]
    Unavailable(String),
    #[error("{message}")]
    Answered { status: u16, message: String },
}

impl DaemonError {
    fn is_missing(&self) -> bool {
        matches!(self, Self::Answered { status: 404, .. })
    }
}

impl From<bollard::errors::Error> for DaemonError {
    fn from(error: bollard::errors::Error) -> Self {
        match error {
            bollard::errors::Error::DockerResponseServerError { status_code, message } => {
                Self::Answered { status: status_code, message }
            }
            other => Self::Unavailable(with_causes(&other)),
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

/// What the daemon says of itself.
#[derive(Clone, Debug)]
pub struct Info {
    pub version: String,
    pub runtimes: Vec<String>,
}

/// One of our containers.
#[derive(Clone, Debug)]
pub struct Managed {
    pub id: String,
    pub run: Option<String>,
}

/// What became of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    Gone,
    Created,
    Alive,
    Exited(Exit),
}

#[derive(Debug)]
pub struct Daemon {
    host: Option<String>,
    client: OnceCell<Docker>,
}

impl Daemon {
    /// Touches nothing: the daemon may come up later.
    pub fn new(host: Option<String>) -> Self {
        Self { host, client: OnceCell::new() }
    }

    /// Where the daemon is looked for.
    pub fn address(&self) -> &str {
        self.host.as_deref().unwrap_or("unix:///var/run/docker.sock")
    }

    async fn client(&self) -> Result<&Docker, DaemonError> {
        self.client
            .get_or_try_init(|| async {
                let docker = match &self.host {
                    Some(host) => Docker::connect_with_host(host)?,
                    None => Docker::connect_with_unix_defaults()?,
                };
                // Long enough for a pull's stream; each short call has its own limit.
                let docker = docker.with_timeout(Duration::from_secs(600));
                within(PATIENCE, docker.negotiate_version()).await
            })
            .await
            .map_err(|error| match error {
                DaemonError::Unavailable(reason) => DaemonError::Unavailable(format!("{}: {reason}", self.address())),
                answered => answered,
            })
    }

    pub async fn info(&self) -> Result<Info, DaemonError> {
        let info = within(INSPECT_PATIENCE, self.client().await?.info()).await?;
        let mut runtimes: Vec<String> = info.runtimes.unwrap_or_default().into_keys().collect();
        runtimes.sort();
        Ok(Info { version: info.server_version.unwrap_or_default(), runtimes })
    }

    pub async fn create(&self, name: &str, body: ContainerCreateBody) -> Result<(), DaemonError> {
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
        within(PATIENCE, self.client().await?.create_container(Some(options), body)).await?;
        Ok(())
    }

    pub async fn start(&self, name: &str) -> Result<(), DaemonError> {
        within(PATIENCE, self.client().await?.start_container(name, None::<StartContainerOptions>)).await
    }

    pub async fn inspect(&self, name: &str) -> Result<Liveness, DaemonError> {
        let inspected =
            within(INSPECT_PATIENCE, self.client().await?.inspect_container(name, None::<InspectContainerOptions>))
                .await;
        let state = match inspected {
            Ok(found) => found.state.unwrap_or_default(),
            Err(error) if error.is_missing() => return Ok(Liveness::Gone),
            Err(error) => return Err(error),
        };
        Ok(match state.status {
            Some(ContainerStateStatusEnum::CREATED) => Liveness::Created,
            Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD) => {
                Liveness::Exited(Exit { code: state.exit_code, oom_killed: state.oom_killed.unwrap_or(false) })
            }
            _ => Liveness::Alive,
        })
    }

    /// A container that is gone, or has ended, counts as killed.
    pub async fn kill(&self, name: &str) -> Result<(), DaemonError> {
        match within(PATIENCE, self.client().await?.kill_container(name, None::<KillContainerOptions>)).await {
            Err(DaemonError::Answered { status: 404 | 409, .. }) => Ok(()),
            other => other,
        }
    }

    /// Removes it even if it runs. One that is gone, or being removed, counts as removed.
    pub async fn remove(&self, name: &str) -> Result<(), DaemonError> {
        let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
        match within(PATIENCE, self.client().await?.remove_container(name, Some(options))).await {
            Err(DaemonError::Answered { status: 404 | 409, .. }) => Ok(()),
            other => other,
        }
    }

    /// The containers of this data directory, running or not.
    pub async fn managed(&self, instance: &str) -> Result<Vec<Managed>, DaemonError> {
        let filters = HashMap::from([(
            "label".to_owned(),
            vec![format!("{LABEL_MANAGED}=true"), format!("{LABEL_INSTANCE}={instance}")],
        )]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
        let found = within(PATIENCE, self.client().await?.list_containers(Some(options))).await?;
        Ok(found
            .into_iter()
            .filter_map(|container| {
                Some(Managed {
                    id: container.id?,
                    run: container.labels.and_then(|labels| labels.get(LABEL_RUN).cloned()),
                })
            })
            .collect())
    }

    /// The end of what the container printed. Best effort: empty where it cannot be had.
    pub async fn output(&self, name: &str) -> String {
        let Ok(client) = self.client().await else { return String::new() };
        let options =
            LogsOptions { stdout: true, stderr: true, tail: OUTPUT_LINES.to_owned(), ..LogsOptions::default() };
        let lines = client.logs(name, Some(options)).take(200).filter_map(|line| async { line.ok() });
        let collected = tokio::time::timeout(INSPECT_PATIENCE, lines.collect::<Vec<_>>()).await.unwrap_or_default();
        collected.iter().map(|line| line.to_string()).collect::<String>().trim().to_owned()
    }

    pub async fn has_image(&self, image: &str) -> Result<bool, DaemonError> {
        match within(INSPECT_PATIENCE, self.client().await?.inspect_image(image)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Pulls an image; `progress` gets a line now and then.
    pub async fn pull(&self, image: &str, mut progress: impl FnMut(String)) -> Result<(), DaemonError> {
        let options = CreateImageOptions { from_image: Some(image.to_owned()), ..CreateImageOptions::default() };
        let mut stream = self.client().await?.create_image(Some(options), None, None);
        while let Some(step) = stream.try_next().await? {
            if let (Some(id), Some(status)) = (step.id, step.status) {
                progress(format!("{id}: {status}"));
            }
        }
        Ok(())
    }

    /// Names of containers of this data directory as they end.
    pub async fn exits(
        &self,
        instance: &str,
    ) -> Result<impl Stream<Item = Result<String, DaemonError>> + use<>, DaemonError> {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("event".to_owned(), vec!["die".to_owned()]),
            ("label".to_owned(), vec![format!("{LABEL_INSTANCE}={instance}")]),
        ]);
        let stream =
            self.client().await?.events(Some(EventsOptions { filters: Some(filters), ..EventsOptions::default() }));
        Ok(stream.map_err(DaemonError::from).try_filter_map(|event| async move {
            Ok(event.actor.and_then(|actor| actor.attributes).and_then(|attributes| attributes.get("name").cloned()))
        }))
    }
}

async fn within<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, DaemonError> {
    match tokio::time::timeout(patience, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(DaemonError::Unavailable(format!(
            "no answer within {} s; the daemon may be overloaded or stuck",
            patience.as_secs()
        ))),
    }
}

/// What a refused create or start means. Docker has no codes for it, only texts (20.10 to 28).
pub(super) fn classify(error: DaemonError, image: &str, runtime: &str) -> Failure {
    match error {
        DaemonError::Unavailable(detail) => Failure::DockerUnavailable { detail },
        DaemonError::Answered { message, .. } => {
            let text = message.to_lowercase();
            if text.contains("no such image") {
                Failure::ImageMissing { image: image.to_owned() }
            } else if text.contains("unknown runtime") || text.contains("unknown or invalid runtime") {
                Failure::RuntimeMissing { runtime: runtime.to_owned() }
            } else if text.contains("no space left on device") {
                Failure::Storage { detail: message }
            } else {
                Failure::Refused { detail: message }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// container.md W1: a missing image is known by Docker's answer, not by a client's exit code.
    #[test]
    fn refusals_are_told_apart() {
        let refused = |message: &str| {
            classify(DaemonError::Answered { status: 400, message: message.into() }, "image:1", "runsc").code()
        };
        assert_eq!(refused("No such image: image:1"), "image_missing");
        assert_eq!(refused("Unknown runtime specified runsc"), "runtime_missing");
        assert_eq!(refused("unknown or invalid runtime name: runsc"), "runtime_missing");
        assert_eq!(refused("write /var/lib: no space left on device"), "storage");
        assert_eq!(refused("invalid mount config"), "container_refused");
        assert_eq!(classify(DaemonError::Unavailable("x".into()), "", "").code(), "docker_unavailable");
    }
}
