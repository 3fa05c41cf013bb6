use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::{domain::egress::Refusal, http::ApiError};

/// Why a request was not carried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the name {host} cannot be looked up: {reason}")]
    Lookup { host: String, reason: String },
    #[error("{host} cannot be reached: {reason}")]
    Unreachable { host: String, reason: String },
    #[error("{host} did not answer in time")]
    TooSlow { host: String },
}

impl Error {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Lookup { .. } => "egress_lookup",
            Self::Unreachable { .. } => "egress_unreachable",
            Self::TooSlow { .. } => "egress_too_slow",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Refused(Refusal::Busy) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refused(_) => StatusCode::FORBIDDEN,
            Self::Lookup { .. } | Self::Unreachable { .. } => StatusCode::BAD_GATEWAY,
            Self::TooSlow { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let next = match &self {
            Self::Refused(refusal) => refusal.next_step(),
            _ => "Try again later, or ask another server".to_owned(),
        };
        let text = self.to_string();
        let mut response = ApiError::new(self.status(), self.code(), &text, &next).into_response();
        // Of a refused CONNECT most clients show the first line and nothing of the body.
        if let Ok(reason) = hyper::ext::ReasonPhrase::try_from(one_line(&text).into_bytes()) {
            response.extensions_mut().insert(reason);
        }
        response
    }
}

/// What may stand in a status line (RFC 9112 section 4).
fn one_line(text: &str) -> String {
    const MOST: usize = 200;
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).take(MOST).collect()
}
