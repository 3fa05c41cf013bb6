//! `mercury plugins`: what is installed, what it may do, and the way in and out. A file a command.

mod jobs;
mod list;
mod settings;

use std::process::ExitCode;

use anyhow::{Context, Result};
use axum::http::Method;
use serde_json::Value;

use super::{Project, client};
use crate::config::Config;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mercury plugins\n  mercury plugins list --json")]
pub(super) struct Plugins {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the plugins, those that come with the host included, and whether each can be used.
    List(list::List),
    /// Show, set and take back settings of a plugin, for one space or for all.
    Settings(settings::Settings),
    /// List the jobs of plugins: when each is due, and how its last run ended.
    Jobs(jobs::Jobs),
}

impl Plugins {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        match self.command.unwrap_or_else(|| Command::List(list::List::default())) {
            Command::List(list) => list.run(project),
            Command::Settings(settings) => settings.run(project).await,
            Command::Jobs(jobs) => jobs.run(project).await,
        }
    }
}

/// Asks the running host, as the operator.
async fn ask(config: &Config, port: Option<u16>, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
    let secret = config.api_secret.as_ref().or(config.chat_api_key.as_ref());
    let answer = client::send(method, &client::base_url(config, port), path, secret, body.as_ref()).await?.success()?;
    serde_json::from_slice(&answer).context("the host's answer is not understood")
}
