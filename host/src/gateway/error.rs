use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{
    credentials::CredentialError,
    domain::budget::{self, Refusal},
    store::StoreError,
};

/// Why a model request was not passed on. Answered in the shape of the providers' own errors, so
/// that `pi` shows the text; no text holds a secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("the host serves no model provider `{0}`; add one of its models to agent.allowed_models")]
    Provider(String),
    #[error("the host passes on only requests that run a model, and `{0}` is none")]
    Endpoint(String),
    #[error("the request cannot be read: {0}")]
    Unreadable(String),
    /// Only with names of our own: a number of the agent's could look to pi like a reason to try again.
    #[error("the field `{0}` of the request is refused: the operator has not allowed it")]
    Feature(&'static str),
    #[error("the request is larger than {} MiB", .0 >> 20)]
    TooLarge(usize),
    #[error("this run may not use the model `{0}`; the operator allows it with agent.allowed_models")]
    Model(String),
    #[error("{}", over_budget(.0))]
    Budget(Refusal),
    #[error("{0}")]
    Credential(#[from] CredentialError),
    #[error("the credential for `{0}` cannot be sent: it holds characters that no header may")]
    BadCredential(String),
    #[error("the model server for `{provider}` does not answer: {reason}")]
    Unreachable {
        provider: String,
        reason: String,
        /// The request may have been sent.
        sent: bool,
    },
    #[error("the model server for `{provider}` was silent for too long")]
    Silent { provider: String },
    #[error("the host cannot write down what is spent: {0}")]
    Ledger(#[from] StoreError),
}

/// "out of budget" keeps pi from trying again (pi-ai 0.87.1, `utils/retry.js`), whatever numbers
/// stand in the rest, and ends `entry`'s chain: no other model has a budget of its own.
fn over_budget(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Exhausted { scope, limit_micro_usd } => {
            format!("out of budget: the {} of {} are spent", budget::dollars(*limit_micro_usd), scope.owner())
        }
        Refusal::Unpriced { model } => {
            format!(
                "billing: the price of `{model}` is not known, so the budgets could not be kept; model.prices tells it"
            )
        }
    }
}

impl Refused {
    fn status(&self) -> StatusCode {
        match self {
            Self::Provider(_) | Self::Endpoint(_) => StatusCode::NOT_FOUND,
            Self::Unreadable(_) | Self::Feature(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Model(_) => StatusCode::FORBIDDEN,
            Self::Budget(_) => StatusCode::PAYMENT_REQUIRED,
            Self::Credential(_) | Self::BadCredential(_) => StatusCode::UNAUTHORIZED,
            Self::Unreachable { .. } => StatusCode::BAD_GATEWAY,
            Self::Silent { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Ledger(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Anthropic's names, which the others' clients show as they are.
    fn kind(&self) -> &'static str {
        match self {
            Self::Provider(_) | Self::Endpoint(_) => "not_found_error",
            Self::Unreadable(_) | Self::Feature(_) => "invalid_request_error",
            Self::TooLarge(_) => "request_too_large",
            Self::Model(_) => "permission_error",
            Self::Budget(_) => "billing_error",
            Self::Credential(_) | Self::BadCredential(_) => "authentication_error",
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Ledger(_) => "api_error",
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "error",
            "error": { "type": self.kind(), "message": self.to_string(), "code": self.kind() },
        });
        (self.status(), Json(body)).into_response()
    }
}
