//! `/webhooks/<platform>`: open to the platforms, whose adapters check who sends.

use axum::{
    body::Body,
    extract::{RawQuery, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::Api;
use crate::{
    adapters::{WebhookError, WebhookRequest},
    http::{ApiError, Path},
    plugins::{adapter::WebhookResponse, types::Content},
};

/// The largest body: far above what any platform sends, and held in memory by component and host. 8 MiB.
const MOST_BODY: usize = 8 << 20;
/// Seconds after which a platform may try again.
const RETRY_AFTER: &str = "5";

pub(super) async fn take(
    State(api): State<Api>,
    Path(parts): Path<Vec<(String, String)>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let platform =
        parts.into_iter().find(|(name, _)| name == "platform").map(|(_, platform)| platform).unwrap_or_default();
    let rooms = match api.rooms() {
        Ok(rooms) if !api.stopping.is_cancelled() => rooms,
        _ => return Ok(down()),
    };
    let prefix = format!("/webhooks/{platform}");
    // Whoever has no key makes the host keep no body that nobody takes.
    if let Err(why) = rooms.adapters.takes_webhooks(&platform) {
        return refusal(why);
    }
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().strip_prefix(&prefix).unwrap_or_default().to_owned();
    let body = api.bodies.read(body, MOST_BODY).await?;
    let query = query.map(|query| url::form_urlencoded::parse(query.as_bytes()).into_owned().collect());
    let asked = WebhookRequest {
        method: parts.method.to_string(),
        path,
        query: query.unwrap_or_default(),
        headers: headers(&parts.headers),
        text_body: std::str::from_utf8(&body.bytes).ok().map(str::to_owned),
        raw_body: body.bytes.clone().into(),
    };
    match rooms.adapters.webhook(&platform, asked).await {
        Ok(answer) => Ok(response(&platform, answer)),
        Err(why) => refusal(why),
    }
}

fn refusal(why: WebhookError) -> Result<Response, ApiError> {
    let (status, code) = match why {
        WebhookError::NotTaken => return Ok(StatusCode::ACCEPTED.into_response()),
        WebhookError::Unknown => return Err(ApiError::not_found()),
        WebhookError::Down => return Ok(down()),
        WebhookError::Late => (StatusCode::GATEWAY_TIMEOUT, "webhook_late"),
        WebhookError::Failed => (StatusCode::BAD_GATEWAY, "webhook_failed"),
    };
    Err(ApiError::new(status, code, why.to_string(), ""))
}

/// Names in lower case, as HTTP has them anyway. A value that is no text is left out.
fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
    headers.iter().filter_map(text).collect()
}

fn down() -> Response {
    let error = ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "adapter_down",
        "The adapter of this platform is not running now",
        "Send it again in a few seconds",
    );
    let mut response = error.into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    response
}

/// What a component may say: no header that steers the connection.
fn response(platform: &str, answer: WebhookResponse) -> Response {
    let body = match answer.body {
        Content::Text(text) => Body::from(text),
        Content::Bytes(bytes) => Body::from(bytes),
        Content::File(_) => {
            tracing::warn!(platform, "an adapter answered a webhook with a file, which no webhook is answered with");
            return StatusCode::BAD_GATEWAY.into_response();
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    for (name, value) in answer.headers {
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) else { continue };
        let steers = [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE];
        if !steers.contains(&name) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
