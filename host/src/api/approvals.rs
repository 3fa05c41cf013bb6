//! `/approvals`: the operator sees what waits for an answer, answers, and reads what was decided.
//!
//! Whoever comes in here is the operator (`access`). Nothing in a container is.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use crate::{
    approvals::{AnswerError, Person, view},
    domain::approval::{self, Said},
    http::{ApiError, Given, Input, Path, Query},
};

/// Decisions that one request shows, at most.
const MOST_DECISIONS: u32 = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAnswer {
    choice: Choice,
    /// Other arguments than the agent's: an object in the place of all, or a text in that of `command`.
    arguments: Option<Value>,
    /// Why not, for the agent to read.
    reason: Option<String>,
}

impl Given for NewAnswer {
    const EXAMPLE: &'static str = "{\"choice\": \"allow\"} or {\"choice\": \"deny\", \"reason\": \"not today\"}";
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Choice {
    Allow,
    Deny,
}

#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default = "Page::usual")]
    count: u32,
}

impl Page {
    fn usual() -> u32 {
        50
    }
}

/// `GET /approvals`
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    let open = api.rooms()?.approvals.open().await?;
    Ok(Json(json!({ "questions": open.iter().map(view).collect::<Vec<_>>() })))
}

/// `GET /approvals/decisions?count=50`
pub(super) async fn decisions(State(api): State<Api>, Query(page): Query<Page>) -> Result<Json<Value>, ApiError> {
    let decisions = api.rooms()?.store.decisions(page.count.min(MOST_DECISIONS)).await?;
    Ok(Json(json!({ "decisions": decisions })))
}

/// `POST /approvals/{question}`
pub(super) async fn answer(
    State(api): State<Api>,
    Path(question): Path<i64>,
    Input(given): Input<NewAnswer>,
) -> Result<Json<Value>, ApiError> {
    let bad = |error: String| {
        let next = format!("Send JSON such as {}", NewAnswer::EXAMPLE);
        ApiError::new(StatusCode::BAD_REQUEST, "bad_answer", error, &next)
    };
    let said = match (given.choice, given.arguments) {
        (Choice::Allow, None) => Said::Allow,
        (Choice::Allow, Some(Value::String(command))) => Said::Edit(command),
        (Choice::Allow, Some(arguments)) => Said::Edit(arguments.to_string()),
        (Choice::Deny, None) => Said::Deny(given.reason.as_deref().and_then(approval::reason)),
        (Choice::Deny, Some(_)) => return Err(bad("arguments belong to `allow`".into())),
    };
    let note = api.rooms()?.approvals.answer(question, &Person::operator(), said, None).await.map_err(refusal)?;
    Ok(Json(json!({ "note": note })))
}

fn refusal(error: AnswerError) -> ApiError {
    match error {
        AnswerError::Store(error) => error.into(),
        error => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
            ApiError::new(status, error.code(), error.to_string(), "")
        }
    }
}
