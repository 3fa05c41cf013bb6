//! The management console, which gave a credential and is to know its next links (oauth.md 3.3, 3.4).
//!
//! Nobody waits for the write-back: a task sends the newest link until the console has it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};

use super::{http::Http, token_set::TokenSet};

/// For each call (oauth.md 3.1).
const PATIENCE: Duration = Duration::from_secs(3);

/// What is configured of the console; each part may be missing.
#[derive(Clone, Default)]
pub struct ConsoleSettings {
    pub url: Option<String>,
    pub secret: Option<SecretString>,
    pub agent: Option<String>,
}

/// What is missing to use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    Url,
    Secret,
    Agent,
}

pub(super) struct Console {
    url: String,
    secret: SecretString,
    agent: String,
    provider: &'static str,
    http: Http,
    outgoing: Mutex<Outgoing>,
}

#[derive(Default)]
struct Outgoing {
    newest: Option<TokenSet>,
    /// A task is sending.
    busy: bool,
}

impl fmt::Debug for Console {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Console").field("url", &self.url).field("agent", &self.agent).finish_non_exhaustive()
    }
}

impl Console {
    pub(super) fn new(settings: &ConsoleSettings, provider: &'static str, http: Http) -> Result<Arc<Self>, Gap> {
        let url = settings.url.as_deref().map(|url| url.trim().trim_end_matches('/')).filter(|url| !url.is_empty());
        let url = url.ok_or(Gap::Url)?;
        let secret = settings.secret.clone().ok_or(Gap::Secret)?;
        let agent = settings.agent.clone().filter(|agent| !agent.is_empty()).ok_or(Gap::Agent)?;
        Ok(Arc::new(Self { url: url.to_owned(), secret, agent, provider, http, outgoing: Mutex::default() }))
    }

    pub(super) fn agent(&self) -> &str {
        &self.agent
    }

    /// What the console has; `None` for anything that is not a complete credential.
    pub(super) async fn fetch(&self) -> Option<TokenSet> {
        let request = self.http.client().ok()?.get(self.address());
        let request = request
            .query(&[("agentId", self.agent.as_str()), ("provider", self.provider)])
            .bearer_auth(self.secret.expose_secret())
            .timeout(PATIENCE);
        let answer = self.http.send(request).await.ok().filter(|answer| answer.status.is_success())?;
        complete(&answer.json()?)
    }

    /// Sends `tokens` in the background, until the console has them or newer ones.
    pub(super) fn push(self: &Arc<Self>, tokens: TokenSet) {
        let mut outgoing = self.outgoing();
        outgoing.newest = Some(tokens);
        if !std::mem::replace(&mut outgoing.busy, true) {
            tokio::spawn(self.clone().deliver());
        }
    }

    async fn deliver(self: Arc<Self>) {
        let pauses = || {
            let backoff = ExponentialBuilder::default().with_min_delay(Duration::from_secs(1)).with_jitter();
            backoff.with_max_delay(Duration::from_secs(300)).without_max_times().build()
        };
        let mut pause = pauses();
        let mut warned = false;
        loop {
            let tokens = {
                let mut outgoing = self.outgoing();
                match outgoing.newest.clone() {
                    Some(tokens) => tokens,
                    None => return outgoing.busy = false,
                }
            };
            match self.post(&tokens).await {
                Ok(()) => {
                    let mut outgoing = self.outgoing();
                    outgoing.newest = outgoing.newest.take().filter(|newest| !newest.same_access(&tokens));
                    drop(outgoing);
                    pause = pauses();
                    tracing::debug!(provider = self.provider, "the console has the renewed credential");
                }
                Err(error) if !std::mem::replace(&mut warned, true) => {
                    tracing::warn!(
                        provider = self.provider,
                        "the renewed credential could not be given to the console and is sent again: {error}"
                    );
                }
                Err(error) => tracing::debug!(provider = self.provider, "the console still refuses: {error}"),
            }
            if self.outgoing().newest.is_some() {
                tokio::time::sleep(pause.next().unwrap_or(PATIENCE)).await;
            }
        }
    }

    async fn post(&self, tokens: &TokenSet) -> Result<(), String> {
        let refresh = tokens.refresh.as_ref().map(|refresh| refresh.expose_secret());
        let body = json!({
            "agentId": self.agent, "provider": self.provider, "access": tokens.access.expose_secret(),
            "refresh": refresh, "expires": tokens.expires,
        });
        let request = self.http.client()?.post(self.address()).bearer_auth(self.secret.expose_secret());
        let answer = self.http.send(request.json(&body).timeout(PATIENCE)).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        let secrets: Vec<_> = [&tokens.access, &self.secret].into_iter().chain(tokens.refresh.as_ref()).collect();
        Err(answer.describe(&secrets))
    }

    fn address(&self) -> String {
        format!("{}/api/agent/oauth-token", self.url)
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn complete(answer: &Json) -> Option<TokenSet> {
    let tokens = TokenSet::from_blob(answer).filter(TokenSet::is_renewable)?;
    // The rest of the answer is the console's business.
    Some(TokenSet { extras: serde_json::Map::new(), ..tokens })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// oauth.md #18: anything but a complete credential is none.
    #[test]
    fn only_what_is_complete() {
        assert!(complete(&json!({ "access": "a", "refresh": "r", "expires": 5 })).is_some());
        for broken in [
            json!({ "access": "a", "refresh": "r", "expires": "5" }),
            json!({ "access": "", "refresh": "r", "expires": 5 }),
            json!({ "access": "a", "refresh": "", "expires": 5 }),
            json!({ "access": "a", "expires": 5 }),
            json!("x"),
        ] {
            assert!(complete(&broken).is_none(), "{broken}");
        }
    }

    /// oauth.md #6, #7, #14: what is missing is known by name. W18: no doubled slash.
    #[test]
    fn gaps() {
        let mut settings = ConsoleSettings::default();
        let gap = |settings: &ConsoleSettings| Console::new(settings, "anthropic", Http::default()).err();
        assert_eq!(gap(&settings), Some(Gap::Url));
        settings.url = Some("https://console.example//".into());
        assert_eq!(gap(&settings), Some(Gap::Secret));
        settings.secret = Some("s".into());
        assert_eq!(gap(&settings), Some(Gap::Agent));
        settings.agent = Some("a".into());
        let console = Console::new(&settings, "anthropic", Http::default()).unwrap();
        assert_eq!(console.address(), "https://console.example/api/agent/oauth-token");
    }
}
