//! The console's control plane: what the operator changes of the host itself.

mod adapters;
mod credentials;
mod extensions;
mod settings;
mod whatsapp;

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use super::Api;
use crate::{
    config::Config,
    http::ApiError,
    plugins::packages::{self, Listed, Trust},
    project::{Changes, Project, ProjectError},
};

pub(super) use adapters::{configure as configure_adapters, list as adapters};
pub(super) use credentials::set as set_credential;
pub(super) use extensions::{catalog, install as install_extension, list as extensions, remove as remove_extension};
pub(super) use settings::{list as space_settings, set as set_space_setting};
pub(super) use whatsapp::purge as purge_whatsapp;

impl Api {
    /// The project whose files are the host's configuration.
    pub(super) fn project(&self) -> Result<&Arc<Project>, ApiError> {
        self.project.as_ref().ok_or_else(|| {
            let error = "This host was not started from a project folder";
            ApiError::new(StatusCode::NOT_IMPLEMENTED, "no_project", error, "Start it with `mercury run`")
        })
    }

    /// Changes the project's files, off the async threads.
    async fn change(&self, changes: Changes) -> Result<(), ApiError> {
        let project = self.project()?.clone();
        let changed = tokio::task::spawn_blocking(move || project.change(&changes)).await;
        changed.map_err(|error| broken(error.to_string()))?.map_err(refusal)
    }
}

/// `POST /api/console/restart`: the host begins anew, in the same process, with the files as they are now.
/// Answered requests are answered, and running agents go on.
pub(super) async fn restart(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    begin_anew(&api).await?;
    Ok(Json(json!({ "ok": true, "restarting": true })))
}

/// `GET /api/console/connections`
pub(super) async fn connections(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "connections": api.rooms()?.plugins.connections().await })))
}

/// The plugins that there are, on or off, as this host has begun.
async fn plugins(api: &Api) -> Result<Vec<Listed>, ApiError> {
    plugins_of(api.config.clone()).await
}

/// The plugins as a host finds them that begins now.
async fn plugins_to_be(api: &Api) -> Result<Vec<Listed>, ApiError> {
    let project = api.project()?.clone();
    let config = tokio::task::spawn_blocking(move || project.config()).await;
    plugins_of(Arc::new(config.map_err(|error| broken(error.to_string()))?.map_err(refusal)?)).await
}

/// Those that a host with this configuration finds.
async fn plugins_of(config: Arc<Config>) -> Result<Vec<Listed>, ApiError> {
    let listed = tokio::task::spawn_blocking(move || {
        let trust = Trust::new(&config).map_err(|error| error.to_string())?;
        packages::list(&config.data_dir, &config.plugins, &trust).map_err(|error| error.to_string())
    });
    listed.await.map_err(|error| broken(error.to_string()))?.map_err(broken)
}

async fn begin_anew(api: &Api) -> Result<(), ApiError> {
    let project = api.project()?.clone();
    let begun = tokio::task::spawn_blocking(move || project.restart()).await;
    begun.map_err(|error| broken(error.to_string()))?.map_err(refusal)?;
    tracing::warn!("the operator wants the host to begin anew");
    Ok(())
}

/// The same after a change, and what `answer` says of it. A beginning that has to wait is no error by then: who is
/// answered with one takes the change for one that was not made, and what was there before for what is in force.
async fn begin_with_change(api: &Api, mut answer: Value) -> Value {
    let begun = begin_anew(api).await;
    answer["restarting"] = json!(begun.is_ok());
    if let Err(error) = begun {
        let next = error.body.next.map_or_else(String::new, |next| format!(". {next}"));
        answer["waits"] = json!(format!("{}{next}", error.body.error));
    }
    answer
}

/// What is not done from afar. Who holds a session is not asked twice; a guard is not taken away so lightly.
fn guards_others(name: &str, next: &str) -> ApiError {
    by_hand(format!("{name} guards the others, and is not switched off, removed or replaced from afar"), next)
}

fn by_hand(error: String, next: &str) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "by_hand", error, next)
}

fn refusal(error: ProjectError) -> ApiError {
    let (status, code, next) = match &error {
        ProjectError::Unreadable { .. } | ProjectError::Unwritable { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, "not_written", "Nothing was changed. Mend it, then try again")
        }
        ProjectError::Entangled { .. } | ProjectError::Owned { .. } | ProjectError::Mounted { .. } => {
            (StatusCode::CONFLICT, "not_editable", "Nothing was changed")
        }
        ProjectError::NoFile => (StatusCode::CONFLICT, "no_file", "Nothing was changed"),
        ProjectError::SetElsewhere { .. } => (StatusCode::CONFLICT, "set_elsewhere", "Nothing was changed"),
        ProjectError::Refused(_) => (StatusCode::CONFLICT, "would_not_start", "Nothing was changed"),
        ProjectError::Broken(_) => {
            (StatusCode::CONFLICT, "would_not_start", "Mend them; `mercury doctor` in the project says what is wrong")
        }
    };
    ApiError::new(status, code, error.to_string(), next)
}

fn broken(error: String) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error, "Read the host's log")
}
