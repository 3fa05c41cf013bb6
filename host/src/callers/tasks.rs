//! Tasks that people schedule in the caller's space.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Callers, PageQuery};
use crate::{
    clock,
    config::Config,
    domain::{
        chat,
        ids::SpaceId,
        task::{self, MOST_NAME, Place, Schedule, TaskError, Wish},
    },
    http::{ApiError, Given, Input, Path, Query},
    store::{Found, Planned, PlannedTask, Requested, Store, Task},
};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    pub prompt: Option<String>,
    pub cron: Option<String>,
    pub at: Option<String>,
    pub timezone: Option<String>,
    #[serde(default)]
    pub silent: bool,
    pub name: Option<String>,
    /// Where its answers go. An agent's tasks answer to where it is asked.
    pub conversation: Option<String>,
}

impl Given for NewTask {
    const EXAMPLE: &'static str =
        "{\"prompt\": \"What is new today?\", \"cron\": \"0 8 * * 1-5\", \"timezone\": \"Europe/Berlin\"}";
}

/// Those of the caller's space, the oldest first.
pub async fn list(
    State(callers): State<Callers>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "tasks.list").await?;
    let page = query.page()?;
    let (tasks, next) =
        page.cut(callers.store.tasks(Some(&caller.space), &page).await?, |task| (task.id, String::new()));
    Ok(Json(json!({ "tasks": tasks, "next": next })))
}

pub async fn create(
    State(callers): State<Callers>,
    caller: Caller,
    Input(given): Input<NewTask>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "tasks.create").await?;
    let place = callers.place_of(&caller, &given).await?;
    let made = plan(&callers.store, &callers.config, &caller.space, &caller.id, given, place).await?;
    tracing::info!(space = %caller.space, by = caller.id, task = made.id, "a task was scheduled");
    callers.tasks_changed.notify_one();
    Ok(Json(json!({
        "id": made.id, "cron": made.cron, "at": made.at, "prompt": made.prompt, "silent": made.silent == 1,
        "timezone": made.timezone, "nextRunAt": made.next_run_at, "name": made.name, "conversation": made.conversation,
    })))
}

pub(super) async fn pause(
    State(callers): State<Callers>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "tasks.pause").await?;
    callers.set_active(&caller, &id, false).await?;
    Ok(Json(json!({ "id": task_id(&id)?, "active": false })))
}

pub(super) async fn resume(
    State(callers): State<Callers>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "tasks.resume").await?;
    let task = callers.set_active(&caller, &id, true).await?;
    Ok(Json(json!({ "id": task.id, "active": true, "nextRunAt": task.next_run_at })))
}

/// Answers at once; the run comes soon, and its answer where that of every run of the task goes.
pub(super) async fn run(
    State(callers): State<Callers>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "tasks.create").await?;
    let id = task_id(&id)?;
    match callers.store.request_task(&caller.space, id, clock::millis()).await? {
        Requested::Noted => {}
        Requested::Unknown => return Err(unknown()),
        Requested::Paused => {
            let next = format!("Resume it first: `mrctl tasks resume {id}`");
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "task_paused", "Task is paused", &next));
        }
        Requested::Busy => {
            let error = "The task's last run is not over";
            let next = "Wait for it, or end it with `mrctl stop`";
            return Err(ApiError::new(StatusCode::CONFLICT, "task_busy", error, next).retry_after(10));
        }
    }
    tracing::info!(space = %caller.space, by = caller.id, task = id, "a task is let run");
    callers.tasks_changed.notify_one();
    Ok(Json(json!({ "id": id, "triggered": true })))
}

pub(super) async fn remove(
    State(callers): State<Callers>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "tasks.delete").await?;
    let id = task_id(&id)?;
    if !callers.store.remove_task(Some(&caller.space), id).await? {
        return Err(unknown());
    }
    tracing::info!(space = %caller.space, by = caller.id, task = id, "a task was deleted");
    Ok(Json(json!({ "id": id, "deleted": true })))
}

impl Callers {
    async fn set_active(&self, caller: &Caller, id: &str, active: bool) -> Result<Task, ApiError> {
        let id = task_id(id)?;
        let task = self.store.set_task_active(Some(&caller.space), id, active, clock::millis()).await?;
        tracing::info!(space = %caller.space, by = caller.id, task = id, active, "a task was paused or resumed");
        self.tasks_changed.notify_one();
        task.ok_or_else(unknown)
    }

    /// Where the answers go. A reply right is no right to write elsewhere, so an agent's tasks answer to the
    /// place of its own run.
    async fn place_of(&self, caller: &Caller, given: &NewTask) -> Result<Place, ApiError> {
        let Some(agent) = &caller.agent else {
            return place(&self.store, &caller.space, &caller.id, given).await;
        };
        match &given.conversation {
            Some(other) if *other != agent.place.conversation => {
                let error = "A task answers to the conversation that it is made in";
                Err(ApiError::new(StatusCode::FORBIDDEN, "other_conversation", error, "Leave `conversation` out"))
            }
            _ => Ok(agent.place.clone()),
        }
    }
}

/// The conversation that is named, or the one that is meant where nothing else can be.
pub async fn place(store: &Store, space: &SpaceId, person: &str, given: &NewTask) -> Result<Place, ApiError> {
    let lists = "`mercury conversations list` shows those that there are";
    if let Some(named) = &given.conversation {
        return store.task_place_in(space, named).await?.ok_or_else(|| {
            let error = format!("{} is no conversation of the space {space}", shortened(named));
            ApiError::new(StatusCode::BAD_REQUEST, "conversation_unknown", error, lists)
        });
    }
    match store.task_place(space, person).await? {
        Found::One(place) => Ok(place),
        Found::Several if !given.silent => {
            let error = format!("The space {space} has several conversations: name the one that is to be answered to");
            let next = format!("Send `conversation` as well; {lists}");
            Err(ApiError::new(StatusCode::BAD_REQUEST, "conversation_needed", error, &next))
        }
        Found::Several | Found::Nobody => Ok(Place::of_program(person)),
    }
}

/// Keeps a task whose maker may make it.
pub async fn plan(
    store: &Store,
    config: &Config,
    space: &SpaceId,
    maker: &str,
    given: NewTask,
    place: Place,
) -> Result<Task, ApiError> {
    let now = clock::millis();
    let prompt = given.prompt.as_deref().map(str::trim).unwrap_or_default();
    if prompt.is_empty() {
        return Err(refusal(TaskError::NoPrompt));
    }
    if prompt.chars().count() > task::MOST_PROMPT {
        return Err(refusal(TaskError::LongPrompt));
    }
    let stated = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let timezone = match stated(&given.timezone) {
        Some(stated) => Some(stated),
        None => {
            let settings = store.space_settings(space).await?;
            settings.timezone().map(str::to_owned).or_else(|| config.default_timezone.clone())
        }
    };
    let (cron, at) = (stated(&given.cron), stated(&given.at));
    let wish = Wish { cron: cron.as_deref(), at: at.as_deref(), timezone: timezone.as_deref() };
    let schedule = Schedule::parse(wish).map_err(refusal)?;
    let least = config.task_interval;
    // A line that is seldom due is looked for over many years.
    let first = tokio::task::spawn_blocking(move || schedule.first(now, least)).await;
    let first = first.map_err(|error| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "task_failed", error.to_string(), "Read the host's log")
    })?;
    let planned = PlannedTask {
        space: space.clone(),
        name: given.name.as_deref().and_then(|name| chat::name(name, MOST_NAME)),
        prompt: prompt.to_owned(),
        cron,
        at,
        timezone,
        silent: given.silent,
        created_by: maker.to_owned(),
        place,
        next_run_at: first.map_err(refusal)?,
        now,
    };
    match store.plan_task(planned, config.most_tasks).await? {
        Planned::Done(task) => Ok(*task),
        Planned::UnknownSpace => Err(ApiError::space_not_found(space.as_str())),
        Planned::TooMany => {
            let error = format!("The space {space} has {} tasks, and no more are kept", config.most_tasks);
            let next = "Delete one (`mrctl tasks list`); the operator sets scheduling.max_tasks_per_space";
            Err(ApiError::new(StatusCode::CONFLICT, "too_many_tasks", error, next))
        }
    }
}

fn refusal(error: TaskError) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad_task", error.to_string(), &error.next_step())
}

/// # Errors
/// 400 where the text is no number from 1.
fn task_id(text: &str) -> Result<i64, ApiError> {
    text.parse::<i64>().ok().filter(|id| *id >= 1).ok_or_else(|| {
        let next = "Name the number of a task, as in `mrctl tasks list`";
        ApiError::new(StatusCode::BAD_REQUEST, "bad_task_id", "Invalid task ID", next)
    })
}

/// One of another space is not told from one that does not exist.
fn unknown() -> ApiError {
    let next = "`mrctl tasks list` shows those that there are";
    ApiError::new(StatusCode::NOT_FOUND, "task_not_found", "Task not found", next)
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}
