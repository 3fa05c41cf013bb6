//! axum's extractors, with refusals that have the one shape of an error.

use std::time::Duration;

use axum::{
    Extension,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request},
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;

use super::ApiError;

/// How long a body of [`Input`] may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of a body where no [`most_body`] says otherwise: axum's own limit, 2 MiB.
const USUAL_BODY: usize = 2 << 20;

/// The limit of a route, for whoever is told of it.
#[derive(Clone, Copy, Debug)]
pub struct MostBody(usize);

/// A layer for routes whose bodies of [`Input`] have so many bytes at most.
pub fn most_body(bytes: usize) -> (DefaultBodyLimit, Extension<MostBody>) {
    (DefaultBodyLimit::max(bytes), Extension(MostBody(bytes)))
}

/// Parts of the path.
#[derive(Clone, Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(error) => Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_path", error.body_text(), "")),
        }
    }
}

/// What stands behind the `?`.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(error) => Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_query", error.body_text(), "")),
        }
    }
}

/// What a route takes as its body.
pub trait Given: DeserializeOwned {
    /// JSON that it takes, for whoever sent something else.
    const EXAMPLE: &'static str;
    /// Whether no body at all stands for `{}`.
    const OPTIONAL: bool = false;
}

/// A body of JSON, whatever its content type says, as in the replaced system.
#[derive(Clone, Debug)]
pub struct Input<T>(pub T);

impl<S: Send + Sync, T: Given> FromRequest<S> for Input<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let most = request.extensions().get().map_or(USUAL_BODY, |MostBody(bytes)| *bytes);
        let read = tokio::time::timeout(BODY_WITHIN, Bytes::from_request(request, state)).await;
        let body = read.map_err(|_| ApiError::slow_body())?.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large(most),
            status => ApiError::new(status, "bad_body", error.body_text(), ""),
        })?;
        let text: &[u8] = if T::OPTIONAL && body.trim_ascii().is_empty() { b"{}" } else { &body };
        serde_json::from_slice(text).map(Self).map_err(|error| {
            let next = format!("Send JSON such as {}", T::EXAMPLE);
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "bad_json",
                format!("The body is not what is taken here: {error}"),
                &next,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, routing::post};
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Text {
        text: String,
    }

    impl Given for Text {
        const EXAMPLE: &'static str = "{\"text\": \"x\"}";
    }

    /// Who sends too much is told the limit that holds for that very route.
    #[tokio::test]
    async fn the_limit_of_the_route_is_named() {
        let length = |Input(given): Input<Text>| async move { given.text.len().to_string() };
        let small = Router::new().route("/small", post(length)).layer(most_body(64 << 10));
        let routes = Router::new().route("/usual", post(length)).merge(small);
        for (path, bytes, expected) in [
            ("/small", 64 << 10, "at most 64 KiB"),
            ("/usual", 64 << 10, "65536"),
            ("/usual", 2 << 20, "at most 2 MiB"),
        ] {
            let body = format!("{{\"text\": \"{}\"}}", "x".repeat(bytes));
            let request = Request::post(path).body(Body::from(body)).unwrap();
            let response = TowerToHyperService::new(routes.clone()).call(request).await.unwrap();
            let said = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
            let said = String::from_utf8_lossy(&said);
            assert!(said.contains(expected), "{path}: {said}");
        }
    }
}
