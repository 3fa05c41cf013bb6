//! `mercury stop`: ends the host of this project, or what one space is doing.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use axum::http::Method;
use rustix::process::{Signal, kill_process};

use super::{Project, client, terminal};
use crate::{
    config::{self, Config},
    data_dir,
};

/// How long the host may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury stop                 end the host; running agents go on and are answered by the next start\n  mercury stop --now           end the host and every running agent; people read \"Stopped.\"\n  mercury stop --space team    end what the space `team` is doing; the host goes on"
)]
pub(super) struct Stop {
    /// End running agents, too.
    #[arg(long, conflicts_with = "space")]
    now: bool,
    /// Only the run of this space, and what waits behind it.
    #[arg(short, long)]
    space: Option<String>,
}

impl Stop {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        match (project.config(), self.space) {
            (Ok(config), Some(space)) => stop_space(&config, &space).await,
            (Ok(config), None) => stop_host(&config.data_dir, self.now).await,
            // Whoever has just broken the configuration of a running host is to be able to end it.
            (Err(error), None) => {
                let data_dir = project.folder.join(config::default_of("runtime.data_dir").unwrap_or_default());
                let Ok(Some(_)) = data_dir::holder(&data_dir) else { return Err(error) };
                terminal::note(format!(
                    "{error:#}\nThe host that runs on {} is ended all the same.",
                    data_dir.display()
                ));
                stop_host(&data_dir, self.now).await
            }
            (Err(error), Some(_)) => Err(error),
        }
    }
}

async fn stop_space(config: &Config, space: &str) -> Result<ExitCode> {
    let base = client::base_url(config, None);
    let secret = config.api_secret.as_ref().or(config.chat_api_key.as_ref());
    let path = format!("/api/spaces/{}/stop", client::segment(space));
    let answer = client::Call::new(Method::POST, &base, &path).secret(secret).send().await?;
    let found: serde_json::Value =
        serde_json::from_slice(&answer.success()?).context("the answer is not understood")?;
    terminal::line(match (found["stopped"].as_bool(), found["dropped"].as_u64().unwrap_or(0)) {
        (Some(true), 0) => format!("Stopped the run of {space}."),
        (Some(true), dropped) => format!("Stopped the run of {space} and dropped {dropped} waiting."),
        (_, 0) => format!("Nothing is going on in {space}."),
        (_, dropped) => format!("Dropped {dropped} waiting in {space}."),
    });
    Ok(ExitCode::SUCCESS)
}

/// By a signal to the process that holds the data directory's lock and has written its id there.
async fn stop_host(data_dir: &Path, now: bool) -> Result<ExitCode> {
    let holder = || data_dir::holder(data_dir).context("the data directory's lock cannot be read");
    let Some(pid) = holder()? else {
        bail!("no host runs on {}. Nothing is to be stopped", data_dir.display());
    };
    let signal = if now { Signal::QUIT } else { Signal::TERM };
    kill_process(pid, signal)
        .with_context(|| format!("the host (process {}) cannot be told to end", pid.as_raw_nonzero()))?;
    let until = tokio::time::Instant::now() + PATIENCE;
    while holder()? == Some(pid) {
        if tokio::time::Instant::now() > until {
            bail!(
                "the host (process {}) has not ended after {} s. A second `mercury stop` ends it at once",
                pid.as_raw_nonzero(),
                PATIENCE.as_secs()
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    terminal::line(match now {
        true => "Stopped the host and its agents.",
        false => "Stopped the host. Running agents go on and are answered by the next `mercury run`.",
    });
    Ok(ExitCode::SUCCESS)
}
