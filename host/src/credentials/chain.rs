//! The life of one chain of credentials: when the next link is asked for, and who waits for it.
//!
//! A renewal is a task of its own. Callers wait for it together and for a bounded time; when all of
//! them have gone, it still ends, and its answer is kept: a rotation that is lost is a sign-in lost.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::{sync::Notify, time::timeout};

use super::{
    CredentialError, Token,
    console::{Console, Gap},
    links::Links,
    policy::{CoolDown, LOOK_AHEAD, Need, Validity, millis},
    providers::Account,
    refresh::{RefreshError, Tokens},
    standing::Condition,
    token_set::{TokenSet, fingerprint},
};

/// How long a caller waits for a renewal while the present token still works.
const PATIENCE: Duration = Duration::from_secs(5);
/// And when it does not: a whole call, and another process's before it.
const PATIENCE_WITHOUT_TOKEN: Duration = Duration::from_secs(75);
/// After a renewal that a refusal forced: a token refused so soon is not refused for its age.
const BETWEEN_REFUSALS: Duration = Duration::from_secs(60);
/// Between questions to the console about a chain that has ended.
const BETWEEN_RECOVERIES: Duration = Duration::from_secs(60);

/// The wall clock in milliseconds since the Unix epoch; tests bring their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    pub fn new(now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub fn now(&self) -> i64 {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(crate::clock::millis)
    }
}

/// What a chain is made of.
pub(super) struct Parts {
    pub account: Account,
    /// The variable or file by which the operator knows it.
    pub place: String,
    pub links: Arc<Links>,
    /// What is missing, for a chain without console.
    pub console: Result<Arc<Console>, Gap>,
    /// How much later than stored its tokens end, in milliseconds.
    pub margin: i64,
    pub tokens: Tokens,
    pub clock: Clock,
    /// Told when something happened that an operator may want to know.
    pub changed: Arc<Notify>,
}

pub(super) struct Chain {
    parts: Parts,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    flight: Option<Flight>,
    rest: CoolDown,
    /// Fingerprint of an access token and its lifetime, where this process saw its issue.
    lifetime: Option<(String, i64)>,
    /// Fingerprint of the access token that the provider does not take.
    refused: Option<String>,
    forced_at: Option<i64>,
    console_seen: bool,
    recovery_at: Option<i64>,
    /// Why only signing in again helps.
    ended: Option<CredentialError>,
    /// Fingerprint of the refresh token whose last renewal failed, and why.
    trouble: Option<(String, String)>,
}

type Flight = Shared<BoxFuture<'static, Result<TokenSet, RenewError>>>;

#[derive(Clone, Debug)]
enum RenewError {
    Ended(CredentialError),
    Failed(String),
}

impl fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Chain").field("place", &self.parts.place).finish_non_exhaustive()
    }
}

impl Chain {
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts, state: Mutex::default() })
    }

    pub(super) fn place(&self) -> &str {
        &self.parts.place
    }

    /// A token that is good for `min_validity`, or, where a renewal fails, one that still works.
    /// `None` where nobody has signed in.
    pub(super) async fn token(self: &Arc<Self>, min_validity: Duration) -> Result<Option<TokenSet>, CredentialError> {
        let links = self.parts.links.look().await;
        let now = self.parts.clock.now();
        let Some(current) = links.newest else { return self.without_links(links.any, now).await };
        let works = match self.validity(&current).need(now, min_validity) {
            Need::None => return Ok(Some(current)),
            Need::Renewal { works } => works,
        };
        let print = current.refresh_print().unwrap_or_default();
        if !self.state().rest.allows(&print, now) {
            return self.fall_back(current, works, "a renewal failed a short while ago, and the next has to wait");
        }
        let patience = if works { PATIENCE } else { PATIENCE_WITHOUT_TOKEN };
        match timeout(patience, self.flight(Some(current.clone()))).await {
            Ok(Ok(next)) => Ok(Some(next)),
            Ok(Err(RenewError::Ended(error))) => Err(error),
            Ok(Err(RenewError::Failed(detail))) => self.fall_back(current, works, &detail),
            Err(_) => self.fall_back(current, works, "the sign-in server takes its time"),
        }
    }

    /// The provider did not take `token`: the next one is renewed first.
    pub(super) fn refused(&self, token: &Token) {
        let print = fingerprint(&token.secret);
        let now = self.parts.clock.now();
        let mut state = self.state();
        let lately = state.forced_at.is_some_and(|at| now - at < millis(BETWEEN_REFUSALS));
        if lately || state.refused.as_deref() == Some(&print) {
            return;
        }
        tracing::info!(place = self.parts.place, token = print, "the provider refused an access token; it is renewed");
        state.refused = Some(print);
        state.forced_at = Some(now);
    }

    /// Waits for a renewal that is under way: its answer must not be lost when the process ends.
    pub(super) async fn settle(&self) {
        let flight = self.state().flight.clone();
        if let Some(flight) = flight {
            let _ = timeout(PATIENCE_WITHOUT_TOKEN, flight).await;
        }
    }

    /// How it stands, and until when the present token is good.
    pub(super) async fn standing(&self) -> Option<(Option<i64>, Condition)> {
        let links = self.parts.links.look().await;
        if !links.any {
            return None;
        }
        let now = self.parts.clock.now();
        let state = self.state();
        let Some(current) = links.newest else {
            let detail = state.ended.as_ref().map(ToString::to_string).unwrap_or_default();
            return Some((None, Condition::Ended { detail }));
        };
        let ends = current.expires.map(|expires| expires.saturating_add(self.parts.margin));
        let print = current.refresh_print();
        let trouble = state.trouble.as_ref().filter(|(of, _)| Some(of) == print.as_ref());
        let condition = match trouble {
            _ if self.parts.links.has_unsaved() => Condition::Unsaved,
            Some((_, detail)) => Condition::RenewalFails { detail: detail.clone() },
            // The stored end, as `pi` and the old system show it.
            _ if current.expires.is_some_and(|expires| now >= expires) => Condition::Expired,
            _ => Condition::Good,
        };
        Some((ends, condition))
    }

    /// At start: takes the console's link if it is the newest, gives it ours if it is older.
    pub(super) async fn reconcile(self: &Arc<Self>) {
        let Ok(console) = self.parts.console.clone() else { return };
        let Some(theirs) = console.fetch().await else { return };
        let Ok(_lock) = self.parts.links.lock().await else { return };
        self.state().console_seen = true;
        let ours = self.parts.links.look().await.newest;
        match ours {
            Some(ours) if ours.refresh_print() == theirs.refresh_print() => {}
            // By whatever clock: what was replaced is older than what replaced it.
            Some(ours) if ours.expires > theirs.expires || self.parts.links.is_spent(&theirs) => console.push(ours),
            None if self.parts.links.is_spent(&theirs) => {}
            _ => self.adopt(theirs).await,
        }
    }

    async fn without_links(self: &Arc<Self>, any: bool, now: i64) -> Result<Option<TokenSet>, CredentialError> {
        if !any {
            // Signed out: whatever was wrong with it is over.
            self.state().ended = None;
            return Ok(None);
        }
        let ask_again = {
            let state = self.state();
            let rested = state.recovery_at.is_none_or(|at| now - at > millis(BETWEEN_RECOVERIES));
            self.parts.console.is_ok() && rested
        };
        if !ask_again && let Some(ended) = self.state().ended.clone() {
            return Err(ended);
        }
        match timeout(PATIENCE_WITHOUT_TOKEN, self.flight(None)).await {
            Ok(Ok(tokens)) => Ok(Some(tokens)),
            Ok(Err(RenewError::Ended(error))) => Err(error),
            Ok(Err(RenewError::Failed(detail))) => Err(self.failed(&detail)),
            Err(_) => Err(self.failed("the sign-in server takes its time")),
        }
    }

    fn fall_back(&self, current: TokenSet, works: bool, detail: &str) -> Result<Option<TokenSet>, CredentialError> {
        if !works {
            return Err(self.failed(detail));
        }
        tracing::warn!(
            provider = self.parts.account.id(),
            place = self.parts.place,
            "the access token ends soon and was not renewed: {detail}. It still works and is used"
        );
        Ok(Some(current))
    }

    fn failed(&self, detail: &str) -> CredentialError {
        let (provider, place) = (self.parts.account.id().to_owned(), self.parts.place.clone());
        tracing::warn!(provider, place, "the access token has ended and could not be renewed: {detail}");
        CredentialError::RefreshFailed { provider, place, detail: detail.to_owned() }
    }

    /// The renewal that is under way, or a new one.
    fn flight(self: &Arc<Self>, seen: Option<TokenSet>) -> Flight {
        let mut state = self.state();
        if let Some(flight) = &state.flight {
            return flight.clone();
        }
        let chain = self.clone();
        let task = tokio::spawn(async move {
            let print = seen.as_ref().and_then(TokenSet::refresh_print);
            let outcome = chain.renew(seen).await;
            let mut state = chain.state();
            state.flight = None;
            state.trouble = match (&outcome, print) {
                (Err(RenewError::Failed(detail)), Some(print)) => Some((print, detail.clone())),
                _ => None,
            };
            drop(state);
            chain.parts.changed.notify_one();
            outcome
        });
        let chain = self.clone();
        let flight = task
            .map(move |joined| {
                joined.unwrap_or_else(|error| {
                    chain.state().flight = None;
                    Err(RenewError::Failed(format!("the renewal broke off: {error}")))
                })
            })
            .boxed()
            .shared();
        state.flight = Some(flight.clone());
        flight
    }

    /// Asks for the next link under the lock, unless somebody else has got one meanwhile.
    async fn renew(self: &Arc<Self>, seen: Option<TokenSet>) -> Result<TokenSet, RenewError> {
        let _lock = self.parts.links.lock().await.map_err(RenewError::Failed)?;
        let mut asked_console = false;
        loop {
            let now = self.parts.clock.now();
            let Some(current) = self.parts.links.look().await.newest else {
                if std::mem::replace(&mut asked_console, true) || !self.recover(now).await {
                    return Err(RenewError::Ended(self.give_up()));
                }
                continue;
            };
            let another = seen.as_ref().is_none_or(|seen| !seen.same_access(&current));
            if another && self.validity(&current).need(now, LOOK_AHEAD) == Need::None {
                self.succeeded(&current, now);
                return Ok(current);
            }
            let print = current.refresh_print().unwrap_or_default();
            if !self.state().rest.allows(&print, now) {
                return Err(RenewError::Failed("a renewal failed a short while ago".to_owned()));
            }
            if self.console_is_newer(&current).await {
                continue;
            }
            let asked = self.parts.tokens.refresh(self.parts.account, &current, now, self.parts.margin).await;
            match asked {
                Ok(next) => return Ok(self.keep(&current, next).await),
                Err(RefreshError::Rejected { code }) => self.reject(&print, &code),
                Err(RefreshError::Transient { detail, retry_after }) => {
                    self.state().rest.failed(&print, self.parts.clock.now(), retry_after);
                    return Err(RenewError::Failed(detail));
                }
            }
        }
    }

    /// Once in a process's life, before a refresh token is spent: the console may hold a later link.
    async fn console_is_newer(&self, current: &TokenSet) -> bool {
        let Ok(console) = &self.parts.console else { return false };
        if std::mem::replace(&mut self.state().console_seen, true) {
            return false;
        }
        match console.fetch().await {
            Some(theirs) if theirs.expires > current.expires && !self.parts.links.is_spent(&theirs) => {
                self.adopt(theirs).await;
                true
            }
            _ => false,
        }
    }

    fn reject(&self, print: &str, code: &str) {
        self.parts.links.spend(print.to_owned());
        let detail = match self.parts.console {
            Ok(_) | Err(Gap::Agent) => format!("token invalid (`{code}`); reconnect in the console"),
            Err(_) => {
                format!("token invalid (`{code}`); reconnect the account with {}", login_command(self.parts.account))
            }
        };
        self.state().ended = Some(self.ended(detail));
    }

    /// No link is left: perhaps the console has one (oauth.md D8 to D12).
    async fn recover(&self, now: i64) -> bool {
        let (provider, place) = (self.parts.account.id(), self.parts.place.as_str());
        let console = match &self.parts.console {
            Ok(console) => console,
            Err(Gap::Agent) => {
                tracing::error!(
                    provider,
                    place,
                    "the refresh token was rejected, and there is no agent id (MERCURY_AGENT_ID) to ask the console with"
                );
                return false;
            }
            Err(Gap::Url | Gap::Secret) => {
                tracing::error!(provider, place, "the refresh token was rejected: signing in again is required");
                return false;
            }
        };
        self.state().recovery_at = Some(now);
        let agent = console.agent();
        match console.fetch().await {
            Some(theirs) if !self.parts.links.is_spent(&theirs) => {
                tracing::info!(provider, place, agent, "recovered: the console holds another credential");
                self.adopt(theirs).await;
                true
            }
            Some(_) => {
                tracing::error!(
                    provider,
                    place,
                    agent,
                    "the refresh token was rejected, and the console holds the same: reconnect in the console"
                );
                false
            }
            None => {
                tracing::error!(
                    provider,
                    place,
                    agent,
                    "the refresh token was rejected, and the console could not be asked for another"
                );
                let detail = "token invalid (`invalid_grant`), and fresh credentials could not be fetched from the console; reconnect, or check the console";
                self.state().ended = Some(self.ended(detail.to_owned()));
                false
            }
        }
    }

    fn give_up(&self) -> CredentialError {
        let ended = self.state().ended.clone();
        ended.unwrap_or_else(|| self.ended("its refresh token is used up (`invalid_grant`)".to_owned()))
    }

    fn ended(&self, detail: String) -> CredentialError {
        let (provider, place) = (self.parts.account.id().to_owned(), self.parts.place.clone());
        CredentialError::Reconnect { provider, place, detail }
    }

    /// Writes the next link down, then lets it be used.
    async fn keep(&self, current: &TokenSet, next: TokenSet) -> TokenSet {
        let (next, written) = self.parts.links.save(Some(current), next).await;
        let (before, after) = (current.refresh_print(), next.refresh_print());
        let rotated = before != after;
        let (provider, path) = (self.parts.account.id(), self.parts.links.path().display());
        match written {
            Ok(()) => {
                if rotated {
                    tracing::info!(provider, authPath = %path, previousRefresh = before, newRefresh = after, "credential renewed and rotated");
                } else {
                    tracing::debug!(provider, authPath = %path, "credential renewed");
                }
            }
            Err(error) => {
                if rotated {
                    tracing::error!(
                        critical = true, provider, authPath = %path, previousRefresh = before, unsavedRefresh = after, %error,
                        "the credential was rotated but could not be saved: the old one is used up, so signing in again will be \
                         required once this process has ended. Writing it is tried again"
                    );
                } else {
                    tracing::warn!(provider, authPath = %path, %error, "the renewed access token could not be saved; nothing is lost");
                }
                self.parts.links.save_later();
            }
        }
        if let (Some(before), true) = (before, rotated) {
            self.parts.links.spend(before);
        }
        self.succeeded(&next, self.parts.clock.now());
        match &self.parts.console {
            Ok(console) => console.push(next.clone()),
            Err(Gap::Url) => {}
            Err(gap) => {
                let missing = if *gap == Gap::Secret { "MERCURY_CONSOLE_INTERNAL_SECRET" } else { "MERCURY_AGENT_ID" };
                tracing::warn!(
                    provider,
                    "the console is not told of the renewed credential: {missing} is not set. It is kept in {path} only"
                );
            }
        }
        next
    }

    /// Takes a link that somebody else made.
    async fn adopt(&self, theirs: TokenSet) {
        let (_, written) = self.parts.links.save(None, theirs).await;
        if let Err(error) = written {
            tracing::warn!(path = %self.parts.links.path().display(), %error, "the console's credential could not be saved");
            self.parts.links.save_later();
        }
    }

    fn succeeded(&self, tokens: &TokenSet, now: i64) {
        let mut state = self.state();
        state.rest.succeeded();
        state.ended = None;
        state.lifetime = tokens.expires.map(|expires| {
            (fingerprint(&tokens.access), expires.saturating_add(self.parts.margin).saturating_sub(now))
        });
    }

    fn validity(&self, tokens: &TokenSet) -> Validity {
        let state = self.state();
        let print = fingerprint(&tokens.access);
        Validity {
            expires: tokens.expires,
            margin: self.parts.margin,
            lifetime: state.lifetime.as_ref().filter(|(of, _)| *of == print).map(|(_, lifetime)| *lifetime),
            refused: state.refused.as_ref() == Some(&print),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn login_command(account: Account) -> String {
    format!("`mercury auth login {}`", account.id())
}
