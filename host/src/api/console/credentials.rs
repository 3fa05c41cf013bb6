//! Credentials in `.env`: of model providers, plugins, and whatever the configuration gives to agents.
//! Nothing that says how the host works, and nothing that lets somebody in.

use std::collections::{BTreeMap, BTreeSet};

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{super::Api, begin_with_change};
use crate::{
    config,
    credentials::operator_variables,
    http::{ApiError, Given, Input},
    project::Changes,
};

/// Characters of a credential: one with certificates in it has some thousands.
const MOST_VALUE: usize = 64 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in super::super) struct NewCredential {
    #[serde(default)]
    env_var: String,
    /// None takes it out.
    #[serde(default)]
    value: String,
    /// Whether the host begins anew with it.
    restart: Option<bool>,
}

impl Given for NewCredential {
    const EXAMPLE: &'static str = "{\"envVar\": \"MERCURY_OPENAI_API_KEY\", \"value\": \"sk-…\", \"restart\": false}";
}

/// `POST /api/console/credentials`
pub(in super::super) async fn set(
    State(api): State<Api>,
    Input(given): Input<NewCredential>,
) -> Result<Json<Value>, ApiError> {
    let NewCredential { env_var: name, value, restart } = given;
    check_name(&name)?;
    if !known(&api).await?.contains(&name) {
        return Err(not_a_credential(&name));
    }
    let written = check_value(&value)?.map(str::to_owned);
    let restarting = written.is_some() && restart != Some(false);
    let is_set = written.is_some();
    api.change(Changes { variables: BTreeMap::from([(name.clone(), written)]), ..Changes::default() }).await?;
    tracing::warn!(variable = name, is_set, "a credential was changed by the operator");
    let answer = json!({ "ok": true, "envVar": name, "restarting": false });
    Ok(Json(if restarting { begin_with_change(&api, answer).await } else { answer }))
}

/// `^[A-Z_][A-Z0-9_]*$`
pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    let first = name.bytes().next().is_some_and(fits);
    if first && name.bytes().all(|byte| fits(byte) || byte.is_ascii_digit()) {
        return Ok(());
    }
    let error = "envVar must be a valid SCREAMING_SNAKE_CASE name";
    let next = format!("Send JSON such as {}", NewCredential::EXAMPLE);
    Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_variable", error, &next))
}

/// None for nothing but blanks.
pub(super) fn check_value(value: &str) -> Result<Option<&str>, ApiError> {
    let bad = |error: &str| ApiError::new(StatusCode::BAD_REQUEST, "bad_value", error, "Send it in one line, as it is");
    match value.trim() {
        "" => Ok(None),
        value if value.chars().any(char::is_control) => Err(bad("The value has line breaks or control characters")),
        value if value.len() > MOST_VALUE => Err(bad("The value has more than 64 KiB")),
        value => Ok(Some(value)),
    }
}

pub(super) fn not_a_credential(name: &str) -> ApiError {
    let error = format!("{name} is no credential of a model provider, a plugin or an agent");
    let next = "What else the host is told stands in .env or mercury.yaml, and is changed there";
    ApiError::new(StatusCode::BAD_REQUEST, "not_a_credential", error, next)
}

/// The variables that may be set: an allow-list, so that nothing new is among them by itself.
pub(super) async fn known(api: &Api) -> Result<BTreeSet<String>, ApiError> {
    let of_plugins = super::plugins(api)
        .await?
        .into_iter()
        .filter_map(|plugin| plugin.manifest)
        .flat_map(|manifest| manifest.secrets);
    let mut known: BTreeSet<String> = of_plugins.map(|secret| secret.variable).collect();
    known.extend(operator_variables());
    known.extend(config::secret_variables().map(str::to_owned));
    known.extend(api.config.env_allow.iter().map(|name| match name.starts_with("MERCURY_") {
        true => name.clone(),
        false => format!("MERCURY_{name}"),
    }));
    // A manifest may name any; those that are settings of the host are none.
    let settings = config::own_variables();
    let secrets: BTreeSet<_> = config::secret_variables().collect();
    known.retain(|name| secrets.contains(name.as_str()) || !settings.contains(&name.as_str()));
    Ok(known)
}
