//! People's scheduled tasks: for a caller those of its space, for the operator those of all.

use axum::{
    Extension, Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, spaces::space_id};
use crate::{
    callers::{self, Caller, NewTask, PageQuery},
    domain::roles::SYSTEM_ROLE,
    http::{ApiError, Given, Input, Path, Query},
};

/// What the console sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfOperator {
    cron: Option<String>,
    prompt: Option<String>,
    timezone: Option<String>,
    name: Option<String>,
    conversation: Option<String>,
}

impl Given for OfOperator {
    const EXAMPLE: &'static str =
        "{\"cron\": \"0 8 * * *\", \"prompt\": \"What is new today?\", \"timezone\": \"UTC\"}";
}

/// `GET /api/tasks`
pub(super) async fn list(
    State(api): State<Api>,
    caller: Option<Extension<Caller>>,
    query: Query<PageQuery>,
) -> Result<Json<Value>, ApiError> {
    if let Some(Extension(caller)) = caller {
        return callers::answers::tasks(State(api.rooms()?.runs.callers()), caller, query).await;
    }
    let page = query.0.page()?;
    let (tasks, next) = page.cut(api.rooms()?.store.tasks(None, &page).await?, |task| (task.id, String::new()));
    Ok(Json(json!({ "tasks": tasks, "next": next })))
}

/// `POST /api/tasks`. A task has a maker, so the operator says for whom.
pub(super) async fn create(
    State(api): State<Api>,
    caller: Option<Extension<Caller>>,
    given: Input<NewTask>,
) -> Result<Json<Value>, ApiError> {
    let Extension(caller) = caller.ok_or_else(Caller::missing)?;
    callers::answers::create_task(State(api.rooms()?.runs.callers()), caller, given).await
}

/// `POST /api/console/spaces/{space}/tasks`: one of the host's own, which comes again.
pub(super) async fn create_own(
    State(api): State<Api>,
    Path(space): Path<String>,
    Input(given): Input<OfOperator>,
) -> Result<Response, ApiError> {
    let space = space_id(&space)?;
    let next = format!("Send JSON such as {}", OfOperator::EXAMPLE);
    for (name, text) in [("cron", &given.cron), ("prompt", &given.prompt)] {
        if text.as_deref().is_none_or(|text| text.trim().is_empty()) {
            let error = format!("{name} is required");
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_task", error, &next));
        }
    }
    let rooms = api.rooms()?;
    if !rooms.store.space_exists(&space).await? {
        return Err(ApiError::space_not_found(space.as_str()));
    }
    let wanted = NewTask {
        prompt: given.prompt,
        cron: given.cron,
        timezone: given.timezone,
        name: given.name,
        conversation: given.conversation,
        ..NewTask::default()
    };
    let place = callers::task_place(&rooms.store, &space, SYSTEM_ROLE, &wanted).await?;
    let made = callers::plan_task(&rooms.store, &api.config, &space, SYSTEM_ROLE, wanted, place).await?;
    tracing::info!(%space, task = made.id, "the operator scheduled a task");
    rooms.runs.tasks_changed.notify_one();
    let view = json!({
        "id": made.id, "cron": made.cron, "prompt": made.prompt, "timezone": made.timezone, "name": made.name,
        "nextRunAt": made.next_run_at, "conversation": made.conversation,
    });
    Ok((StatusCode::CREATED, Json(view)).into_response())
}
