//! Host and port as a client of the proxy wrote them. Strict: what two parsers could read
//! differently is refused, rather than read in one of the ways.

use std::{fmt, net::IpAddr};

/// The longest name, in characters (RFC 1035 section 2.3.4, without the root's dot).
const MOST_NAME: usize = 253;
/// The longest part of a name.
const MOST_LABEL: usize = 63;

/// Where a request wants to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    pub host: Host,
    /// 1 to 65,535.
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// In lower case, ASCII (punycode), without a dot at its end.
    Name(String),
    Address(IpAddr),
}

/// Why a text is no [`Authority`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it has no host")]
    Empty,
    #[error("it holds a user name or password")]
    UserInfo,
    #[error("it holds characters that no host name has")]
    Characters,
    #[error("a part of the name is empty, too long, or begins or ends with a dash")]
    Name,
    #[error("the address is not in its usual form")]
    Address,
    #[error("the port is missing or not a number from 1 to 65535")]
    Port,
}

impl Authority {
    /// Reads `host:port`, `host` where there is a usual port, and both with an address as host.
    ///
    /// # Errors
    /// [`Malformed`] for user names, ports out of range or with leading zeros, names that end in a
    /// dot, percent signs, zone ids, and IPv4 addresses in any form but four decimal numbers.
    pub fn parse(text: &str, usual_port: Option<u16>) -> Result<Self, Malformed> {
        let (host, port) = split(text)?;
        Ok(Self { host, port: port.or(usual_port).ok_or(Malformed::Port)? })
    }
}

impl Authority {
    /// As plain HTTP's `Host` header has it: without the port where it is the usual one.
    pub fn for_host_header(&self) -> String {
        if self.port == 80 { self.host.to_string() } else { self.to_string() }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// An IPv6 address stands in brackets.
impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(formatter),
            Self::Address(IpAddr::V6(address)) => write!(formatter, "[{address}]"),
        }
    }
}

/// Host, and port if the text has one.
pub(super) fn split(text: &str) -> Result<(Host, Option<u16>), Malformed> {
    if text.contains('@') {
        return Err(Malformed::UserInfo);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']').ok_or(Malformed::Address)?;
        let host = Host::Address(IpAddr::V6(inside.parse().map_err(|_| Malformed::Address)?));
        let port = match after {
            "" => None,
            _ => Some(port(after.strip_prefix(':').ok_or(Malformed::Port)?)?),
        };
        return Ok((host, port));
    }
    match text.split_once(':') {
        // An IPv6 address needs brackets: without, its end could be a port.
        Some((_, after)) if after.contains(':') => Err(Malformed::Address),
        Some((name, after)) => Ok((host(name)?, Some(port(after)?))),
        None => Ok((host(text)?, None)),
    }
}

fn port(text: &str) -> Result<u16, Malformed> {
    let canonical = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    if canonical { text.parse().map_err(|_| Malformed::Port) } else { Err(Malformed::Port) }
}

fn host(text: &str) -> Result<Host, Malformed> {
    if text.is_empty() {
        return Err(Malformed::Empty);
    }
    // Percent signs above all: `url::Host` would decode them.
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) {
        return Err(Malformed::Characters);
    }
    let well_formed = |label: &str| {
        !label.is_empty() && label.len() <= MOST_LABEL && !label.starts_with('-') && !label.ends_with('-')
    };
    if text.len() > MOST_NAME || !text.split('.').all(well_formed) {
        return Err(Malformed::Name);
    }
    // The WHATWG parser knows every spelling of an IPv4 address (hexadecimal, octal, fewer parts).
    match url::Host::parse(text) {
        Ok(url::Host::Domain(name)) => Ok(Host::Name(name)),
        Ok(url::Host::Ipv4(address)) if address.to_string() == text => Ok(Host::Address(address.into())),
        Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => Err(Malformed::Address),
        Err(_) if text.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit())) => {
            Err(Malformed::Address)
        }
        Err(_) => Err(Malformed::Name),
    }
}
