use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;

use super::{
    super::{Project, terminal},
    consent, installer, reload, stored,
};
use crate::plugins::packages::{self, InstallError, Source};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury plugins add ./my-plugin --allow-unsigned\n  mercury plugins add telegram-1.2.0.tar.gz\n  mercury plugins add oci://ghcr.io/somebody/telegram:1.2.0\n  mercury plugins add oci://ghcr.io/somebody/telegram:1.2.0 --json    show what it asks for, as JSON"
)]
pub(in crate::cli) struct Add {
    /// A folder, a `.tar` or `.tar.gz`, or `oci://registry/name:version`, also with `@sha256:…`.
    source: String,
    /// Agree to what it asks for, without a question.
    #[arg(short, long)]
    yes: bool,
    /// Take it though nobody whom you trust has signed it. The lock remembers.
    #[arg(long)]
    allow_unsigned: bool,
    /// Let it take the place of a plugin that comes with the host and has its name.
    #[arg(long)]
    replace: bool,
    /// Print JSON and ask nothing: without --yes it only shows.
    #[arg(long)]
    json: bool,
}

impl Add {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let installer = installer(project, &config)?;
        let offer = installer.fetch(&Source::parse(&self.source)?).await?;
        if offer.installed.is_some() {
            bail!(InstallError::Installed { name: offer.name().to_owned() });
        }
        let view = self.json.then(|| packages::view_offer(&offer));
        match &view {
            Some(view) if !self.yes => {
                terminal::line(serde_json::to_string_pretty(&json!({ "added": false, "plugin": view }))?);
                return Ok(ExitCode::SUCCESS);
            }
            Some(_) => {}
            None => {
                consent::show_offer(&offer);
                let kept = stored::of(&config, offer.name()).await?;
                if !stored::is_nothing(&kept) {
                    terminal::line(format!(
                        "\nIt finds what a plugin of this name has stored: {}",
                        stored::in_words(&kept)
                    ));
                }
            }
        }
        let signer = installer.signer(&offer, self.allow_unsigned)?;
        installer.check_place(&offer, self.replace).await?;
        if !consent::ask(self.yes, "Install it?")? {
            terminal::note("Nothing was installed.");
            return Ok(ExitCode::FAILURE);
        }
        let name = offer.name().to_owned();
        let agreed = installer.install(offer, signer).await?;
        let host = reload::tell_host(&config, &name).await?;
        match view {
            Some(view) => {
                terminal::line(serde_json::to_string_pretty(&json!({ "added": true, "plugin": view, "host": host }))?);
            }
            None => terminal::line(format!("\nInstalled {name} {}. {}", agreed.version, host.note())),
        }
        Ok(ExitCode::SUCCESS)
    }
}
