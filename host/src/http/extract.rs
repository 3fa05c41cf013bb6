//! axum's extractors, with refusals that have the one shape of an error.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;

use super::ApiError;

/// How long a body of [`Input`] may take to arrive: it has 2 MiB at most (axum's own limit),
/// or what the route's `DefaultBodyLimit` says.
const BODY_WITHIN: Duration = Duration::from_secs(30);

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
        let read = tokio::time::timeout(BODY_WITHIN, Bytes::from_request(request, state)).await;
        let body = read.map_err(|_| ApiError::slow_body())?.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large("2 MiB, and less on some routes"),
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
