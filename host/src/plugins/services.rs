//! What capabilities use of the rest of the host. One for all plugins.

use super::packages::Trust;
use crate::store::Store;

pub struct Services {
    pub store: Store,
    /// What may be loaded.
    pub(super) trust: Trust,
}

impl Services {
    /// With [`Trust::everything`], as tests and measurements need it; a host says whom it trusts.
    pub fn new(store: Store) -> Self {
        Self { store, trust: Trust::everything() }
    }

    pub fn with_trust(self, trust: Trust) -> Self {
        Self { trust, ..self }
    }
}
