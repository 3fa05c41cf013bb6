//! The component's own durable state.

mod host;

use serde::Deserialize;

use crate::plugins::manifest::{check, problems::At, problems::Problems};

/// 1 GiB.
const MOST_QUOTA: u64 = 1 << 30;

/// `[kv]`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Grant {
    /// Keys and values together, in bytes: 0 to 1,073,741,824. Zero means that the plugin has no such grant.
    pub quota_bytes: u64,
}

impl Grant {
    /// What an operator agrees to.
    pub fn in_words(&self) -> Option<String> {
        (self.quota_bytes > 0).then(|| format!("keep up to {} KiB of its own state", self.quota_bytes.div_ceil(1024)))
    }

    pub(crate) fn check(&self, at: &At, problems: &mut Problems) {
        check::range(self.quota_bytes, 0, MOST_QUOTA, &at.field("quota-bytes"), problems);
    }
}
