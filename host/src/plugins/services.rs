//! What capabilities use of the rest of the host. One for all plugins.

use crate::{media::MediaStore, store::Store};

pub struct Services {
    pub store: Store,
    /// Without it plugins have no files.
    pub media: Option<MediaStore>,
}

impl Services {
    pub fn new(store: Store) -> Self {
        Self { store, media: None }
    }

    #[must_use]
    pub fn with_media(mut self, media: MediaStore) -> Self {
        self.media = Some(media);
        self
    }
}
