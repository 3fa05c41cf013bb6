use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::{Project, terminal};
use crate::plugins::{self, Candidate};

#[derive(Debug, Default, clap::Args)]
#[command(after_help = "Examples:\n  mercury plugins list\n  mercury plugins list --json")]
pub(in crate::cli) struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let candidates = plugins::candidates(&config.data_dir, &config.plugins)?;
        if self.json {
            let candidates: Vec<Value> = candidates.iter().map(view).collect();
            terminal::line(serde_json::to_string_pretty(&json!({ "plugins": candidates }))?);
            return Ok(ExitCode::SUCCESS);
        }
        let width = candidates.iter().map(|candidate| candidate.name.len()).max().unwrap_or_default();
        for candidate in &candidates {
            terminal::line(format!(
                "{:width$}  {:<10}  {:<9}  {}",
                candidate.name, candidate.version, candidate.origin, candidate.state
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn view(candidate: &Candidate) -> Value {
    json!({
        "name": candidate.name,
        "version": candidate.version,
        "origin": candidate.origin,
        "state": candidate.state,
        "provides": candidate.provides,
    })
}
