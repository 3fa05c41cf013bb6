use std::process::ExitCode;

use anyhow::Result;
use axum::http::Method;
use serde_json::{Value, json};

use super::super::{Project, client, terminal};
use crate::plugins::EVERYWHERE;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury plugins settings napkin\n  mercury plugins settings napkin backfill-days 30 --space main\n  mercury plugins settings napkin backfill-days --unset"
)]
pub(in crate::cli) struct Settings {
    /// The plugin.
    name: String,
    /// One of its settings.
    key: Option<String>,
    /// What it shall be from now on.
    value: Option<String>,
    /// Only for this space; else for all.
    #[arg(long, value_name = "SPACE", default_value = EVERYWHERE)]
    space: String,
    /// Take back what was set.
    #[arg(long, requires = "key", conflicts_with = "value")]
    unset: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: client::AtPort,
}

impl Settings {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        let full = |key: &String| format!("{}.{key}", self.name);
        if let Some(key) = &self.key
            && (self.unset || self.value.is_some())
        {
            let (method, path, body) = match &self.value {
                Some(value) => {
                    let body = json!({ "key": full(key), "value": value, "space": self.space });
                    (Method::PUT, "/api/config".to_owned(), Some(body))
                }
                None => (Method::DELETE, query(&[("key", &full(key)), ("space", &self.space)]), None),
            };
            client::ask_with(&config, self.at, method, &path, body).await?;
        }
        let path = query(&[("space", &self.space), ("plugin", &self.name)]);
        let answer = client::ask(&config, self.at, Method::GET, &path).await?;
        let settings = answer["available"].as_array().map(Vec::as_slice).unwrap_or_default();
        let wanted: Vec<&Value> = settings
            .iter()
            .filter(|setting| self.key.as_ref().is_none_or(|key| setting["key"] == full(key).as_str()))
            .collect();
        if self.json {
            terminal::line(serde_json::to_string_pretty(&json!({ "space": self.space, "settings": wanted }))?);
            return Ok(ExitCode::SUCCESS);
        }
        match (&self.key, wanted.as_slice()) {
            (Some(key), []) => anyhow::bail!(
                "there is no setting `{}`; `mercury plugins settings {}` lists them",
                full(key),
                self.name
            ),
            (None, []) => {
                anyhow::bail!("no plugin `{}` with settings is loaded; `mercury plugins list` shows what is", self.name)
            }
            _ => wanted.into_iter().for_each(show),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn query(parts: &[(&str, &str)]) -> String {
    let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parts).finish();
    format!("/api/config?{encoded}")
}

fn show(setting: &Value) {
    let text = |field: &str| terminal::printable(setting[field].as_str().unwrap_or_default());
    let value = match setting["value"].as_str() {
        Some(_) => format!("{} ({})", text("value"), text("source")),
        None => "not set".to_owned(),
    };
    terminal::line(format!("{} = {value}", text("key")));
    let choices: Vec<_> = setting["choices"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let kind = if choices.is_empty() { text("type") } else { choices.join(" | ") };
    terminal::line(format!("    {} [{kind}]", text("description")));
}
