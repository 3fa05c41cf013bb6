use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use axum::http::Method;
use serde_json::Value;

use super::{Project, client, terminal};
use crate::{clock, domain::approval};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mercury adapters\n  mercury adapters --json\n  mercury adapters restart telegram")]
pub(super) struct Adapters {
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    at: client::AtPort,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Start an adapter anew, also one that stands still.
    Restart { platform: String },
}

impl Adapters {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let answer = match &self.command {
            None => client::ask(&config, self.at, Method::GET, "/api/adapters").await?,
            Some(Command::Restart { platform }) => {
                let path = format!("/api/adapters/{}/restart", client::segment(platform));
                client::ask(&config, self.at, Method::POST, &path).await?
            }
        };
        if self.json {
            terminal::line(serde_json::to_string_pretty(&answer)?);
        } else if let Some(Command::Restart { platform }) = &self.command {
            terminal::line(format!(
                "The adapter of {platform} is started again; `mercury adapters` says how it stands"
            ));
        } else {
            lines(&answer["adapters"]).into_iter().for_each(terminal::line);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// One line for each adapter, as `mercury status` has them as well.
pub(super) fn lines(adapters: &Value) -> Vec<String> {
    let adapters = adapters.as_array().map(Vec::as_slice).unwrap_or_default();
    if adapters.is_empty() {
        return vec!["No chat platform is switched on.".into()];
    }
    let text = |value: &Value| terminal::printable(value.as_str().unwrap_or_default());
    let line = |adapter: &Value| {
        let sign = adapter["lastSignOfLife"].as_i64().map(|at| {
            let passed = Duration::from_millis((clock::millis() - at).max(0).unsigned_abs());
            format!(", heard of {} ago", approval::duration(passed))
        });
        let reason = adapter["reason"].as_str().map(|reason| format!(": {}", terminal::printable(reason)));
        format!(
            "{:<12} {}{}{}",
            text(&adapter["platform"]),
            text(&adapter["condition"]).replace('-', " "),
            sign.unwrap_or_default(),
            reason.unwrap_or_default()
        )
    };
    adapters.iter().map(line).collect()
}
