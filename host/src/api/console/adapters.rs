//! Which chat platforms the host serves, and their credentials.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    super::Api,
    begin_with_change,
    credentials::{check_name, check_value, known, not_a_credential},
};
use crate::{
    config::{self, Config},
    http::{ApiError, Given, Input},
    plugins::packages::State as Standing,
    project::{Changes, Project, ProjectError},
};

/// Under this name of an adapter the replaced system's console sends the keys of model providers.
const MODEL_PROVIDERS: &str = "__model_providers";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Wanted {
    #[serde(default)]
    adapters: BTreeMap<String, Adapter>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Adapter {
    enabled: Option<bool>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

impl Given for Wanted {
    const EXAMPLE: &'static str = "{\"adapters\": {\"telegram\": {\"enabled\": false}}}";
}

/// An adapter that there is.
struct Known {
    name: String,
    /// Whether a host that begins now starts it.
    enabled: bool,
    /// It closes something, too.
    is_essential: bool,
    /// The variables of its secrets, each with whether it cannot do without.
    secrets: Vec<(String, bool)>,
}

/// Those that come with the host or are installed, on or off.
async fn there(config: Arc<Config>) -> Result<Vec<Known>, ApiError> {
    let listed = super::plugins_of(config).await?;
    let known = listed.into_iter().filter_map(|plugin| {
        let manifest = plugin.manifest.filter(|manifest| manifest.inbox.is_some())?;
        Some(Known {
            is_essential: manifest.is_essential(),
            name: manifest.name,
            enabled: plugin.state != Standing::Off,
            secrets: manifest.secrets.into_iter().map(|secret| (secret.variable, !secret.optional)).collect(),
        })
    });
    Ok(known.collect())
}

/// `GET /api/console/adapters`: as the files say it now, which a host that runs has yet to read.
pub(in super::super) async fn list(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    let (environment, config) = read(&api).await?;
    let is_set = |name: &str| environment.get(name).is_some_and(|value| !value.trim().is_empty());
    let view = |adapter: Known| {
        let set = adapter.secrets.iter().map(|(name, _)| (name.clone(), json!(is_set(name))));
        let set = set.collect::<Map<_, _>>();
        (adapter.name, json!({ "enabled": adapter.enabled, "credentials": set }))
    };
    let adapters: Map<_, _> = there(config.into()).await?.into_iter().map(view).collect();
    Ok(Json(json!({ "adapters": adapters })))
}

/// `POST /api/console/adapters/configure`. Who switches one off keeps its credentials.
pub(in super::super) async fn configure(
    State(api): State<Api>,
    Input(given): Input<Wanted>,
) -> Result<Json<Value>, ApiError> {
    let bad = |code: &str, error: String| {
        let next = format!("Send JSON such as {}", Wanted::EXAMPLE);
        ApiError::new(StatusCode::BAD_REQUEST, code, error, &next)
    };
    if given.adapters.is_empty() {
        return Err(bad("bad_adapters", "adapters is required".into()));
    }
    let (environment, config) = read(&api).await?;
    let (there, credentials) = (there(config.into()).await?, known(&api).await?);
    let (mut changes, mut switched) = (Changes::default(), Vec::new());
    for (name, wanted) in given.adapters {
        let adapter = there.iter().find(|adapter| adapter.name == name);
        if adapter.is_none() && name != MODEL_PROVIDERS {
            return Err(bad(
                "unknown_adapter",
                format!("Unknown adapter: {}", name.chars().take(100).collect::<String>()),
            ));
        }
        for (variable, value) in wanted.env {
            check_name(&variable)?;
            let of_adapter = |adapter: &Known| adapter.secrets.iter().any(|(name, _)| *name == variable);
            if !credentials.contains(&variable) || !adapter.is_none_or(of_adapter) {
                return Err(not_a_credential(&variable));
            }
            if let Some(value) = check_value(&value)? {
                changes.variables.insert(variable, Some(value.to_owned()));
            }
        }
        let (Some(adapter), Some(enabled)) = (adapter, wanted.enabled) else { continue };
        let is_given = |name: &String| {
            changes.variables.contains_key(name) || environment.get(name).is_some_and(|value| !value.trim().is_empty())
        };
        if let Some((missing, _)) =
            adapter.secrets.iter().find(|(name, needed)| *needed && !is_given(name)).filter(|_| enabled)
        {
            return Err(bad("missing_credential", format!("{name} needs {missing}: send it under `env`")));
        }
        if adapter.is_essential && !enabled {
            let next = format!("Write plugins.{name}.enabled: false into mercury.yaml, if that is what you want");
            return Err(super::guards_others(&name, &next));
        }
        switched.push((name, enabled));
    }
    let project = api.project()?.clone();
    let changed = tokio::task::spawn_blocking(move || {
        for (name, enabled) in &switched {
            switch(&project, name, *enabled, &mut changes)?;
        }
        project.change(&changes)
    });
    changed.await.map_err(|error| super::broken(error.to_string()))?.map_err(super::refusal)?;
    tracing::warn!("adapters were configured by the operator");
    Ok(Json(begin_with_change(&api, json!({ "ok": true })).await))
}

/// Says it wherever it is said now, so that nothing says the opposite. Blocks.
fn switch(project: &Project, name: &str, enabled: bool, changes: &mut Changes) -> Result<(), ProjectError> {
    let own = ["plugins", name, "enabled"];
    if config::has_switch(name) {
        changes.variables.insert(format!("MERCURY_ENABLE_{}", name.to_uppercase()), Some(enabled.to_string()));
        if project.has_file()? {
            changes.flags.push((vec!["ingress".to_owned(), name.to_owned()], enabled));
        }
    }
    // The plugin's own wins over both. Where those are enough, they can go on being changed by hand.
    if !config::has_switch(name) || project.says(&own)? {
        changes.flags.push((own.map(str::to_owned).to_vec(), enabled));
    }
    Ok(())
}

async fn read(api: &Api) -> Result<(BTreeMap<String, String>, Config), ApiError> {
    let project = api.project()?.clone();
    let read = tokio::task::spawn_blocking(move || Ok((project.environment()?, project.config()?))).await;
    read.map_err(|error| super::broken(error.to_string()))?.map_err(super::refusal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::packages::{self, Trust};

    /// What the answer says is so at the next start, whatever was said before and in whatever place.
    #[test]
    fn a_switch_is_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join(".mercury/plugins/pigeon-post");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("x.wasm"), "").unwrap();
        let manifest = "name = \"pigeon-post\"\nversion = \"1.0.0\"\ncomponent = \"x.wasm\"\nprovides = [\"chat-adapter\"]\n\
            [inbox]\nplatform = \"pigeon\"\n";
        std::fs::write(place.join("plugin.toml"), manifest).unwrap();
        let project = Project::new(folder.path().to_owned());
        let is_on = |name: &str| {
            let config = project.config().unwrap();
            assert!(!config.warnings.iter().any(|warning| warning.contains("ingress")), "{:?}", config.warnings);
            let listed = packages::list(&config.data_dir, &config.plugins, &Trust::new(&config).unwrap()).unwrap();
            listed.iter().find(|plugin| plugin.name == name).unwrap().state != Standing::Off
        };
        let env = "MERCURY_PLUGIN_UNLOCKED_FOLDERS=pigeon-post\nMERCURY_TELEGRAM_BOT_TOKEN=1:a\n";
        for (name, said_in_env, said) in [
            ("telegram", "", None),
            ("telegram", "", Some("")),
            ("telegram", "", Some("plugins:\n  telegram:\n    enabled: true\n")),
            ("telegram", "MERCURY_ENABLE_TELEGRAM=true\n", Some("plugins:\n  telegram:\n    enabled: false\n")),
            ("telegram", "MERCURY_ENABLE_TELEGRAM=true\n", Some("ingress:\n  telegram: true\n")),
            ("pigeon-post", "", None),
            ("pigeon-post", "", Some("plugins:\n  pigeon-post:\n    enabled: false\n")),
        ] {
            std::fs::write(folder.path().join(".env"), format!("{env}{said_in_env}")).unwrap();
            let file = folder.path().join("mercury.yaml");
            let _ = std::fs::remove_file(&file);
            if let Some(said) = said {
                std::fs::write(&file, said).unwrap();
            }
            for enabled in [true, false, true] {
                let mut changes = Changes::default();
                switch(&project, name, enabled, &mut changes).unwrap();
                project.change(&changes).unwrap();
                assert_eq!(is_on(name), enabled, "{name}, where it said {said_in_env:?} and {said:?}");
            }
        }
    }
}
