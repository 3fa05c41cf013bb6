//! What an agent may reach through the filtering proxy: which hosts, and which of their addresses.
//!
//! Nothing in here looks a name up or opens a connection. The proxy (`crate::egress`) asks in this
//! order, and the first refusal ends it: [`Authority::parse`], [`check_host_header`],
//! [`Rules::lists`], the guards, [`Rules::check_answer`].

mod address;
mod authority;
mod pattern;

use std::net::IpAddr;

use ipnet::IpNet;

pub use address::reserved;
pub use authority::{Authority, Host, Malformed};
pub use pattern::Pattern;

/// What the operator configured for `agent.network: filtered`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `agent.egress`: empty means that no host is listed.
    pub hosts: Vec<Pattern>,
    /// `agent.egress_private`: networks that may be reached although they are not public.
    pub private: Vec<IpNet>,
    /// `agent.egress_plugins`: guards whose `allow` opens a host that is not listed.
    pub plugins: Vec<String>,
    /// `agent.egress_mb`, in bytes: what one run may send and receive, together.
    pub most_bytes: u64,
}

impl Rules {
    pub fn lists(&self, authority: &Authority) -> bool {
        self.hosts.iter().any(|pattern| pattern.matches(authority))
    }

    /// Whether the operator opened a network that holds `address`.
    pub fn opens(&self, address: IpAddr) -> bool {
        self.private.iter().any(|net| net.contains(&address))
    }

    /// Checks all addresses that a name led to: one that may not be reached makes the whole answer
    /// one that nobody should trust.
    ///
    /// # Errors
    /// [`Refusal::Address`] for the first that is neither public nor opened by the operator.
    pub fn check_answer(&self, authority: &Authority, addresses: &[IpAddr]) -> Result<(), Refusal> {
        for &address in addresses {
            if let Some(kind) = reserved(address)
                && !self.opens(address)
            {
                return Err(Refusal::Address { host: authority.host.to_string(), address, kind });
            }
        }
        Ok(())
    }
}

/// Checks what a request's `Host` header says beside its target. Absent is fine, since the proxy
/// writes its own; another host is a trick, or a client that is mistaken about where it goes.
///
/// # Errors
/// [`Refusal::HostHeader`].
pub fn check_host_header(authority: &Authority, header: Option<&[u8]>) -> Result<(), Refusal> {
    let Some(header) = header else { return Ok(()) };
    let said = std::str::from_utf8(header).ok().and_then(|text| Authority::parse(text, Some(authority.port)).ok());
    if said.as_ref() == Some(authority) { Ok(()) } else { Err(Refusal::HostHeader) }
}

/// Why the proxy does not carry a request. The text is for the agent, which may pass it on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the host carries no traffic for this agent: its network is `{network}`")]
    Off { network: &'static str },
    #[error("the request's target is not one that the proxy accepts: {0}")]
    Malformed(#[from] Malformed),
    #[error("the proxy speaks CONNECT and plain http only")]
    Scheme,
    #[error("the Host header and the request's target differ")]
    HostHeader,
    #[error("{host}:{port} is not among the hosts that this agent may reach")]
    NotListed { host: String, port: u16 },
    #[error("{host} leads to {address}, which is {kind}")]
    Address { host: String, address: IpAddr, kind: &'static str },
    #[error("{0}")]
    Guard(String),
    #[error("this run has used up the {mib} MiB that it may send and receive")]
    Quota { mib: u64 },
    #[error("this run has too many connections open at once")]
    Busy,
}

impl Refusal {
    /// Stable, for programs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Off { .. } => "egress_off",
            Self::Malformed(_) => "egress_malformed",
            Self::Scheme => "egress_scheme",
            Self::HostHeader => "egress_host_header",
            Self::NotListed { .. } => "egress_not_listed",
            Self::Address { .. } => "egress_address",
            Self::Guard(_) => "egress_guard",
            Self::Quota { .. } => "egress_quota",
            Self::Busy => "egress_busy",
        }
    }

    /// What to do about it, named by the operator's own setting where there is one.
    pub fn next_step(&self) -> String {
        match self {
            Self::Off { network: "open" } => "Connect directly, without a proxy".into(),
            Self::Off { .. } => {
                "Tell the person; the operator can set agent.network / MERCURY_AGENT_NETWORK to `filtered`".into()
            }
            Self::Malformed(_) | Self::HostHeader => "Write the host as a plain name and the port as a number".into(),
            Self::Scheme => "Ask for https with CONNECT, for http with the whole URL".into(),
            Self::NotListed { host, port } => {
                let entry = if matches!(port, 80 | 443) { host.clone() } else { format!("{host}:{port}") };
                format!(
                    "Tell the person; the operator can add `{entry}` to agent.egress in mercury.yaml (MERCURY_AGENT_EGRESS)"
                )
            }
            Self::Address { address, .. } => format!(
                "Tell the person; the operator can open this network with agent.egress_private (MERCURY_AGENT_EGRESS_PRIVATE), for instance `{}`",
                IpNet::from(*address)
            ),
            Self::Guard(_) => "Tell the person; a plugin of the operator decides this".into(),
            Self::Quota { .. } => {
                "Tell the person; the operator can raise agent.egress_mb (MERCURY_AGENT_EGRESS_MB)".into()
            }
            Self::Busy => "Close some connections and try again".into(),
        }
    }
}

#[cfg(test)]
mod tests;
