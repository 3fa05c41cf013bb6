//! Passes the agent's model requests on to where the host serves that provider, and the answer
//! back as it streams in. So the container needs no network of its own for it.

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderName, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioExecutor};

use super::Context;
use crate::http::ApiError;

pub(super) type Client = hyper_util::client::legacy::Client<HttpConnector, Body>;

pub(super) fn client() -> Client {
    hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http()
}

/// Headers that belong to one connection, not to the request (RFC 9110 section 7.6.1).
const HOP_BY_HOP: &[HeaderName] =
    &[header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE, header::TRAILER, header::HOST];

pub(super) async fn forward(
    State(context): State<Context>,
    Path((provider, path)): Path<(String, String)>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let unknown = || {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "no_such_provider",
            format!("the host serves no provider `{provider}`"),
            "",
        )
    };
    let base = context.upstreams.get(&provider).ok_or_else(unknown)?;
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let uri = format!("{}/{path}{query}", base.trim_end_matches('/')).parse::<Uri>();
    *request.uri_mut() =
        uri.map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_path", error.to_string(), ""))?;
    for name in HOP_BY_HOP {
        request.headers_mut().remove(name);
    }
    match context.client.request(request).await {
        Ok(response) => Ok(response.map(Body::new).into_response()),
        Err(error) => Err(ApiError::new(
            StatusCode::BAD_GATEWAY,
            "model_unreachable",
            format!("the model server for `{provider}` does not answer: {error}"),
            "",
        )),
    }
}
