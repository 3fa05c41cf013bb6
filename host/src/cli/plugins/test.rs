//! `mercury plugins test`: a plugin's recordings, played in the real engine.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use serde_json::{Value, json};

use super::super::terminal;
use crate::plugins::{
    Manifest,
    replay::{Player, RecordingFile, Verdict},
};

/// Some recording did not pass.
const FAILED: u8 = 1;
/// There was nothing to play, or it could not be loaded.
const UNUSABLE: u8 = 2;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A recording is one call, what the component asks of the host meanwhile, and what it returns:\n  {\n    \"interface\": \"tool-guard\", \"function\": \"check\",\n    \"arguments\": [{ \"person\": \"api:ada\", \"role\": \"member\", \"space\": \"main\" }, \"bash\", \"{}\"],\n    \"traffic\": [{ \"call\": \"kv.get\", \"arguments\": [\"count\"], \"answer\": { \"ok\": null } }],\n    \"expected\": { \"deny\": \"bash is for admins\" }\n  }\nWithout `expected` the test shows what was returned. What plugin.toml does not grant fails, whatever the\nrecording answers. docs/plugins/recordings.md has all fields.\n\nExit code: 0 all passed, 1 some did not, 2 there is nothing to play or it cannot be loaded.\n\nExamples:\n  mercury plugins test\n  mercury plugins test ~/my-plugin --filter deny\n  mercury plugins test --component target/wasm32-wasip2/debug/my_plugin.wasm   with source lines in traps\n  mercury plugins test --accept   write what it returns as what is expected"
)]
pub(in crate::cli) struct Test {
    /// The plugin's folder, with `plugin.toml`, the component, and recordings in `tests/*.json`.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Use this component in place of the one that the manifest names.
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Only recordings whose file name holds this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Write what the component returns into the recordings, as what is expected from now on.
    #[arg(long)]
    accept: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Test {
    pub(super) async fn run(self) -> Result<ExitCode> {
        match self.play().await {
            Ok(code) => Ok(code),
            Err(error) if self.json => {
                terminal::line(serde_json::to_string_pretty(&json!({ "error": format!("{error:#}") }))?);
                Ok(ExitCode::from(UNUSABLE))
            }
            Err(error) => {
                terminal::error(&error);
                Ok(ExitCode::from(UNUSABLE))
            }
        }
    }

    async fn play(&self) -> Result<ExitCode> {
        // First: in another folder than a plugin's, that says more than that there is no recording.
        Manifest::read(&self.folder)?;
        let tests = self.folder.join("tests");
        let mut files = RecordingFile::all(&tests)?;
        if let Some(filter) = &self.filter {
            files.retain(|file| name(file).contains(filter.as_str()));
        }
        if files.is_empty() {
            anyhow::bail!(
                "there is no recording in {}{}. `mercury plugins record` makes some of a running host; docs/plugins/recordings.md shows how to write one",
                tests.display(),
                self.filter.as_ref().map(|filter| format!(" whose name holds `{filter}`")).unwrap_or_default()
            );
        }
        let (folder, component) = (self.folder.clone(), self.component.clone());
        let player = tokio::task::spawn_blocking(move || Player::load(&folder, component.as_deref())).await??;
        let mut results = Vec::new();
        let mut failed = 0;
        for mut file in files {
            let mut played = player.play(&file.recording).await?;
            if self.accept
                && let Verdict::Differs { actual, .. } | Verdict::Unknown { actual } = &played.verdict
            {
                file.recording.expected = Some(actual.clone());
                file.write()?;
                played.verdict = Verdict::Passed;
            }
            failed += usize::from(played.verdict != Verdict::Passed);
            if !self.json {
                show(&name(&file), &file.recording.about, &played.verdict, &played.log);
            }
            results.push(view(&name(&file), &played.verdict, &played.log));
        }
        let count = results.len();
        if self.json {
            let report = json!({ "plugin": player.manifest().name, "failed": failed, "results": results });
            terminal::line(serde_json::to_string_pretty(&report)?);
        } else {
            terminal::line(match failed {
                0 => format!("{count} passed"),
                failed => format!("{} passed, {failed} failed", count - failed),
            });
        }
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }
}

fn name(file: &RecordingFile) -> String {
    file.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn show(name: &str, about: &str, verdict: &Verdict, log: &[String]) {
    let indented = |text: &str| text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n");
    let about = if about.is_empty() { String::new() } else { format!(": {about}") };
    match verdict {
        Verdict::Passed => return terminal::line(format!("ok      {name}{about}")),
        Verdict::Differs { differences, .. } => {
            terminal::line(format!("FAILED  {name}{about}"));
            for difference in differences {
                terminal::line(indented(&terminal::printable(difference)));
            }
        }
        Verdict::Unknown { actual } => {
            terminal::line(format!("FAILED  {name}{about}"));
            let text = serde_json::to_string_pretty(actual).unwrap_or_default();
            terminal::line(indented(&format!("nothing is expected; --accept writes what it returned:\n{text}")));
        }
        Verdict::Failed { message } => {
            terminal::line(format!("FAILED  {name}{about}"));
            terminal::line(indented(&terminal::printable(message)));
        }
    }
    for line in log {
        terminal::line(format!("    log: {}", terminal::printable(line)));
    }
}

fn view(name: &str, verdict: &Verdict, log: &[String]) -> Value {
    let mut result = json!({ "name": name, "passed": *verdict == Verdict::Passed, "log": log });
    match verdict {
        Verdict::Passed => {}
        Verdict::Differs { differences, actual } => {
            result["differences"] = json!(differences);
            result["actual"] = actual.clone();
        }
        Verdict::Unknown { actual } => result["actual"] = actual.clone(),
        Verdict::Failed { message } => result["error"] = json!(message),
    }
    result
}
