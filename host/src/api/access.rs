//! Who may use the operator's listener: who holds the secret, or has a session that was opened with it, or
//! sits at this machine where there is no secret.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::{Api, guard};
use crate::{
    callers::{self, Caller},
    clock,
    domain::{decision, ids::SpaceId},
    http::ApiError,
    store::{Digest, Session},
};

/// The cookie of a session.
pub(super) const COOKIE: &str = "mercury_session";
const CSRF_HEADER: &str = "x-csrf-token";

/// The session that a request came with, in its extensions.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) digest: Digest,
    pub(super) csrf: String,
    pub(super) session: Session,
}

impl Api {
    /// The API secret, or where only a chat key is set, that one: no key at all means this machine.
    pub(super) fn operator_key(&self) -> Option<&SecretString> {
        self.config.api_secret.as_ref().or(self.config.chat_api_key.as_ref())
    }

    /// Lets the operator in. A bearer counts before a cookie, also where it is wrong.
    async fn let_in(&self, request: &mut Request) -> Result<(), ApiError> {
        let headers = request.headers();
        if self.config.api_secret.is_none() && guard::is_foreign(headers) {
            return Err(guard::foreign());
        }
        let Some(key) = self.operator_key() else { return Ok(()) };
        if headers.contains_key(header::AUTHORIZATION) {
            return require(headers, Some(key));
        }
        let Some(token) = cookie(headers) else { return Err(ApiError::unauthorized()) };
        let digest = digest(key, token);
        let found = self.rooms()?.store.use_session(digest, clock::millis()).await?;
        let session = found.ok_or_else(|| {
            let error = "The session is over, or was never opened";
            ApiError::new(StatusCode::UNAUTHORIZED, "session_over", error, "Sign in again")
        })?;
        let opened = Opened { digest, csrf: csrf(key, token), session };
        check_csrf(request.method(), headers, &opened.csrf)?;
        request.extensions_mut().insert(opened);
        Ok(())
    }

    /// For whom the operator asks, where the headers say it: as in the replaced system, but never the host.
    async fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, ApiError> {
        if headers.contains_key("x-mercury-token") {
            // Containers have a socket in their place; a token that is believed or ignored would be a hole.
            let error = "Invalid or expired caller token";
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "bad_caller_token", error, "Send no X-Mercury-Token"));
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
        let (id, space) = match (text("x-mercury-caller"), text("x-mercury-space")) {
            (None, None) => return Ok(None),
            (Some(id), Some(space)) => (id.to_owned(), space.to_owned()),
            _ => return Err(Caller::missing()),
        };
        let space = SpaceId::try_from(space)
            .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_space", error.to_string(), ""))?;
        let store = &self.rooms()?.store;
        if !store.space_exists(&space).await? {
            return Err(ApiError::space_not_found(space.as_str()));
        }
        let role = callers::role_of(&self.config, store, &space, &id).await?;
        if decision::is_reserved(&id, &role) {
            let error = "This caller id is reserved";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "caller_reserved", error, "Use another X-Mercury-Caller"));
        }
        Ok(Some(Caller { id, role, space, agent: None }))
    }

    /// Both of them.
    pub(super) async fn admit(&self, request: &mut Request) -> Result<(), ApiError> {
        self.let_in(request).await?;
        if let Some(caller) = self.caller(request.headers()).await? {
            request.extensions_mut().insert(caller);
        }
        Ok(())
    }
}

/// In front of every route of the operator.
pub(super) async fn operator(State(api): State<Api>, mut request: Request, next: Next) -> Result<Response, ApiError> {
    api.admit(&mut request).await?;
    Ok(next.run(request).await)
}

/// In front of what is closed without a secret, even on this machine (http-api.md 6).
pub(super) async fn console(State(api): State<Api>, mut request: Request, next: Next) -> Result<Response, ApiError> {
    if api.config.api_secret.is_none() {
        let of = request.uri().path().strip_prefix("/api/console").map_or("/pre-build-ext-image", |_| "/api/console");
        let error = format!("MERCURY_API_SECRET must be set for {of}");
        let next = "Set it in .env and restart";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_api_secret", error, next));
    }
    api.let_in(&mut request).await?;
    Ok(next.run(request).await)
}

/// A browser sends the cookie whoever made the page that asks; only our own page knows the token.
fn check_csrf(method: &Method, headers: &HeaderMap, expected: &str) -> Result<(), ApiError> {
    let forged = || {
        let next = "Send the `csrf` of GET /dashboard/session as X-CSRF-Token, from a page of this host";
        ApiError::new(StatusCode::FORBIDDEN, "csrf", "The request does not come from the dashboard", next)
    };
    let site = headers.get("sec-fetch-site").map(|value| value.as_bytes());
    if site.is_some_and(|site| site == b"cross-site" || site == b"same-site") {
        return Err(forged());
    }
    if [Method::GET, Method::HEAD].contains(method) {
        return Ok(());
    }
    let given = headers.get(CSRF_HEADER).map(|value| value.as_bytes()).unwrap_or_default();
    if bool::from(given.ct_eq(expected.as_bytes())) { Ok(()) } else { Err(forged()) }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// A new token: 256 bits.
pub(super) fn token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

pub(super) fn digest(key: &SecretString, token: &str) -> Digest {
    mac(key, "session", token)
}

/// Follows from the token, so nothing of it has to be kept; and does not lead back to it.
pub(super) fn csrf(key: &SecretString, token: &str) -> String {
    URL_SAFE_NO_PAD.encode(mac(key, "csrf", token))
}

fn mac(key: &SecretString, purpose: &str, token: &str) -> [u8; 32] {
    // HMAC takes keys of any length; the digest of one is a key as good as any.
    let key: [u8; 32] = Sha256::digest(key.expose_secret().as_bytes()).into();
    match Hmac::<Sha256>::new_from_slice(&key) {
        Ok(mac) => mac.chain_update(purpose).chain_update([0]).chain_update(token).finalize().into_bytes().into(),
        Err(_) => Sha256::digest([&key[..], purpose.as_bytes(), &[0], token.as_bytes()].concat()).into(),
    }
}

/// Whether two secrets are the same, in a time that tells nothing of either, their lengths included.
pub(super) fn is_secret(given: &str, secret: &SecretString) -> bool {
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    digest(given).ct_eq(&digest(secret.expose_secret())).into()
}

/// # Errors
/// 401 where the request does not carry `secret` as its bearer.
pub(super) fn require(headers: &HeaderMap, secret: Option<&SecretString>) -> Result<(), ApiError> {
    let Some(secret) = secret else { return Ok(()) };
    let given = headers.get(header::AUTHORIZATION).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    match given.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(given) if is_secret(given, secret) => Ok(()),
        _ => Err(ApiError::unauthorized()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap()))
            .collect()
    }

    /// http-api.md W9 W11: a secret of any shape works, and none of equal length passes for it.
    #[test]
    fn secrets_of_any_shape() {
        for secret in ["plain-secret-0123", "with=equals=signs", "gehätztes Geheimnis", "x"] {
            let key = SecretString::from(secret);
            let bearer = format!("Bearer {secret}");
            assert!(require(&headers(&[("authorization", &bearer)]), Some(&key)).is_ok(), "{secret}");
            let other: String = secret.chars().map(|_| 'é').collect();
            for wrong in [format!("Bearer {other}"), format!("bearer {secret}"), secret.to_owned(), "Bearer ".into()] {
                assert!(require(&headers(&[("authorization", &wrong)]), Some(&key)).is_err(), "{wrong}");
            }
        }
        assert!(require(&HeaderMap::new(), None).is_ok());
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        for (value, expected) in [
            ("mercury_session=abc", Some("abc")),
            ("a=1; mercury_session=a=b; c", Some("a=b")),
            ("mercury_sessions=abc", None),
            ("xmercury_session=abc", None),
            ("", None),
        ] {
            assert_eq!(cookie(&headers(&[("cookie", value)])), expected, "{value}");
        }
    }

    /// What a page of somebody else can make a browser send is not enough.
    #[test]
    fn a_forged_request_is_refused() {
        let check =
            |method: &Method, pairs: &[(&'static str, &str)]| check_csrf(method, &headers(pairs), "right").is_ok();
        assert!(check(&Method::POST, &[("x-csrf-token", "right")]));
        assert!(check(&Method::POST, &[("x-csrf-token", "right"), ("sec-fetch-site", "same-origin")]));
        assert!(check(&Method::GET, &[]) && check(&Method::HEAD, &[("sec-fetch-site", "none")]));
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            assert!(!check(&method, &[]) && !check(&method, &[("x-csrf-token", "wrong")]), "{method}");
        }
        for site in ["cross-site", "same-site"] {
            assert!(!check(&Method::GET, &[("sec-fetch-site", site)]));
            assert!(!check(&Method::POST, &[("sec-fetch-site", site), ("x-csrf-token", "right")]));
        }
    }

    #[test]
    fn another_secret_knows_no_session() {
        let (one, other) = (SecretString::from("one"), SecretString::from("other"));
        assert_eq!(digest(&one, "token"), digest(&one, "token"));
        assert_ne!(digest(&one, "token"), digest(&other, "token"));
        assert_ne!(csrf(&one, "token"), URL_SAFE_NO_PAD.encode(digest(&one, "token")));
        assert_ne!(token(), token());
    }
}
