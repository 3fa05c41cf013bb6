//! The host's variables that a run's tools get. What passes is decided in `domain::environment`.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use super::Runs;
use crate::domain::{
    environment::{PassThrough, Rules, select, undeclared},
    roles::Held,
};

impl Runs {
    /// By the names that they have in the container, for somebody who holds this.
    pub(super) fn variables(&self, held: &Held) -> BTreeMap<String, String> {
        let claims = self.plugins.claims();
        let holds = |permission: &str| held.may(permission);
        let values = &self.config.variables;
        select(values.keys().map(String::as_str), &self.rules(&claims), holds)
            .into_iter()
            .filter_map(|(given, name)| Some((given, values.get(&name)?.expose_secret().to_owned())))
            .collect()
    }

    /// One line at start about variables that nobody declared. Names only.
    pub fn log_variables(&self) {
        let claims = self.plugins.claims();
        let vars = undeclared(self.config.variables.keys().map(String::as_str), &self.rules(&claims));
        if vars.is_empty() {
            return;
        }
        match self.config.pass_through {
            PassThrough::All => tracing::info!(
                ?vars,
                "these variables reach the agent in every space; agent.env_passthrough: claimed keeps back what no plugin declares"
            ),
            PassThrough::Claimed => tracing::info!(
                ?vars,
                "these variables do not reach the agent: no plugin declares them. Name those that it needs in agent.env_allow / MERCURY_AGENT_ENV_ALLOW"
            ),
        }
    }

    fn rules<'a>(&'a self, claims: &'a [crate::domain::environment::Claim]) -> Rules<'a> {
        Rules {
            mode: self.config.pass_through,
            allowed: &self.config.env_allow,
            own: crate::config::own_variables(),
            claims,
        }
    }
}
