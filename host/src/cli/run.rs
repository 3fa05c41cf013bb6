use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use super::{Project, terminal};
use crate::{
    app::{Agents, App, Options},
    credentials::Credentials,
    plugins::Compiler,
    telemetry,
};

pub(super) async fn run(project: &Project) -> Result<ExitCode> {
    let config = project.config()?;
    telemetry::start_logs(&config.log_level, config.log_json);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let credentials = credentials(project);
    if credentials.is_empty() && config.model_endpoints.is_empty() {
        tracing::warn!(
            "no model credential is set: every message will be refused. Set one in .env, for example MERCURY_ANTHROPIC_API_KEY"
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

/// The configured credentials, with a word about those that cannot be used.
pub(super) fn credentials(project: &Project) -> Credentials {
    for name in Credentials::unusable(&project.environment) {
        tracing::warn!(
            "{name} holds a credential with a refresh token, which this version cannot use; give it an API key or a bare token"
        );
    }
    Credentials::from_environment(&project.environment)
}

pub(super) fn this_executable() -> Result<Compiler> {
    Ok(Compiler::Child(std::env::current_exe().context("the path of this program cannot be found")?))
}
