//! Model credentials: the one place that knows where they come from, keeps them fresh, and gives
//! out what one request or one run needs.
//!
//! Sources, per provider, the first that is usable: a variable with a token or key; a variable with
//! a provisioned credential that is renewed here; a sign-in of `mercury auth login`. What leaves this
//! room is a bare access token or a key: never a refresh token, nor anything that may hold one.

mod auth_file;
mod chain;
mod console;
mod endpoints;
mod environment;
mod error;
mod http;
mod links;
pub mod login;
mod policy;
mod providers;
mod refresh;
mod standing;
mod token_set;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use auth_file::AuthFile;
pub use chain::Clock;
pub use console::ConsoleSettings;
pub use endpoints::{Endpoints, STAND_IN};
pub use error::CredentialError;
pub use providers::{Account, operator_variables, variable_for};
pub use standing::{Condition, Standing};
pub use token_set::{TokenSet, fingerprint};

use chain::{Chain, Parts};
use console::{Console, Gap};
use environment::{Configured, Environment};
use http::Http;
use links::Links;
use refresh::Tokens;

/// Above a container's time: its start, and the answer that is under way when it ends.
const RUN_MARGIN: Duration = Duration::from_secs(60);
/// The longest that the watch sleeps.
const WATCH: Duration = Duration::from_secs(3600);

/// What a provider takes as proof: for as long as one request needs it.
#[derive(Clone, Debug)]
pub struct Token {
    pub secret: SecretString,
    pub kind: TokenKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    ApiKey,
    /// The access token of an account.
    OAuth,
}

/// What this room is built from.
pub struct Settings {
    /// The environment with its secrets.
    pub variables: BTreeMap<String, String>,
    /// Sign-ins.
    pub auth_path: PathBuf,
    /// The local copy of what was provisioned by a variable, with its rotations.
    pub provisioned_path: PathBuf,
    pub console: ConsoleSettings,
    pub endpoints: Endpoints,
    /// How long a run's tokens have to be good.
    pub run_validity: Duration,
    pub clock: Clock,
}

impl Settings {
    /// # Errors
    /// Where [`STAND_IN`] is set to what it may not be.
    pub fn new(config: &crate::config::Config, variables: &BTreeMap<String, String>) -> Result<Self, String> {
        Ok(Self {
            variables: variables.clone(),
            auth_path: config.auth_path.clone(),
            provisioned_path: config.data_dir.join("credentials.json"),
            console: ConsoleSettings {
                url: config.console_url.clone(),
                secret: config.console_internal_secret.clone(),
                agent: config.agent_id.clone(),
            },
            endpoints: Endpoints::new(config.oauth_stand_in.as_deref())?,
            run_validity: config.container_timeout + RUN_MARGIN,
            clock: Clock::default(),
        })
    }
}

/// The credentials that are configured. Cheap to clone.
#[derive(Clone)]
pub struct Credentials {
    inner: Arc<Inner>,
}

struct Inner {
    fixed: BTreeMap<&'static str, Fixed>,
    provisioned: BTreeMap<&'static str, Arc<Chain>>,
    logins: BTreeMap<&'static str, Arc<Chain>>,
    /// Provider → the variable that cannot be used.
    corrupt: BTreeMap<&'static str, String>,
    auth_file: AuthFile,
    run_validity: Duration,
    clock: Clock,
    changed: Arc<Notify>,
}

struct Fixed {
    variable: String,
    token: Token,
    expires: Option<i64>,
}

/// Names of providers, and nothing else.
impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("fixed", &self.inner.fixed.keys()).finish_non_exhaustive()
    }
}

/// What one run gets.
#[derive(Default)]
pub struct ForRun {
    pub credentials: mercury_protocol::io::Credentials,
    /// Providers that cannot be asked, and why. A chain may go on without them.
    pub refused: BTreeMap<String, CredentialError>,
}

impl Credentials {
    /// Reads what is configured. Asks nobody yet.
    pub fn open(settings: Settings) -> Self {
        let environment = Environment::read(&settings.variables);
        let auth_file = AuthFile::new(&settings.auth_path);
        let tokens = Tokens { http: Http::for_endpoints(&settings.endpoints), endpoints: settings.endpoints };
        let changed = Arc::new(Notify::new());
        let mut inner = Inner {
            fixed: BTreeMap::new(),
            provisioned: BTreeMap::new(),
            logins: BTreeMap::new(),
            corrupt: environment.corrupt,
            auth_file: auth_file.clone(),
            run_validity: settings.run_validity,
            clock: settings.clock.clone(),
            changed: changed.clone(),
        };
        for (provider, configured) in environment.configured {
            match configured {
                Configured::Fixed { variable, token, expires } => {
                    inner.fixed.insert(provider, Fixed { variable, token, expires });
                }
                Configured::Provisioned { variable, account, tokens: seed } => {
                    let chain = Chain::new(Parts {
                        account,
                        place: variable,
                        links: Links::new(account, AuthFile::new(&settings.provisioned_path), Some(seed)),
                        console: Console::new(&settings.console, account.id(), tokens.http.clone()),
                        // A console and its agents tell each other the true end.
                        margin: 0,
                        tokens: tokens.clone(),
                        clock: settings.clock.clone(),
                        changed: changed.clone(),
                    });
                    inner.provisioned.insert(provider, chain);
                }
            }
        }
        for account in Account::ALL {
            let chain = Chain::new(Parts {
                account,
                place: auth_file.path().display().to_string(),
                links: Links::new(account, auth_file.clone(), None),
                console: Err(Gap::Url),
                margin: account.stored_margin(),
                tokens: tokens.clone(),
                clock: settings.clock.clone(),
                changed: changed.clone(),
            });
            inner.logins.insert(account.id(), chain);
        }
        Self { inner: Arc::new(inner) }
    }

    /// Those of the environment alone, for tests of other rooms.
    #[cfg(test)]
    pub fn from_environment(variables: &BTreeMap<String, String>) -> Self {
        let nowhere = PathBuf::from("/nonexistent/auth.json");
        Self::open(Settings {
            variables: variables.clone(),
            provisioned_path: nowhere.clone(),
            auth_path: nowhere,
            console: ConsoleSettings::default(),
            endpoints: Endpoints::default(),
            run_validity: Duration::from_secs(360),
            clock: Clock::default(),
        })
    }

    /// Names of variables that hold what cannot be used.
    pub fn corrupt(&self) -> Vec<&str> {
        self.inner.corrupt.values().map(String::as_str).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.providers().is_empty()
    }

    /// Names of the providers that have a credential.
    pub fn providers(&self) -> Vec<&'static str> {
        let signed_in = self.inner.auth_file.read();
        let accounts =
            Account::ALL.into_iter().map(Account::id).filter(|provider| providers::variables(provider).is_empty());
        providers::known()
            .map(|(provider, _)| provider)
            .chain(accounts)
            .filter(|provider| {
                let entry = || Account::of(provider).and_then(|_| signed_in.get(*provider));
                self.in_environment(provider) || entry().and_then(TokenSet::from_entry).is_some()
            })
            .collect()
    }

    /// Whether there is a credential for `provider`. Reads one small local file.
    pub fn has(&self, provider: &str) -> bool {
        self.in_environment(provider)
            || Account::of(provider).is_some_and(|account| self.inner.auth_file.tokens(account.id()).is_some())
    }

    /// A token for `provider` that is good for `min_validity` at least, where its source can give such a one.
    ///
    /// # Errors
    /// Where there is none that a request could be tried with.
    pub async fn token(&self, provider: &str, min_validity: Duration) -> Result<Token, CredentialError> {
        if let Some(fixed) = self.inner.fixed.get(provider) {
            return Ok(fixed.token.clone());
        }
        let chain = self.inner.provisioned.get(provider).or_else(|| self.inner.logins.get(provider));
        let tokens = match chain {
            Some(chain) => chain.token(min_validity).await?,
            None => None,
        };
        match tokens {
            Some(tokens) => Ok(Token { secret: tokens.access, kind: TokenKind::OAuth }),
            None => Err(self.missing(provider)),
        }
    }

    /// Says that `provider` refused `token` (HTTP 401), so the next [`Credentials::token`] is another
    /// one if there is any.
    pub async fn refused(&self, provider: &str, token: &Token) {
        if let Some(fixed) = self.inner.fixed.get(provider) {
            tracing::warn!(
                provider,
                variable = fixed.variable,
                "the provider refused the credential; nothing renews it"
            );
        } else if let Some(chain) = self.inner.provisioned.get(provider).or_else(|| self.inner.logins.get(provider)) {
            chain.refused(token);
        }
    }

    /// What a run that asks `providers` needs, and nothing else.
    pub async fn for_run<'a>(&self, providers: impl IntoIterator<Item = &'a str>) -> ForRun {
        self.for_run_beside(providers, &BTreeMap::new()).await
    }

    /// The same, where the run's own environment `given` may bring a provider's credential along:
    /// that one wins, and nothing is spent for it.
    pub async fn for_run_beside<'a>(
        &self,
        providers: impl IntoIterator<Item = &'a str>,
        given: &BTreeMap<String, String>,
    ) -> ForRun {
        let is_given = |provider: &str| {
            providers::variables(provider).iter().any(|name| given.get(*name).is_some_and(|it| !it.trim().is_empty()))
        };
        let distinct: BTreeSet<&str> = providers.into_iter().filter(|provider| !is_given(provider)).collect();
        let asked = distinct.into_iter().map(|provider| async move { (provider, self.variable(provider).await) });
        let mut run = ForRun::default();
        for (provider, outcome) in futures_util::future::join_all(asked).await {
            match outcome {
                Ok((variable, secret)) => {
                    run.credentials.environment.insert(variable.to_owned(), secret.expose_secret().to_owned());
                }
                Err(error) => {
                    tracing::warn!(provider, "the model's leg goes without a credential: {error}");
                    run.refused.insert(provider.to_owned(), error);
                }
            }
        }
        run
    }

    async fn variable(&self, provider: &str) -> Result<(&'static str, SecretString), CredentialError> {
        let names = providers::variables(provider);
        if names.is_empty() {
            // Known before anything is spent for it.
            let not_passable = || CredentialError::NotPassable { provider: provider.to_owned() };
            return Err(if self.has(provider) { not_passable() } else { self.missing(provider) });
        }
        let token = self.token(provider, self.inner.run_validity).await?;
        let oauth = token.kind == TokenKind::OAuth;
        let name = names.iter().find(|name| providers::is_oauth(name) == oauth).or(names.first());
        match name {
            // The last line of defence: what looks like a blob may hold a refresh token.
            Some(name) if !token.secret.expose_secret().trim_start().starts_with('{') => Ok((name, token.secret)),
            _ => Err(self.missing(provider)),
        }
    }

    /// How each credential stands.
    pub async fn standing(&self) -> Vec<Standing> {
        let now = self.inner.clock.now();
        let mut found = Vec::new();
        for (provider, variable) in &self.inner.corrupt {
            let (place, condition) = (variable.clone(), Condition::Corrupt);
            found.push(Standing {
                provider: provider.to_string(),
                place,
                kind: TokenKind::OAuth,
                ends: None,
                condition,
            });
        }
        for (provider, fixed) in &self.inner.fixed {
            let soon = fixed.expires.is_some_and(|ends| ends - now < policy::millis(standing::NOTICE));
            let condition = if soon { Condition::Ending } else { Condition::Good };
            let (place, kind) = (fixed.variable.clone(), fixed.token.kind);
            found.push(Standing { provider: provider.to_string(), place, kind, ends: fixed.expires, condition });
        }
        let logins = self.inner.logins.iter().filter(|(provider, _)| !self.in_environment(provider));
        for (provider, chain) in self.inner.provisioned.iter().chain(logins) {
            if let Some((ends, condition)) = chain.standing().await {
                let place = chain.place().to_owned();
                found.push(Standing { provider: provider.to_string(), place, kind: TokenKind::OAuth, ends, condition });
            }
        }
        found
    }

    /// Agrees with the console which credential is the newest, then watches over all of them until
    /// `until`, and says in the log what an operator has to do, when it begins and not over and over.
    pub async fn watch(&self, until: CancellationToken) {
        let work = async {
            for chain in self.inner.provisioned.values() {
                chain.reconcile().await;
            }
            let mut said: BTreeSet<String> = BTreeSet::new();
            loop {
                let changed = self.inner.changed.notified();
                let standing = self.standing().await;
                let warnings: BTreeSet<String> =
                    standing.iter().filter_map(|it| it.condition.warning(&it.provider, &it.place)).collect();
                for warning in warnings.difference(&said) {
                    tracing::warn!("{warning}");
                }
                said = warnings;
                let _ = tokio::time::timeout(WATCH, changed).await;
            }
        };
        tokio::select! {
            () = until.cancelled() => {}
            () = work => {}
        }
    }

    /// Waits until no renewal is under way: its answer would be lost, and with it a sign-in.
    pub async fn settle(&self) {
        for chain in self.inner.provisioned.values().chain(self.inner.logins.values()) {
            chain.settle().await;
        }
    }

    fn in_environment(&self, provider: &str) -> bool {
        self.inner.fixed.contains_key(provider) || self.inner.provisioned.contains_key(provider)
    }

    fn missing(&self, provider: &str) -> CredentialError {
        if let Some(variable) = self.inner.corrupt.get(provider) {
            return CredentialError::Corrupt { provider: provider.to_owned(), variable: variable.clone() };
        }
        CredentialError::Missing {
            provider: provider.to_owned(),
            variable: variable_for(provider),
            auth_path: Account::of(provider).map(|_| self.inner.auth_file.path().to_owned()),
        }
    }

    /// Where sign-ins are kept.
    pub fn auth_path(&self) -> &Path {
        self.inner.auth_file.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(pairs: &[(&str, &str)]) -> Credentials {
        Credentials::from_environment(
            &pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        )
    }

    #[tokio::test]
    async fn a_run_gets_only_what_its_models_need() {
        let credentials =
            configured(&[("MERCURY_ANTHROPIC_API_KEY", "a"), ("MERCURY_OPENAI_API_KEY", "o"), ("MERCURY_OTHER", "x")]);
        let given = credentials.for_run(["anthropic", "anthropic"]).await.credentials.environment;
        assert_eq!(given.into_iter().collect::<Vec<_>>(), [("ANTHROPIC_API_KEY".to_owned(), "a".to_owned())]);
        assert_eq!(credentials.providers(), ["anthropic", "openai"]);
    }

    /// oauth.md #24, #26, #27: what looks like a blob never enters a container, and is named.
    #[tokio::test]
    async fn a_blob_with_a_refresh_token_never_enters_a_container() {
        for variable in ["MERCURY_ANTHROPIC_OAUTH_TOKEN", "MERCURY_ANTHROPIC_API_KEY", "MERCURY_GROQ_API_KEY"] {
            for raw in ["{\"refresh\":\"r\"}", "{oops", " {\"access\":\"\",\"refresh\":\"r\"}"] {
                let credentials = configured(&[(variable, raw)]);
                assert!(credentials.is_empty());
                assert_eq!(credentials.corrupt(), [variable]);
                let run = credentials.for_run(["anthropic", "groq"]).await;
                assert!(run.credentials.environment.is_empty());
                let text = run.refused.values().map(ToString::to_string).collect::<String>();
                assert!(text.contains(&format!("{variable} holds a corrupt credential")), "{text}");
            }
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        assert!(!format!("{:?}", configured(&[("MERCURY_GROQ_API_KEY", "gsk-canary")])).contains("canary"));
    }
}
