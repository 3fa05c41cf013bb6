//! From names to addresses, and which addresses are this machine's own.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use futures_util::future::BoxFuture;
use tokio::net::UdpSocket;

/// Looks names up. Called once for each connection.
pub trait Resolve: Send + Sync {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the machine that the host runs on, `/etc/hosts` included.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|found| found.ip()).collect()) })
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
    use super::*;

    #[tokio::test]
    async fn the_kernel_knows_its_own_addresses() {
        assert!(is_own("127.0.0.1:80".parse().unwrap()).await.unwrap());
        // Documentation space: whoever routes it does not have it.
        assert!(!is_own("203.0.113.9:80".parse().unwrap()).await.unwrap_or(false));
    }
}
