use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use mercury_protocol::socket::ErrorBody;

use crate::store::StoreError;

/// An error as a client sees it: the thing and the reason, a code, and the next step.
#[derive(Clone, Debug)]
pub struct ApiError {
    pub status: StatusCode,
    /// Boxed: it is rare, and results of every handler carry its size.
    pub body: Box<ErrorBody>,
}

impl ApiError {
    pub fn new(status: StatusCode, code: &str, error: impl Into<String>, next: &str) -> Self {
        let next = (!next.is_empty()).then(|| next.to_owned());
        Self {
            status,
            body: Box::new(ErrorBody {
                error: error.into(),
                code: Some(code.to_owned()),
                next,
                retryable: None,
                reply: None,
                run: None,
            }),
        }
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", "")
    }

    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Unauthorized",
            "Send the secret as `Authorization: Bearer …`",
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(*self.body)).into_response()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the database failed");
        let (status, code, next) = match &error {
            StoreError::Full { .. } => {
                (StatusCode::INSUFFICIENT_STORAGE, "disk_full", "Free space on the disk; nothing was accepted")
            }
            StoreError::Locked { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "database_locked", "Close the other process; nothing was accepted")
            }
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "database_failed", "Read the host's log; nothing was accepted"),
        };
        Self::new(status, code, error.to_string(), next)
    }
}
