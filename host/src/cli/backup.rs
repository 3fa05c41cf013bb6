use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Result;
use serde_json::json;

use super::{Project, interrupt, terminal};
use crate::backup::{self, Options};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury backup ~/mercury.tar.gz                  while the host runs, without any secret\n  mercury backup --with-secrets --force safe.tar.gz   everything that a new machine needs\n  mercury backup --json /backups/$(date +%F).tar.gz   for a script; exit code 1 and no file where it fails\n\nIn it: a copy of the database, spaces, plugins, what all agents share, files that are still to be sent and\nmercury.yaml. Bring it back with `mercury restore`."
)]
pub(super) struct Backup {
    /// The file to write, a .tar.gz. Only its owner may read it.
    file: PathBuf,
    /// Put `.env`, sign-ins and other credentials in, too. Keep such a file as you would keep those.
    #[arg(long)]
    with_secrets: bool,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let places = project.places()?;
        let target = std::path::absolute(&self.file)?;
        let options = Options { secrets: self.with_secrets, replace: self.force };
        let began = Instant::now();
        let (file, mut shown) = (target.clone(), Instant::now());
        let written = interrupt::interruptible_blocking(move |cancel| {
            backup::write(&file, &places, options, cancel, |files, bytes| {
                if shown.elapsed().as_millis() > 100 {
                    shown = Instant::now();
                    terminal::progress(&format!("{files} files, {}", terminal::bytes(bytes)));
                }
            })
        })
        .await?;
        terminal::progress("");
        let report = written?;
        let size = std::fs::metadata(&target)?.len();
        if self.json {
            let report = json!({
                "file": target, "sizeBytes": size, "secrets": self.with_secrets, "files": report.files,
                "bytes": report.bytes, "leftOut": report.left_out,
            });
            terminal::line(serde_json::to_string_pretty(&report)?);
            return Ok(ExitCode::SUCCESS);
        }
        for left in &report.left_out {
            terminal::note(format!("left out: {}", terminal::printable(left)));
        }
        terminal::line(format!(
            "{}: {} files, {} (unpacked {}) in {}",
            target.display(),
            report.files,
            terminal::bytes(size),
            terminal::bytes(report.bytes),
            terminal::milliseconds(began.elapsed())
        ));
        if !self.with_secrets {
            terminal::line("No secret is in it: `.env` and sign-ins are kept apart, or with --with-secrets.");
        }
        Ok(ExitCode::SUCCESS)
    }
}
