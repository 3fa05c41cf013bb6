//! Text that several components change in the same way.
//!
//! Pure functions from a reply's CommonMark to what a platform shows or a voice reads. Nothing here
//! knows a platform, asks the host, or keeps state.

pub mod chat;
pub mod excerpt;
pub mod lines;
pub mod rtl;
pub mod speech;
pub mod tables;
