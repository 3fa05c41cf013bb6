//! Which headers pass, in each direction. What is not named stays behind: a client must not choose
//! whose account pays, nor bring a credential of its own.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Of a request.
const ASKED: &[&str] = &[
    "accept",
    "anthropic-dangerous-direct-browser-access",
    "anthropic-version",
    "content-type",
    "copilot-integration-id",
    "copilot-vision-request",
    "editor-plugin-version",
    "editor-version",
    "http-referer",
    "nvcf-poll-seconds",
    "openai-intent",
    "originator",
    "session-id",
    "user-agent",
    "x-app",
    "x-client-request-id",
    "x-initiator",
    "x-session-affinity",
    "x-session-id",
    "x-title",
];
const ASKED_FAMILIES: &[&str] = &["x-stainless-"];

const BETA: HeaderName = HeaderName::from_static("anthropic-beta");
/// Those that pi-ai 0.87.1 asks for (`getBetaFeatures`). Others open what `super::features` refuses.
const BETAS: &[&str] = &[
    "claude-code-20250219",
    "oauth-2025-04-20",
    "fine-grained-tool-streaming-2025-05-14",
    "interleaved-thinking-2025-05-14",
    "server-side-fallback-2026-07-01",
    "mid-conversation-output-config-2026-07-01",
    "thinking-binding-controls-2026-08-01",
    "mid-conversation-tool-changes-2026-07-01",
];

/// Of an answer, these stay behind: they belong to one connection (RFC 9110 section 7.6.1), or to
/// the host's relation with the provider.
const KEPT_BACK: &[HeaderName] = &[
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::PROXY_AUTHENTICATE,
    header::SET_COOKIE,
    header::ALT_SVC,
    header::STRICT_TRANSPORT_SECURITY,
];

pub(super) fn of_request(client: &HeaderMap) -> HeaderMap {
    let passes = |name: &str| ASKED.contains(&name) || ASKED_FAMILIES.iter().any(|family| name.starts_with(family));
    let passed = client.iter().filter(|(name, _)| passes(name.as_str()));
    let mut headers: HeaderMap = passed.map(|(name, value)| (name.clone(), value.clone())).collect();
    let asked = client.get_all(BETA).into_iter().filter_map(|value| value.to_str().ok());
    let asked: Vec<_> = asked.flat_map(|value| value.split(',')).map(str::trim).collect();
    let betas: Vec<_> = BETAS.iter().copied().filter(|beta| asked.contains(beta)).collect();
    if let Ok(value) = HeaderValue::from_str(&betas.join(","))
        && !betas.is_empty()
    {
        headers.insert(BETA, value);
    }
    headers
}

pub(super) fn of_answer(provider: &HeaderMap) -> HeaderMap {
    let passes = |name: &HeaderName| !KEPT_BACK.contains(name) && name != "keep-alive";
    provider.iter().filter(|(name, _)| passes(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credential_and_no_account_of_the_client_passes() {
        let client: HeaderMap = [
            "authorization",
            "x-api-key",
            "x-goog-api-key",
            "api-key",
            "cookie",
            "proxy-authorization",
            "openai-organization",
            "openai-project",
            "chatgpt-account-id",
            "host",
            "connection",
            "content-length",
            "accept-encoding",
            "x-forwarded-for",
            "content-encoding",
            "anthropic-beta",
            "anthropic-version",
            "content-type",
        ]
        .iter()
        .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x")))
        .collect();
        let mut passed: Vec<_> = of_request(&client).keys().map(|name| name.as_str().to_owned()).collect();
        passed.sort();
        assert_eq!(passed, ["anthropic-version", "content-type"]);
    }

    #[test]
    fn only_pis_betas_pass() {
        let mut client = HeaderMap::new();
        client.append(BETA, HeaderValue::from_static("mcp-client-2025-11-20, oauth-2025-04-20"));
        client.append(BETA, HeaderValue::from_static("claude-code-20250219,fast-mode-2026-02-01"));
        assert_eq!(of_request(&client)[BETA], "claude-code-20250219,oauth-2025-04-20");
    }

    #[test]
    fn an_answer_keeps_what_a_client_acts_on() {
        let answer: HeaderMap =
            ["retry-after", "request-id", "content-type", "set-cookie", "transfer-encoding", "keep-alive"]
                .iter()
                .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x")))
                .collect();
        let mut passed: Vec<_> = of_answer(&answer).keys().map(|name| name.as_str().to_owned()).collect();
        passed.sort();
        assert_eq!(passed, ["content-type", "request-id", "retry-after"]);
    }
}
