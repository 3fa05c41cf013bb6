//! What people may do, read only.

mod host;
