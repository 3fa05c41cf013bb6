use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use axum::http::Method;

use super::{
    Project,
    chat::{self, Reply},
    client, run, terminal,
};
use crate::{
    app::{App, Options},
    config::Runtime,
    demo, telemetry,
};

const QUESTION: &str = "Who do you work for, and where are you running?";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury demo\n  mercury demo \"What can you do?\"\n  MERCURY_CONTAINER_RUNTIME=runc mercury demo"
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
        let is_project =
            ["mercury.yaml", "mercury.yml", ".env", ".mercury"].iter().any(|name| project.folder.join(name).exists());
        if !is_project && !project.environment.contains_key("MERCURY_DATA_DIR") {
            config.data_dir = demo_dir()?;
            config.daemon_data_dir = config.data_dir.clone();
        }
        // Its own port: a host may be running, and the demonstration must not meet it.
        config.port = 0;
        let credentials = run::credentials(project, &config)?;
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
        let options = Options { compiler: run::this_executable()?, upstreams, stand_by: false };
        let runtime = config.runtime;
        let app = App::start(config, credentials, options).await?;
        let outcome = tokio::select! {
            outcome = self.ask(&app, runtime) => outcome,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        let data_dir = app.config.data_dir.clone();
        app.stop(crate::app::Agents::HandOver).await;
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
        let answer =
            client::send(Method::POST, &base, "/chat", app.config.chat_api_key.as_ref(), Some(&message)).await?;
        serde_json::from_slice(&answer.success()?).context("the host's answer is not understood")
    }
}

/// Where the demonstration keeps its data outside a project.
fn demo_dir() -> Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    Ok(state
        .or_else(home)
        .context("neither XDG_STATE_HOME nor HOME is set; name a folder with MERCURY_DATA_DIR")?
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
