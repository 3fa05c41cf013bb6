//! The Docker Engine, through its HTTP API. Plain request and response calls only: the stream of
//! events is an acceleration that may be missing (a proxy may carry neither it nor long waits).

use std::{collections::HashMap, sync::OnceLock, time::Duration};

use super::create::{LABEL_INSTANCE, LABEL_MANAGED, LABEL_RUN};
use crate::domain::{causes::with_causes, failure::Failure, outcome::Exit};
use bollard::{
    Docker,
    models::{ContainerCreateBody, ContainerStateStatusEnum},
    query_parameters::{
        BuildImageOptions, CreateContainerOptions, CreateImageOptions, EventsOptions, InspectContainerOptions,
        KillContainerOptions, ListContainersOptions, ListImagesOptions, LogsOptions, RemoveContainerOptions,
        RemoveImageOptions, StartContainerOptions,
    },
};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

/// Create, start, kill and so on: 20 s, as in the replaced system.
const PATIENCE: Duration = Duration::from_secs(20);
/// An inspect is asked again later, so it need not wait that long.
const INSPECT_PATIENCE: Duration = Duration::from_secs(5);
/// Looking at images: 10 s, as in the replaced system.
const IMAGE_PATIENCE: Duration = Duration::from_secs(10);
/// A derived image's build: 600 s, as in the replaced system.
const BUILD_PATIENCE: Duration = Duration::from_secs(600);
/// A pull: 300 s, as in the replaced system.
const PULL_PATIENCE: Duration = Duration::from_secs(300);
/// Bytes of a build's output that are kept for its error.
const OUTPUT_KEPT: usize = 4000;
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

fn refused_build(said: &str, error: &str) -> DaemonError {
    DaemonError::Answered { status: 500, message: format!("{error}: {}", said.trim()) }
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
    client: OnceLock<Docker>,
    cpus: OnceCell<i64>,
}

impl Daemon {
    /// Touches nothing: the daemon may come up later.
    pub fn new(host: Option<String>) -> Self {
        Self { host, client: OnceLock::new(), cpus: OnceCell::new() }
    }

    /// Where the daemon is looked for.
    pub fn address(&self) -> &str {
        self.host.as_deref().unwrap_or("unix:///var/run/docker.sock")
    }

    /// Connected and agreed on a version. Each caller tries for itself: waiting for another's attempt
    /// would add up their patience while the daemon hangs.
    async fn client(&self) -> Result<&Docker, DaemonError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let connect = async {
            let docker = match &self.host {
                Some(host) => Docker::connect_with_host(host)?,
                None => Docker::connect_with_unix_defaults()?,
            };
            // Long enough for a pull's stream; each short call has its own limit.
            let docker = docker.with_timeout(Duration::from_secs(600));
            within(PATIENCE, docker.negotiate_version()).await
        };
        let connected = connect.await.map_err(|error| match error {
            DaemonError::Unavailable(reason) => DaemonError::Unavailable(format!("{}: {reason}", self.address())),
            answered => answered,
        })?;
        Ok(self.client.get_or_init(|| connected))
    }

    /// The daemon's processors, asked for once: it refuses a container that is given more.
    pub async fn cpus(&self) -> Option<i64> {
        let ask = || async {
            let info = within(INSPECT_PATIENCE, self.client().await?.info()).await?;
            info.ncpu.filter(|cpus| *cpus > 0).ok_or_else(|| DaemonError::Unavailable("it names no processors".into()))
        };
        self.cpus.get_or_try_init(ask).await.ok().copied()
    }

    pub async fn info(&self) -> Result<Info, DaemonError> {
        let info = within(INSPECT_PATIENCE, self.client().await?.info()).await?;
        let mut runtimes: Vec<String> = info.runtimes.unwrap_or_default().into_keys().collect();
        runtimes.sort();
        Ok(Info { version: info.server_version.unwrap_or_default(), runtimes })
    }

    /// Whether it answers at all.
    pub(super) async fn ping(&self) -> Result<(), DaemonError> {
        let asked = async {
            let client = self.client().await?;
            within(INSPECT_PATIENCE, client.ping()).await.map(drop)
        };
        tokio::time::timeout(INSPECT_PATIENCE, asked).await.unwrap_or_else(|_| Err(silent(INSPECT_PATIENCE)))
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
        self.list(filters).await
    }

    async fn list(&self, filters: HashMap<String, Vec<String>>) -> Result<Vec<Managed>, DaemonError> {
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
        Ok(self.image_id(image).await?.is_some())
    }

    /// `None` where the daemon does not have it.
    pub async fn image_id(&self, image: &str) -> Result<Option<String>, DaemonError> {
        match within(IMAGE_PATIENCE, self.client().await?.inspect_image(image)).await {
            Ok(found) => Ok(Some(found.id.unwrap_or_default())),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Builds an image of a packed context, with the classic builder.
    pub async fn build(&self, tag: &str, labels: HashMap<String, String>, context: Vec<u8>) -> Result<(), DaemonError> {
        let options = BuildImageOptions {
            dockerfile: "Dockerfile".to_owned(),
            t: Some(tag.to_owned()),
            rm: true,
            forcerm: true,
            labels: Some(labels),
            ..BuildImageOptions::default()
        };
        let body = bollard::body_full(context.into());
        let build = async {
            let mut stream = std::pin::pin!(self.client().await?.build_image(options, None, Some(body)));
            // What a failed step printed is all that says why.
            let mut said = String::new();
            while let Some(step) = stream.next().await {
                let step = step.map_err(|error| match error {
                    bollard::errors::Error::DockerStreamError { error } => refused_build(&said, &error),
                    other => other.into(),
                })?;
                if let Some(detail) = step.error_detail {
                    return Err(refused_build(&said, &detail.message.unwrap_or_default()));
                }
                if let Some(line) = step.stream {
                    if !line.trim().is_empty() {
                        tracing::debug!(tag, "{}", line.trim_end());
                    }
                    said.push_str(&line);
                    let drop = said.len().saturating_sub(OUTPUT_KEPT);
                    said.drain(..said.ceil_char_boundary(drop));
                }
            }
            Ok(())
        };
        match tokio::time::timeout(BUILD_PATIENCE, build).await {
            Ok(built) => built,
            Err(_) => Err(refused_build("", &format!("it took longer than {} s", BUILD_PATIENCE.as_secs()))),
        }
    }

    /// The tags of a repository whose images carry `label`.
    pub async fn tags(&self, repository: &str, label: String) -> Result<Vec<String>, DaemonError> {
        let filters =
            HashMap::from([("reference".to_owned(), vec![repository.to_owned()]), ("label".to_owned(), vec![label])]);
        let options = ListImagesOptions { filters: Some(filters), ..ListImagesOptions::default() };
        let images = within(IMAGE_PATIENCE, self.client().await?.list_images(Some(options))).await?;
        Ok(images.into_iter().flat_map(|image| image.repo_tags).collect())
    }

    /// Not by force: an image that a container uses stays.
    pub async fn remove_image(&self, tag: &str) -> Result<(), DaemonError> {
        let removed = within(PATIENCE, self.client().await?.remove_image(tag, None::<RemoveImageOptions>, None)).await;
        match removed {
            Err(error) if error.is_missing() => Ok(()),
            other => other.map(drop),
        }
    }

    /// Our containers that were made of an image and do not run.
    pub async fn ended_on(&self, image: &str) -> Result<Vec<Managed>, DaemonError> {
        let filters = HashMap::from([
            ("ancestor".to_owned(), vec![image.to_owned()]),
            ("label".to_owned(), vec![format!("{LABEL_MANAGED}=true")]),
            ("status".to_owned(), ["created", "exited", "dead"].map(str::to_owned).to_vec()),
        ]);
        self.list(filters).await
    }

    /// Removes a container that does not run.
    pub async fn remove_ended(&self, id: &str) -> Result<(), DaemonError> {
        let options = RemoveContainerOptions { force: false, v: true, ..RemoveContainerOptions::default() };
        within(PATIENCE, self.client().await?.remove_container(id, Some(options))).await
    }

    /// Pulls an image; `progress` gets a line for each step of each layer. Ends well only if the image
    /// is there: a stream that was cut off is no success.
    pub async fn pull(&self, image: &str, mut progress: impl FnMut(String)) -> Result<(), DaemonError> {
        let options = CreateImageOptions { from_image: Some(image.to_owned()), ..CreateImageOptions::default() };
        let pull = async {
            let mut stream = self.client().await?.create_image(Some(options), None, None);
            // The daemon repeats a step for every few kilobytes.
            let mut layers: HashMap<String, String> = HashMap::new();
            while let Some(step) = stream.try_next().await? {
                if let (Some(id), Some(status)) = (step.id, step.status)
                    && layers.insert(id.clone(), status.clone()).as_ref() != Some(&status)
                {
                    progress(format!("{id}: {status}"));
                }
            }
            Ok::<(), DaemonError>(())
        };
        match tokio::time::timeout(PULL_PATIENCE, pull).await {
            Ok(pulled) => pulled?,
            Err(_) => {
                return Err(DaemonError::Unavailable(format!("it took longer than {} s", PULL_PATIENCE.as_secs())));
            }
        }
        match self.has_image(image).await? {
            true => Ok(()),
            false => Err(DaemonError::Unavailable("the download broke off".to_owned())),
        }
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
        Err(_) => Err(silent(patience)),
    }
}

fn silent(patience: Duration) -> DaemonError {
    let seconds = patience.as_secs();
    DaemonError::Unavailable(format!("no answer within {seconds} s; the daemon may be overloaded or stuck"))
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
