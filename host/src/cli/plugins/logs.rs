use std::process::ExitCode;

use anyhow::Result;
use axum::http::Method;
use jiff::Timestamp;
use serde_json::Value;

use super::super::{Project, client, terminal};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mercury plugins logs redact\n  mercury plugins logs redact -n 500")]
pub(in crate::cli) struct Logs {
    /// The plugin's name, as `mercury plugins list` shows it.
    name: String,
    /// Lines at most; the host keeps the last 500.
    #[arg(short = 'n', long, default_value_t = 100)]
    count: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: client::AtPort,
}

impl Logs {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let name: String = url::form_urlencoded::byte_serialize(self.name.as_bytes()).collect();
        let answer = client::ask(
            &project.config()?,
            self.at,
            Method::GET,
            &format!("/api/plugins/{name}/log?count={}", self.count),
        )
        .await?;
        if self.json {
            terminal::line(serde_json::to_string_pretty(&answer)?);
            return Ok(ExitCode::SUCCESS);
        }
        for entry in answer["lines"].as_array().into_iter().flatten() {
            terminal::line(line(entry));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a plugin wrote may have lines and escapes of its own: it stays one entry.
fn line(entry: &Value) -> String {
    let at = Timestamp::from_millisecond(entry["at"].as_i64().unwrap_or_default()).unwrap_or_default();
    let text = terminal::printable(entry["text"].as_str().unwrap_or_default()).replace('\n', "\n    ");
    format!("{at:.3} {:<5} {text}", entry["level"].as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_pretend_to_be_two() {
        let entry = serde_json::json!({ "at": 1_764_000_000_123_i64, "level": "warn", "text": "a\u{1b}[31m\nb" });
        insta::assert_snapshot!(line(&entry), @"
        2025-11-24T16:00:00.123Z warn  a[31m
            b
        ");
    }
}
