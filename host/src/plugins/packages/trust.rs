//! What an operator said about packages in the configuration.

use std::collections::{BTreeMap, BTreeSet};

use super::signature::{PublicKey, SignatureError};
use crate::config::Config;

/// Whom the operator trusts, and what may be loaded without a lock.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// By the name that the operator gave to the key.
    pub(super) keys: BTreeMap<String, PublicKey>,
    /// Names of folders that may be loaded though nobody agreed to them; `*` for all.
    pub(super) unlocked: BTreeSet<String>,
    /// Names of the host's variables that are set; `None` where nobody looks.
    pub(super) variables: Option<BTreeSet<String>>,
}

impl Trust {
    /// # Errors
    /// The first of the configured keys that is none.
    pub fn new(config: &Config) -> Result<Self, SignatureError> {
        let keys = config.trusted_keys.iter().map(|(name, key)| Ok((name.clone(), PublicKey::parse(key)?)));
        Ok(Self {
            keys: keys.collect::<Result<_, SignatureError>>()?,
            unlocked: config.unlocked_folders.iter().cloned().collect(),
            variables: Some(config.variables.keys().cloned().collect()),
        })
    }

    /// Every folder is loaded, whoever put it there, and no variable is asked for: what tests and
    /// measurements need, and nobody else.
    pub fn everything() -> Self {
        Self { unlocked: ["*".to_owned()].into(), ..Self::default() }
    }

    /// The operator's name for the key, if the key is trusted.
    pub fn name_of(&self, key: &PublicKey) -> Option<&str> {
        self.keys.iter().find(|(_, trusted)| *trusted == key).map(|(name, _)| name.as_str())
    }

    pub(super) fn loads_unlocked(&self, folder: &str) -> bool {
        self.unlocked.contains("*") || self.unlocked.contains(folder)
    }

    pub(super) fn has_variable(&self, name: &str) -> bool {
        self.variables.as_ref().is_none_or(|variables| variables.contains(name))
    }
}
