//! From names to addresses, and which addresses are this machine's own.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::BoxFuture;
use tokio::{
    net::UdpSocket,
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
};

/// Names that are looked up at once for agents and plugins: 8. libc's lookup cannot be given up, and keeps one of the
/// few threads for files as long as a name server takes that does not answer.
static OF_GUESTS: Semaphore = Semaphore::const_new(8);
/// For the host itself: 6 of its own, for whatever agents look up it is to reach the models.
static OF_THE_HOST: Semaphore = Semaphore::const_new(6);
/// Of one asker: 4, enough for 64 connections at once through a name server that takes 300 ms, and so few that it takes
/// several with slow names to keep others waiting.
const MOST_EACH: usize = 4;

/// Who has names looked up: a run or a plugin.
#[derive(Clone, Debug)]
pub struct Asker {
    own: Arc<Semaphore>,
    shared: &'static Semaphore,
}

impl Default for Asker {
    fn default() -> Self {
        Self::of(&OF_GUESTS)
    }
}

impl Asker {
    fn of(shared: &'static Semaphore) -> Self {
        Self { own: Arc::new(Semaphore::new(MOST_EACH)), shared }
    }

    async fn place(&self) -> io::Result<Place> {
        let own = self.own.clone().acquire_owned().await.map_err(io::Error::other)?;
        let shared = self.shared.acquire().await.map_err(io::Error::other)?;
        Ok(Place { _own: own, _shared: shared })
    }
}

/// Held by the lookup's thread, which goes on when nobody waits for it any longer.
struct Place {
    _own: OwnedSemaphorePermit,
    _shared: SemaphorePermit<'static>,
}

/// Looks names up. Called once for each connection.
pub trait Resolve: Send + Sync {
    fn resolve<'a>(&'a self, name: &'a str, asker: &'a Asker) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the machine that the host runs on, `/etc/hosts` included.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str, asker: &'a Asker) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let (name, place) = (name.to_owned(), asker.place().await?);
            let look_up = move || {
                let _place = place;
                Ok((name.as_str(), 0).to_socket_addrs()?.map(|found| found.ip()).collect())
            };
            tokio::task::spawn_blocking(look_up).await.map_err(io::Error::other)?
        })
    }
}

/// For the host's own clients, whose places are bounded as well: without an answer from a name server each of their
/// attempts would keep a thread. Each name has its own, so that a provider with slow names keeps none of the others
/// from its turn; they are the few that the operator has configured.
#[derive(Debug, Default)]
pub struct OwnNames(Mutex<HashMap<String, Asker>>);

impl reqwest::dns::Resolve for OwnNames {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let mut askers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asker = askers.entry(name.as_str().to_owned()).or_insert_with(|| Asker::of(&OF_THE_HOST)).clone();
        Box::pin(async move {
            let found = SystemResolver.resolve(name.as_str(), &asker).await?;
            // The client puts the URL's port in place of none.
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as reqwest::dns::Addrs)
        })
    }
}

/// Whether the address, public as it may be, is one of this machine: then the kernel would take it
/// as the source as well. Nothing is sent.
pub async fn is_own(address: SocketAddr) -> io::Result<bool> {
    let any = match address {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    Ok(socket.local_addr()?.ip() == address.ip())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// One whose names are slow waits for himself alone.
    #[tokio::test]
    async fn an_asker_has_few_places() {
        let (slow, other) = (Asker::default(), Asker::default());
        let mut places = Vec::new();
        for _ in 0..MOST_EACH {
            places.push(slow.place().await.unwrap());
        }
        assert!(slow.place().now_or_never().is_none());
        assert!(!SystemResolver.resolve("localhost", &other).await.unwrap().is_empty());
        places.pop();
        assert!(!SystemResolver.resolve("localhost", &slow).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_kernel_knows_its_own_addresses() {
        assert!(is_own("127.0.0.1:80".parse().unwrap()).await.unwrap());
        // Documentation space: whoever routes it does not have it.
        assert!(!is_own("203.0.113.9:80".parse().unwrap()).await.unwrap_or(false));
    }
}
