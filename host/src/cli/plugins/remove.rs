use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;

use super::{
    super::{Project, terminal},
    installer, reload, stored, trust,
};
use crate::{
    config::Config,
    plugins::packages::{self, InstallError, Origin},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mercury plugins remove telegram\n  mercury plugins remove telegram --purge")]
pub(in crate::cli) struct Remove {
    /// The plugin's name, as `mercury plugins list` shows it.
    name: String,
    /// Also delete what it has stored: its state, timers, settings, files, and what is known of its jobs and tasks.
    #[arg(long)]
    purge: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Remove {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let removed = match installer(project, &config)?.remove(&self.name).await {
            Ok(removed) => Some(removed),
            Err(error @ InstallError::NotInstalled { .. }) => {
                refuse_others(&config, &self.name)?;
                if !self.purge {
                    bail!(error);
                }
                None
            }
            Err(error) => bail!(error),
        };
        // First out of the host, or it would write again.
        let host = reload::tell_host(&config, &self.name).await?;
        let kept = stored::of(&config, &self.name).await?;
        if self.purge && !self.json && !stored::is_nothing(&kept) {
            terminal::note(format!("Deleting what {} has stored: {}", self.name, stored::in_words(&kept)));
        }
        let purged = match self.purge {
            true => Some(stored::delete(&config, host, &self.name).await?),
            false => None,
        };
        if self.json {
            let version = removed.as_ref().map(|removed| &removed.version);
            let view = json!({ "name": self.name, "removed": version, "purged": purged, "kept": kept, "host": host });
            terminal::line(serde_json::to_string_pretty(&view)?);
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(removed) = removed {
            terminal::line(format!("Removed {} {}. {}", self.name, removed.version, host.note()));
        }
        match purged {
            Some(purged) => terminal::line(format!("Deleted what it had stored: {}.", stored::in_words(&purged))),
            None if stored::is_nothing(&kept) => {}
            None => {
                terminal::note(format!("What it has stored stays ({}); `--purge` deletes it.", stored::in_words(&kept)))
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What is there and was never installed cannot be removed by us.
fn refuse_others(config: &Config, name: &str) -> Result<()> {
    let listed = packages::list(&config.data_dir, &config.plugins, &trust(config)?)?;
    match listed.into_iter().find(|plugin| plugin.name == name) {
        Some(plugin) if plugin.origin == Some(Origin::BuiltIn) => {
            bail!("{name} comes with the host; switch it off with plugins.{name}.enabled: false in mercury.yaml")
        }
        Some(plugin) => bail!("{name} was put there by hand; delete {}", plugin.path.display()),
        None => Ok(()),
    }
}
