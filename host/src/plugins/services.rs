//! What capabilities use of the rest of the host. One for all plugins.

use std::sync::Arc;

use super::{packages::Trust, replay::Recorders};
use crate::store::Store;

pub struct Services {
    pub store: Store,
    /// Whose calls are being recorded.
    pub recorders: Arc<Recorders>,
    /// What may be loaded.
    pub(super) trust: Trust,
}

impl Services {
    /// With [`Trust::everything`], as tests and measurements need it; a host says whom it trusts.
    pub fn new(store: Store) -> Self {
        Self { store, trust: Trust::everything(), recorders: Arc::default() }
    }

    pub fn with_trust(self, trust: Trust) -> Self {
        Self { trust, ..self }
    }
}
