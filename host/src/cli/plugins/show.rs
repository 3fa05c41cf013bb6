use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;

use super::{
    super::{Project, terminal},
    consent, trust,
};
use crate::plugins::packages::{self, Listed, Origin};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mercury plugins show telegram\n  mercury plugins show telegram --json")]
pub(in crate::cli) struct Show {
    /// The plugin's name, as `mercury plugins list` shows it.
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let trust = trust(&config)?;
        let listed = packages::list(&config.data_dir, &config.plugins, &trust)?;
        let Some(plugin) = listed.into_iter().find(|plugin| plugin.name == self.name) else {
            bail!("there is no plugin `{}`. `mercury plugins list` shows all", self.name);
        };
        if self.json {
            let mut view = plugin.manifest.as_ref().map_or_else(|| json!({ "name": plugin.name }), packages::view);
            view["state"] = json!(plugin.state.to_string());
            view["origin"] = json!(plugin.origin.as_ref().map(Origin::word));
            view["agreed"] = json!(plugin.agreed());
            terminal::line(serde_json::to_string_pretty(&view)?);
            return Ok(ExitCode::SUCCESS);
        }
        match &plugin.manifest {
            Some(manifest) => consent::heading(manifest),
            None => terminal::line(terminal::heading(&plugin.name)),
        }
        terminal::line(format!("  State     {}", terminal::printable(&plugin.state.to_string())));
        terminal::line(format!("  At        {}", plugin.path.display()));
        show_agreed(&plugin, &trust);
        if let Some(manifest) = &plugin.manifest {
            consent::body(manifest);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn show_agreed(plugin: &Listed, trust: &packages::Trust) {
    let Some(agreed) = plugin.agreed() else { return };
    terminal::line(format!("  From      {}", terminal::printable(&agreed.source)));
    let signed = match &agreed.signer {
        Some(key) => format!("by {} ({key})", trust.name_of(key).unwrap_or("somebody whom you do not trust any more")),
        None => "by nobody whom you trust; you allowed it".to_owned(),
    };
    terminal::line(format!("  Signed    {signed}"));
    terminal::line(format!("  Contract  mercury:plugin@{}", agreed.contract));
    terminal::line(format!("  Digest    sha256:{}", agreed.digest));
}
