//! The rules for `agent.network: filtered`.

use ipnet::IpNet;

use super::{ConfigError, settings::Settings};
use crate::domain::egress::{Pattern, Rules};

impl Settings {
    /// Every entry that is not understood is reported: one that was left out could open or close
    /// something that the operator did not mean.
    pub(super) fn egress(&mut self) -> Result<Rules, ConfigError> {
        let mut problems = Vec::new();
        let mut hosts = Vec::new();
        for entry in self.list("agent_egress") {
            match Pattern::parse(&entry) {
                Ok(pattern) => hosts.push(pattern),
                Err(reason) => problems.push(format!("agent.egress / MERCURY_AGENT_EGRESS: `{entry}` {reason}")),
            }
        }
        let mut private = Vec::new();
        for entry in self.list("agent_egress_private") {
            match network(&entry) {
                Ok(net) => private.push(net),
                Err(reason) => {
                    problems.push(format!("agent.egress_private / MERCURY_AGENT_EGRESS_PRIVATE: `{entry}` {reason}"));
                }
            }
        }
        if !problems.is_empty() {
            return Err(ConfigError::Invalid { problems });
        }
        let rules = Rules {
            hosts,
            private,
            plugins: self.list("agent_egress_plugins"),
            most_bytes: self.int("agent_egress_mb").unsigned_abs() << 20,
        };
        self.warn_of(&rules);
        Ok(rules)
    }

    fn warn_of(&mut self, rules: &Rules) {
        let filtered = self.text("agent_network").as_deref() == Some("filtered");
        let says_something = !rules.hosts.is_empty() || !rules.private.is_empty() || !rules.plugins.is_empty();
        if says_something && !filtered {
            self.warnings.push("agent.egress does nothing: it needs agent.network: filtered".to_owned());
        }
        if filtered && rules.hosts.is_empty() && rules.plugins.is_empty() {
            self.warnings.push(
                "agent.network is `filtered` and agent.egress is empty: agents reach nothing but the host".into(),
            );
        }
        if let Some(net) = rules.private.iter().find(|net| net.addr().is_loopback() || net.prefix_len() == 0) {
            self.warnings.push(format!(
                "agent.egress_private has {net}: agents may reach what listens on this machine, if agent.egress lists it"
            ));
        }
    }
}

/// A network in CIDR form, or one address.
pub(super) fn network(text: &str) -> Result<IpNet, &'static str> {
    let net: IpNet = text
        .parse()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map_err(|_| "is not a network: write `10.1.0.0/16` or one address")?;
    if net.trunc() != net {
        return Err("has bits set after its prefix: which network is meant?");
    }
    Ok(net)
}
