use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{Caller, Callers};
use crate::http::ApiError;

/// `GET /api/storage`: what the files of the caller's space take; for whoever is an admin of all, those of
/// every space, the disk and the database.
pub(super) async fn show(State(callers): State<Callers>, caller: Caller) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "spaces.list").await?;
    let measured = callers.storage.measured().await;
    Ok(Json(match callers.is_global_admin(&caller).await? {
        true => json!(*measured),
        false => json!({ "spaces": [measured.of(caller.space.as_str())] }),
    }))
}
