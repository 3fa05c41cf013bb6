//! The operator's session in a browser. Its cookie is a token of its own and never the secret, so it ends:
//! after a time, by signing out, and with the secret.

use std::sync::PoisonError;

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Api,
    access::{self, COOKIE, Opened},
};
use crate::{
    clock,
    domain::session,
    http::{ApiError, Given, Input, Peer, Query},
};

/// Bytes of a login's body: whoever is not known yet may keep so much waiting in memory.
pub(super) const MOST_BODY: usize = 4 << 10;
const DASHBOARD: &str = "/dashboard";

#[derive(Deserialize)]
pub(super) struct Credentials {
    #[serde(default)]
    token: String,
}

impl Given for Credentials {
    const EXAMPLE: &'static str = "{\"token\": \"the API secret\"}";
}

#[derive(Deserialize)]
pub(super) struct Logout {
    /// The sessions of all browsers.
    #[serde(default)]
    everywhere: bool,
}

impl Given for Logout {
    const EXAMPLE: &'static str = "{\"everywhere\": true}";
    const OPTIONAL: bool = true;
}

/// What was opened: the cookie for the browser, and what its page has to know.
struct New {
    cookie: HeaderValue,
    csrf: String,
    ends_at: i64,
}

/// `GET /dashboard/login?token=…`: as an operator of the replaced system typed it. A page sends the
/// token by POST, where neither a history nor a proxy's log keeps it.
pub(super) async fn by_link(
    State(api): State<Api>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Query(given): Query<Credentials>,
) -> Result<Response, ApiError> {
    let mut response = (StatusCode::FOUND, [(header::LOCATION, DASHBOARD)]).into_response();
    if let Some(new) = open(&api, peer, &headers, &given.token).await? {
        response.headers_mut().insert(header::SET_COOKIE, new.cookie);
    }
    Ok(response)
}

/// `POST /dashboard/login` of `{token}`
pub(super) async fn login(
    State(api): State<Api>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Input(given): Input<Credentials>,
) -> Result<Response, ApiError> {
    let Some(new) = open(&api, peer, &headers, &given.token).await? else {
        return Ok(Json(json!({ "csrf": null, "endsAt": null })).into_response());
    };
    let mut response = Json(json!({ "csrf": new.csrf, "endsAt": new.ends_at })).into_response();
    response.headers_mut().insert(header::SET_COOKIE, new.cookie);
    Ok(response)
}

/// `None` where there is no secret, so nobody has to sign in.
async fn open(
    api: &Api,
    peer: Option<Extension<Peer>>,
    headers: &HeaderMap,
    given: &str,
) -> Result<Option<New>, ApiError> {
    let Some(key) = api.operator_key() else { return Ok(None) };
    let from = peer.map_or(std::net::Ipv4Addr::LOCALHOST.into(), |Extension(Peer(address))| address);
    let now = clock::millis();
    let guesses = || api.guesses.lock().unwrap_or_else(PoisonError::into_inner);
    guesses().admit(from, now).map_err(|seconds| {
        let error = "Too many wrong tokens came from this address";
        let next = format!("Try again in {seconds} s; as a bearer the right one is taken at any time");
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_guesses", error, &next).retry_after(seconds)
    })?;
    if !access::is_secret(given, key) {
        guesses().wrong(from, now);
        tracing::warn!(%from, "a wrong token at the dashboard's login");
        let next = "It is the value of MERCURY_API_SECRET";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "bad_token", "Invalid or missing token", next));
    }
    guesses().right(from);
    let token = access::token();
    let opened = api.rooms()?.store.open_session(access::digest(key, &token), now).await?;
    tracing::info!(%from, "the operator signed in");
    let cookie = cookie(&token, session::LONGEST_MS / 1000, headers);
    Ok(Some(New { cookie, csrf: access::csrf(key, &token), ends_at: opened.ends_at }))
}

/// `GET /dashboard/session`: the token that a page sends with each change, and when the session ends.
pub(super) async fn session(opened: Option<Extension<Opened>>) -> Json<Value> {
    Json(match opened {
        Some(Extension(opened)) => json!({
            "csrf": opened.csrf,
            "createdAt": opened.session.created_at,
            "endsAt": opened.session.ends_at,
        }),
        // A bearer, or this machine: no page of somebody else can send that.
        None => json!({ "csrf": null, "createdAt": null, "endsAt": null }),
    })
}

/// `POST /dashboard/logout`
pub(super) async fn logout(
    State(api): State<Api>,
    opened: Option<Extension<Opened>>,
    headers: HeaderMap,
    Input(wanted): Input<Logout>,
) -> Result<Response, ApiError> {
    let store = &api.rooms()?.store;
    let ended = match (wanted.everywhere, opened) {
        (true, _) => store.close_sessions().await?,
        (false, Some(Extension(opened))) => store.close_session(opened.digest).await.map(|()| 1)?,
        (false, None) => 0,
    };
    let mut response = Json(json!({ "ended": ended })).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie("", 0, &headers));
    Ok(response)
}

/// `Secure` where a proxy says that the browser speaks TLS: the host itself does not.
fn cookie(token: &str, seconds: i64, headers: &HeaderMap) -> HeaderValue {
    let secure = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    // A token has the letters of base64url only.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}
