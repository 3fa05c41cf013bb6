//! The wall clock, in the units that rows and marks are kept in.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch.
pub fn micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Milliseconds since the Unix epoch.
pub fn millis() -> i64 {
    (micros() / 1000) as i64
}
