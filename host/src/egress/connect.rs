//! From a host to an open connection: look up once, check every address of the answer, connect to
//! one of just these.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use tokio::{net::TcpStream, time::timeout};

use super::{Shared, error::Error};
use crate::{
    domain::egress::{Authority, Host, Refusal},
    resolve::{Asker, is_own},
};

/// Addresses of one name that are tried.
const MOST_TRIED: usize = 3;

impl Shared {
    pub(super) async fn connect(&self, authority: &Authority, asker: &Asker) -> Result<TcpStream, Error> {
        let addresses = self.addresses(authority, asker).await?;
        self.rules.check_answer(authority, &addresses)?;
        let unreachable =
            |error: io::Error| Error::Unreachable { host: authority.to_string(), reason: error.to_string() };
        let mut failure = Error::TooSlow { host: authority.to_string() };
        for address in addresses.into_iter().take(MOST_TRIED) {
            let address = SocketAddr::new(address, authority.port);
            if !self.rules.opens(address.ip()) {
                match is_own(address).await {
                    Ok(false) => {}
                    Ok(true) => {
                        return Err(Error::Refused(Refusal::Address {
                            host: authority.host.to_string(),
                            address: address.ip(),
                            kind: "an address of the machine that Mercury runs on",
                        }));
                    }
                    // No route: an IPv6 address where there is no IPv6, and the next may do.
                    Err(error) => {
                        failure = unreachable(error);
                        continue;
                    }
                }
            }
            match timeout(self.limits.connect, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A handshake is many small packets.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => failure = unreachable(error),
                Err(_) => {}
            }
        }
        Err(failure)
    }

    async fn addresses(&self, authority: &Authority, asker: &Asker) -> Result<Vec<IpAddr>, Error> {
        let name = match &authority.host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        let failed = |reason: String| Error::Lookup { host: name.clone(), reason };
        match timeout(self.limits.lookup, self.resolver.resolve(name, asker)).await {
            Ok(Ok(addresses)) if addresses.is_empty() => Err(failed("it has no address".into())),
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("no answer in time".into())),
        }
    }
}
