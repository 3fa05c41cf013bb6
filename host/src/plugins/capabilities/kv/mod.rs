//! The component's own durable state.

mod host;

use serde::Deserialize;

/// `[kv]`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Grant {
    /// Keys and values together, in bytes. Zero means that the plugin has no such grant.
    pub quota_bytes: u64,
}

impl Grant {
    /// What an operator agrees to.
    pub fn in_words(&self) -> Option<String> {
        (self.quota_bytes > 0).then(|| format!("keep up to {} KiB of its own state", self.quota_bytes.div_ceil(1024)))
    }
}
