use std::process::ExitCode;

use anyhow::Result;
use axum::http::Method;

use super::{Project, client, terminal};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mercury deliveries\n  mercury deliveries --json\n  mercury deliveries retry 12")]
pub(super) struct Deliveries {
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
    /// Try a message again that was given up, or that waits.
    Retry { id: i64 },
}

impl Deliveries {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let answer = match &self.command {
            None => client::ask(&config, self.at, Method::GET, "/api/deliveries").await?,
            Some(Command::Retry { id }) => {
                client::ask(&config, self.at, Method::POST, &format!("/api/deliveries/{id}/retry")).await?
            }
        };
        if self.json {
            terminal::line(serde_json::to_string_pretty(&answer)?);
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(Command::Retry { id }) = &self.command {
            terminal::line(format!("Delivery {id} is tried again"));
            return Ok(ExitCode::SUCCESS);
        }
        let text = |value: &serde_json::Value| terminal::printable(value.as_str().unwrap_or_default());
        let deliveries = answer["deliveries"].as_array().map(Vec::as_slice).unwrap_or_default();
        if deliveries.is_empty() {
            terminal::line("Everything is delivered.");
        }
        for delivery in deliveries {
            terminal::line(format!(
                "{:>6}  {:<8} {}  after {} attempts{}\n        {}",
                delivery["id"],
                text(&delivery["state"]),
                text(&delivery["conversation"]),
                delivery["attempts"],
                delivery["reason"].as_str().map(|why| format!(": {}", terminal::printable(why))).unwrap_or_default(),
                text(&delivery["excerpt"]).replace('\n', " "),
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}
