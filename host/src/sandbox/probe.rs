//! Proves a runtime by a container: it starts, it reaches a socket of the host, and what kernel it
//! sees. The request is that of a run, so what passes here passes there.

use std::{path::Path, sync::Mutex, time::Duration};

use axum::{Json, Router, routing::post};
use mercury_protocol::{
    paths,
    socket::{PROBE, Probe},
};
use tokio::sync::oneshot;

use super::{Sandbox, create, daemon::Liveness, directories::Directories};
use crate::{
    config::Runtime,
    domain::{
        confinement::Confinement,
        failure::Failure,
        ids::{RunId, SpaceId},
    },
    http::serve_on_socket,
};

/// From create to the container's word over the socket.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the probe container saw.
#[derive(Clone, Debug)]
pub struct RuntimeProbe {
    /// `/proc/version` inside.
    pub kernel: String,
    /// The kernel inside is not the host's.
    pub own_kernel: bool,
    pub uid: u32,
    pub took: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum ProbeFailure {
    #[error("{}", .0.for_operator())]
    Refused(Failure),
    #[error("the container ended without reaching the host's socket: {0}")]
    Unreached(String),
    #[error("the container runs on the host's own kernel, so it is not gVisor")]
    NotIsolated,
    #[error("the probe's files could not be written: {0}")]
    Files(#[from] std::io::Error),
}

impl Sandbox {
    /// Starts a container under `runtime` that reports over a socket, and removes it again.
    pub async fn probe(&self, runtime: Runtime) -> Result<RuntimeProbe, ProbeFailure> {
        let run = RunId::from_stored(format!("probe-{}", uuid::Uuid::now_v7().simple()));
        let space =
            SpaceId::try_from(SpaceId::MAIN.to_owned()).map_err(|error| ProbeFailure::Unreached(error.to_string()))?;
        let mut directories = self.directories(&space, &run);
        // Not a space's workspace: a probe touches nobody's files.
        directories.workspace = directories.io.join("workspace");
        directories.make(self.user)?;
        let outcome = self.probe_in(&run, &space, runtime, &directories).await;
        let _ = self.daemon.remove(&self.container_name(&run)).await;
        directories.sweep();
        outcome
    }

    async fn probe_in(
        &self,
        run: &RunId,
        space: &SpaceId,
        runtime: Runtime,
        directories: &Directories,
    ) -> Result<RuntimeProbe, ProbeFailure> {
        let (reported, mut report) = oneshot::channel::<Probe>();
        let reported = std::sync::Arc::new(Mutex::new(Some(reported)));
        let router = Router::new().route(
            PROBE,
            post(move |Json(probe): Json<Probe>| async move {
                let sender = reported.lock().ok().and_then(|mut sender| sender.take());
                if let Some(sender) = sender {
                    let _ = sender.send(probe);
                }
            }),
        );
        let _socket = serve_on_socket(&directories.socket(), self.user, router)?;
        let image = self.image();
        let map = |path: &Path| self.config.for_daemon(path);
        let limits = self.limits().await;
        let mut body = create::request(&create::Spec {
            run,
            space,
            agent_id: self.config.agent_id.as_deref(),
            instance: &self.instance,
            image: &image,
            runtime,
            bubblewrap: false,
            network: &crate::config::Network::None,
            limits: &limits,
            user: self.user,
            workspace: map(&directories.workspace),
            io_dir: map(&directories.io),
            run_dir: map(&directories.run),
            tools_dir: map(&self.tools),
            global_dir: map(&self.config.global_dir()),
            global_entries: Vec::new(),
            skills_dir: None,
            confinement: &Confinement::default(),
            hidden: &[],
            hiding: map(&self.tools),
        });
        body.entrypoint = Some(vec![format!("{}/bin/mrctl", paths::TOOLS_DIR), "probe".to_owned()]);
        let name = self.container_name(run);
        let refused = |error| ProbeFailure::Refused(super::daemon::classify(error, &image, runtime.name()));
        let began = std::time::Instant::now();
        self.daemon.create(&name, body).await.map_err(refused)?;
        self.daemon.start(&name).await.map_err(refused)?;
        let until = tokio::time::Instant::now() + PATIENCE;
        let seen = loop {
            tokio::select! {
                Ok(seen) = &mut report => break seen,
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
            let over = !matches!(self.daemon.inspect(&name).await, Ok(Liveness::Alive | Liveness::Created));
            if over || tokio::time::Instant::now() > until {
                // The report may have come while the daemon was asked.
                match report.try_recv() {
                    Ok(seen) => break seen,
                    Err(_) => return Err(ProbeFailure::Unreached(self.daemon.output(&name).await)),
                }
            }
        };
        let own_kernel = std::fs::read_to_string("/proc/version")?.trim() != seen.kernel;
        if runtime == Runtime::Runsc && !own_kernel {
            return Err(ProbeFailure::NotIsolated);
        }
        Ok(RuntimeProbe { kernel: seen.kernel, own_kernel, uid: seen.uid, took: began.elapsed() })
    }
}
