//! `mercury plugins`: what is installed, what it may do, and the way in and out. A file a command.

mod list;
mod logs;
mod stats;

use std::process::ExitCode;

use anyhow::{Context, Result};
use axum::http::Method;
use serde_json::Value;

use super::{Project, client};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury plugins\n  mercury plugins list --json\n  mercury plugins stats redact\n  mercury plugins logs redact"
)]
pub(super) struct Plugins {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the plugins, those that come with the host included, and whether each can be used.
    List(list::List),
    /// Show what the running host has seen of each plugin: calls, time, memory, faults.
    Stats(stats::Stats),
    /// Show what a plugin logged last, and how its calls failed.
    Logs(logs::Logs),
}

impl Plugins {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        match self.command.unwrap_or_else(|| Command::List(list::List::default())) {
            Command::List(list) => list.run(project),
            Command::Stats(stats) => stats.run(project).await,
            Command::Logs(logs) => logs.run(project).await,
        }
    }
}

/// What the running host says to its operator.
async fn ask(project: &Project, port: Option<u16>, path: &str) -> Result<Value> {
    let config = project.config()?;
    let secret = config.api_secret.as_ref().or(config.chat_api_key.as_ref());
    let answer = client::send(Method::GET, &client::base_url(&config, port), path, secret, None).await?.success()?;
    serde_json::from_slice(&answer).context("the host's answer is not understood")
}
