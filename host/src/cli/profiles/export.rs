use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use serde_json::json;

use super::super::{Project, plugins::trust, terminal};
use crate::{plugins::packages, profiles};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury profiles export ./ours\n  tar -czf ours.tar.gz --format=ustar ours      to hand it on\n\nIn it: the global AGENTS.md, the plugins that were installed, and what the active profile says. No secret and no\nsetting of a plugin is."
)]
pub(in crate::cli) struct Export {
    /// The folder to write, new or empty. Its name becomes the profile's.
    folder: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Export {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let listed = packages::list(&config.data_dir, &config.plugins, &trust(&config)?)?;
        let folder = self.folder;
        let written = tokio::task::spawn_blocking(move || profiles::export(&config, &listed, &folder)).await??;
        let profile = &written.profile;
        if self.json {
            let view = json!({ "folder": written.folder, "profile": profile });
            terminal::line(serde_json::to_string_pretty(&view)?);
            return Ok(ExitCode::SUCCESS);
        }
        terminal::line(format!("{}: the profile {}", written.folder.display(), profile.name));
        if profile.agents_md.is_some() {
            terminal::line("  - AGENTS.md");
        }
        for extension in &profile.extensions {
            terminal::line(format!("  - the plugin {}", extension.name));
        }
        terminal::line(format!("\nElsewhere: mercury profiles apply {}", written.folder.display()));
        Ok(ExitCode::SUCCESS)
    }
}
