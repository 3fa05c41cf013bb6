use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Callers};
use crate::http::{ApiError, Query};

/// Messages of one answer, as in the replaced system.
const MOST_FOUND: u32 = 100;
const USUAL: u32 = 20;

#[derive(Deserialize)]
pub(super) struct Search {
    q: Option<String>,
    limit: Option<String>,
}

/// `GET /api/messages/search?q=…&limit=20`: the newest first. Not `complete` where older messages than it looks at were left out.
pub(super) async fn search(
    State(callers): State<Callers>,
    caller: Caller,
    Query(search): Query<Search>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "compact").await?;
    let bad = |error: &str| ApiError::new(StatusCode::BAD_REQUEST, "bad_search", error, "Send ?q=words&limit=20");
    let (text, limit) = wanted(search.q.as_deref(), search.limit.as_deref()).map_err(bad)?;
    let found = callers.store.search(&caller.space, text, limit).await?;
    let view = |entry: &crate::store::Entry| json!({ "id": entry.id, "role": entry.role, "content": entry.content, "createdAt": entry.created_at });
    let messages: Vec<_> = found.messages.iter().map(view).collect();
    Ok(Json(json!({ "messages": messages, "complete": found.complete })))
}

/// The words that are looked for, and how many messages at most. A larger limit than [`MOST_FOUND`] is taken as that.
fn wanted<'a>(text: Option<&'a str>, limit: Option<&str>) -> Result<(&'a str, u32), &'static str> {
    let text = text.map(str::trim).filter(|text| !text.is_empty()).ok_or("Missing q query parameter")?;
    let limit = match limit.map(str::parse::<u64>) {
        None => USUAL,
        Some(Ok(limit)) if limit > 0 => u32::try_from(limit).unwrap_or(MOST_FOUND).min(MOST_FOUND),
        Some(_) => return Err("Invalid limit"),
    };
    Ok((text, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// storage.md #7: a blank query is none, and a limit above 100 is 100.
    #[test]
    fn what_is_looked_for() {
        assert_eq!(wanted(Some(" foobar "), None), Ok(("foobar", 20)));
        assert_eq!(wanted(Some("x"), Some("7")), Ok(("x", 7)));
        for many in ["101", "4294967297", "18446744073709551615"] {
            assert_eq!(wanted(Some("x"), Some(many)), Ok(("x", 100)), "{many}");
        }
        for (text, limit) in
            [(None, None), (Some(""), None), (Some(" \n"), None), (Some("x"), Some("0")), (Some("x"), Some("1x"))]
        {
            assert!(wanted(text, limit).is_err(), "{text:?} {limit:?}");
        }
    }
}
