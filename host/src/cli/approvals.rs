use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use axum::http::Method;
use serde_json::{Value, json};

use super::{Project, client, terminal};
use crate::{clock, config::Config, domain::approval};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury approvals\n  mercury approvals allow 12\n  mercury approvals allow 12 --edit \"rm -r build\"\n  mercury approvals deny 12 --reason \"use the trash\"\n  mercury approvals log"
)]
pub(super) struct Approvals {
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
    /// Let a call pass, once.
    Allow {
        id: i64,
        /// Other arguments: a JSON object, or for a shell another command.
        #[arg(long, value_name = "ARGUMENTS")]
        edit: Option<String>,
    },
    /// Refuse a call.
    Deny {
        id: i64,
        /// Why, for the agent to read.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Show the last decisions about tool calls, newest first.
    Log {
        #[arg(short = 'n', long, default_value_t = 20)]
        count: u32,
    },
}

impl Approvals {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let answer = match &self.command {
            None => self.send(&config, Method::GET, "/approvals", None).await?,
            Some(Command::Log { count }) => {
                self.send(&config, Method::GET, &format!("/approvals/decisions?count={count}"), None).await?
            }
            Some(Command::Allow { id, edit }) => {
                let arguments = edit.as_deref().map(edited);
                let body = json!({ "choice": "allow", "arguments": arguments });
                self.send(&config, Method::POST, &format!("/approvals/{id}"), Some(body)).await?
            }
            Some(Command::Deny { id, reason }) => {
                let body = json!({ "choice": "deny", "reason": reason });
                self.send(&config, Method::POST, &format!("/approvals/{id}"), Some(body)).await?
            }
        };
        if self.json {
            terminal::line(serde_json::to_string_pretty(&answer)?);
            return Ok(ExitCode::SUCCESS);
        }
        match &self.command {
            None => questions(&answer["questions"]),
            Some(Command::Log { .. }) => decisions(&answer["decisions"]),
            Some(_) => terminal::line(text(&answer["note"])),
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn send(&self, config: &Config, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        client::ask_with(config, self.at, method, path, body).await
    }
}

/// What looks like an object is sent as it is; the host says what is wrong with it.
fn edited(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => object,
        _ => Value::String(text.to_owned()),
    }
}

/// Text that an agent may have written.
fn text(value: &Value) -> String {
    terminal::printable(value.as_str().unwrap_or_default())
}

fn questions(open: &Value) {
    let open = open.as_array().map(Vec::as_slice).unwrap_or_default();
    if open.is_empty() {
        terminal::line("Nothing waits for an approval.");
    }
    for question in open {
        let of =
            format!("Question {} of {} in {}", question["id"], text(&question["callerId"]), text(&question["space"]));
        terminal::line(format!("{}\n\n{}\n", terminal::heading(&of), text(&question["text"])));
    }
}

fn decisions(decisions: &Value) {
    for decision in decisions.as_array().map(Vec::as_slice).unwrap_or_default() {
        let passed = clock::millis() - decision["at"].as_i64().unwrap_or_default();
        let ago = approval::duration(Duration::from_millis(passed.max(0).unsigned_abs()));
        let by = decision["person"].as_str().map(|_| format!(" by {}", text(&decision["person"]))).unwrap_or_default();
        terminal::line(format!(
            "{ago:>7} ago  {:<9} {}{by}  {} {}",
            text(&decision["verdict"]),
            text(&decision["plugin"]),
            text(&decision["tool"]),
            text(&decision["excerpt"]).replace('\n', " "),
        ));
    }
}
