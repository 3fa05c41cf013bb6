use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Callers};
use crate::http::{ApiError, Query};

/// Messages of one answer, as in the replaced system.
const MOST_FOUND: u64 = 100;
const USUAL: u64 = 20;

#[derive(Deserialize)]
pub(super) struct Search {
    q: Option<String>,
    limit: Option<String>,
}

/// `GET /api/messages/search?q=…&limit=20`: the newest first.
pub(super) async fn search(
    State(callers): State<Callers>,
    caller: Caller,
    Query(search): Query<Search>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "compact").await?;
    let bad = |error: &str| ApiError::new(StatusCode::BAD_REQUEST, "bad_search", error, "Send ?q=words&limit=20");
    let text = search.q.filter(|text| !text.trim().is_empty()).ok_or_else(|| bad("Missing q query parameter"))?;
    let limit = match search.limit.map(|limit| limit.parse::<u64>()) {
        None => USUAL,
        Some(Ok(limit)) if limit > 0 => limit.min(MOST_FOUND),
        Some(_) => return Err(bad("Invalid limit")),
    };
    let found = callers.store.search(&caller.space, text.trim(), limit as u32).await?;
    let view = |entry: &crate::store::Entry| json!({ "id": entry.id, "role": entry.role, "content": entry.content, "createdAt": entry.created_at });
    Ok(Json(json!({ "messages": found.iter().map(view).collect::<Vec<_>>() })))
}
