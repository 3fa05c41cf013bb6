use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use super::{Project, terminal};
use crate::{
    app::{Agents, App, Options},
    config::Config,
    credentials::{Credentials, STAND_IN, Settings},
    plugins::Compiler,
    telemetry,
};

pub(super) async fn run(project: &Project) -> Result<ExitCode> {
    let config = project.config()?;
    telemetry::start_logs(&config.log_level, config.log_json);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    allow_open_files();
    let credentials = credentials(project, &config)?;
    if credentials.is_empty() && config.model_endpoints.is_empty() {
        tracing::warn!(
            "no model credential is set: every message will be refused. Set one in .env, for example MERCURY_ANTHROPIC_API_KEY, or sign in with `mercury auth login`"
        );
    }
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    let mut quit = signal(SignalKind::quit()).context("signals cannot be received")?;
    let options = Options { compiler: this_executable()?, upstreams: BTreeMap::new(), stand_by: true };
    // Waiting for another host to end must be interruptible, too.
    let app = tokio::select! {
        started = App::start(config, credentials, options) => started?,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
        _ = quit.recv() => return Ok(ExitCode::SUCCESS),
    };
    terminal::note(format!(
        "Mercury listens on http://{}. Ask it with `mercury chat \"hello\"`; Ctrl-C stops it, Ctrl-\\ its agents, too.",
        app.address
    ));
    let agents = tokio::select! {
        _ = tokio::signal::ctrl_c() => Agents::HandOver,
        _ = terminate.recv() => Agents::HandOver,
        _ = quit.recv() => Agents::Stop,
    };
    tokio::select! {
        () = app.stop(agents) => Ok(ExitCode::SUCCESS),
        _ = quit.recv() => Ok(ExitCode::FAILURE),
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::FAILURE),
        _ = terminate.recv() => Ok(ExitCode::FAILURE),
    }
}

/// Every connection, socket and watched folder takes one; the usual soft limit of 1024 is soon reached.
fn allow_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the number of open files stays limited");
    }
}

/// The configured credentials, with a word about those that cannot be used.
pub(super) fn credentials(project: &Project, config: &Config) -> Result<Credentials> {
    let settings = Settings::new(config, &project.environment).map_err(anyhow::Error::msg)?;
    if settings.endpoints.is_stand_in() {
        tracing::warn!(
            "{STAND_IN} is set: the providers' sign-in servers are not asked, but that address. It is meant for tests"
        );
    }
    let credentials = Credentials::open(settings);
    for name in credentials.corrupt() {
        tracing::warn!("{name} holds a corrupt credential (JSON without a usable access token) and counts as unset");
    }
    Ok(credentials)
}

pub(super) fn this_executable() -> Result<Compiler> {
    Ok(Compiler::Child(std::env::current_exe().context("the path of this program cannot be found")?))
}
