use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Result;
use serde_json::json;

use super::{Project, interrupt, terminal};
use crate::backup::{self, Places};

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
        let before = places.clone();
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
        let to_move = moved(project, &before, restored.sign_ins.as_deref());
        if self.json {
            let mut report = serde_json::to_value(&restored)?;
            report["dataDir"] = json!(before.data_dir);
            report["next"] = json!(to_move);
            terminal::line(serde_json::to_string_pretty(&report)?);
            return Ok(ExitCode::SUCCESS);
        }
        terminal::line(format!("Restored {}", before.data_dir.display()));
        if let Some(previous) = &restored.previous {
            terminal::line(format!("What was there before is in {}", previous.display()));
        }
        for path in &restored.settings {
            terminal::line(format!("Wrote {}", path.display()));
        }
        match &restored.sign_ins {
            Some(path) => terminal::line(format!("The backup's sign-ins are in {}", path.display())),
            None if before.auth_path.is_file() => {
                terminal::line(format!("The sign-ins in {} are as they were", before.auth_path.display()));
            }
            None => {}
        }
        for line in to_move {
            terminal::line(line);
        }
        if !restored.backup.secrets {
            terminal::line("No secret was in it: put `.env` in its place, sign in again, then `mercury doctor`.");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What is to be done where the settings that came back name other places than those before.
fn moved(project: &Project, before: &Places, sign_ins: Option<&Path>) -> Vec<String> {
    let now = match Project::open(project.folder.clone()).and_then(|project| project.places()) {
        Ok(now) => now,
        Err(error) => return vec![format!("The settings that came back cannot be used: {error:#}")],
    };
    let mut lines = Vec::new();
    let mut compare = |what: &str, there: &Path, wanted: &Path| {
        if there != wanted {
            let (there, wanted) = (there.display(), wanted.display());
            lines.push(format!(
                "The settings that came back keep {what} in {wanted}. Before the next start: mv {there} {wanted}"
            ));
        }
    };
    compare("the data", &before.data_dir, &now.data_dir);
    if let Some(path) = sign_ins.filter(|_| now.auth_path != before.auth_path) {
        // Those inside of the data directory go with it.
        let goes_with_it =
            path.strip_prefix(&before.data_dir).is_ok_and(|inside| now.data_dir.join(inside) == now.auth_path);
        if !goes_with_it {
            compare("sign-ins", path, &now.auth_path);
        }
    }
    lines
}
