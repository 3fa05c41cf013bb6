use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};

use super::super::terminal;
use crate::plugins::packages::{Package, SIGNATURE_FILE, SigningKey};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mercury plugins keygen ~/.config/mercury/signing.key")]
pub(in crate::cli) struct Keygen {
    /// The new file for the private key.
    file: PathBuf,
}

impl Keygen {
    pub(super) fn run(self) -> Result<ExitCode> {
        use std::os::unix::fs::OpenOptionsExt;
        let (key, text) = SigningKey::generate()?;
        let mut file =
            std::fs::File::options().write(true).create_new(true).mode(0o600).open(&self.file).with_context(|| {
                format!("{} cannot be made; name a new file in a folder that exists", self.file.display())
            })?;
        file.write_all(text.expose_secret().as_bytes()).and_then(|()| file.sync_all())?;
        terminal::note(format!("The private key is in {}. Keep it to yourself.", self.file.display()));
        terminal::note(
            "Who shall trust it puts this under plugins.trusted_keys of mercury.yaml, with a name of their own:",
        );
        terminal::line(key.public().to_string());
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mercury plugins sign ~/.config/mercury/signing.key ./my-plugin")]
pub(in crate::cli) struct Sign {
    /// The file of the private key.
    key: PathBuf,
    /// The plugin's folder.
    folder: PathBuf,
}

impl Sign {
    pub(super) fn run(self) -> Result<ExitCode> {
        let text = std::fs::read_to_string(&self.key)
            .with_context(|| format!("the key {} cannot be read", self.key.display()))?;
        let key = SigningKey::parse(&SecretString::from(text)).with_context(|| self.key.display().to_string())?;
        let package = Package::sign(&self.folder, &key)?;
        terminal::line(format!(
            "Signed {} {} as {}: {} files of contract {}, in {SIGNATURE_FILE}",
            package.manifest.name,
            package.manifest.version,
            key.public(),
            package.files.len() - 1,
            package.contract
        ));
        Ok(ExitCode::SUCCESS)
    }
}
