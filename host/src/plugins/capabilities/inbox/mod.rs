//! What happened on a platform, from its adapter.

mod host;

use serde::Deserialize;

use crate::plugins::manifest::{check, problems::At, problems::Problems};

/// `[inbox]`: makes the plugin an adapter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grant {
    /// The prefix of every identifier that it brings, and the last part of its webhook's path.
    pub platform: String,
}

impl Grant {
    /// What an operator agrees to.
    pub fn in_words(&self) -> String {
        format!("bring messages from people on {}, and carry the answers", self.platform)
    }

    pub(crate) fn check(&self, at: &At, problems: &mut Problems) {
        check::platform(&self.platform, &at.field("platform"), problems);
    }
}
