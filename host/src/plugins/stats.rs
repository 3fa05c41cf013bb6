//! What a plugin did since it was loaded, and its last lines of log: bounded, in memory, for whoever
//! looks after it. What is to be kept goes to the metrics.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{meter::Meter, plugin::CallError};
use crate::clock;

/// Lines of log that are kept of a plugin, and the bytes that they may have together.
const MOST_LINES: usize = 500;
const MOST_LOG: usize = 256 << 10;
/// Bytes that are kept of one line.
const MOST_LINE: usize = 2 << 10;
/// The longest call that the histogram tells apart, in microseconds: 10 minutes.
const LONGEST: u64 = 600_000_000;

#[derive(Debug)]
pub(super) struct Stats {
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    seen: Seen,
    /// Microseconds, with two significant digits: 10 KiB.
    took: Histogram<u32>,
    log: Log,
}

/// Figures of a plugin since the host started.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    pub calls: u64,
    pub answered: u64,
    pub timeouts: u64,
    /// By what ended the call.
    pub faults: BTreeMap<&'static str, u64>,
    /// Calls that were not made because the plugin had failed again and again.
    pub skipped: u64,
    /// What it asked of the host and was not granted.
    pub denials: u64,
    pub host_calls: u64,
    pub cpu_seconds: f64,
    /// The most that one call had at once.
    pub memory_bytes: usize,
    pub p50_micros: u64,
    pub p99_micros: u64,
    pub last_error: Option<LastError>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastError {
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// With the last lines that the guest itself wrote to its standard error.
    pub text: String,
}

/// A line that a plugin logged, or that the host says of its calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    pub level: &'static str,
    pub text: String,
}

impl Stats {
    pub(super) fn new() -> Self {
        #[allow(clippy::expect_used, reason = "bounds that are constants")]
        let took = Histogram::new_with_bounds(1, LONGEST, 2).expect("1 is less than half of the longest");
        Self { kept: Mutex::new(Kept { seen: Seen::default(), took, log: Log::default() }) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seen(&self) -> Seen {
        let kept = self.kept();
        let mut seen = kept.seen.clone();
        seen.p50_micros = kept.took.value_at_quantile(0.5);
        seen.p99_micros = kept.took.value_at_quantile(0.99);
        seen
    }

    /// The last lines, oldest first, at most `count`.
    pub(super) fn log_lines(&self, count: usize) -> Vec<LogLine> {
        let kept = self.kept();
        let from = kept.log.lines.len().saturating_sub(count);
        kept.log.lines.range(from..).cloned().collect()
    }

    pub(super) fn log(&self, level: &'static str, text: &str) {
        let mut text = text.to_owned();
        text.truncate(text.floor_char_boundary(MOST_LINE));
        self.kept().log.push(LogLine { at: clock::millis(), level, text });
    }

    pub(super) fn skip(&self) {
        self.kept().seen.skipped += 1;
    }

    /// Books a call that was made.
    pub(super) fn book(&self, took: Duration, meter: &Meter, failed: Option<&CallError>) {
        if let Some(error) = failed {
            self.log("error", &error.to_string());
        }
        let mut kept = self.kept();
        kept.took.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST));
        let seen = &mut kept.seen;
        seen.calls += 1;
        seen.denials += u64::from(meter.denials());
        seen.host_calls += u64::from(meter.host_calls());
        seen.cpu_seconds += meter.spent().as_secs_f64();
        seen.memory_bytes = seen.memory_bytes.max(meter.memory());
        match failed {
            None => seen.answered += 1,
            Some(CallError::Timeout { .. }) => seen.timeouts += 1,
            Some(error) => *seen.faults.entry(error.fault().map_or("host", super::Fault::name)).or_default() += 1,
        }
        if let Some(error) = failed {
            seen.last_error = Some(LastError { at: clock::millis(), text: error.to_string() });
        }
    }
}

#[derive(Debug, Default)]
struct Log {
    lines: VecDeque<LogLine>,
    bytes: usize,
}

impl Log {
    fn push(&mut self, line: LogLine) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > MOST_LINES || self.bytes > MOST_LOG {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= oldest.text.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn calls_are_booked_by_their_outcome() {
        let stats = Stats::new();
        let meter = Meter::new(Duration::from_secs(1));
        meter.count_host_call();
        meter.saw_memory(7);
        for millis in 1..=100 {
            stats.book(Duration::from_millis(millis), &meter, None);
        }
        let late = CallError::Timeout { plugin: "p".into(), export: "job", within: Duration::from_secs(1) };
        stats.book(Duration::from_secs(1), &meter, Some(&late));
        stats.skip();
        let seen = stats.seen();
        assert_eq!((seen.calls, seen.answered, seen.timeouts, seen.skipped), (101, 100, 1, 1));
        assert_eq!((seen.host_calls, seen.memory_bytes), (101, 7));
        assert!((49_000..=52_000).contains(&seen.p50_micros), "{}", seen.p50_micros);
        assert!((98_000..=102_000).contains(&seen.p99_micros), "{}", seen.p99_micros);
        assert!(seen.last_error.is_some_and(|error| error.text.contains("1000 ms")));
        assert_eq!(stats.log_lines(9).len(), 1, "the error stands in the log");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// However much a plugin says, little of it is kept, and that is the last of it.
        #[test]
        fn the_log_is_bounded(lines in prop::collection::vec((any::<char>(), 0..3_000_usize), 0..700)) {
            let stats = Stats::new();
            let lines: Vec<String> = lines.into_iter().map(|(c, length)| String::from_iter(vec![c; length])).collect();
            for line in &lines {
                stats.log("info", line);
            }
            let kept = stats.log_lines(usize::MAX);
            prop_assert!(kept.len() <= MOST_LINES);
            prop_assert!(kept.iter().map(|line| line.text.len()).sum::<usize>() <= MOST_LOG);
            if let (Some(last), Some(line)) = (kept.last(), lines.last()) {
                prop_assert!(line.starts_with(&last.text));
            }
        }
    }
}
