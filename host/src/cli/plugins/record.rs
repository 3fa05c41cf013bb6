//! `mercury plugins record`: calls of a running host as files for `mercury plugins test`.

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use axum::http::Method;

use super::super::{Project, client, terminal};
use crate::plugins::replay::Recording;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A recording holds what people wrote and what peers answered, but no secret: read it before you give it away.\n\nExamples:\n  mercury plugins record telegram\n  mercury plugins record telegram --calls 1 --out ~/telegram/tests"
)]
pub(in crate::cli) struct Record {
    /// The plugin's name, as `mercury plugins list` shows it.
    name: String,
    /// The folder for the files.
    #[arg(long, value_name = "DIR", default_value = "tests")]
    out: PathBuf,
    /// End after so many calls.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
    calls: u16,
    /// End after so many seconds.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u16).range(1..=3600))]
    seconds: u16,
    #[command(flatten)]
    at: client::AtPort,
}

impl Record {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let base = client::base_url(&config, self.at.port);
        let body = serde_json::json!({ "calls": self.calls, "seconds": self.seconds });
        let secret = client::operator_secret(&config);
        let path = format!("/api/plugins/{}/recording", self.name);
        let mut lines = client::Call::new(Method::POST, &base, &path).secret(secret).body(Some(&body)).lines().await?;
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("the folder {} cannot be made", self.out.display()))?;
        terminal::note(format!(
            "Recording {}: at most {} calls and {} s. Ctrl-C ends it.",
            self.name, self.calls, self.seconds
        ));
        let mut count = 0;
        loop {
            let line = tokio::select! {
                line = lines.next() => line?,
                _ = tokio::signal::ctrl_c() => None,
            };
            let Some(line) = line else { break };
            let recording: Recording = serde_json::from_slice(&line).context("the host's answer is not understood")?;
            terminal::line(write(&self.out, &recording)?.display().to_string());
            count += 1;
        }
        terminal::note(match count {
            0 => "Nothing was called meanwhile.".to_owned(),
            1 => "1 call. `mercury plugins test` in the plugin's folder plays it.".to_owned(),
            count => format!("{count} calls. `mercury plugins test` in the plugin's folder plays them."),
        });
        Ok(ExitCode::SUCCESS)
    }
}

/// Under the first name that is free; only for the operator's eyes.
fn write(folder: &Path, recording: &Recording) -> Result<PathBuf> {
    let mut text = serde_json::to_string_pretty(recording)?;
    text.push('\n');
    for number in 1.. {
        let path = folder.join(format!("{}-{}-{number:03}.json", recording.interface, recording.function));
        match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))?;
                return Ok(path);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be written", path.display())),
        }
    }
    anyhow::bail!("no name is free in {}", folder.display())
}
