//! Wake-ups, kept across restarts.

mod host;

use serde::Deserialize;

use crate::plugins::manifest::{check, problems::At, problems::Problems};

/// `[timers]`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Grant {
    /// That may be set at once: 0 to 10,000. Zero means that the plugin has no such grant.
    pub most: u32,
}

impl Grant {
    /// What an operator agrees to.
    pub fn in_words(&self) -> Option<String> {
        (self.most > 0).then(|| "wake up by itself".into())
    }

    pub(crate) fn check(&self, at: &At, problems: &mut Problems) {
        check::range(self.most, 0, 10_000, &at.field("most"), problems);
    }
}
