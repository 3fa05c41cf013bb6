//! Files by handle.

mod host;

use serde::Deserialize;

/// `[media]`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Grant {
    /// Read the bytes of files that it is handed.
    pub read: bool,
    /// Make files.
    pub create: bool,
}

impl Grant {
    /// What an operator agrees to.
    pub fn in_words(&self) -> Option<String> {
        match (self.read, self.create) {
            (false, false) => None,
            (true, false) => Some("read the files of messages and replies that it is handed".into()),
            (false, true) => Some("make files".into()),
            (true, true) => Some("read the files that it is handed, and make files".into()),
        }
    }
}
