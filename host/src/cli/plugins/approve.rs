use std::process::ExitCode;

use anyhow::Result;

use super::{
    super::{Project, terminal},
    consent, installer, reload,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mercury plugins approve telegram\n  mercury plugins approve telegram --yes")]
pub(in crate::cli) struct Approve {
    /// The plugin's name, as `mercury plugins list` shows it.
    name: String,
    /// Agree without a question.
    #[arg(short, long)]
    yes: bool,
}

impl Approve {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let installer = installer(project, &config)?;
        let pending = installer.pending(&self.name).await?;
        if pending.beyond.is_empty() {
            terminal::line(format!("{} asks for nothing that was not agreed to.", pending.manifest.name));
            return Ok(ExitCode::SUCCESS);
        }
        consent::heading(&pending.manifest);
        consent::body(&pending.manifest);
        terminal::line(format!("\nNot agreed to yet: {}", pending.beyond.join("; ")));
        if !consent::ask(self.yes, "Agree to all of it?")? {
            terminal::note("Nothing was changed.");
            return Ok(ExitCode::FAILURE);
        }
        installer.approve(pending).await?;
        let host = reload::tell_host(&config, &self.name).await?;
        terminal::line(format!("Agreed. {}", host.note()));
        Ok(ExitCode::SUCCESS)
    }
}
