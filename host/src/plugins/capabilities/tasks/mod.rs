//! Agent runs that a component asks for.

mod host;

use serde::Deserialize;

use crate::plugins::manifest::{check, problems::At, problems::Problems};

/// `[tasks]`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Grant {
    /// Runs in a day, over all spaces: 0 to 10,000. Zero means that the plugin has no such grant.
    pub per_day: u32,
}

impl Grant {
    /// What an operator agrees to.
    pub fn in_words(&self) -> Option<String> {
        (self.per_day > 0).then(|| format!("start up to {} agent runs a day, which cost money", self.per_day))
    }

    pub(crate) fn check(&self, at: &At, problems: &mut Problems) {
        check::range(self.per_day, 0, 10_000, &at.field("per-day"), problems);
    }
}
