use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Result;
use serde_json::json;

use super::{Project, interrupt, terminal};
use crate::backup;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury restore ~/mercury.tar.gz                       into a project without data\n  mercury --project ~/new restore ~/mercury.tar.gz       into another one\n  mercury stop && mercury restore --replace mercury.tar.gz   back to how it was; what is there is kept beside it\n\nThe backup is checked first. It comes back whole or not at all. What it was about to answer and to send when\nit was made is answered and sent by the next start, also where that has happened since."
)]
pub(super) struct Restore {
    /// The backup, as `mercury backup` has written it.
    file: PathBuf,
    /// Put it in the place of the data that is there.
    #[arg(long)]
    replace: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let places = project.places()?;
        let data_dir = places.data_dir.clone();
        let (file, replace, mut shown) = (self.file, self.replace, Instant::now());
        let restored = interrupt::interruptible_blocking(move |cancel| {
            backup::restore(&file, &places, replace, cancel, |read, size| {
                if shown.elapsed().as_millis() > 100 {
                    shown = Instant::now();
                    terminal::progress(&format!("{} of {}", terminal::bytes(read), terminal::bytes(size)));
                }
            })
        })
        .await?;
        terminal::progress("");
        let restored = restored?;
        if self.json {
            let mut report = serde_json::to_value(&restored)?;
            report["dataDir"] = json!(data_dir);
            terminal::line(serde_json::to_string_pretty(&report)?);
            return Ok(ExitCode::SUCCESS);
        }
        terminal::line(format!("Restored {}", data_dir.display()));
        if let Some(previous) = &restored.previous {
            terminal::line(format!("What was there before is in {}", previous.display()));
        }
        for path in &restored.settings {
            terminal::line(format!("Wrote {}", path.display()));
        }
        if !restored.backup.secrets {
            terminal::line("No secret was in it: put `.env` in its place, sign in again, then `mercury doctor`.");
        }
        Ok(ExitCode::SUCCESS)
    }
}
