use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
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
    /// Seconds after which the same request may succeed.
    retry_after: Option<u32>,
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
            retry_after: None,
        }
    }

    /// The same request may succeed after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.body.retryable = Some(true);
        self.retry_after = Some(seconds);
        self
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", "")
    }

    pub fn method_not_allowed() -> Self {
        let error = "This path has no such method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", error, "GET /api/openapi.json lists the routes")
    }

    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Unauthorized",
            "Send the secret as `Authorization: Bearer …`",
        )
    }

    /// Of a permission that the caller's role does not hold.
    pub fn forbidden(permission: &str) -> Self {
        let error = format!("Forbidden: requires '{permission}' permission");
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            error,
            "An admin of the space can grant it; the first ones are named by permissions.admins / MERCURY_ADMINS",
        )
    }

    /// `most` in bytes.
    pub fn too_large(most: usize) -> Self {
        let most = if most >= 1 << 20 { format!("{} MiB", most >> 20) } else { format!("{} KiB", most >> 10) };
        let error = format!("Request body too large: at most {most}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", error, "Send fewer or smaller files")
    }

    pub fn slow_body() -> Self {
        let error = "The request's body did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", error, "Send it again, or less of it")
    }

    pub fn space_not_found(space: &str) -> Self {
        let next =
            format!("Create it with `mercury spaces create {space}`; `mercury spaces list` shows those that exist");
        Self::new(StatusCode::NOT_FOUND, "space_not_found", format!("Space not found: {space}"), &next)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(*self.body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
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
