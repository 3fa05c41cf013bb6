use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use axum::http::Method;
use serde_json::{Value, json};

use super::super::{Project, client, terminal};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury plugins stats\n  mercury plugins stats redact\n  mercury plugins stats --json"
)]
pub(in crate::cli) struct Stats {
    /// Only this plugin, with its faults and its last error.
    name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: client::AtPort,
}

impl Stats {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let answer = client::ask(&project.config()?, self.at, Method::GET, "/api/plugins").await?;
        let mut plugins = answer["plugins"].as_array().cloned().unwrap_or_default();
        if let Some(name) = &self.name {
            plugins.retain(|plugin| plugin["name"] == *name);
            if plugins.is_empty() {
                anyhow::bail!("no plugin `{name}` is loaded; `mercury plugins list` shows those that are there");
            }
        }
        let text = match (self.json, &self.name) {
            (true, _) => serde_json::to_string_pretty(&json!({ "plugins": plugins }))?,
            (false, Some(_)) => plugins.iter().map(one).collect(),
            (false, None) => table(&plugins),
        };
        terminal::line(text.trim_end());
        Ok(ExitCode::SUCCESS)
    }
}

fn table(plugins: &[Value]) -> String {
    let width = plugins.iter().map(|plugin| text(&plugin["name"]).chars().count()).max().unwrap_or_default().max(6);
    let mut table = format!(
        "{:width$} {:>9} {:>7} {:>7} {:>9} {:>9} {:>9} {:>9}\n",
        "plugin", "calls", "failed", "denied", "p50", "p99", "cpu", "memory"
    );
    for plugin in plugins {
        let seen = &plugin["seen"];
        table.push_str(&format!(
            "{:width$} {:>9} {:>7} {:>7} {:>9} {:>9} {:>9} {:>9}{}\n",
            text(&plugin["name"]),
            seen["calls"].as_u64().unwrap_or_default(),
            seen["calls"].as_u64().unwrap_or_default() - seen["answered"].as_u64().unwrap_or_default(),
            seen["denials"].as_u64().unwrap_or_default(),
            micros(&seen["p50Micros"]),
            micros(&seen["p99Micros"]),
            seconds(&seen["cpuSeconds"]),
            bytes(&seen["memoryBytes"]),
            if plugin["resting"] == true { "  resting after faults" } else { "" },
        ));
    }
    table
}

fn one(plugin: &Value) -> String {
    let seen = &plugin["seen"];
    let provides: Vec<String> = plugin["provides"].as_array().into_iter().flatten().map(text).collect();
    let mut lines = vec![
        format!("{} {}", text(&plugin["name"]), text(&plugin["version"])),
        format!("Contract    mercury:plugin@{}", text(&plugin["contract"])),
        format!("Provides    {}", provides.join(", ")),
        format!(
            "Calls       {}: {} answered, {} too late, {} skipped after faults",
            seen["calls"], seen["answered"], seen["timeouts"], seen["skipped"]
        ),
    ];
    let faults = seen["faults"].as_object().into_iter().flatten();
    let faults: Vec<String> = faults.map(|(fault, count)| format!("{count} {fault}")).collect();
    lines.push(format!("Faults      {}", if faults.is_empty() { "none".to_owned() } else { faults.join(", ") }));
    lines.push(format!("Time        median {}, p99 {}", micros(&seen["p50Micros"]), micros(&seen["p99Micros"])));
    lines.push(format!("Computing   {}", seconds(&seen["cpuSeconds"])));
    lines.push(format!("Memory      at most {} in one call", bytes(&seen["memoryBytes"])));
    lines.push(format!("Host calls  {}, {} not granted", seen["hostCalls"], seen["denials"]));
    if plugin["resting"] == true {
        lines.push("Now         resting after faults".to_owned());
    }
    if let Some(error) = seen["lastError"]["text"].as_str() {
        lines.push(format!("Last error  {}", terminal::printable(error)));
    }
    lines.join("\n") + "\n"
}

/// Text that an author wrote.
fn text(value: &Value) -> String {
    terminal::printable(value.as_str().unwrap_or_default())
}

fn micros(value: &Value) -> String {
    let micros = value.as_u64().unwrap_or_default();
    if micros < 1_000 { format!("{micros} µs") } else { terminal::milliseconds(Duration::from_micros(micros)) }
}

fn seconds(value: &Value) -> String {
    format!("{:.3} s", value.as_f64().unwrap_or_default())
}

fn bytes(value: &Value) -> String {
    format!("{} KiB", value.as_u64().unwrap_or_default().div_ceil(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin() -> Value {
        json!({
            "name": "redact", "version": "0.1.0", "contract": "0.2.0", "provides": ["result-processor"], "resting": true,
            "seen": {
                "calls": 1204, "answered": 1200, "timeouts": 1, "faults": { "deadline": 2, "trap": 1 }, "skipped": 7,
                "denials": 3, "hostCalls": 2408, "cpuSeconds": 0.04711, "memoryBytes": 1_114_112,
                "p50Micros": 41, "p99Micros": 1833,
                "lastError": { "at": 1, "text": "redact: result-processor failed: boom; it said: panicked\u{1b}[2J at src/lib.rs:14" },
            },
        })
    }

    #[test]
    fn a_line_for_each() {
        insta::assert_snapshot!(table(&[plugin()]), @"
        plugin     calls  failed  denied       p50       p99       cpu    memory
        redact      1204       4       3     41 µs    1.8 ms   0.047 s  1088 KiB  resting after faults
        ");
    }

    #[test]
    fn one_with_its_last_error() {
        insta::assert_snapshot!(one(&plugin()), @"
        redact 0.1.0
        Contract    mercury:plugin@0.2.0
        Provides    result-processor
        Calls       1204: 1200 answered, 1 too late, 7 skipped after faults
        Faults      2 deadline, 1 trap
        Time        median 41 µs, p99 1.8 ms
        Computing   0.047 s
        Memory      at most 1088 KiB in one call
        Host calls  2408, 3 not granted
        Now         resting after faults
        Last error  redact: result-processor failed: boom; it said: panicked[2J at src/lib.rs:14
        ");
    }
}
