//! Signature checks with public keys. Everybody has them: they touch nothing.

mod host;
