use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use serde_json::json;

use super::{
    super::{Project, terminal},
    installer,
};
use crate::plugins::packages::Package;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury plugins publish oci://ghcr.io/somebody/telegram            as the version of plugin.toml\n  mercury plugins publish oci://ghcr.io/somebody/telegram:1.2.0 ./telegram"
)]
pub(in crate::cli) struct Publish {
    /// `oci://registry/name:version`; without a version, that of the manifest. Log in with `docker login`.
    reference: String,
    /// The plugin's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Put it in the place of another one of this version.
    #[arg(long)]
    overwrite: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Publish {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let package = Package::read(&self.folder)?;
        let published = installer(project, &config)?.publish(&package, &self.reference, self.overwrite).await?;
        if self.json {
            let view = json!({
                "name": package.manifest.name,
                "version": package.manifest.version,
                "reference": published.reference,
                "digest": published.digest,
                "signer": package.signer,
            });
            terminal::line(serde_json::to_string_pretty(&view)?);
            return Ok(ExitCode::SUCCESS);
        }
        terminal::line(format!(
            "Published {} {} as {}@{}",
            package.manifest.name, package.manifest.version, published.reference, published.digest
        ));
        if package.signer.is_none() {
            terminal::note(
                "It is not signed: others add it only with --allow-unsigned. `mercury plugins sign KEY FOLDER` signs it.",
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}
