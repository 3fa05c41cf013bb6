//! What capabilities use of the rest of the host. One for all plugins.

use super::packages::Trust;
use crate::{media::MediaStore, store::Store};

pub struct Services {
    pub store: Store,
    /// Without it plugins have no files.
    pub media: Option<MediaStore>,
    /// What may be loaded.
    pub(super) trust: Trust,
}

impl Services {
    /// With [`Trust::everything`], as tests and measurements need it; a host says whom it trusts.
    pub fn new(store: Store) -> Self {
        Self { store, media: None, trust: Trust::everything() }
    }

    #[must_use]
    pub fn with_media(self, media: MediaStore) -> Self {
        Self { media: Some(media), ..self }
    }

    #[must_use]
    pub fn with_trust(self, trust: Trust) -> Self {
        Self { trust, ..self }
    }
}
