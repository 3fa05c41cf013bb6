use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::{
    super::{Project, terminal},
    next_step,
};
use crate::profiles;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mercury profiles clear\n\nThe global AGENTS.md and plugins stay as they are.")]
pub(in crate::cli) struct Clear {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Clear {
    pub(super) fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let cleared = profiles::clear(&config.data_dir)?;
        if self.json {
            terminal::line(serde_json::to_string_pretty(&json!({ "cleared": cleared }))?);
            return Ok(ExitCode::SUCCESS);
        }
        terminal::line(match cleared {
            Some(name) => {
                format!(
                    "The profile {} is not active any more. {}",
                    terminal::printable(&name),
                    next_step(&config.data_dir)
                )
            }
            None => "No profile was active.".to_owned(),
        });
        Ok(ExitCode::SUCCESS)
    }
}
