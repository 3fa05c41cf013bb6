use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Callers};
use crate::{
    clock,
    http::{ApiError, Given, Input, Path},
    store::MOST_PREFERENCES,
};

/// Characters of a value.
const MOST_VALUE: usize = 500;
/// Bytes of a key, beside its first.
const MOST_KEY: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPreference {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
}

impl Given for NewPreference {
    const EXAMPLE: &'static str = "{\"key\": \"language\", \"value\": \"German\"}";
}

pub(super) async fn list(State(callers): State<Callers>, caller: Caller) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "prefs.get").await?;
    let preferences = callers.store.preferences(&caller.space).await?;
    Ok(Json(json!({ "spaceId": caller.space, "preferences": preferences })))
}

pub(super) async fn get(
    State(callers): State<Callers>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "prefs.get").await?;
    match callers.store.preference(&caller.space, &key).await? {
        Some(value) => Ok(Json(json!({ "spaceId": caller.space, "key": key, "value": value }))),
        None => Err(unknown(&key)),
    }
}

pub(super) async fn set(
    State(callers): State<Callers>,
    caller: Caller,
    Input(given): Input<NewPreference>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "prefs.set").await?;
    let NewPreference { key, value } = given;
    let bad = |error: String| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "bad_preference",
            error,
            &format!("Send JSON such as {}", NewPreference::EXAMPLE),
        )
    };
    if key.is_empty() || value.is_empty() {
        return Err(bad("Missing key or value".into()));
    }
    if !is_key(&key) {
        return Err(bad(format!(
            "`{}` is no key of a preference: lower-case letters, digits, `.`, `_` and `-`, beginning with a letter or digit, {MOST_KEY} at most",
            key.chars().take(MOST_KEY).collect::<String>()
        )));
    }
    if value.chars().count() > MOST_VALUE {
        return Err(bad(format!("The value has more than {MOST_VALUE} characters")));
    }
    if !callers.store.set_preference(&caller.space, &key, &value, &caller.id, clock::millis()).await? {
        return Err(bad(format!("Maximum {MOST_PREFERENCES} preferences per space")));
    }
    Ok(Json(json!({ "spaceId": caller.space, "key": key, "value": value })))
}

pub(super) async fn remove(
    State(callers): State<Callers>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "prefs.set").await?;
    match callers.store.delete_preference(&caller.space, &key).await? {
        true => Ok(Json(json!({ "spaceId": caller.space, "key": key, "deleted": true }))),
        false => Err(unknown(&key)),
    }
}

fn unknown(key: &str) -> ApiError {
    let error = format!("Preference not found: {}", key.chars().take(MOST_KEY).collect::<String>());
    ApiError::new(StatusCode::NOT_FOUND, "preference_not_found", error, "`mrctl prefs list` shows those that there are")
}

/// `^[a-z0-9][a-z0-9._-]{0,63}$`
fn is_key(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut bytes = key.bytes();
    bytes.next().is_some_and(plain) && bytes.all(|byte| plain(byte) || b"._-".contains(&byte)) && key.len() <= MOST_KEY
}

#[cfg(test)]
mod tests {
    use super::*;

    /// http-api.md #13, storage.md #18
    #[test]
    fn keys() {
        for good in ["a", "0", "reply.language", "a_b-c", &"a".repeat(64)] {
            assert!(is_key(good), "{good}");
        }
        for bad in ["", "A", "Bad Key", ".a", "-a", "a b", "ä", "a/b", &"a".repeat(65)] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}
