use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::{Project, terminal};
use crate::profiles;

#[derive(Debug, Default, clap::Args)]
#[command(after_help = "Examples:\n  mercury profiles list\n  mercury profiles list --json")]
pub(in crate::cli) struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(self, project: &Project) -> Result<ExitCode> {
        let active = project.config()?.profile.map(|profile| profile.name);
        let mut all = Vec::new();
        for built_in in profiles::ALL {
            all.push(built_in.profile()?);
        }
        if self.json {
            let all: Vec<Value> = all
                .iter()
                .map(|it| json!({ "name": it.name, "description": it.description, "extensions": it.extensions.len() }))
                .collect();
            terminal::line(serde_json::to_string_pretty(&json!({ "profiles": all, "active": active }))?);
            return Ok(ExitCode::SUCCESS);
        }
        let width = all.iter().map(|profile| profile.name.len()).max().unwrap_or_default();
        for profile in &all {
            let count = profile.extensions.len();
            let plugins = if count == 1 { "1 extension".to_owned() } else { format!("{count} extensions") };
            let mark = if active.as_ref() == Some(&profile.name) { "  active" } else { "" };
            terminal::line(format!("{:width$}  {} ({plugins}){mark}", profile.name, profile.description));
        }
        match active {
            Some(name) if all.iter().any(|profile| profile.name == name) => {}
            Some(name) => terminal::line(format!("\nActive: {}", terminal::printable(&name))),
            None => terminal::line("\nNone is active. `mercury profiles apply NAME` makes one so."),
        }
        Ok(ExitCode::SUCCESS)
    }
}
