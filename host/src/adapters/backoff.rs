//! How long to wait before the next attempt: longer and longer, and never all at once.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// From one second to five minutes, each with up to as much again at random.
pub(super) struct Backoff(ExponentialBackoff);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(Self::builder().build())
    }

    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }

    pub(super) fn next(&mut self) -> Duration {
        self.0.next().unwrap_or(LONGEST)
    }

    /// The wait after so many failures in a row, the last one included.
    pub(super) fn after(failures: u32) -> Duration {
        Self::builder().build().nth(failures.saturating_sub(1).min(MOST_STEPS) as usize).unwrap_or(LONGEST)
    }

    fn builder() -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_secs(1))
            .with_max_delay(LONGEST)
            .without_max_times()
            .with_jitter()
    }
}

const LONGEST: Duration = Duration::from_secs(300);
/// Steps after which it is as long as it gets.
const MOST_STEPS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_minutes_and_begins_anew() {
        let mut backoff = Backoff::new();
        let first = backoff.next();
        assert!((1..=2).contains(&first.as_secs()), "{first:?}");
        for _ in 0..20 {
            let next = backoff.next();
            assert!(next >= Duration::from_secs(1) && next <= LONGEST * 2, "{next:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_secs(2));
        assert!(Backoff::after(1) <= Duration::from_secs(2));
        assert!(Backoff::after(1_000) >= LONGEST);
    }
}
