//! Builds the rooms once, starts and stops them in order.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    adapters::Adapters,
    api::{self, Api, Live},
    approvals::Approvals,
    callers::Stops,
    clock,
    config::{Config, Runtime},
    credentials::Credentials,
    data_dir::{self, DataDirError},
    delivery::Delivery,
    gateway::{Gateway, GatewayError},
    http::{self, Bodies, Bounded},
    intake::{Held, Intake, Lines, Overrides},
    media::{self, MediaStore, Quota},
    plugins::{
        Compiler, LoadError, Plugins, Services, Spaces, TaskQueue,
        packages::{Installer, SignatureError, Trust},
    },
    project::Project,
    removal::Removals,
    retention::Retention,
    runs::Runs,
    sandbox::Sandbox,
    schedule::{self, Schedule},
    store::{Store, StoreError},
    telemetry,
};

/// Between two looks for a Docker that is down.
const DOCKER_PAUSE: Duration = Duration::from_secs(5);
/// Connections on TCP; more wait, so that descriptors are left for the work.
const MOST_CONNECTIONS: usize = 1024;
/// How long open requests may take to end when the host stops.
const DRAIN: Duration = Duration::from_secs(8);

#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(
        "cannot listen on {address}: {source}. Another program may hold the port; choose one with server.port / MERCURY_PORT"
    )]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Plugins(#[from] LoadError),
    #[error("plugins.trusted_keys of mercury.yaml: {0}")]
    TrustedKeys(#[from] SignatureError),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

/// What the listeners use, once it is there.
#[derive(Clone)]
pub struct Rooms {
    pub store: Store,
    pub plugins: Arc<Plugins>,
    pub approvals: Arc<Approvals>,
    pub sandbox: Arc<Sandbox>,
    pub delivery: Delivery,
    pub intake: Intake,
    /// Ends what a space is doing.
    pub stops: Arc<dyn Stops>,
    pub runs: Arc<Runs>,
    pub adapters: Arc<Adapters>,
    pub schedule: Schedule,
    pub installer: Arc<Installer>,
}

/// What is not configuration but depends on who starts the host.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who compiles components.
    pub compiler: Compiler,
    /// Providers that the host serves to its containers: name → base URL.
    pub upstreams: BTreeMap<String, String>,
    /// On the data directory, where it is held already; else nobody waits for another host of it to end.
    pub lock: Option<Arc<File>>,
    /// Whose files are the configuration, where the operator may change them from afar.
    pub project: Option<Arc<Project>>,
    /// Where `docker login` keeps the registries' credentials.
    pub docker_config: Option<PathBuf>,
    /// Answers what is asked over HTTP and does nothing else: no platform is listened or written to, and no task
    /// and no plugin's job comes due.
    pub only_asked: bool,
}

/// A started host.
pub struct App {
    pub config: Arc<Config>,
    pub rooms: Rooms,
    pub address: SocketAddr,
    stop: CancellationToken,
    hand_over: CancellationToken,
    server: JoinHandle<()>,
    /// What the operator changes at present.
    changes: TaskTracker,
    /// Held until the host has stopped.
    _lock: Arc<File>,
}

impl App {
    /// Starts everything; ready to take messages when it returns. Docker may be down: that is found
    /// by the first run, and by `mercury doctor`.
    pub async fn start(config: Config, credentials: Credentials, options: Options) -> Result<Self, AppError> {
        let config = Arc::new(config);
        let lock = match options.lock.clone() {
            Some(lock) => lock,
            None => Arc::new(data_dir::claim(&config.data_dir, false).await?),
        };
        let stop = CancellationToken::new();
        let hand_over = CancellationToken::new();

        let rooms_slot = Arc::new(OnceLock::new());
        let api = Api {
            config: config.clone(),
            rooms: rooms_slot.clone(),
            metrics: telemetry::start_metrics(),
            began: Instant::now(),
            bodies: Bodies::new(api::MOST_BODIES),
            live: Live::default(),
            guesses: Arc::default(),
            project: options.project.clone(),
            stopping: stop.clone(),
            changes: TaskTracker::new(),
        };
        let changes = api.changes.clone();
        let live = api.live.clone();
        tokio::spawn(hand_over.clone().run_until_cancelled_owned(telemetry::sum_up(api.metrics.clone())));
        let (address, server) = listen(api, &config, stop.clone()).await?;

        let only_asked = options.only_asked;
        let rooms = build(&config, credentials, options, &hand_over).await?;
        // Before the first run, and before anything else happens of which plugins hear.
        rooms.plugins.started().await;
        rooms.runs.announce_spaces().await;
        rooms.approvals.recover().await?;
        rooms.runs.recover().await?;
        let executor = rooms.runs.clone();
        tokio::spawn(executor.execute());
        let undecided = rooms.intake.recover().await?;
        if undecided > 0 {
            tracing::info!(undecided, "messages of a predecessor were decided");
        }
        if !only_asked {
            rooms.adapters.start();
            // Behind the adapters: what was missed is to be said.
            tokio::spawn(hand_over.clone().run_until_cancelled_owned(schedule::run_tasks(rooms.intake.clone())));
            tokio::spawn(rooms.schedule.clone().run(hand_over.clone()));
        }
        tokio::spawn(hand_over.clone().run_until_cancelled_owned(rooms.intake.clone().end_pauses()));
        let (sandbox, until) = (rooms.sandbox.clone(), hand_over.clone());
        tokio::spawn(async move { sandbox.follow_exits(until).await });
        let (sandbox, until) = (rooms.sandbox.clone(), hand_over.clone());
        tokio::spawn(async move { until.run_until_cancelled(sandbox.follow_pulse()).await });
        let (credentials, until) = (rooms.runs.credentials.clone(), hand_over.clone());
        tokio::spawn(async move { credentials.watch(until).await });
        let retention = Retention::new(&config, rooms.store.clone(), rooms.runs.removals.clone());
        tokio::spawn(hand_over.clone().run_until_cancelled_owned(retention.run()));
        let endings = schedule::tell_endings(rooms.plugins.clone(), rooms.store.clone(), rooms.runs.task_ended.clone());
        tokio::spawn(hand_over.clone().run_until_cancelled_owned(endings));
        rooms.runs.log_variables();
        log_profile(&rooms);
        rooms.intake.warn_of_closed_spaces().await;
        want_programs(&rooms).await;
        let (plugins, data_dir, until) = (rooms.plugins.clone(), config.data_dir.clone(), hand_over.clone());
        tokio::spawn(async move { plugins.follow(&data_dir, until).await });
        let (changing, until) = (rooms.clone(), hand_over.clone());
        tokio::spawn(async move { until.run_until_cancelled(follow_plugins(&changing)).await });
        let (settling, until) = (rooms.clone(), hand_over.clone());
        tokio::spawn(async move { until.run_until_cancelled(settle_docker(&settling)).await });
        tokio::spawn(hand_over.clone().run_until_cancelled_owned(live.follow(rooms.clone())));
        let _ = rooms_slot.set(rooms.clone());
        tracing::info!(%address, data_dir = %config.data_dir.display(), runtime = config.runtime.name(), "ready");
        Ok(Self { config, rooms, address, stop, hand_over, server, changes, _lock: lock })
    }

    /// Stops in order: no new messages, waiting clients are told, running containers go on and are
    /// adopted by the next start, or are killed and answered for before the listener closes. What is
    /// queued stays on disk.
    pub async fn stop(self, agents: Agents) {
        if agents == Agents::Stop {
            self.stop_agents().await;
        }
        self.stop.cancel();
        self.rooms.adapters.stop().await;
        self.changes.close();
        let open = async { tokio::join!(self.server, self.changes.wait()) };
        if tokio::time::timeout(DRAIN, open).await.is_err() {
            tracing::warn!("open requests did not end within {} s", DRAIN.as_secs());
        }
        self.hand_over.cancel();
        self.rooms.runs.drained().await;
        self.rooms.plugins.stopping().await;
        self.rooms.runs.gateway.drained().await;
        self.rooms.runs.credentials.settle().await;
        match agents {
            Agents::HandOver => tracing::info!("stopped; running agents are handed to the next start"),
            Agents::Stop => tracing::info!("stopped, and the running agents with it"),
        }
    }

    async fn stop_agents(&self) {
        let runs = &self.rooms.runs;
        runs.close();
        match runs.kill_all().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "running agents are stopped"),
            Err(error) => tracing::error!(%error, "running agents could not be stopped; the next start takes them up"),
        }
        if tokio::time::timeout(DRAIN, runs.drained()).await.is_err() {
            tracing::warn!("not every agent ended within {} s; the next start removes what is left", DRAIN.as_secs());
        }
    }
}

/// What becomes of running agents when the host stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agents {
    /// They go on, and the next start takes them up.
    HandOver,
    /// They are killed, and people are told.
    Stop,
}

async fn listen(api: Api, config: &Config, stop: CancellationToken) -> Result<(SocketAddr, JoinHandle<()>), AppError> {
    let address = SocketAddr::new(config.bind, config.port);
    let fail = |source| AppError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    let router = api.router();
    let listener = Bounded::new(listener, MOST_CONNECTIONS);
    let server = tokio::spawn(http::serve(listener, router, http::HEAD_WITHIN, stop));
    Ok((address, server))
}

async fn build(
    config: &Arc<Config>,
    credentials: Credentials,
    options: Options,
    hand_over: &CancellationToken,
) -> Result<Rooms, AppError> {
    let store = Store::open(&config.database_path())?;
    // Before anything looks for a space's files.
    Removals::new(store.clone(), config.spaces_dir()).recover().await?;
    let unusable = |source| DataDirError::Unusable { path: config.data_dir.clone(), source };
    let sandbox = Arc::new(Sandbox::new(config.clone()).map_err(unusable)?);
    let media = MediaStore::open(&config.data_dir.join("media"), clock::millis()).map_err(unusable)?;
    tokio::spawn(hand_over.clone().run_until_cancelled_owned(sweep(media.clone())));
    let services = Services::new(store.clone())
        .with_media(media)
        .with_trust(Trust::new(config)?)
        .with_admins(config.admins.clone())
        .with_members(config.profile.as_ref().and_then(|profile| profile.members.clone()))
        .with_secrets(config.plugin_secrets.clone())
        .with_configuration(config.dotted.clone())
        .with_spaces(Spaces { folder: config.spaces_dir(), user: sandbox.user() });
    let services = Arc::new(services);
    let (compiler, docker_config) = (options.compiler.clone(), options.docker_config.clone());
    let installer = Installer::new(&config.data_dir, &config.plugins, Trust::new(config)?, compiler, docker_config);
    let plugins = async {
        let loaded = Plugins::load(&config.data_dir, &config.plugins, options.compiler, services.clone()).await;
        Ok::<_, AppError>(loaded?.ordered(config.plugin_order.clone()))
    };
    let gateway = async {
        let (credentials, store) = (credentials.clone(), store.clone());
        let started = Gateway::start(config, credentials, store, &options.upstreams, hand_over.clone()).await;
        started.map_err(AppError::from)
    };
    let (plugins, gateway) = tokio::try_join!(plugins, gateway)?;
    if let Some((platform, variable)) = plugins.missing_secrets(|variable| config.plugin_secrets.contains_key(variable))
    {
        return Err(LoadError::MissingSecret { platform, variable }.into());
    }
    let (plugins, gateway) = (Arc::new(plugins), Arc::new(gateway));
    install_skills(config, &plugins, &sandbox).await;
    let delivery = Delivery::new(store.clone());
    let approvals = Arc::new(Approvals::new(store.clone(), plugins.clone(), delivery.clone()));
    let runs = Arc::new(Runs::new(
        store.clone(),
        sandbox.clone(),
        plugins.clone(),
        approvals.clone(),
        credentials,
        delivery.clone(),
        config.clone(),
        gateway,
        hand_over.clone(),
    ));
    let queue: Arc<dyn TaskQueue> = runs.clone();
    services.take_tasks_to(Arc::downgrade(&queue));
    let schedule = Schedule::new(plugins.clone(), store.clone());
    let intake = Intake {
        store: store.clone(),
        plugins: plugins.clone(),
        approvals: approvals.clone(),
        runs: runs.clone(),
        delivery: delivery.clone(),
        config: config.clone(),
        waiting: Lines::default(),
        held: Held::default(),
        overrides: Overrides::default(),
        quota: Arc::new(Quota::new(config.spaces_dir(), config.media.max_disk_bytes)),
    };
    let stops: Arc<dyn Stops> = Arc::new(intake.clone());
    runs.stop_by(&stops);
    let adapters = Adapters::new(services, intake.clone(), sandbox.clone());
    let installer = Arc::new(installer);
    Ok(Rooms { store, plugins, approvals, sandbox, delivery, intake, stops, runs, adapters, schedule, installer })
}

/// Removes files of plugins that nobody took.
async fn sweep(media: MediaStore) {
    loop {
        tokio::time::sleep(media::SWEEP_EVERY).await;
        let removed = media.sweep(clock::millis()).await;
        if removed > 0 {
            tracing::info!(removed, "files of plugins that nobody took were removed");
        }
    }
}

/// Members may miss what plugins would give them by themselves: who wrote the profile may not have known of them.
fn log_profile(rooms: &Rooms) {
    let Some(profile) = &rooms.runs.config.profile else { return };
    let registry = rooms.plugins.registry();
    tracing::info!(profile = profile.name, "a profile is active");
    for plugin in registry.roles.left_out() {
        tracing::warn!(
            profile = profile.name,
            plugin,
            "members would hold the permission of this plugin, and do not: member_permissions of the profile does not name it"
        );
    }
    for permission in registry.roles.unknown_to_members() {
        tracing::warn!(
            profile = profile.name,
            permission,
            "the profile lets members have a permission that nothing here has; it counts once a plugin of this name is there"
        );
    }
}

/// A skill that cannot be installed costs itself alone.
async fn install_skills(config: &Arc<Config>, plugins: &Arc<Plugins>, sandbox: &Arc<Sandbox>) {
    let chain: Vec<_> =
        config.model_chain.iter().map(|leg| config.capabilities.of(&leg.provider, &leg.model)).collect();
    let (plugins, sandbox) = (plugins.clone(), sandbox.clone());
    let install = move || {
        let skills: Vec<_> = plugins.skills(&chain).into_iter().map(|skill| (skill.name, skill.folder)).collect();
        sandbox.install_skills(&skills)
    };
    match tokio::task::spawn_blocking(install).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the plugins' skills cannot be installed; agents go without them"),
        Err(error) => tracing::error!(%error, "the plugins' skills are not installed"),
    }
}

async fn want_programs(rooms: &Rooms) {
    let plugins = rooms.plugins.clone();
    let programs = tokio::task::spawn_blocking(move || plugins.programs()).await.unwrap_or_default();
    rooms.sandbox.want_programs(programs);
}

/// The agent has the skills and the programs of the plugins that are there now.
async fn follow_plugins(rooms: &Rooms) {
    let mut changes = rooms.plugins.changes();
    while changes.changed().await.is_ok() {
        install_skills(&rooms.runs.config, &rooms.plugins, &rooms.sandbox).await;
        want_programs(rooms).await;
        rooms.intake.warn_of_closed_spaces().await;
        rooms.sandbox.rebuild().await;
    }
}

/// What needs Docker and nobody waits for: it may be down, and a pull or a build take minutes.
async fn settle_docker(rooms: &Rooms) {
    let sandbox = &rooms.sandbox;
    let mut told = false;
    while let Err(error) = sandbox.daemon().info().await {
        if !told {
            tracing::error!(%error, "Docker does not answer; `mercury doctor` says what to do");
            told = true;
        }
        tokio::time::sleep(DOCKER_PAUSE).await;
    }
    rooms.runs.clear_orphans().await;
    if !find_image(sandbox).await {
        return;
    }
    // gVisor is the promise that isolates: a host that cannot keep it says so before the first message.
    if sandbox.runtime() == Runtime::Runsc {
        match sandbox.probe(Runtime::Runsc).await {
            Ok(probe) => {
                tracing::info!(took = ?probe.took, "runsc is proved: a container of its own kernel reached the host")
            }
            Err(error) => {
                tracing::error!(%error, "runsc does not work here, and runc is never used in its place; `mercury doctor` says what to do")
            }
        }
    }
    sandbox.rebuild().await;
    rooms.runs.prune_images().await;
}

async fn find_image(sandbox: &Sandbox) -> bool {
    match sandbox.ensure_image(|line| tracing::info!("{line}")).await {
        Ok(true) => tracing::info!(image = sandbox.base_image(), "agent image found"),
        Ok(false) => tracing::error!(
            image = sandbox.base_image(),
            "the agent image is not on this Docker daemon; `mercury doctor` says what to do"
        ),
        Err(error) => tracing::error!(%error, "the agent image could not be looked for"),
    }
    sandbox.daemon().has_image(&sandbox.base_image()).await.unwrap_or(false)
}
