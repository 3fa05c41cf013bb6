//! Clients that connect to checked addresses only.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use ipnet::IpNet;
use reqwest::{
    Client, ClientBuilder,
    dns::{Addrs, Name, Resolving},
    redirect,
};

use crate::{
    domain::{
        egress::Host,
        outbound::{Refusal, check_addresses},
    },
    resolve::{Asker, Resolve, is_own},
};

/// Until a connection stands, encryption included.
const CONNECT: Duration = Duration::from_secs(10);
/// A connection that nobody uses is closed, so that a name is looked up and checked anew.
const IDLE: Duration = Duration::from_secs(30);
const MOST_IDLE: usize = 4;

/// The clients of one plugin, made at their first use.
pub(in crate::plugins) struct Clients {
    resolver: Checked,
    checked: OnceLock<Result<Client, String>>,
    /// For stand-ins: where the operator points, a client goes.
    unchecked: OnceLock<Result<Client, String>>,
}

impl Clients {
    pub(in crate::plugins) fn new(plugin: &str, resolver: Arc<dyn Resolve>, private: Vec<IpNet>) -> Self {
        let resolver = Checked { plugin: plugin.into(), private: private.into(), resolver, asker: Asker::default() };
        Self { resolver, checked: OnceLock::new(), unchecked: OnceLock::new() }
    }

    /// # Errors
    /// In words, where the machine has no usable TLS set-up.
    pub(super) fn checked(&self) -> Result<&Client, String> {
        self.checked.get_or_init(|| build(builder().dns_resolver(self.resolver.clone()))).as_ref().map_err(Clone::clone)
    }

    pub(super) fn unchecked(&self) -> Result<&Client, String> {
        self.unchecked.get_or_init(|| build(builder())).as_ref().map_err(Clone::clone)
    }

    /// The checked addresses of a host, for a connection that no HTTP client makes.
    pub(in crate::plugins) async fn addresses(&self, host: &Host) -> Result<Vec<IpAddr>, LookupError> {
        match host {
            Host::Name(name) => self.resolver.lookup(name).await,
            Host::Address(address) => {
                self.check_address(*address).await?;
                Ok(vec![*address])
            }
        }
    }

    /// For hosts that are addresses, which no client looks up.
    pub(in crate::plugins) async fn check_address(&self, address: IpAddr) -> Result<(), Refusal> {
        self.resolver.check(&address.to_string(), &[address]).await
    }
}

/// No redirect, no proxy of the environment, no trace of where a request came from.
fn builder() -> ClientBuilder {
    Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MOST_IDLE)
        .user_agent(concat!("mercury/", env!("CARGO_PKG_VERSION")))
}

fn build(builder: ClientBuilder) -> Result<Client, String> {
    builder.build().map_err(|error| format!("no HTTP client: {error}"))
}

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(in crate::plugins) enum LookupError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the name {name} cannot be looked up: {reason}")]
    Failed { name: String, reason: String },
}

/// Looks a name up once for each connection, and lets the client see the answer only if every address
/// of it may be reached: what is checked is what is connected to.
#[derive(Clone)]
struct Checked {
    plugin: Arc<str>,
    private: Arc<[IpNet]>,
    resolver: Arc<dyn Resolve>,
    asker: Asker,
}

impl Checked {
    async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        let failed = |reason: String| LookupError::Failed { name: name.to_owned(), reason };
        let addresses = self.resolver.resolve(name, &self.asker).await.map_err(|error| failed(error.to_string()))?;
        if addresses.is_empty() {
            return Err(failed("it has no address".into()));
        }
        self.check(name, &addresses).await?;
        Ok(addresses)
    }

    async fn check(&self, host: &str, addresses: &[IpAddr]) -> Result<(), Refusal> {
        check_addresses(&self.plugin, host, addresses, &self.private)?;
        for &address in addresses {
            // A public address can be this machine's own. Without a route there is nothing to reach.
            let opened = self.private.iter().any(|net| net.contains(&address));
            if !opened && is_own(SocketAddr::new(address, 443)).await.unwrap_or(false) {
                return Err(Refusal::Address {
                    plugin: self.plugin.to_string(),
                    host: host.to_owned(),
                    address,
                    kind: "an address of the machine that Mercury runs on",
                });
            }
        }
        Ok(())
    }
}

impl reqwest::dns::Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let checked = self.clone();
        Box::pin(async move {
            let addresses = checked.lookup(name.as_str()).await?;
            // The client puts the URL's port in place of none.
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}
