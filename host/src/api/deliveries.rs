use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use super::Api;
use crate::{
    clock,
    http::{ApiError, Path},
};

/// Deliveries that one request shows, at most.
const MOST_SHOWN: u32 = 1_000;

/// `GET /api/deliveries`: what waits to be sent, and what was given up.
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "deliveries": api.rooms()?.store.undelivered(MOST_SHOWN).await? })))
}

/// `POST /api/deliveries/{id}/retry`
pub(super) async fn retry(State(api): State<Api>, Path(id): Path<i64>) -> Result<Json<Value>, ApiError> {
    let rooms = api.rooms()?;
    if rooms.store.redeliver(id, clock::millis()).await? {
        rooms.delivery.stir();
        return Ok(Json(json!({ "retrying": id })));
    }
    Err(ApiError::new(
        StatusCode::NOT_FOUND,
        "delivery_unknown",
        format!("There is no delivery {id} that waits or was given up"),
        "`mercury deliveries` lists them",
    ))
}
