//! Leaves a plugin alone that fails again and again.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Faults in a row after which a plugin is left alone for [`BREAK`].
pub(super) const FAULTS_TO_BREAK: u32 = 5;
pub(super) const BREAK: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Breaker {
    began: Instant,
    faults: AtomicU32,
    /// Milliseconds after `began` until which it is open.
    open_until: AtomicU64,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), faults: AtomicU32::new(0), open_until: AtomicU64::new(0) }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    pub(super) fn is_open(&self) -> bool {
        self.now() < self.open_until.load(Ordering::Relaxed)
    }

    pub(super) fn close(&self) {
        self.faults.store(0, Ordering::Relaxed);
    }

    /// Tells whether this fault opened it. After a break one more fault is enough.
    pub(super) fn count_fault(&self) -> bool {
        let was_open = self.is_open();
        let opens = self.faults.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= FAULTS_TO_BREAK;
        if opens {
            self.open_until.store(self.now() + BREAK.as_millis() as u64, Ordering::Relaxed);
        }
        opens && !was_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_breaker_opens_after_faults_in_a_row() {
        let breaker = Breaker::new();
        for _ in 0..FAULTS_TO_BREAK - 1 {
            assert!(!breaker.count_fault());
        }
        breaker.close();
        for _ in 0..FAULTS_TO_BREAK - 1 {
            assert!(!breaker.count_fault() && !breaker.is_open());
        }
        assert!(breaker.count_fault() && breaker.is_open());
        assert!(!breaker.count_fault(), "calls that were under way open it no second time");
        breaker.open_until.store(0, Ordering::Relaxed);
        assert!(breaker.count_fault(), "after the break one fault is enough");
    }
}
