//! The device flow (RFC 8628): a code is typed on any machine with a browser, and this one asks until
//! it was.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value as Json, json};
use url::Url;

use super::{Dialogue, LoginError};
use crate::credentials::{
    Account, Clock, endpoints,
    http::Answer,
    refresh::{COPILOT_HEADERS, Tokens, enterprise_domain},
    token_set::TokenSet,
};

/// Where the server does not say how often to ask (RFC 8628 section 3.2).
const DEFAULT_INTERVAL: f64 = 5.0;
/// What `slow_down` adds (RFC 8628 section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// How long OpenAI's code is good; the answer does not say it (pi-ai 0.87.1, openai-codex.js).
const CODEX_PATIENCE: Duration = Duration::from_secs(15 * 60);

enum Polled<T> {
    Done(T),
    Pending,
    SlowDown(Option<f64>),
}

async fn poll<T, F>(interval: f64, patience: Duration, mut ask: impl FnMut() -> F) -> Result<T, LoginError>
where
    F: Future<Output = Result<Polled<T>, LoginError>>,
{
    let bounded = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.0, 300.0)).max(SHORTEST_INTERVAL);
    let mut interval = bounded(interval);
    let work = async {
        loop {
            tokio::time::sleep(interval).await;
            match ask().await? {
                Polled::Done(value) => return Ok(value),
                Polled::Pending => {}
                Polled::SlowDown(Some(seconds)) => interval = bounded(seconds),
                Polled::SlowDown(None) => interval += SLOWER,
            }
        }
    };
    let late = LoginError::TimedOut { minutes: patience.as_secs() / 60 };
    tokio::time::timeout(patience, work).await.unwrap_or(Err(late))
}

/// GitHub, then Copilot's own token for it. Models that the account has not accepted are left to the
/// person: accepting terms is not this program's business.
pub(super) async fn copilot(
    tokens: &Tokens,
    enterprise: Option<&str>,
    dialogue: &impl Dialogue,
) -> Result<TokenSet, LoginError> {
    let typed = match enterprise {
        Some(domain) => domain.to_owned(),
        None => dialogue.ask("GitHub Enterprise address (empty for github.com):").await.unwrap_or_default(),
    };
    let enterprise = enterprise_domain(&typed);
    if enterprise.is_none() && !typed.trim().is_empty() {
        return Err(LoginError::Denied {
            detail: format!("`{}` is not the address of a GitHub Enterprise", typed.trim()),
        });
    }
    let domain = enterprise.as_deref().unwrap_or("github.com");
    let client_id = Account::GithubCopilot.client_id();
    let code_url = format!("https://{domain}/login/device/code");
    let started = post_form(tokens, &code_url, &[("client_id", client_id), ("scope", "read:user")]).await?;
    let started = started.json().unwrap_or_default();
    let (device, code) = (text(&started, "device_code")?, text(&started, "user_code")?);
    dialogue.enter_code(&web_page(&text(&started, "verification_uri")?)?, &code);

    let token_url = format!("https://{domain}/login/oauth/access_token");
    let interval = started["interval"].as_f64().unwrap_or(DEFAULT_INTERVAL);
    let patience = Duration::from_secs_f64(started["expires_in"].as_f64().unwrap_or(900.0).clamp(1.0, 3600.0));
    let github = poll(interval, patience, || async {
        let parameters = [
            ("client_id", client_id),
            ("device_code", &device),
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ];
        let answer = post_form(tokens, &token_url, &parameters).await?.json().unwrap_or_default();
        if let Some(token) = answer["access_token"].as_str().filter(|token| !token.is_empty()) {
            return Ok(Polled::Done(SecretString::from(token)));
        }
        match answer["error"].as_str() {
            Some("authorization_pending") => Ok(Polled::Pending),
            Some("slow_down") => Ok(Polled::SlowDown(answer["interval"].as_f64())),
            Some(error) => Err(LoginError::Denied { detail: error.to_owned() }),
            None => Err(LoginError::Server("it has neither a token nor an error".to_owned())),
        }
    })
    .await?;
    dialogue.progress("Getting Copilot's token …");
    let margin = Account::GithubCopilot.stored_margin();
    let mut signed_in = tokens.copilot_token(&github, enterprise.as_deref(), margin).await?;
    match tokens.copilot_models(&signed_in.access, enterprise.as_deref()).await {
        Ok(models) => drop(signed_in.extras.insert("availableModelIds".to_owned(), json!(models))),
        Err(error) => dialogue.progress(&format!("The list of models cannot be read now ({error}); it is read later.")),
    }
    Ok(signed_in)
}

pub(super) async fn codex(tokens: &Tokens, clock: &Clock, dialogue: &impl Dialogue) -> Result<TokenSet, LoginError> {
    let client_id = Account::OpenaiCodex.client_id();
    let started = post_json(tokens, endpoints::OPENAI_DEVICE_CODE, &json!({ "client_id": client_id })).await?;
    if started.status == 404 {
        return Err(LoginError::Denied {
            detail: "device codes are not enabled there; sign in without --device-code".into(),
        });
    }
    if !started.status.is_success() {
        return Err(LoginError::Server(started.describe(&[])));
    }
    let started = started.json().unwrap_or_default();
    let (device, code) = (text(&started, "device_auth_id")?, text(&started, "user_code")?);
    let interval = started["interval"].as_f64();
    let interval = interval.or_else(|| started["interval"].as_str().and_then(|seconds| seconds.trim().parse().ok()));
    dialogue.enter_code(&tokens.endpoints.at(endpoints::OPENAI_DEVICE_VERIFY), &code);

    let (code, verifier) = poll(interval.unwrap_or(DEFAULT_INTERVAL), CODEX_PATIENCE, || async {
        let body = json!({ "device_auth_id": device, "user_code": code });
        let answer = post_json(tokens, endpoints::OPENAI_DEVICE_TOKEN, &body).await?;
        let said = answer.json().unwrap_or_default();
        if answer.status.is_success() {
            return Ok(Polled::Done((text(&said, "authorization_code")?, text(&said, "code_verifier")?)));
        }
        let error = said["error"]["code"].as_str().or(said["error"].as_str());
        match error {
            Some("slow_down") => Ok(Polled::SlowDown(None)),
            Some("deviceauth_authorization_pending") => Ok(Polled::Pending),
            _ if answer.status == 403 || answer.status == 404 => Ok(Polled::Pending),
            _ => Err(LoginError::Denied { detail: answer.describe(&[]) }),
        }
    })
    .await?;
    dialogue.progress("Exchanging the code for tokens …");
    let parameters = [
        ("grant_type", "authorization_code"),
        ("client_id", client_id),
        ("code", &code),
        ("code_verifier", &verifier),
        ("redirect_uri", endpoints::OPENAI_DEVICE_REDIRECT),
    ];
    Ok(tokens.exchange(Account::OpenaiCodex, &parameters, clock.now()).await?)
}

async fn post_form(tokens: &Tokens, url: &str, parameters: &[(&str, &str)]) -> Result<Answer, LoginError> {
    let client = tokens.http.client().map_err(LoginError::Server)?;
    let (name, agent) = COPILOT_HEADERS[0];
    let request = client.post(tokens.endpoints.at(url)).header("Accept", "application/json").header(name, agent);
    let answer = tokens.http.send(request.form(parameters)).await.map_err(LoginError::Server)?;
    if answer.status.is_success() { Ok(answer) } else { Err(LoginError::Server(answer.describe(&[]))) }
}

async fn post_json(tokens: &Tokens, url: &str, body: &Json) -> Result<Answer, LoginError> {
    let client = tokens.http.client().map_err(LoginError::Server)?;
    tokens.http.send(client.post(tokens.endpoints.at(url)).json(body)).await.map_err(LoginError::Server)
}

fn text(answer: &Json, name: &str) -> Result<String, LoginError> {
    let found = answer[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    found.ok_or_else(|| LoginError::Server(format!("`{name}` is missing")))
}

/// It will be opened by a browser: nothing but a page of the web may be opened so.
fn web_page(url: &str) -> Result<String, LoginError> {
    let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    parsed.map(String::from).ok_or_else(|| LoginError::Server("the page to visit is not a page of the web".to_owned()))
}
