use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use axum::http::Method;
use serde_json::Value;

use super::super::{Project, client, terminal};
use crate::{clock, domain::approval};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mercury plugins jobs\n  mercury plugins jobs --json")]
pub(in crate::cli) struct Jobs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: client::AtPort,
}

impl Jobs {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let answer = client::ask(&config, self.at, Method::GET, "/api/plugins/jobs").await?;
        if self.json {
            terminal::line(serde_json::to_string_pretty(&answer)?);
            return Ok(ExitCode::SUCCESS);
        }
        let jobs = answer["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
        if jobs.is_empty() {
            terminal::line("No plugin has a job.");
        }
        for job in jobs {
            let text = |field: &str| terminal::printable(job[field].as_str().unwrap_or_default());
            terminal::line(format!("{}:{}  {}  {}", text("plugin"), text("job"), text("timing"), standing(job)));
            if job["lastDetail"].is_string() {
                terminal::line(format!("    {}", text("lastDetail")));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn standing(job: &Value) -> String {
    let now = clock::millis();
    let apart = |field: &str| {
        let at = job[field].as_i64()?;
        Some(approval::duration(Duration::from_millis(at.abs_diff(now))))
    };
    if job["running"] == true {
        return format!("runs since {}", apart("lastStartedAt").unwrap_or_default());
    }
    let next = apart("nextAt").map_or("never again".to_owned(), |left| format!("next in {left}"));
    match (job["lastOutcome"].as_str(), apart("lastStartedAt")) {
        (Some(outcome), Some(ago)) => format!("{next}; last {ago} ago: {outcome}"),
        _ => format!("{next}; not run yet"),
    }
}
