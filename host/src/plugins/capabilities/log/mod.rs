//! Lines in the host's log. Everybody has it: what a plugin says is bounded, not granted.

mod host;
