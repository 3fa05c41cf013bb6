//! Calls of a plugin, written down and played again.
//!
//! A recording is one call with all that the component asked of the host meanwhile. [`observe`]
//! writes such calls of a running host, [`play`] makes them again in the real engine, with the
//! recorded answers. Both work on the contract's own types, so no interface has code of its own here
//! but one line in a table. A recording holds no secret: what the host knows as one is taken out.

pub(super) mod observe;
pub(super) mod play;
pub(super) mod recorder;
mod recording;
mod refusal;
mod script;
mod serial;
mod values;

pub use play::{PlayError, Played, Player, Verdict};
pub use recorder::{Recorders, Recording as Running, RecordingError};
pub use recording::{Exchange, Recording, RecordingFile};

#[cfg(test)]
mod tests;
