use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::{Project, terminal};
use super::trust;
use crate::plugins::packages::{self, Listed};

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
        let listed = packages::list(&config.data_dir, &config.plugins, &trust(&config)?)?;
        if self.json {
            let listed: Vec<Value> = listed.iter().map(view).collect();
            terminal::line(serde_json::to_string_pretty(&json!({ "plugins": listed }))?);
            return Ok(ExitCode::SUCCESS);
        }
        let width = listed.iter().map(|plugin| plugin.name.len()).max().unwrap_or_default();
        for plugin in &listed {
            // A refusal may have many lines; `show` has them all.
            let state = terminal::printable(plugin.state.to_string().lines().next().unwrap_or_default());
            terminal::line(format!("{:width$}  {:<10}  {:<9}  {state}", plugin.name, version(plugin), origin(plugin)));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn version(plugin: &Listed) -> &str {
    plugin.manifest.as_ref().map(|manifest| manifest.version.as_str()).unwrap_or_default()
}

fn origin(plugin: &Listed) -> &'static str {
    plugin.origin.as_ref().map(packages::Origin::word).unwrap_or_default()
}

fn view(plugin: &Listed) -> Value {
    let provides = plugin.manifest.as_ref().map(|manifest| &manifest.provides);
    let provides: Vec<&str> = provides.into_iter().flatten().map(|interface| interface.name()).collect();
    json!({
        "name": plugin.name,
        "version": version(plugin),
        "origin": origin(plugin),
        "state": plugin.state.to_string(),
        "signed": plugin.agreed().map(|agreed| agreed.signer.is_some()),
        "provides": provides,
    })
}
