//! Containers: from a request in a folder to a result in a folder.
//!
//! Owns the create request, the Docker client, the folders of a run, and the waiting. Knows nothing
//! of messages, plugins or the database.

pub mod create;
pub mod daemon;
mod derived;
mod directories;
mod image;
mod probe;
mod pulse;
mod remove;
mod seal;
mod signals;
mod skills;
mod tools;
mod wait;

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, atomic::AtomicBool},
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use create::AgentUser;
pub use daemon::{DaemonError, Info, Liveness, Managed};
pub use directories::{Collected, Directories, make_folder, own};
pub use probe::{ProbeFailure, RuntimeProbe};
pub use remove::{remove_entry, remove_tree};
pub use wait::Waiter;

use crate::{
    config::{Config, Limits, Runtime},
    domain::{
        confinement::Confinement,
        failure::Failure,
        ids::{RunId, SpaceId},
        outcome::{Exit, Found},
    },
};

/// The uid and gid that the agent has where the host is root: the image's `mercury` user.
const AGENT: AgentUser = AgentUser { uid: 1000, gid: 1000 };

/// In the data directory: an empty file that nobody can execute.
const HIDING: &str = "hidden-program";

/// Times that a start is asked for whose answers are lost.
const START_ATTEMPTS: u32 = 3;
/// An exchange that broke before this was cut off; later it is the daemon that is slow.
const CUT_OFF: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub struct Sandbox {
    config: Arc<Config>,
    daemon: Arc<Daemon>,
    signals: Arc<signals::Signals>,
    pulse: pulse::Pulse,
    /// The data directory's own id.
    instance: String,
    tools: PathBuf,
    user: AgentUser,
    seals: seal::SealKey,
    /// The base image in use: the configured one, or the local one that stands in for it.
    image: watch::Sender<String>,
    derived: derived::Derived,
    /// Of the plugins that are loaded at present.
    skills: RwLock<skills::Installed>,
    /// The base image is being looked for.
    looking: AtomicBool,
}

/// What a container is created for.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a> {
    pub space: &'a SpaceId,
    pub run: &'a RunId,
    pub directories: &'a Directories,
    /// Programs that the caller may not run.
    pub hidden: &'a [String],
    pub confinement: &'a Confinement,
}

use daemon::Daemon;

impl Sandbox {
    /// Prepares the data directory. Does not touch Docker, which may come up later.
    pub fn new(config: Arc<Config>) -> io::Result<Self> {
        let instance = instance_id(&config.data_dir)?;
        let tools = tools::install(&config.data_dir)?;
        let me = rustix::process::geteuid();
        // A host without root cannot give files away, so its agents run as itself.
        let user =
            if me.is_root() { AGENT } else { AgentUser { uid: me.as_raw(), gid: rustix::process::getegid().as_raw() } };
        for folder in ["io", "run", "spaces", "global"] {
            std::fs::create_dir_all(config.data_dir.join(folder))?;
        }
        write_hiding(&config.data_dir.join(HIDING))?;
        Ok(Self {
            seals: seal::SealKey::of(&config.data_dir)?,
            daemon: Arc::new(Daemon::new(config.docker_host.clone())),
            signals: Arc::new(signals::Signals::new()),
            pulse: pulse::Pulse::new(),
            image: watch::Sender::new(config.agent_image.clone()),
            derived: derived::Derived::default(),
            skills: RwLock::default(),
            looking: AtomicBool::new(false),
            config,
            instance,
            tools,
            user,
        })
    }

    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    pub fn user(&self) -> AgentUser {
        self.user
    }

    /// Puts skills, pairs of a name and a folder, where every container mounts them: which of them a run is
    /// given comes with its request. Copies files: not for the async runtime.
    pub fn install_skills(&self, skills: &[(String, PathBuf)]) -> io::Result<()> {
        let installed = skills::install(&self.config.data_dir, skills, std::time::SystemTime::now())?;
        *self.skills.write().unwrap_or_else(PoisonError::into_inner) = installed;
        Ok(())
    }

    /// The names of the skills that a run can be given.
    pub fn skills(&self) -> Vec<String> {
        self.installed_skills().names
    }

    fn installed_skills(&self) -> skills::Installed {
        self.skills.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The image that agents' programs are added to.
    pub fn base_image(&self) -> String {
        self.image.borrow().clone()
    }

    /// The image of the next container: the derived one once it is built.
    pub fn image(&self) -> String {
        self.derived_image().unwrap_or_else(|| self.base_image())
    }

    pub fn container_name(&self, run: &RunId) -> String {
        run.container_name(self.config.agent_id.as_deref())
    }

    pub fn directories(&self, space: &SpaceId, run: &RunId) -> Directories {
        Directories::new(&self.config.data_dir, space, run, &self.container_name(run), self.seals.seal(run))
    }

    /// Makes a space's folder before its first run, for plugins that keep files there. Blocks.
    pub fn make_workspace(&self, space: &str) -> io::Result<()> {
        directories::make_private(&self.config.spaces_dir().join(space), self.user())
    }

    /// Follows the daemon's events until `stop`.
    pub async fn follow_exits(&self, stop: CancellationToken) {
        self.signals.follow_exits(&self.daemon, &self.instance, stop).await;
    }

    /// Asks the daemon now and then whether it is there.
    pub async fn follow_pulse(&self) {
        self.pulse.follow(&self.daemon).await;
    }

    /// Whether the daemon answered when it was last asked, and `None` before the first time.
    pub fn daemon_answers(&self) -> Option<bool> {
        self.pulse.answers()
    }

    /// Creates the container of a run whose folders are made. A derived image that is gone is built anew
    /// in the background, and the base image takes its place at once: no message waits for a build.
    pub async fn create(self: &Arc<Self>, made: &Made<'_>) -> Result<(), Failure> {
        let image = self.image();
        match self.create_from(&image, made).await {
            Err(Failure::ImageMissing { image }) if self.lost_derived(&image) => {
                let base = self.base_image();
                tracing::warn!(
                    missing = image,
                    base,
                    run = made.run.as_str(),
                    "the derived image is gone; using its base and building it anew"
                );
                let sandbox = self.clone();
                tokio::spawn(async move { sandbox.rebuild().await });
                self.create_from(&base, made).await
            }
            Err(failure @ Failure::ImageMissing { .. }) => {
                self.look_for_image();
                Err(failure)
            }
            other => other,
        }
    }

    /// The configured limits, as far as the machine has that much.
    async fn limits(&self) -> Limits {
        let mut limits = self.config.limits.clone();
        if let Some(cpus) = self.daemon.cpus().await {
            limits.nano_cpus = limits.nano_cpus.min(cpus.saturating_mul(1_000_000_000));
        }
        limits
    }

    async fn create_from(&self, image: &str, made: &Made<'_>) -> Result<(), Failure> {
        let Made { space, run, directories, hidden, confinement } = *made;
        let global = self.config.global_dir();
        let limits = self.limits().await;
        let skills = self.installed_skills();
        let body = create::request(&create::Spec {
            run,
            space,
            agent_id: self.config.agent_id.as_deref(),
            instance: &self.instance,
            image,
            runtime: self.config.runtime,
            bubblewrap: self.config.bubblewrap,
            network: &self.config.network,
            limits: &limits,
            user: self.user,
            workspace: self.config.for_daemon(&directories.workspace),
            io_dir: self.config.for_daemon(&directories.io),
            run_dir: self.config.for_daemon(&directories.run),
            tools_dir: self.config.for_daemon(&self.tools),
            skills_dir: (!skills.names.is_empty()).then(|| self.config.for_daemon(&skills.folder)),
            confinement,
            hidden,
            hiding: self.config.for_daemon(&self.config.data_dir.join(HIDING)),
            global_dir: self.config.for_daemon(&global),
            global_entries: create::GLOBAL_ENTRIES
                .iter()
                .copied()
                .filter(|entry| global.join(entry).exists())
                .collect(),
        });
        let name = self.container_name(run);
        let began = tokio::time::Instant::now();
        let mut created = self.daemon.create(&name, body.clone()).await;
        if matches!(created, Err(DaemonError::Unavailable(_))) && began.elapsed() < CUT_OFF {
            // The answer was cut off rather than long in coming; what came of it is seen by asking again.
            created = self.daemon.create(&name, body.clone()).await;
        }
        match created {
            // Left over from an attempt that was cut off, or that this host's predecessor began.
            Err(DaemonError::Answered { status: 409, .. }) => {
                self.daemon.remove(&name).await.map_err(|error| self.failure(error, image))?;
                self.daemon.create(&name, body).await
            }
            other => other,
        }
        .map_err(|error| self.failure(error, image))
    }

    /// Asks for the start. Where the answer is lost on the way, the container itself is looked at.
    pub async fn start(&self, run: &RunId) -> Result<(), Failure> {
        let name = self.container_name(run);
        let mut attempt = 1;
        loop {
            match self.daemon.start(&name).await {
                Ok(()) => return Ok(()),
                Err(error @ DaemonError::Unavailable(_)) => match self.daemon.inspect(&name).await {
                    Ok(Liveness::Alive | Liveness::Exited(_)) => return Ok(()),
                    Ok(Liveness::Created) if attempt < START_ATTEMPTS => attempt += 1,
                    _ => return Err(self.failure(error, &self.image())),
                },
                Err(error) => return Err(self.failure(error, &self.image())),
            }
        }
    }

    /// Begins to watch a run. To be called before it is started.
    pub fn waiter<'a>(&'a self, run: &RunId, directories: &'a Directories) -> Waiter<'a> {
        let name = self.container_name(run);
        Waiter::new(self.daemon.clone(), self.signals.watch(&name, &directories.io), name, directories)
    }

    /// What a container that ended without a result printed last.
    pub async fn output(&self, run: &RunId) -> String {
        self.daemon.output(&self.container_name(run)).await
    }

    /// Removes the container and the folders of a run that is over; a container that has answered
    /// gets `grace` to end by itself, so that its children end in order. `false` where the container
    /// is still there: then its folders are, too.
    pub async fn discard(&self, run: &RunId, directories: &Directories, grace: Duration) -> bool {
        self.exit_within(run, grace).await;
        if let Err(error) = self.remove(run).await {
            let container = self.container_name(run);
            tracing::warn!(container, %error, "the container could not be removed; trying again");
            return false;
        }
        let directories = directories.clone();
        let _ = tokio::task::spawn_blocking(move || directories.sweep()).await;
        true
    }

    /// Removes the run's container even if it runs.
    pub async fn remove(&self, run: &RunId) -> Result<(), DaemonError> {
        self.daemon.remove(&self.container_name(run)).await
    }

    /// Whether the kernel killed something in the container for its memory. Known only once it has
    /// ended, which is waited for up to `patience`.
    pub async fn was_out_of_memory(&self, run: &RunId, patience: Duration) -> bool {
        self.exit_within(run, patience).await.is_some_and(|exit| exit.oom_killed)
    }

    async fn exit_within(&self, run: &RunId, patience: Duration) -> Option<Exit> {
        let until = tokio::time::Instant::now() + patience;
        while tokio::time::Instant::now() < until {
            match self.inspect(run).await {
                Ok(Liveness::Alive) => tokio::time::sleep(Duration::from_millis(100)).await,
                Ok(Liveness::Exited(exit)) => return Some(exit),
                _ => return None,
            }
        }
        None
    }

    pub async fn inspect(&self, run: &RunId) -> Result<Liveness, DaemonError> {
        self.daemon.inspect(&self.container_name(run)).await
    }

    /// The containers of this data directory: id, and the run that they belong to.
    pub async fn managed(&self) -> Result<Vec<Managed>, DaemonError> {
        self.daemon.managed(&self.instance).await
    }

    /// Removes the folders of runs that are not in `keep`. Only before the first run begins.
    pub fn sweep_folders(&self, keep: &[RunId]) {
        let names: Vec<String> = keep.iter().flat_map(|run| [self.container_name(run), run.to_string()]).collect();
        for folder in ["io", "run"].map(|name| self.config.data_dir.join(name)) {
            sweep_except(&folder, &names);
        }
    }

    fn failure(&self, error: DaemonError, image: &str) -> Failure {
        daemon::classify(error, image, self.config.runtime.name())
    }

    pub fn runtime(&self) -> Runtime {
        self.config.runtime
    }
}

/// What a stopped waiting found, read off the runtime's threads.
pub async fn read_result(directories: &Directories) -> Found {
    let directories = directories.clone();
    tokio::task::spawn_blocking(move || directories.read_result())
        .await
        .unwrap_or_else(|error| Found::Unusable(error.to_string()))
}

fn sweep_except(folder: &Path, keep: &[String]) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let kept = keep.iter().any(|name| entry.file_name().to_string_lossy() == name.as_str());
        if !kept && let Err(error) = remove_tree(&entry.path()) {
            tracing::warn!(folder = %entry.path().display(), %error, "a left-over folder could not be removed");
        }
    }
}

/// Written anew at every start: nobody's change to it lasts.
fn write_hiding(path: &Path) -> io::Result<()> {
    if path.exists() {
        std::fs::remove_file(path)?;
    }
    std::fs::write(path, "")?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o444))
}

/// A random id that the data directory keeps, so that hosts of one daemon tell their containers apart.
fn instance_id(data_dir: &Path) -> io::Result<String> {
    let path = data_dir.join("instance");
    if let Ok(id) = std::fs::read_to_string(&path) {
        let id = id.trim();
        if !id.is_empty() {
            return Ok(id.to_owned());
        }
    }
    let id = uuid::Uuid::now_v7().simple().to_string();
    std::fs::write(&path, format!("{id}\n"))?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// container.md #49 (as architecture.md has it: the folder is the host's alone, so what belongs to no run goes,
    /// whatever it is): an unfinished run keeps its own, dead socket or not; where there is no folder nothing happens.
    #[test]
    fn what_belongs_to_no_run_is_swept() {
        let data = tempfile::tempdir().unwrap();
        let run = data.path().join("run");
        sweep_except(&run, &["kept".to_owned()]);
        for name in ["kept", "kept-not", "gone"] {
            std::fs::create_dir_all(run.join(name)).unwrap();
            drop(std::os::unix::net::UnixListener::bind(run.join(name).join("api.sock")).unwrap());
        }
        std::fs::write(run.join("notes.txt"), "x").unwrap();
        std::os::unix::fs::symlink(data.path(), run.join("link")).unwrap();
        sweep_except(&run, &["kept".to_owned()]);
        let left: Vec<_> = std::fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["kept"]);
        assert!(run.join("kept/api.sock").exists() && data.path().exists());
    }
}
