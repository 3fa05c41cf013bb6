use std::{collections::BTreeMap, fs::File, os::unix::process::CommandExt, path::Path, process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use super::{Project, terminal};
use crate::{
    app::{Agents, App, Options},
    config::Config,
    credentials::{Credentials, STAND_IN, Settings},
    data_dir,
    plugins::Compiler,
    project::Project as Files,
    telemetry,
};

pub(super) async fn run(project: &Project) -> Result<ExitCode> {
    let config = project.config()?;
    telemetry::start_logs(&config.log_level, config.log_json);
    allow_open_files();
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    let mut quit = signal(SignalKind::quit()).context("signals cannot be received")?;
    // Before a newer one lies in its place: that one is begun by a restart.
    let program = std::env::current_exe().context("the path of this program cannot be found")?;
    let files = Arc::new(Files::new(project.folder.clone()));
    // Waiting for another host to end must be interruptible, too.
    let app = tokio::select! {
        started = start(config, files.clone()) => started?,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
        _ = quit.recv() => return Ok(ExitCode::SUCCESS),
    };
    terminal::note(format!(
        "Mercury listens on http://{}. Ask it with `mercury chat \"hello\"`; Ctrl-C stops it, Ctrl-\\ its agents, too.",
        app.address
    ));
    let mut anew = false;
    let agents = tokio::select! {
        _ = tokio::signal::ctrl_c() => Agents::HandOver,
        _ = terminate.recv() => Agents::HandOver,
        _ = quit.recv() => Agents::Stop,
        () = files.restarted() => {
            anew = true;
            Agents::HandOver
        }
    };
    tokio::select! {
        () = app.stop(agents) => if anew { begin_anew(&program) } else { Ok(ExitCode::SUCCESS) },
        _ = quit.recv() => Ok(ExitCode::FAILURE),
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::FAILURE),
        _ = terminate.recv() => Ok(ExitCode::FAILURE),
    }
}

/// Starts as the one host of the data directory, once no other is at work there.
async fn start(config: Config, files: Arc<Files>) -> Result<App> {
    let (project, config, lock) = take_over(files.folder(), config).await?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let sweeping = files.clone();
    tokio::task::spawn_blocking(move || sweeping.sweep()).await.context("the project's folder is not looked at")?;
    let credentials = credentials(&project, &config)?;
    if credentials.is_empty() && config.model_endpoints.is_empty() {
        tracing::warn!(
            "no model credential is set: every message will be refused. Set one in .env, for example MERCURY_ANTHROPIC_API_KEY, or sign in with `mercury auth login`"
        );
    }
    let options = Options {
        compiler: this_executable()?,
        upstreams: BTreeMap::new(),
        lock: Some(Arc::new(lock)),
        project: Some(files),
        docker_config: project.docker_config(),
        only_asked: false,
    };
    Ok(App::start(config, credentials, options).await?)
}

/// Waits for the lock on the data directory, and reads the project's files as they are then: the host before
/// may have been ended so that a change of them comes into force, and this one stood by.
async fn take_over(folder: &Path, mut config: Config) -> Result<(Project, Config, File)> {
    loop {
        let lock = data_dir::claim(&config.data_dir, true).await?;
        let project = Project::open(folder.to_owned())?;
        let read = project.config()?;
        if read.data_dir == config.data_dir {
            return Ok((project, read, lock));
        }
        config = read;
    }
}

/// In this process, with the same words: neither a supervisor nor a shell has to know of it. Files, sockets
/// and the lock on the data directory close by themselves.
#[allow(clippy::disallowed_methods, reason = "takes the place of this process, and starts no other")]
fn begin_anew(program: &Path) -> Result<ExitCode> {
    tracing::info!("beginning anew");
    let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    Err(error).with_context(|| format!("{} cannot be started again", program.display()))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A host that stood by begins with what the files say when its turn comes, in the data directory that they
    /// name then.
    #[tokio::test]
    async fn who_stood_by_reads_the_files_again() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(folder.path().join(".env"), text).unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        write("MERCURY_DATA_DIR=first\nMERCURY_BOT_USERNAME=before\n");
        let began = Project::open(folder.path().to_owned()).unwrap().config().unwrap();
        for (text, data_dir) in [
            ("MERCURY_DATA_DIR=first\nMERCURY_BOT_USERNAME=after\n", &first),
            ("MERCURY_DATA_DIR=second\nMERCURY_BOT_USERNAME=after\n", &second),
        ] {
            let held = data_dir::claim(&first, false).await.unwrap();
            let (path, began) = (folder.path().to_owned(), began.clone());
            let standing_by = tokio::spawn(async move { take_over(&path, began).await });
            tokio::task::yield_now().await;
            write(text);
            drop(held);
            let (project, config, lock) = standing_by.await.unwrap().unwrap();
            assert_eq!((config.bot_username.as_str(), &config.data_dir), ("after", data_dir));
            assert_eq!(project.environment["MERCURY_BOT_USERNAME"], "after");
            assert!(data_dir::try_claim(data_dir).unwrap().is_none(), "the lock is that of this directory");
            drop(lock);
        }
    }
}
