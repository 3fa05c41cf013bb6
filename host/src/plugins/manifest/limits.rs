//! `[limits]`: the bounds of one call.

use std::{ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};

use super::{check, problems::At, problems::Problems};

const MEMORY_MIB: RangeInclusive<u32> = 1..=256;
const DEADLINE_MS: RangeInclusive<u32> = 1..=10_000;
const CONCURRENCY: RangeInclusive<u32> = 1..=16;
const HOST_CALLS: RangeInclusive<u32> = 1..=1_000_000;
const RESULT_KIB: RangeInclusive<u32> = 64..=65_536;

/// Bounds of one call.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// Over all memories and tables, in MiB: 1 to 256.
    pub memory_mib: u32,
    /// Computing time, in milliseconds: 1 to 10,000. Waiting for the host is not counted.
    pub deadline_ms: u32,
    /// Calls of this plugin at once, each with its own memory: 1 to 16.
    pub concurrency: u32,
    /// Calls of the host's functions: 1 to 1,000,000.
    pub host_calls: u32,
    /// What one call of a host function may bring, and what the answer may have, in KiB: 64 to 65,536.
    pub result_kib: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_mib: 64, deadline_ms: 200, concurrency: 8, host_calls: 100_000, result_kib: 16 << 10 }
    }
}

impl Limits {
    pub fn memory_bytes(self) -> usize {
        (self.memory_mib as usize) << 20
    }

    pub fn deadline(self) -> Duration {
        Duration::from_millis(self.deadline_ms.into())
    }

    pub fn result_bytes(self) -> usize {
        (self.result_kib as usize) << 10
    }

    pub(super) fn check(self, at: &At, problems: &mut Problems) {
        for (name, value, bounds) in [
            ("memory-mib", self.memory_mib, MEMORY_MIB),
            ("deadline-ms", self.deadline_ms, DEADLINE_MS),
            ("concurrency", self.concurrency, CONCURRENCY),
            ("host-calls", self.host_calls, HOST_CALLS),
            ("result-kib", self.result_kib, RESULT_KIB),
        ] {
            check::range(value, *bounds.start(), *bounds.end(), &at.field(name), problems);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_out_of_its_range_is_refused() {
        let said = |limits: Limits| {
            let mut problems = Problems::default();
            limits.check(&At::root().field("limits"), &mut problems);
            problems.render("")
        };
        assert_eq!(said(Limits::default()), "");
        for (limits, text) in [
            (Limits { memory_mib: 257, ..Limits::default() }, "limits.memory-mib: 257 is not between 1 and 256"),
            (Limits { deadline_ms: 0, ..Limits::default() }, "limits.deadline-ms: 0 is not between 1 and 10000"),
            (Limits { concurrency: 17, ..Limits::default() }, "limits.concurrency: 17 is not between 1 and 16"),
            (Limits { host_calls: 0, ..Limits::default() }, "limits.host-calls: 0 is not between 1 and 1000000"),
            (Limits { result_kib: 63, ..Limits::default() }, "limits.result-kib: 63 is not between 64 and 65536"),
        ] {
            assert_eq!(said(limits), text);
        }
    }
}
