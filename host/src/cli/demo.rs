use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use axum::http::Method;

use super::{
    Project,
    chat::{self, Reply},
    client, run, terminal,
};
use crate::{
    app::{Agents, App, Options},
    config::{Config, Runtime},
    demo, telemetry,
};

const QUESTION: &str = "Who do you work for, and where are you running?";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury demo\n  mercury demo \"What can you do?\"\n  MERCURY_CONTAINER_RUNTIME=runc mercury demo\n\nIt has a data directory of its own: what a project has stored, its people and its tasks are not touched."
)]
pub(super) struct Demo {
    /// What to ask.
    message: Vec<String>,
}

impl Demo {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let mut config = project.config()?;
        // Quiet but for what goes wrong: the report is the output.
        telemetry::start_logs("warn", config.log_json);
        let credentials = run::credentials(project, &config)?;
        keep_apart(&mut config, demo_dir()?);
        let usable = config
            .model_chain
            .iter()
            .any(|leg| credentials.has(&leg.provider) || config.model_endpoints.contains_key(&leg.provider));
        let mut upstreams = BTreeMap::new();
        if usable {
            terminal::note(format!("Asking {} with your credential.", config.model_chain[0].model));
        } else {
            terminal::note(
                "No model credential is set, so this is a DEMO: a small built-in model server answers, and nothing leaves this machine.",
            );
            let address = demo::start().await.context("the demo model server does not start")?;
            upstreams.insert("anthropic".to_owned(), format!("http://{address}"));
            config.model_chain =
                vec![crate::config::Leg { provider: "anthropic".into(), model: "claude-opus-4-8".into() }];
        }
        terminal::note(format!("Starting the host ({}) …", config.data_dir.display()));
        let compiler = run::this_executable()?;
        let options = Options { compiler, upstreams, lock: None, project: None, docker_config: None, only_asked: true };
        let runtime = config.runtime;
        let app = App::start(config, credentials, options).await?;
        let outcome = tokio::select! {
            outcome = self.ask(&app, runtime) => outcome,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        let data_dir = app.config.data_dir.clone();
        // What was interrupted, nobody waits for any more.
        app.stop(Agents::Stop).await;
        let reply = outcome?;
        report(&reply, &data_dir, runtime, usable)?;
        Ok(ExitCode::SUCCESS)
    }

    async fn ask(&self, app: &App, runtime: Runtime) -> Result<Reply> {
        match app.rooms.sandbox.ensure_image(|line| terminal::note(format!("  {line}"))).await {
            Ok(true) => {}
            Ok(false) => bail!(
                "the agent image {} is not on this Docker daemon. Build it with `./dev image`, or name another with MERCURY_AGENT_IMAGE",
                app.config.agent_image
            ),
            Err(error) => {
                bail!("Docker does not answer: {error}. Start it (`systemctl start docker`), then `mercury doctor`")
            }
        }
        terminal::note(format!("Running {} in a container under {} …", app.rooms.sandbox.image(), runtime.name()));
        let text = if self.message.is_empty() { QUESTION.to_owned() } else { self.message.join(" ") };
        let message = serde_json::json!({ "text": text, "callerId": "cli:user" });
        let base = client::base_url(&app.config, Some(app.address.port()));
        let answer = client::Call::new(Method::POST, &base, "/chat")
            .secret(app.config.chat_api_key.as_ref())
            .body(Some(&message))
            .wait()
            .await?;
        serde_json::from_slice(&answer.success()?).context("the host's answer is not understood")
    }
}

/// What is asked in a project must not meet its people, its tasks or its messages: a built-in model would answer
/// them. Of the project there are the credentials, the model and the image.
fn keep_apart(config: &mut Config, data_dir: PathBuf) {
    config.daemon_data_dir.clone_from(&data_dir);
    config.data_dir = data_dir;
    config.profile = None;
    // A host may be running.
    config.bind = IpAddr::V4(Ipv4Addr::LOCALHOST);
    config.port = 0;
}

/// Where the demonstration keeps its data.
fn demo_dir() -> Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    Ok(state
        .or_else(home)
        .context("neither XDG_STATE_HOME nor HOME is set; the demonstration keeps its data below one of them")?
        .join("mercury/demo"))
}

fn report(reply: &Reply, data_dir: &std::path::Path, runtime: Runtime, real_model: bool) -> Result<()> {
    terminal::line(format!("\n{}\n", terminal::printable(&reply.reply)));
    chat::write_files(&reply.files, &data_dir.join("received"))?;
    if let Some(run) = &reply.run {
        terminal::line(terminal::heading("How long it took"));
        for stage in run.stages.iter().flatten() {
            terminal::line(format!(
                "  {:<15}{:>12}",
                stage.name,
                terminal::milliseconds(Duration::from_micros(stage.micros))
            ));
        }
        if let Some(total) = run.total_micros {
            terminal::line(format!("  {:<15}{:>12}", "total", terminal::milliseconds(Duration::from_micros(total))));
        }
    }
    terminal::line(format!("\n{}", terminal::heading("What next")));
    if !real_model {
        terminal::line(
            "  mercury init                      then put a model key into .env: MERCURY_ANTHROPIC_API_KEY=…",
        );
    }
    if runtime == Runtime::Runc {
        terminal::line("  MERCURY_CONTAINER_RUNTIME=runsc   for gVisor's isolation; `mercury doctor` checks it");
    }
    terminal::line("  mercury run                       start the host, then ask it: mercury chat \"hello\"");
    terminal::line(
        "  POST /chat                        link your own program; chat platforms come with their adapters",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_apart() {
        let project = tempfile::tempdir().unwrap();
        let environment = [("MERCURY_DATA_DIR", "people"), ("MERCURY_HOST_DATA_DIR", "/srv/people")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut config = Config::load(project.path(), &environment).unwrap();
        let sign_ins = config.auth_path.clone();
        keep_apart(&mut config, "/own".into());
        assert_eq!((config.data_dir, config.daemon_data_dir), ("/own".into(), "/own".into()));
        assert_eq!((config.bind.is_loopback(), config.port, config.auth_path), (true, 0, sign_ins));
    }
}
