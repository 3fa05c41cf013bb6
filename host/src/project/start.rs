//! Whether a host would start with a configuration. Starts nothing, and asks nobody outside.
//!
//! What only the work itself shows is not known here: whether a component compiles, a port is free, a disk has
//! room.

use std::collections::BTreeMap;

use crate::{
    config::Config,
    credentials::Settings,
    gateway::{Gateway, GatewayError},
    plugins::{
        self, LoadError,
        packages::{SignatureError, Trust},
    },
};

/// Why it would end at once.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Credentials(String),
    #[error("plugins.trusted_keys of mercury.yaml: {0}")]
    TrustedKeys(#[from] SignatureError),
    #[error(transparent)]
    Plugins(#[from] LoadError),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

/// What would not end a start, and is not what its operator believes it to be. Blocks.
pub fn oddities(config: &Config) -> Vec<String> {
    let trust = Trust::new(config).ok();
    trust.and_then(|trust| plugins::oddities(config, &trust).ok()).unwrap_or_default()
}

/// In the order in which a start comes to it. Blocks.
pub fn check(config: &Config, environment: &BTreeMap<String, String>) -> Result<(), StartError> {
    Settings::new(config, environment).map_err(StartError::Credentials)?;
    plugins::check(config, &Trust::new(config)?)?;
    Gateway::check(config)?;
    Ok(())
}
