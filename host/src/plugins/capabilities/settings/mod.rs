//! The component's own settings.

mod host;
