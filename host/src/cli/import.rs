use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;

use super::{Project, interrupt, terminal};
use crate::import::{self, Report};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury import --dry-run ~/old-project     what would come along, and what would not\n  mercury import ~/old-project               into this project; stop the old host first\n  mercury import --json ~/old-project        for a script\n\nNothing in the old project is changed. It may be run again: what is here already stays, and only what is new\ncomes along."
)]
pub(super) struct Import {
    /// The old project: the folder with its `.env`, `mercury.yaml` and `.mercury`.
    folder: PathBuf,
    /// Change nothing; say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Import {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let places = project.places()?;
        let report =
            interrupt::interruptible(async |cancel| import::import(&self.folder, &places, self.dry_run, cancel).await)
                .await??;
        match self.json {
            true => terminal::line(serde_json::to_string_pretty(&report)?),
            false => print(&report),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(report: &Report) {
    terminal::line(terminal::heading(if report.dry_run { "Would come along" } else { "Came along" }));
    if let Some(before) = &report.before {
        terminal::line(format!("  Goes on from before, when it was {before}"));
    }
    for (what, count) in &report.counts {
        let known = if count.known > 0 { format!("   ({} here already)", count.known) } else { String::new() };
        terminal::line(format!("  {what:<14} {:>8}{known}", count.taken));
    }
    if !report.left.is_empty() {
        terminal::line(terminal::heading("Left behind"));
    }
    for left in &report.left {
        terminal::line(format!("  {}\n      {}", terminal::printable(&left.what), terminal::printable(&left.why)));
    }
    terminal::line(match report.dry_run {
        true => "\nNothing was changed. Without --dry-run it is done.",
        false => "\nNext: `mercury doctor`, then `mercury run`. Keep the old project until you miss nothing.",
    });
}
