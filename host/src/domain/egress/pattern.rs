//! One entry of the operator's list: `example.com`, `*.example.com`, `*`, each with an optional port.

use std::fmt;

use super::authority::{self, Authority, Host};

/// The ports of an entry that names none.
const USUAL_PORTS: [u16; 2] = [80, 443];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    hosts: Hosts,
    /// `None`: [`USUAL_PORTS`].
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    /// Every host with a public address.
    All,
    One(Host),
    /// What lies below the name, at any depth; not the name itself.
    Below(String),
}

impl Pattern {
    /// Reads an entry as an operator writes it; a name may have any script.
    ///
    /// # Errors
    /// The reason, to stand after the entry.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains("://") || text.contains('/') {
            return Err("is not a host: write `example.com` or `example.com:8443`, without scheme and path".into());
        }
        if let Some(rest) = text.strip_prefix('*')
            && (rest.is_empty() || rest.starts_with(':'))
        {
            // Only for its port.
            let (_, port) = read(&format!("all{rest}"))?;
            return Ok(Self { hosts: Hosts::All, port });
        }
        if let Some(rest) = text.strip_prefix("*.") {
            return match read(rest)? {
                (Host::Name(name), port) => Ok(Self { hosts: Hosts::Below(name), port }),
                (Host::Address(_), _) => Err("is not a host: an address has nothing below it".into()),
            };
        }
        if text.contains('*') {
            return Err("is not a host: `*` can only be the whole first part, as in `*.example.com`".into());
        }
        let (host, port) = read(text)?;
        Ok(Self { hosts: Hosts::One(host), port })
    }

    pub fn matches(&self, authority: &Authority) -> bool {
        self.matches_with(authority, &USUAL_PORTS)
    }

    /// With the ports that an entry means that names none.
    pub fn matches_with(&self, authority: &Authority, usual_ports: &[u16]) -> bool {
        let port = match self.port {
            Some(port) => port == authority.port,
            None => usual_ports.contains(&authority.port),
        };
        port && match (&self.hosts, &authority.host) {
            (Hosts::All, _) => true,
            (Hosts::One(host), asked) => host == asked,
            (Hosts::Below(name), Host::Name(asked)) => {
                asked.strip_suffix(name.as_str()).is_some_and(|below| below.len() > 1 && below.ends_with('.'))
            }
            (Hosts::Below(_), Host::Address(_)) => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::All => formatter.write_str("*"),
            Hosts::One(host) => host.fmt(formatter),
            Hosts::Below(name) => write!(formatter, "*.{name}"),
        }?;
        self.port.map_or(Ok(()), |port| write!(formatter, ":{port}"))
    }
}

fn read(text: &str) -> Result<(Host, Option<u16>), String> {
    let ascii = if text.is_ascii() {
        text.to_owned()
    } else {
        let (name, port) =
            text.split_once(':').map_or((text, String::new()), |(name, port)| (name, format!(":{port}")));
        let name = url::Host::parse(name).map_err(|error| format!("is not a host: {error}"))?;
        format!("{name}{port}")
    };
    authority::split(&ascii).map_err(|malformed| format!("is not a host: {malformed}"))
}
