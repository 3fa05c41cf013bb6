//! What is there, for people. Nothing of it has run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    Agreed, SourceError, Trust,
    sources::{Found, Origin, Source, collect},
};
use crate::{config::PluginConfig, plugins::manifest::Manifest};

/// One plugin that is there, whether or not it can be used.
#[derive(Clone, Debug)]
pub struct Listed {
    pub name: String,
    pub state: State,
    /// Where it can be read.
    pub manifest: Option<Manifest>,
    pub origin: Option<Origin>,
    pub path: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Ready,
    Off,
    Inactive(String),
    Refused(String),
}

impl std::fmt::Display for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready => formatter.write_str("ready"),
            Self::Off => formatter.write_str("off"),
            Self::Inactive(reason) => write!(formatter, "inactive: {reason}"),
            Self::Refused(reason) => write!(formatter, "refused: {reason}"),
        }
    }
}

impl Listed {
    /// What was agreed to, of an installed one.
    pub fn agreed(&self) -> Option<&Agreed> {
        match &self.origin {
            Some(Origin::Package(agreed)) => Some(agreed),
            _ => None,
        }
    }
}

/// All that is there, sorted by name.
///
/// # Errors
/// Where the folder of plugins or the lock cannot be read.
pub fn list(
    data_dir: &Path,
    configured: &BTreeMap<String, PluginConfig>,
    trust: &Trust,
) -> Result<Vec<Listed>, SourceError> {
    let listed = collect(data_dir, configured, trust)?.into_iter().map(|(name, found)| {
        let of = |name, source: Source, state| Listed {
            name,
            state,
            manifest: Some(source.manifest),
            origin: Some(source.origin),
            path: source.path,
        };
        match found {
            Found::Usable(source) => of(name, source, State::Ready),
            Found::Off(source) => of(name, source, State::Off),
            Found::Inactive { source, reason } => of(name, source, State::Inactive(reason)),
            Found::Refused { path, reason, .. } => {
                Listed { name, state: State::Refused(reason), manifest: None, origin: None, path }
            }
        }
    });
    Ok(listed.collect())
}
