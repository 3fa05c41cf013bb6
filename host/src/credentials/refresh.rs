//! Renewing: one call to the provider's sign-in server, in the provider's own manner.
//!
//! Requests and answers as in oauth.md 3.2 and 5.6, checked against pi-ai 0.87.1 (auth/oauth/*.js).

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};

use super::{
    endpoints::Endpoints,
    http::{Answer, Http},
    providers::Account,
    token_set::TokenSet,
};

/// Where an answer says nothing about it (oauth.md 3.1).
const DEFAULT_LIFETIME: i64 = 3600;
/// What an editor says to GitHub (pi-ai 0.87.1, auth/oauth/github-copilot.js).
pub(super) const COPILOT_HEADERS: [(&str, &str); 4] = [
    ("User-Agent", "GitHubCopilotChat/0.35.0"),
    ("Editor-Version", "vscode/1.107.0"),
    ("Editor-Plugin-Version", "copilot-chat/0.35.0"),
    ("Copilot-Integration-Id", "vscode-chat"),
];
const COPILOT_API_VERSION: &str = "2026-06-01";
const COPILOT_MODELS_PATIENCE: Duration = Duration::from_secs(5);
/// What the `error` field says when a refresh token is used up or revoked: RFC 6749 section 5.2, and
/// OpenAI's own words for it.
const REJECTIONS: [&str; 4] =
    ["invalid_grant", "refresh_token_reused", "refresh_token_expired", "refresh_token_invalidated"];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// The refresh token is of no use any more. `code` is the server's word for it.
    #[error("the refresh token was rejected ({code})")]
    Rejected { code: String },
    /// Anything that may pass.
    #[error("{detail}")]
    Transient { detail: String, retry_after: Option<Duration> },
}

fn transient(detail: impl Into<String>) -> RefreshError {
    RefreshError::Transient { detail: detail.into(), retry_after: None }
}

/// The server side of accounts.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    pub http: Http,
    pub endpoints: Endpoints,
}

impl Tokens {
    /// The next link after `tokens`. `now` in milliseconds since the Unix epoch; `margin` is taken
    /// off the new `expires` ([`Account::stored_margin`]).
    pub(super) async fn refresh(
        &self,
        account: Account,
        tokens: &TokenSet,
        now: i64,
        margin: i64,
    ) -> Result<TokenSet, RefreshError> {
        let refresh = tokens.refresh.as_ref().ok_or_else(|| transient("there is no refresh token"))?;
        if account == Account::GithubCopilot {
            return self.refresh_copilot(tokens, refresh, margin).await;
        }
        let parameters = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.expose_secret()),
            ("client_id", account.client_id()),
        ];
        let answer = self.ask(account, &parameters, &[refresh, &tokens.access]).await?;
        self.read(account, &answer, Some(tokens), now, margin)
    }

    /// The first link, for the code that a sign-in brought.
    pub(super) async fn exchange(
        &self,
        account: Account,
        parameters: &[(&str, &str)],
        now: i64,
    ) -> Result<TokenSet, RefreshError> {
        let answer = self.ask(account, parameters, &[]).await?;
        let tokens = self.read(account, &answer, None, now, account.stored_margin())?;
        match tokens.refresh {
            Some(_) => Ok(tokens),
            None => Err(transient("the answer has no refresh token")),
        }
    }

    async fn ask(
        &self,
        account: Account,
        parameters: &[(&str, &str)],
        secrets: &[&SecretString],
    ) -> Result<Json, RefreshError> {
        let client = self.http.client().map_err(transient)?;
        let request = client.post(self.endpoints.at(account.token_url())).header("Accept", "application/json");
        let request = match account {
            Account::Anthropic => {
                request.json(&parameters.iter().copied().collect::<std::collections::BTreeMap<_, _>>())
            }
            _ => request.form(parameters),
        };
        self.json(account, request, secrets).await
    }

    /// Sends, and sorts what comes back.
    async fn json(
        &self,
        account: Account,
        request: RequestBuilder,
        secrets: &[&SecretString],
    ) -> Result<Json, RefreshError> {
        let answer = self.http.send(request).await.map_err(transient)?;
        if answer.status.is_success() {
            return answer.json().ok_or_else(|| transient("the answer is not JSON"));
        }
        match rejection(account, &answer) {
            Some(code) => Err(RefreshError::Rejected { code }),
            None => Err(RefreshError::Transient { detail: answer.describe(secrets), retry_after: answer.retry_after }),
        }
    }

    fn read(
        &self,
        account: Account,
        answer: &Json,
        old: Option<&TokenSet>,
        now: i64,
        margin: i64,
    ) -> Result<TokenSet, RefreshError> {
        let text = |name: &str| answer[name].as_str().filter(|text| !text.is_empty()).map(SecretString::from);
        let access = text("access_token").ok_or_else(|| transient("the answer has no access token"))?;
        let seconds = answer["expires_in"].as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        let lifetime = seconds.map_or(DEFAULT_LIFETIME, |seconds| seconds as i64);
        let mut extras = old.map(|old| old.extras.clone()).unwrap_or_default();
        if account == Account::OpenaiCodex {
            match account_id(access.expose_secret()) {
                Some(id) => drop(extras.insert("accountId".into(), json!(id))),
                None if extras.contains_key("accountId") => {}
                None => return Err(transient("the access token names no ChatGPT account")),
            }
        }
        Ok(TokenSet {
            access,
            refresh: text("refresh_token").or_else(|| old.and_then(|old| old.refresh.clone())),
            expires: Some(now.saturating_add(lifetime.saturating_mul(1000)) - margin),
            extras,
        })
    }

    async fn refresh_copilot(
        &self,
        old: &TokenSet,
        github: &SecretString,
        margin: i64,
    ) -> Result<TokenSet, RefreshError> {
        let enterprise = enterprise_domain(old.extras.get("enterpriseUrl").and_then(Json::as_str).unwrap_or_default());
        let mut tokens = self.copilot_token(github, enterprise.as_deref(), margin).await?;
        let mut extras = old.extras.clone();
        extras.extend(std::mem::take(&mut tokens.extras));
        // The models are a courtesy to `pi`: without them the token is as good.
        match self.copilot_models(&tokens.access, enterprise.as_deref()).await {
            Ok(models) => drop(extras.insert("availableModelIds".into(), json!(models))),
            Err(error) => tracing::debug!(%error, "Copilot's list of models cannot be read"),
        }
        tokens.extras = extras;
        Ok(tokens)
    }

    /// A Copilot token for a GitHub token, which renews it ever after.
    pub(super) async fn copilot_token(
        &self,
        github: &SecretString,
        enterprise: Option<&str>,
        margin: i64,
    ) -> Result<TokenSet, RefreshError> {
        let url = match enterprise {
            Some(domain) => format!("https://api.{domain}/copilot_internal/v2/token"),
            None => Account::GithubCopilot.token_url().to_owned(),
        };
        let client = self.http.client().map_err(transient)?;
        let request = with_copilot_headers(client.get(self.endpoints.at(&url)).bearer_auth(github.expose_secret()));
        let answer = self.json(Account::GithubCopilot, request, &[github]).await?;
        let access = answer["token"].as_str().filter(|token| !token.is_empty());
        match (access, answer["expires_at"].as_f64()) {
            (Some(access), Some(expires)) => Ok(TokenSet {
                access: SecretString::from(access),
                refresh: Some(github.clone()),
                expires: Some(expires as i64 * 1000 - margin),
                extras: enterprise.map(|domain| ("enterpriseUrl".to_owned(), json!(domain))).into_iter().collect(),
            }),
            _ => Err(transient("the answer has no token, or not its end")),
        }
    }

    /// The models that the account may use.
    pub(super) async fn copilot_models(
        &self,
        access: &SecretString,
        enterprise: Option<&str>,
    ) -> Result<Vec<String>, RefreshError> {
        let url = format!("{}/models", copilot_api(access, enterprise));
        let client = self.http.client().map_err(transient)?;
        let request = client.get(self.endpoints.at(&url)).bearer_auth(access.expose_secret());
        let request = with_copilot_headers(request)
            .header("X-GitHub-Api-Version", COPILOT_API_VERSION)
            .timeout(COPILOT_MODELS_PATIENCE);
        let answer = self.json(Account::GithubCopilot, request, &[access]).await?;
        let models = answer["data"].as_array().ok_or_else(|| transient("the answer has no list of models"))?;
        let usable = models.iter().filter(|model| {
            model["model_picker_enabled"] == true
                && model["policy"]["state"] != "disabled"
                && model["capabilities"]["supports"]["tool_calls"] != false
        });
        Ok(usable.filter_map(|model| model["id"].as_str().map(str::to_owned)).collect())
    }
}

fn with_copilot_headers(request: RequestBuilder) -> RequestBuilder {
    let request = request.header("Accept", "application/json");
    COPILOT_HEADERS.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

/// Where Copilot's API is for this token: it says so itself (`…;proxy-ep=proxy.HOST;…`).
fn copilot_api(access: &SecretString, enterprise: Option<&str>) -> String {
    let named = access.expose_secret().split(';').find_map(|field| field.trim().strip_prefix("proxy-ep="));
    match (named, enterprise) {
        (Some(proxy), _) => match proxy.strip_prefix("proxy.") {
            Some(host) => format!("https://api.{host}"),
            None => format!("https://{proxy}"),
        },
        (None, Some(domain)) => format!("https://copilot-api.{domain}"),
        (None, None) => "https://api.individual.githubcopilot.com".to_owned(),
    }
}

/// The host of what somebody typed as the address of a GitHub Enterprise.
pub(super) fn enterprise_domain(input: &str) -> Option<String> {
    let input = input.trim();
    if input.is_empty() {
        return None;
    }
    let url = if input.contains("://") { input.to_owned() } else { format!("https://{input}") };
    url::Url::parse(&url).ok()?.host_str().map(str::to_owned)
}

/// The server's word, where it says that the refresh token is of no use any more. By the `error`
/// field, not by what the text may contain; GitHub says it with 401 alone.
fn rejection(account: Account, answer: &Answer) -> Option<String> {
    if !answer.status.is_client_error() {
        return None;
    }
    let error = answer.json().unwrap_or_default()["error"].take();
    let words = [error.as_str(), error["code"].as_str(), error["type"].as_str()];
    let found = words.into_iter().flatten().find(|word| REJECTIONS.contains(word));
    let unauthorized = (account == Account::GithubCopilot && answer.status == 401).then_some("unauthorized");
    found.or(unauthorized).map(str::to_owned)
}

/// The ChatGPT account that an access token is for, by its claims.
fn account_id(token: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: Json = serde_json::from_slice(&claims).ok()?;
    let id = claims["https://api.openai.com/auth"]["chatgpt_account_id"].as_str()?;
    (!id.is_empty()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_in_the_claims() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"https://api.openai.com/auth":{"chatgpt_account_id":"acc"}}"#);
        assert_eq!(account_id(&format!("h.{claims}.s")).as_deref(), Some("acc"));
        for broken in ["", "a.b", "h.!!.s", "h.e30.s"] {
            assert_eq!(account_id(broken), None);
        }
    }

    #[test]
    fn where_copilot_is() {
        let token = SecretString::from("tid=1;exp=2;proxy-ep=proxy.business.githubcopilot.com;x=y");
        assert_eq!(copilot_api(&token, None), "https://api.business.githubcopilot.com");
        let bare = SecretString::from("t");
        assert_eq!(copilot_api(&bare, Some("acme.ghe.com")), "https://copilot-api.acme.ghe.com");
        assert_eq!(copilot_api(&bare, None), "https://api.individual.githubcopilot.com");
        for (typed, domain) in
            [("company.ghe.com", Some("company.ghe.com")), ("https://x.y/z", Some("x.y")), (" ", None), ("a b", None)]
        {
            assert_eq!(enterprise_domain(typed).as_deref(), domain, "{typed}");
        }
    }
}
