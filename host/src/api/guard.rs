//! What holds for every route: who may come at all, the size of bodies, and headers for whoever shows an
//! answer in a browser.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use tokio_util::task::TaskTracker;

use super::{Api, MOST_BODY};
use crate::http::{ApiError, Peer};

/// On every answer that does not say otherwise. Nothing of the API is a page, so a browser that is made to
/// show an answer may do nothing with it.
const HEADERS: &[(&str, &str)] = &[
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
];
const REQUEST_ID: &str = "x-request-id";

pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let id = uuid::Uuid::now_v7().simple().to_string();
    let is_change = is_the_operators(request.uri().path()) && ![Method::GET, Method::HEAD].contains(request.method());
    let mut response = match check(&api, &request) {
        Err(error) if is_change => note(&id, &Asked::of(&request), error.into_response()),
        Err(error) => error.into_response(),
        Ok(()) if is_change => changed(&api.changes, &id, request, next).await,
        Ok(()) => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(*name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// What the log says of a request of the operator.
struct Asked {
    method: Method,
    path: String,
    peer: Option<String>,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0.to_string());
        Self { method: request.method().clone(), path: request.uri().path().to_owned(), peer }
    }
}

fn note(id: &str, asked: &Asked, response: Response) -> Response {
    let (Asked { method, path, peer }, status) = (asked, response.status().as_u16());
    tracing::info!(%method, path, status, request = id, peer, "a request of the operator");
    response
}

/// In a task of its own, to its end and into the log: who hangs up in between leaves nothing half changed. A host that
/// stops waits for `changes`.
async fn changed(changes: &TaskTracker, id: &str, request: Request, next: Next) -> Response {
    let (id, asked) = (id.to_owned(), Asked::of(&request));
    let change = changes.spawn(async move { note(&id, &asked, next.run(request).await) });
    change.await.unwrap_or_else(|error| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string(), "").into_response()
    })
}

fn is_the_operators(path: &str) -> bool {
    ["/api/", "/approvals", "/dashboard/", "/pre-build"].iter().any(|prefix| path.starts_with(prefix))
}

fn check(api: &Api, request: &Request) -> Result<(), ApiError> {
    let path = request.uri().path();
    // Platforms come by a public name, and prove themselves to their adapters.
    let webhook = path.starts_with("/webhooks/");
    if api.config.chat_api_key.is_none() && !webhook && is_foreign(request.headers()) {
        return Err(foreign());
    }
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if declared.and_then(|text| text.parse::<u64>().ok()).is_some_and(|length| length > MOST_BODY as u64) {
        return Err(ApiError::too_large(MOST_BODY));
    }
    // Adapters have their own word for it.
    if path != "/health" && !webhook { api.rooms().map(drop) } else { Ok(()) }
}

/// Without a key the loopback is the boundary, and a browser on this machine is inside it. So what
/// a web page elsewhere sends is refused (it carries its origin), and a name that points here by
/// DNS rebinding as well (it is no name of this machine).
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let local = |authority: &str| {
        let host = authority
            .parse::<axum::http::uri::Authority>()
            .map(|authority| authority.host().to_owned())
            .unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    let origin = text(header::ORIGIN)
        .is_some_and(|origin| !origin.split_once("://").is_some_and(|(_, authority)| local(authority)));
    let host = text(header::HOST).is_some_and(|host| !local(host));
    origin || host
}

pub(super) fn foreign() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "foreign_origin",
        "Without a chat key only programs on this machine may ask, by the name localhost",
        "Set MERCURY_CHAT_API_KEY, and send it as `Authorization: Bearer …`",
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::{Router, body::Body, middleware, routing::post};
    use futures_util::FutureExt;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use tokio::sync::Notify;

    use super::*;

    /// An operator who hangs up in the middle of an installation leaves no half of it.
    #[tokio::test]
    async fn a_change_is_carried_to_its_end() {
        let (go_on, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let handler = {
            let (go_on, done) = (go_on.clone(), done.clone());
            post(async move || {
                go_on.notified().await;
                done.notify_one();
            })
        };
        let changes = TaskTracker::new();
        let tracked = changes.clone();
        let carried = middleware::from_fn(move |request: Request, next: Next| {
            let changes = tracked.clone();
            async move { changed(&changes, "1", request, next).await }
        });
        let routes = TowerToHyperService::new(Router::new().route("/", handler).layer(carried));
        let mut asked = Box::pin(routes.call(Request::post("/").body(Body::empty()).unwrap()));
        assert!((&mut asked).now_or_never().is_none());
        drop(asked);
        go_on.notify_one();
        changes.close();
        changes.wait().await;
        assert!(done.notified().now_or_never().is_some(), "who waits for changes waits for this one");
    }

    #[test]
    fn what_comes_from_a_web_page_is_foreign() {
        let foreign = |pairs: &[(header::HeaderName, &'static str)]| {
            is_foreign(&pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect())
        };
        for host in ["localhost:8787", "127.0.0.1:8787", "[::1]:8787", "localhost"] {
            assert!(!foreign(&[(header::HOST, host)]), "{host}");
        }
        for host in ["evil.example", "evil.example:8787", "localhost.evil.example", "10.0.0.1", ""] {
            assert!(foreign(&[(header::HOST, host)]), "{host}");
        }
        let local = (header::HOST, "localhost:8787");
        assert!(foreign(&[local.clone(), (header::ORIGIN, "https://evil.example")]));
        assert!(foreign(&[local.clone(), (header::ORIGIN, "null")]));
        assert!(!foreign(&[local, (header::ORIGIN, "http://localhost:8787")]));
    }
}
