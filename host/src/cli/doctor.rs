//! Checks what a run needs, by doing it, and prints how to mend what fails.

use std::{io::ErrorKind, net::SocketAddr, process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use serde_json::json;

use super::{Project, run, terminal};
use crate::{
    config::{Config, Runtime},
    credentials::{Account, variable_for},
    project::{StartError, check_start, oddities},
    sandbox::{ProbeFailure, Sandbox},
};

/// Less free space than this is worth a warning: 2 GiB.
const LOW_DISK: u64 = 2 << 30;

#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    Pass,
    Warn,
    Fail,
}

struct Finding {
    section: &'static str,
    grade: Grade,
    text: String,
    remedy: Option<String>,
}

fn finding(section: &'static str, grade: Grade, text: impl Into<String>, remedy: Option<String>) -> Finding {
    Finding { section, grade, text: text.into(), remedy }
}

impl Doctor {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = Arc::new(project.config()?);
        let mut findings = configuration(project, &config);
        findings.extend(credentials(project, &config).await);
        crate::data_dir::make_private(&config.data_dir)
            .with_context(|| format!("{} cannot be made", config.data_dir.display()))?;
        findings.extend(start(project, &config));
        findings.push(port(&config).await);
        findings.push(disk(&config));
        let sandbox =
            Sandbox::new(config.clone()).with_context(|| format!("{} cannot be used", config.data_dir.display()))?;
        findings.extend(docker(&sandbox, &config).await);
        let failures = findings.iter().filter(|finding| finding.grade == Grade::Fail).count();
        if self.json {
            print_json(&findings)?
        } else {
            print(&findings)
        }
        Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn configuration(project: &Project, config: &Config) -> Vec<Finding> {
    let mut findings = vec![match project.folder.join(".env").is_file() {
        true => finding("Configuration", Grade::Pass, ".env found", None),
        false => finding("Configuration", Grade::Warn, "no .env in the project folder", Some("mercury init".into())),
    }];
    findings.extend(config.warnings.iter().map(|warning| finding("Configuration", Grade::Warn, warning, None)));
    findings
}

async fn credentials(project: &Project, config: &Config) -> Vec<Finding> {
    let credentials = match run::credentials(project, config) {
        Ok(credentials) => credentials,
        Err(error) => return vec![finding("Credentials", Grade::Fail, error.to_string(), None)],
    };
    let standing = credentials.standing().await;
    let mut findings: Vec<Finding> = config
        .model_chain
        .iter()
        .map(|leg| match credentials.has(&leg.provider) || config.model_endpoints.contains_key(&leg.provider) {
            true => finding("Credentials", Grade::Pass, format!("{} ({})", leg.provider, leg.model), None),
            false => finding(
                "Credentials",
                Grade::Fail,
                format!("none for {} ({})", leg.provider, leg.model),
                Some(remedy(&leg.provider)),
            ),
        })
        .collect();
    for found in standing {
        if let Some(warning) = found.condition.warning(&found.provider, &found.place) {
            findings.push(finding("Credentials", Grade::Warn, warning, None));
        }
    }
    findings
}

fn remedy(provider: &str) -> String {
    let key = variable_for(provider).map(|name| format!("set {name} in .env"));
    let sign_in = Account::of(provider).map(|account| format!("mercury auth login {}", account.id()));
    let both: Vec<String> = [key, sign_in].into_iter().flatten().collect();
    if both.is_empty() {
        "give it an endpoint with model.endpoints, or take it out of model.chain".into()
    } else {
        both.join(", or ")
    }
}

/// What else would end `mercury run` at once, or would not be what it seems. Credentials have a section of their own.
fn start(project: &Project, config: &Config) -> Vec<Finding> {
    let odd = oddities(config);
    let mut findings = match check_start(config, &project.environment) {
        Ok(()) if odd.is_empty() => {
            vec![finding("Start", Grade::Pass, "plugins and their secrets are in order", None)]
        }
        Ok(()) | Err(StartError::Credentials(_)) => Vec::new(),
        Err(error) => vec![finding("Start", Grade::Fail, error.to_string(), None)],
    };
    findings.extend(odd.into_iter().map(|odd| finding("Start", Grade::Warn, odd, None)));
    findings
}

/// Taken is fine where the host of this very project has it.
async fn port(config: &Config) -> Finding {
    let address = SocketAddr::new(config.bind, config.port);
    let Err(error) = tokio::net::TcpListener::bind(address).await else {
        return finding("Port", Grade::Pass, format!("{address} is free"), None);
    };
    let runs = matches!(crate::data_dir::holder(&config.data_dir), Ok(Some(_)));
    match error.kind() {
        ErrorKind::AddrInUse if runs => finding("Port", Grade::Pass, format!("the host runs at {address}"), None),
        _ => {
            let remedy = "end what has it, or choose another: server.port / MERCURY_PORT";
            finding("Port", Grade::Fail, format!("{address} cannot be had: {error}"), Some(remedy.into()))
        }
    }
}

fn disk(config: &Config) -> Finding {
    match rustix::fs::statvfs(&config.data_dir) {
        Ok(stat) => {
            let free = stat.f_bavail * stat.f_frsize;
            let text = format!("{} MiB free at {}", free >> 20, config.data_dir.display());
            match free < LOW_DISK {
                true => finding("Disk", Grade::Warn, text, Some("free some space: a full disk stops every run".into())),
                false => finding("Disk", Grade::Pass, text, None),
            }
        }
        Err(error) => finding("Disk", Grade::Fail, format!("{}: {error}", config.data_dir.display()), None),
    }
}

async fn docker(sandbox: &Sandbox, config: &Config) -> Vec<Finding> {
    let info = match sandbox.daemon().info().await {
        Ok(info) => info,
        Err(error) => {
            let remedy =
                "install and start it: apt-get install docker.io && systemctl start docker; or set MERCURY_DOCKER_HOST";
            return vec![finding("Docker", Grade::Fail, format!("no answer: {error}"), Some(remedy.into()))];
        }
    };
    let mut findings = vec![finding(
        "Docker",
        Grade::Pass,
        format!("version {} at {}", info.version, sandbox.daemon().address()),
        None,
    )];
    let mut lines = Vec::new();
    match sandbox.ensure_image(|line| lines.push(line)).await {
        Ok(true) => {
            let grade = if lines.is_empty() { Grade::Pass } else { Grade::Warn };
            findings.push(finding(
                "Docker",
                grade,
                format!("image {} {}", sandbox.image(), lines.join("; ")).trim().to_owned(),
                None,
            ));
        }
        Ok(false) => {
            let remedy = format!(
                "./dev image, or docker pull {}; agent.image / MERCURY_AGENT_IMAGE names another",
                config.agent_image
            );
            findings.push(finding(
                "Docker",
                Grade::Fail,
                format!("image {} is missing", config.agent_image),
                Some(remedy),
            ));
            return findings;
        }
        Err(error) => findings.push(finding("Docker", Grade::Fail, error.to_string(), None)),
    }
    for runtime in [Runtime::Runc, Runtime::Runsc] {
        let configured = runtime == config.runtime;
        // What is not configured need not work, but whoever looks for gVisor wants to know.
        let grade = if configured { Grade::Fail } else { Grade::Warn };
        let registered = info.runtimes.iter().any(|name| name == runtime.name());
        findings.push(match registered {
            false => finding(
                "Runtime",
                grade,
                format!("{} is not registered with Docker", runtime.name()),
                Some(registration(runtime)),
            ),
            true => match sandbox.probe(runtime).await {
                Ok(probe) => finding(
                    "Runtime",
                    Grade::Pass,
                    format!(
                        "{}{}: a container reached the host's socket in {} ms as uid {}{}",
                        runtime.name(),
                        if configured { " (configured)" } else { "" },
                        probe.took.as_millis(),
                        probe.uid,
                        if probe.own_kernel { ", on a kernel of its own" } else { "" }
                    ),
                    None,
                ),
                Err(error) => {
                    finding("Runtime", grade, format!("{}: {error}", runtime.name()), Some(mend(runtime, &error)))
                }
            },
        });
    }
    findings
}

/// The lines that make Docker know the runtime.
fn registration(runtime: Runtime) -> String {
    match runtime {
        Runtime::Runc => "apt-get install runc, then restart Docker".to_owned(),
        Runtime::Runsc => format!("apt-get install runsc, then {}", daemon_json(&[socket_argument().as_str()])),
    }
}

fn mend(runtime: Runtime, failure: &ProbeFailure) -> String {
    if runtime == Runtime::Runc {
        return "docker run --rm --runtime runc …; read the daemon's log".to_owned();
    }
    let text = failure.to_string();
    let mut arguments = vec![socket_argument()];
    // gVisor's own stack is refused on some kernels; only then the sandbox gets its namespace's.
    if text.contains("network") {
        arguments.push("--network=host".to_owned());
    }
    daemon_json(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// How this machine's runsc is told to let containers use a host's socket. `--host-uds` came in 2023;
/// before, it was `--fsgofer-host-uds`.
fn socket_argument() -> String {
    #[allow(clippy::disallowed_methods, reason = "asks the installed runsc for its flags; only `doctor` does")]
    let flags = std::process::Command::new("runsc").arg("flags").output();
    let old = flags.is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        text.contains("-fsgofer-host-uds") && !text.contains("-host-uds value")
    });
    if old { "--fsgofer-host-uds".to_owned() } else { "--host-uds=open".to_owned() }
}

fn daemon_json(arguments: &[&str]) -> String {
    let lines = json!({ "runtimes": { "runsc": { "path": "/usr/bin/runsc", "runtimeArgs": arguments } } });
    format!("put this into /etc/docker/daemon.json and restart Docker:\n{lines:#}")
}

fn print(findings: &[Finding]) {
    let mut section = "";
    for finding in findings {
        if finding.section != section {
            section = finding.section;
            terminal::line(terminal::heading(section));
        }
        let sign = match finding.grade {
            Grade::Pass => "✓",
            Grade::Warn => "!",
            Grade::Fail => "✗",
        };
        terminal::line(format!("  {sign} {}", finding.text));
        if let Some(remedy) = &finding.remedy {
            terminal::line(format!("    → {}", remedy.replace('\n', "\n      ")));
        }
    }
    let count = |grade| findings.iter().filter(|finding| finding.grade == grade).count();
    let (passed, warnings, errors) = (count(Grade::Pass), count(Grade::Warn), count(Grade::Fail));
    terminal::line(format!("\n{passed} passed  {warnings} warnings  {errors} errors"));
    terminal::line(match (errors, warnings) {
        (0, 0) => "Everything is in order.",
        (0, _) => "It will work; look at the warnings.",
        _ => "It will not work until the errors are mended.",
    });
}

fn print_json(findings: &[Finding]) -> Result<()> {
    let findings: Vec<_> = findings
        .iter()
        .map(|finding| {
            let grade = match finding.grade {
                Grade::Pass => "pass",
                Grade::Warn => "warn",
                Grade::Fail => "fail",
            };
            json!({ "section": finding.section, "grade": grade, "text": finding.text, "remedy": finding.remedy })
        })
        .collect();
    terminal::line(serde_json::to_string_pretty(&findings)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_is_valid_json_after_its_first_line() {
        let text = daemon_json(&["--host-uds=open"]);
        let (_, json) = text.split_once('\n').unwrap();
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(value["runtimes"]["runsc"]["runtimeArgs"][0], "--host-uds=open");
    }
}
