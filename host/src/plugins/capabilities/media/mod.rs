//! Files by handle.

mod host;

use mercury_bindings::mercury::plugin::types::{Media, MediaKind};
use serde::Deserialize;

use crate::{
    domain::media::Kind,
    media::Description,
    plugins::manifest::{check, problems::At, problems::Problems},
};

/// The longest name or type of a file, in bytes.
pub(in crate::plugins) const MOST_NAME: usize = 1024;

/// `[media]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Grant {
    /// Read the bytes of files that it is handed.
    pub read: bool,
    /// Make files.
    pub create: bool,
    /// Its files that nobody has taken yet, downloads included, in MiB: 1 to 4,096.
    pub quota_mib: u32,
}

impl Default for Grant {
    fn default() -> Self {
        Self { read: false, create: false, quota_mib: 256 }
    }
}

impl Grant {
    pub fn quota_bytes(self) -> u64 {
        u64::from(self.quota_mib) << 20
    }

    pub(crate) fn check(&self, at: &At, problems: &mut Problems) {
        check::range(self.quota_mib, 1, 4096, &at.field("quota-mib"), problems);
    }

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

impl From<&Description> for Media {
    fn from(description: &Description) -> Self {
        Self {
            handle: description.handle.clone(),
            kind: description.kind.into(),
            mime_type: description.mime_type.clone(),
            file_name: description.file_name.clone(),
            size_bytes: description.size_bytes,
        }
    }
}

impl From<Kind> for MediaKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Image => Self::Image,
            Kind::Audio => Self::Audio,
            Kind::Voice => Self::Voice,
            Kind::Video => Self::Video,
            Kind::Document => Self::Document,
        }
    }
}

impl From<MediaKind> for Kind {
    fn from(kind: MediaKind) -> Self {
        match kind {
            MediaKind::Image => Self::Image,
            MediaKind::Audio => Self::Audio,
            MediaKind::Voice => Self::Voice,
            MediaKind::Video => Self::Video,
            MediaKind::Document => Self::Document,
        }
    }
}
