//! What capabilities use of the rest of the host. One for all plugins.

use std::sync::Arc;

use super::replay::Recorders;
use crate::store::Store;

pub struct Services {
    pub store: Store,
    /// Whose calls are being recorded.
    pub recorders: Arc<Recorders>,
}

impl Services {
    pub fn new(store: Store) -> Self {
        Self { store, recorders: Arc::default() }
    }
}
