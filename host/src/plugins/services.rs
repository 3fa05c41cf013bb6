//! What capabilities use of the rest of the host. One for all plugins.

use crate::store::Store;

pub struct Services {
    pub store: Store,
}

impl Services {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}
