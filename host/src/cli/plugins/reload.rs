use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use axum::http::Method;
use serde_json::Value;

use super::super::{Project, client, terminal};
use crate::{config::Config, data_dir};

const PATH: &str = "/api/plugins/reload";

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mercury plugins reload\n  mercury plugins reload --json")]
pub(in crate::cli) struct Reload {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: client::AtPort,
}

/// Whether a host runs here and what it made of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum Host {
    TookItUp,
    /// It holds the data directory, and follows the lock by itself.
    DoesNotAnswer,
    DoesNotRun,
}

impl Host {
    pub(super) fn note(self) -> &'static str {
        match self {
            Self::TookItUp => "The running host has taken it up.",
            Self::DoesNotAnswer => {
                "A host runs and does not answer at the configured port; it takes it up by itself, and logs whether it could."
            }
            Self::DoesNotRun => "No host runs; the next start takes it up.",
        }
    }
}

/// Has the host, if one runs, take up a change of `plugin`. Where none holds the data directory nobody is asked:
/// at the configured port another project's may answer.
///
/// # Errors
/// Where the host refuses the plugin as it is now.
pub(in crate::cli) async fn tell_host(config: &Config, plugin: &str) -> Result<Host> {
    if matches!(data_dir::holder(&config.data_dir), Ok(None)) {
        return Ok(Host::DoesNotRun);
    }
    let base = client::base_url(config, None);
    let Ok(answer) = client::Call::new(Method::POST, &base, PATH).secret(client::operator_secret(config)).send().await
    else {
        return Ok(Host::DoesNotAnswer);
    };
    let changes: Value = serde_json::from_slice(&answer.success()?).context("the host's answer is not understood")?;
    if let Some(reason) = changes["refused"][plugin].as_str() {
        bail!(
            "the lock is written, but the running host does not use this version of {plugin}: {}",
            terminal::printable(reason)
        );
    }
    Ok(Host::TookItUp)
}

/// The parts of the configuration that are not those with which the host was started.
fn need_restart(now: &BTreeMap<String, String>, host: &Value) -> Vec<String> {
    let started: BTreeMap<&str, &str> = host
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(part, digest)| Some((part.as_str(), digest.as_str()?)))
        .collect();
    let parts: BTreeSet<&str> = now.keys().map(String::as_str).chain(started.keys().copied()).collect();
    let differs = |part: &&str| now.get(*part).map(String::as_str) != started.get(part).copied();
    // A host that says nothing of it is an older one.
    if started.is_empty() { Vec::new() } else { parts.into_iter().filter(differs).map(str::to_owned).collect() }
}

impl Reload {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let mut changes = client::ask(&config, self.at, Method::POST, PATH).await?;
        let waiting = need_restart(&config.plugin_fingerprints(), &changes["configured"]);
        if self.json {
            if let Some(changes) = changes.as_object_mut() {
                changes.remove("configured");
                changes.insert("needsRestart".into(), waiting.into());
            }
            terminal::line(serde_json::to_string_pretty(&changes)?);
            return Ok(ExitCode::SUCCESS);
        }
        let mut nothing = true;
        for (what, field) in [("Added", "added"), ("Updated", "updated"), ("Removed", "removed")] {
            for name in changes[field].as_array().into_iter().flatten().filter_map(Value::as_str) {
                terminal::line(format!("{what} {}", terminal::printable(name)));
                nothing = false;
            }
        }
        for (name, reason) in changes["refused"].as_object().into_iter().flatten() {
            let reason = terminal::printable(reason.as_str().unwrap_or_default());
            terminal::line(format!("Refused {}: {reason}", terminal::printable(name)));
            nothing = false;
        }
        for part in &waiting {
            terminal::line(format!(
                "Not taken up: {part} was changed, and is read at the host's start (`mercury stop`, `mercury run`)"
            ));
        }
        if nothing && waiting.is_empty() {
            terminal::line("Nothing has changed.");
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// At the configured port the host of another project answers.
    #[tokio::test]
    async fn a_host_of_another_project_is_not_asked() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let project = tempfile::tempdir().unwrap();
        let config = Config::load(project.path(), &[("MERCURY_PORT".to_owned(), port)].into()).unwrap();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let refusal = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = connection.read(&mut [0; 1024]).await.unwrap();
                connection.write_all(refusal).await.unwrap();
            }
        });
        assert_eq!(tell_host(&config, "a").await.unwrap(), Host::DoesNotRun);
        let held = data_dir::try_claim(&config.data_dir).unwrap().unwrap();
        assert!(tell_host(&config, "a").await.is_err(), "of the host that holds it a refusal counts");
        drop(held);
        assert_eq!(tell_host(&config, "a").await.unwrap(), Host::DoesNotRun);
    }
}
