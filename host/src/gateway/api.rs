//! The APIs that the gateway speaks: their paths, and how each takes a credential.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

use crate::credentials::{Token, TokenKind};

/// A provider's API, as `pi` speaks it. Another one begins with a variant here and its way to
/// count in [`super::count`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Api {
    /// docs.anthropic.com, "Messages".
    Anthropic,
    /// platform.openai.com, "Chat completions", and all who copied it.
    Chat,
    /// platform.openai.com, "Responses".
    Responses,
    /// ai.google.dev, "Generate content". The model stands in the path.
    Google,
    /// docs.mistral.ai: chat completions at a path of its own.
    Mistral,
}

/// What a path below `/model/<provider>/` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint<'a> {
    pub api: Api,
    /// Where the path and not the body names it.
    pub model: Option<&'a str>,
    /// The path asks for a stream.
    pub streams: bool,
    /// The only query that is sent.
    query: Option<&'static str>,
    path: &'a str,
}

impl Api {
    /// By the name in pi-ai's registry.
    pub(super) fn from_registry(name: &str) -> Option<Self> {
        Some(match name {
            "anthropic-messages" => Self::Anthropic,
            "openai-completions" => Self::Chat,
            "openai-responses" => Self::Responses,
            "google-generative-ai" => Self::Google,
            "mistral-conversations" => Self::Mistral,
            _ => return None,
        })
    }

    /// The header that carries `token` to `provider`. Where pi's own code for a provider has an
    /// exception, it stands here.
    fn credential(self, provider: &str, token: &Token) -> (HeaderName, SecretString) {
        let plain = |name| (HeaderName::from_static(name), token.secret.clone());
        let bearer = || {
            let value = format!("Bearer {}", token.secret.expose_secret());
            (header::AUTHORIZATION, SecretString::from(value))
        };
        match self {
            Self::Anthropic if provider == "github-copilot" || is_anthropic_account(provider, token) => bearer(),
            Self::Anthropic => plain("x-api-key"),
            Self::Google => plain("x-goog-api-key"),
            Self::Chat | Self::Responses | Self::Mistral => bearer(),
        }
    }

    /// Puts the credential into `headers`. `false` where it is none that a header can hold.
    pub(super) fn authorize(self, provider: &str, token: &Token, headers: &mut HeaderMap) -> bool {
        let (name, secret) = self.credential(provider, token);
        let Ok(mut value) = HeaderValue::from_str(secret.expose_secret()) else { return false };
        value.set_sensitive(true);
        headers.insert(name, value);
        if self == Self::Anthropic && is_anthropic_account(provider, token) {
            add_beta(headers, ACCOUNT_BETA);
        }
        true
    }
}

/// Without it Anthropic refuses the token of an account (pi-ai 0.87.1, `getBetaFeatures`).
const ACCOUNT_BETA: &str = "oauth-2025-04-20";
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

fn is_anthropic_account(provider: &str, token: &Token) -> bool {
    provider == "anthropic" && token.kind == TokenKind::OAuth
}

fn add_beta(headers: &mut HeaderMap, beta: &'static str) {
    let present = headers.get(BETA).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if present.split(',').any(|name| name.trim() == beta) {
        return;
    }
    let all = if present.is_empty() { beta.to_owned() } else { format!("{present},{beta}") };
    if let Ok(value) = HeaderValue::from_str(&all) {
        headers.insert(BETA, value);
    }
}

/// The key that pi is given in place of the real one. Of an account's token it has the form, since
/// pi knows by it that it has to present itself as that account's program (`isOAuthToken`).
pub(super) fn placeholder(provider: &str, kind: TokenKind) -> &'static str {
    match (provider, kind) {
        ("anthropic", TokenKind::OAuth) => "sk-ant-oat-held-by-the-host",
        _ => "held-by-the-host",
    }
}

impl<'a> Endpoint<'a> {
    /// Reads the undecoded path below the provider. Whatever is not exactly an endpoint that runs a
    /// model is `None`: the key is not lent for anything else.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let (api, model, streams, query) = match path {
            "v1/messages" => (Api::Anthropic, None, false, Some("beta=true")),
            "chat/completions" => (Api::Chat, None, false, None),
            "responses" => (Api::Responses, None, false, None),
            "v1/chat/completions" => (Api::Mistral, None, false, None),
            _ => {
                let (model, method) = path.strip_prefix("models/")?.split_once(':')?;
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
                if model.is_empty() || model.starts_with('.') || !model.bytes().all(plain) {
                    return None;
                }
                match method {
                    "streamGenerateContent" => (Api::Google, Some(model), true, Some("alt=sse")),
                    "generateContent" => (Api::Google, Some(model), false, None),
                    _ => return None,
                }
            }
        };
        Some(Self { api, model, streams, query, path })
    }

    /// The address at `base`.
    pub(super) fn url(&self, base: &str) -> String {
        let query = self.query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}/{}{query}", base.trim_end_matches('/'), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_endpoints_that_run_a_model_are_served() {
        let api = |path| Endpoint::parse(path).map(|endpoint| endpoint.api);
        assert_eq!(api("v1/messages"), Some(Api::Anthropic));
        assert_eq!(api("chat/completions"), Some(Api::Chat));
        assert_eq!(api("responses"), Some(Api::Responses));
        assert_eq!(api("models/gemini-3.1-pro:streamGenerateContent"), Some(Api::Google));
        for path in [
            "",
            "v1/messages/",
            "v1/messages/batches",
            "v1/files",
            "v1/organizations/api_keys",
            "../v1/messages",
            "v1/../v1/messages",
            "v1/%6dessages",
            "/v1/messages",
            "http://evil/v1/messages",
            "models/../x:generateContent",
            "models/a/b:generateContent",
            "models/..:generateContent",
            "models/x:countTokens",
            "models/x%2f:generateContent",
        ] {
            assert_eq!(Endpoint::parse(path), None, "{path}");
        }
        let google = Endpoint::parse("models/g:streamGenerateContent").unwrap();
        assert_eq!(google.url("https://g/v1beta/"), "https://g/v1beta/models/g:streamGenerateContent?alt=sse");
    }

    /// The header of each kind of credential, as pi-ai 0.87.1 sends it.
    #[test]
    fn each_api_gets_its_credential() {
        let token = |kind| Token { secret: SecretString::from("s".to_owned()), kind };
        for (api, provider, kind, expected) in [
            (Api::Anthropic, "anthropic", TokenKind::ApiKey, ("x-api-key", "s")),
            (Api::Anthropic, "anthropic", TokenKind::OAuth, ("authorization", "Bearer s")),
            (Api::Anthropic, "kimi-coding", TokenKind::ApiKey, ("x-api-key", "s")),
            (Api::Anthropic, "github-copilot", TokenKind::OAuth, ("authorization", "Bearer s")),
            (Api::Chat, "groq", TokenKind::ApiKey, ("authorization", "Bearer s")),
            (Api::Responses, "openai", TokenKind::ApiKey, ("authorization", "Bearer s")),
            (Api::Google, "google", TokenKind::ApiKey, ("x-goog-api-key", "s")),
        ] {
            let mut headers = HeaderMap::new();
            assert!(api.authorize(provider, &token(kind), &mut headers));
            let value = headers.get(expected.0).expect(provider);
            assert!(value.is_sensitive(), "not in a log");
            assert_eq!(value, expected.1);
            let beta = headers.get(BETA).map(|value| value.to_str().unwrap());
            assert_eq!(beta, (provider == "anthropic" && kind == TokenKind::OAuth).then_some(ACCOUNT_BETA));
        }
        let mut headers = HeaderMap::from_iter([(BETA, HeaderValue::from_static("a, b"))]);
        add_beta(&mut headers, ACCOUNT_BETA);
        add_beta(&mut headers, ACCOUNT_BETA);
        assert_eq!(headers[BETA], "a, b,oauth-2025-04-20");
    }
}
