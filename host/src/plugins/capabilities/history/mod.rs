//! What was said in spaces.

mod host;

use serde::Deserialize;

/// `[history]`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Grant {
    pub read: bool,
}

impl Grant {
    /// What an operator agrees to.
    pub fn in_words(&self) -> Option<String> {
        self.read.then(|| "read what was said in every space".into())
    }
}
