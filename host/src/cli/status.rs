use std::process::ExitCode;

use anyhow::Result;
use axum::http::Method;
use serde_json::{Value, json};

use super::{Project, adapters, client, run, terminal};
use crate::retention::{Sizes, sizes_of};

#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let base = client::base_url(&config, None);
        let health = match client::Call::new(Method::GET, &base, "/health").send().await {
            Ok(answer) => serde_json::from_slice::<Value>(&answer.body).ok(),
            Err(_) => None,
        };
        let adapters = match health {
            Some(_) => client::ask(&config, client::AtPort::default(), Method::GET, "/api/adapters").await.ok(),
            None => None,
        };
        let credentials = run::credentials(project, &config)?;
        let providers = credentials.providers();
        let standing = credentials.standing().await;
        let warnings: Vec<String> =
            standing.iter().filter_map(|it| it.condition.warning(&it.provider, &it.place)).collect();
        let project_folder = std::path::absolute(&project.folder)?;
        let data_dir = config.data_dir.clone();
        let sizes = tokio::task::spawn_blocking(move || sizes_of(&data_dir)).await?.unwrap_or_default();
        if self.json {
            let status = json!({
                "project": project_folder, "dataDir": config.data_dir, "url": base, "running": health.is_some(), "health": health,
                "image": config.agent_image, "runtime": config.runtime.name(), "credentials": providers,
                "credentialWarnings": warnings, "adapters": adapters.as_ref().map(|answer| &answer["adapters"]),
                "storage": sizes, "profile": config.profile.as_ref().map(|profile| &profile.name),
            });
            terminal::line(serde_json::to_string_pretty(&status)?);
            return Ok(ExitCode::SUCCESS);
        }
        terminal::line(format!("Project      {}", project_folder.display()));
        terminal::line(format!("Data         {}", config.data_dir.display()));
        terminal::line(format!("Storage      {}", in_words(&sizes)));
        terminal::line(format!("Agent        {} under {}", config.agent_image, config.runtime.name()));
        if let Some(profile) = &config.profile {
            terminal::line(format!("Profile      {}", terminal::printable(&profile.name)));
        }
        terminal::line(format!(
            "Credentials  {}",
            if providers.is_empty() { "none".to_owned() } else { providers.join(", ") }
        ));
        for warning in warnings {
            terminal::line(format!("           ! {warning}"));
        }
        match health {
            Some(health) => {
                terminal::line(format!(
                    "Host         {} at {base}, up {} s",
                    health["status"].as_str().unwrap_or("?"),
                    health["uptime"]
                ));
                if health["docker"] == Value::Bool(false) {
                    terminal::line("Docker       does not answer: no agent can start (see `mercury doctor`)");
                }
                // One that is still starting has no queue yet.
                if let (Some(active), Some(pending)) =
                    (health["queue"]["active"].as_u64(), health["queue"]["pending"].as_u64())
                {
                    terminal::line(format!("Runs         {active} active, {pending} waiting"));
                }
                let plugins =
                    health["plugins"].as_object().map(|plugins| {
                        plugins
                            .iter()
                            .map(|(name, on)| {
                                if on == &Value::Bool(true) {
                                    name.clone()
                                } else {
                                    format!("{name} (off: see the log)")
                                }
                            })
                            .collect::<Vec<_>>()
                            .join(", ")
                    });
                terminal::line(format!("Plugins      {}", plugins.unwrap_or_default()));
                if let Some(adapters) = &adapters {
                    for line in adapters::lines(&adapters["adapters"]) {
                        terminal::line(format!("Chat         {line}"));
                    }
                }
            }
            None => terminal::line(format!("Host         not running at {base} (start it with `mercury run`)")),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn in_words(sizes: &Sizes) -> String {
    let parts = [
        ("database", sizes.database),
        ("spaces", sizes.spaces),
        ("copies to send", sizes.delivery),
        ("plugins", sizes.plugins),
        ("other", sizes.other),
    ];
    let parts: Vec<_> = parts.iter().map(|(name, bytes)| format!("{name} {}", terminal::bytes(*bytes))).collect();
    format!("{} ({})", terminal::bytes(sizes.total), parts.join(", "))
}
