//! The model gateway: the host asks the providers on behalf of the runs, so that no container holds
//! a credential. Serves `/model/<provider>/…` on a run's socket.
//!
//! Owns the connection to the providers, the ledger's writing and the checks before a call: which
//! model, whose money. Knows a run by its socket and never by what a request says. Must never send
//! a credential anywhere but to the provider's own endpoint, nor put one into an error or a log.

mod allow;
mod api;
mod ask;
mod count;
mod error;
mod features;
mod forward;
mod headers;
mod meter;
mod registry;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU32},
    time::Duration,
};

use axum::{Router, routing::post};
use mercury_protocol::{io as protocol, socket::MODEL};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, CredentialMode},
    credentials::{CredentialError, Credentials, TokenKind},
    domain::{
        budget::{Budgets, Refusal},
        failure::Failure,
        ids::RunId,
        price::Price,
    },
    resolve::OwnNames,
    store::{Store, StoreError},
};
use allow::Allowed;
use api::Endpoint;
use error::Refused;

/// How long a connection to a provider may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long a provider may be silent, before its answer and within it: as long as Node's fetch
/// waits, which `pi` uses (undici, `headersTimeout`). Anthropic sends a ping every few seconds.
const SILENCE: Duration = Duration::from_secs(300);
/// Model calls of one run at once; more wait, with their bodies unread. pi's subagents are four.
const MOST_CALLS: usize = 6;
/// How long a run's ending waits for its last call to be written down: for a disk that is busy.
const SETTLE: Duration = Duration::from_secs(5);
/// What a container calls the machine that it runs on.
const DOCKER_HOST_NAME: &str = "host.docker.internal";

#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error(
        "agent.credentials is `gateway`, and the gateway cannot serve the provider `{provider}` of the model chain. \
         Leave agent.credentials out, so that this provider's credential goes into the container, or take the model out of the chain"
    )]
    NotServed { provider: String },
    #[error(
        "the HTTP client for model providers cannot be made: {0}. Check the machine's root certificates (`update-ca-certificates`)"
    )]
    Client(reqwest::Error),
    #[error("the gateway's start was interrupted. Start the host again")]
    Interrupted,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a provider's requests go.
#[derive(Clone)]
struct Upstream {
    provider: String,
    known: &'static registry::Provider,
    /// In place of the provider's own address, whatever the API.
    base: Option<String>,
    /// The host itself answers there: it gets no credential.
    ours: bool,
    prices: Arc<BTreeMap<String, Price>>,
}

impl Upstream {
    fn url(&self, endpoint: &Endpoint<'_>) -> Option<String> {
        let own = self.known.base(endpoint.api)?;
        Some(endpoint.url(self.base.as_deref().unwrap_or(own)))
    }

    fn price(&self, model: &str) -> Option<Price> {
        let told = self.prices.get(&format!("{}/{model}", self.provider));
        told.or_else(|| self.known.price(model)).cloned()
    }

    /// A server of the operator's own may want none.
    fn takes_credential(&self, credentials: &Credentials) -> bool {
        !self.ours && (self.base.is_none() || credentials.has(&self.provider))
    }
}

/// Serves all runs.
pub struct Gateway {
    client: reqwest::Client,
    credentials: Credentials,
    store: Store,
    upstreams: BTreeMap<String, Upstream>,
    allowed: Allowed,
    budgets: Budgets,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Gateway {
    /// `ours` are providers that the host itself answers for: name → base URL. `stop` ends the
    /// counting of calls that are still open.
    ///
    /// # Errors
    /// Where the operator insists on the gateway and the chain needs a provider that it cannot serve.
    pub async fn start(
        config: &Config,
        credentials: Credentials,
        store: Store,
        ours: &BTreeMap<String, String>,
        stop: CancellationToken,
    ) -> Result<Self, GatewayError> {
        let allowed = Allowed::new(&config.model_chain, &config.allowed_models);
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_PATIENCE)
            .read_timeout(SILENCE)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .dns_resolver(Arc::new(OwnNames::default()));
        if config.model_endpoints.values().any(|url| url.contains(DOCKER_HOST_NAME))
            && !resolves(DOCKER_HOST_NAME).await
        {
            // Written for containers; for the host it is the host itself.
            builder = builder.resolve(DOCKER_HOST_NAME, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        }
        let open = store.close_open_calls().await?;
        if open > 0 {
            tracing::info!(open, "model calls of a predecessor broke off; their cost is estimated");
        }
        // Reads the machine's root certificates.
        let client = tokio::task::spawn_blocking(move || builder.build()).await;
        Ok(Self {
            client: client.map_err(|_| GatewayError::Interrupted)?.map_err(GatewayError::Client)?,
            upstreams: upstreams(config, ours, &allowed)?,
            credentials,
            store,
            allowed,
            budgets: config.budgets,
            tasks: TaskTracker::new(),
            stop,
        })
    }

    /// Whether [`Self::start`] accepts this configuration.
    ///
    /// # Errors
    /// Where the operator insists on the gateway and the chain needs a provider that it cannot serve.
    pub fn check(config: &Config) -> Result<(), GatewayError> {
        let unserved = config.model_chain.iter().find(|leg| registry::provider(&leg.provider).is_none());
        match unserved {
            Some(leg) if config.agent_credentials == (CredentialMode::Gateway { insisted: true }) => {
                Err(GatewayError::NotServed { provider: leg.provider.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Whether the requests to `provider` go by the host.
    pub fn serves(&self, provider: &str) -> bool {
        self.upstreams.contains_key(provider)
    }

    /// Whether `provider` can be asked: with a credential, or at an address that the operator or the
    /// host itself answers for.
    pub fn can_ask(&self, provider: &str) -> bool {
        let open = |upstream: &Upstream| upstream.ours || upstream.base.is_some();
        self.upstreams.get(provider).is_some_and(open) || self.credentials.has(provider)
    }

    /// Whether a run may count on `provider`.
    ///
    /// # Errors
    /// Where a credential is needed and none can be had, with what to do about it.
    pub async fn ready(&self, provider: &str) -> Result<(), CredentialError> {
        match self.upstreams.get(provider) {
            Some(upstream) if upstream.base.is_none() || upstream.takes_credential(&self.credentials) => {
                self.credentials.token(provider, Duration::ZERO).await.map(|_| ())
            }
            _ => Ok(()),
        }
    }

    /// The providers that a run reaches by the host, each with the key that stands for the real one.
    pub async fn hosted(&self) -> BTreeMap<String, protocol::Hosted> {
        let mut hosted = BTreeMap::new();
        for (provider, upstream) in self.upstreams.iter().filter(|(provider, _)| self.can_ask(provider)) {
            let kind = match upstream.takes_credential(&self.credentials) {
                // Only Anthropic's tokens differ in form. One that cannot be had fails the call, with its reason.
                true if provider == "anthropic" => {
                    self.credentials.token(provider, Duration::ZERO).await.map_or(TokenKind::ApiKey, |token| token.kind)
                }
                _ => TokenKind::ApiKey,
            };
            hosted.insert(provider.clone(), protocol::Hosted { key: api::placeholder(provider, kind).to_owned() });
        }
        hosted
    }

    /// What one run may use. Its calls are on `payer`.
    pub fn access(self: &Arc<Self>, payer: Payer) -> Access {
        Access {
            gateway: self.clone(),
            payer: Arc::new(payer),
            permits: Arc::new(Semaphore::new(MOST_CALLS)),
            refusal: Arc::default(),
            refused: Arc::default(),
        }
    }

    /// Waits until every call is written down. Only after `stop`.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn resolves(name: &str) -> bool {
    tokio::net::lookup_host((name, 0)).await.is_ok_and(|mut found| found.next().is_some())
}

/// The providers that the gateway serves. In the mode `env` those only that the host itself answers
/// for.
fn upstreams(
    config: &Config,
    ours: &BTreeMap<String, String>,
    allowed: &Allowed,
) -> Result<BTreeMap<String, Upstream>, GatewayError> {
    let chain: BTreeSet<&str> = config.model_chain.iter().map(|leg| leg.provider.as_str()).collect();
    let mut wanted = chain.clone();
    wanted.extend(allowed.providers());
    wanted.extend(ours.keys().map(String::as_str));
    let prices = Arc::new(config.model_prices.clone());
    let mut upstreams = BTreeMap::new();
    for provider in wanted {
        let own = ours.get(provider);
        if own.is_none() && config.agent_credentials == CredentialMode::Env {
            continue;
        }
        match registry::provider(provider) {
            Some(known) => {
                let base = own.or_else(|| config.model_endpoints.get(provider)).cloned();
                let name = provider.to_owned();
                let upstream = Upstream { provider: name, known, base, ours: own.is_some(), prices: prices.clone() };
                upstreams.insert(provider.to_owned(), upstream);
            }
            None if !chain.contains(provider) => {
                tracing::warn!("agent.allowed_models names the provider `{provider}`, which the gateway cannot serve");
            }
            None if config.agent_credentials == (CredentialMode::Gateway { insisted: true }) => {
                return Err(GatewayError::NotServed { provider: provider.to_owned() });
            }
            None => tracing::warn!(
                "the gateway cannot serve the provider `{provider}`: its credential goes into the container"
            ),
        }
    }
    if config.budgets.any() && chain.iter().any(|provider| !upstreams.contains_key(*provider)) {
        tracing::warn!(
            "budgets hold only for calls through the gateway, and some models of the chain are asked without it"
        );
    }
    Ok(upstreams)
}

/// On whom a run's calls are.
#[derive(Clone, Debug)]
pub struct Payer {
    pub run: RunId,
    pub space: String,
    pub person: String,
}

/// The gateway as one run has it.
#[derive(Clone)]
pub struct Access {
    gateway: Arc<Gateway>,
    payer: Arc<Payer>,
    permits: Arc<Semaphore>,
    /// The last budget that stopped a call of this run.
    refusal: Arc<Mutex<Option<Refusal>>>,
    /// How many of its calls were refused.
    refused: Arc<AtomicU32>,
}

impl Access {
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new().route(&format!("{MODEL}/{{*path}}"), post(forward::forward)).with_state(self.clone())
    }

    /// What the run spent by the host's own count, to be asked when it is over. `None` where no
    /// provider answered it through the gateway.
    pub async fn usage(&self) -> Option<protocol::Usage> {
        // All places free means that every call is written down.
        let _ = tokio::time::timeout(SETTLE, self.permits.acquire_many(MOST_CALLS as u32)).await;
        let spending = match self.gateway.store.run_spending(&self.payer.run).await {
            Ok(spending) => spending?,
            Err(error) => {
                tracing::error!(%error, "what a run spent cannot be read");
                return None;
            }
        };
        let some = |number: u64| (number > 0).then_some(number);
        let tokens = spending.tokens;
        Some(protocol::Usage {
            input_tokens: tokens.input,
            output_tokens: tokens.output,
            total_tokens: some(tokens.input + tokens.output),
            cache_read_tokens: some(tokens.cache_read),
            cache_write_tokens: some(tokens.cache_write),
            cost: spending.micro_usd.map(|micro_usd| micro_usd as f64 / 1e6),
            model: Some(spending.model),
            provider: Some(spending.provider),
        })
    }

    /// The reason behind a run's failure, where it was a budget: the agent only knows that a call
    /// was refused.
    pub fn explain(&self, failure: Failure) -> Failure {
        match (failure, self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()) {
            (Failure::Agent { .. }, Some(Refusal::Exhausted { scope, limit_micro_usd })) => {
                Failure::OutOfBudget { scope, limit_micro_usd }
            }
            (Failure::Agent { .. }, Some(Refusal::Unpriced { model })) => Failure::NoPrice { model },
            (failure, _) => failure,
        }
    }

    fn note(&self, refused: &Refused) {
        if let Refused::Budget(refusal) = refused {
            *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal.clone());
        }
    }

    fn upstream(&self, provider: &str) -> Option<Upstream> {
        self.gateway.upstreams.get(provider).cloned()
    }

    fn price(&self, provider: &str, model: &str) -> Option<Price> {
        self.gateway.upstreams.get(provider)?.price(model)
    }
}
