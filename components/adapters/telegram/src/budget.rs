//! How long the work behind one call of the host may take: the host gives a round of the poller, a timer,
//! and a delivery some minutes, and what takes longer would begin again without end.

use std::time::{Duration, Instant};

/// For fetching files, once the updates are there, and for sending. The host waits 300 s for a timer and for a
/// delivery, and 360 s for a round with its half a minute of silence.
const MOST: Duration = Duration::from_secs(240);
/// After which no further batch is begun in this call, and nothing further sent.
const ENOUGH: Duration = Duration::from_secs(60);
/// Less is no use for a request.
const LEAST_MS: u32 = 1_000;

/// For the request of a round, which Telegram holds open for half a minute.
pub const POLL_TIMEOUT_MS: u32 = 40_000;
/// After which the host takes the platform for dead. What is heard of it is a round that ended, files and
/// all, or a look at the webhook, each minute.
pub const SILENCE_LIMIT_MS: u32 = 400_000;

/// Runs from its beginning.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    began: Instant,
}

impl Budget {
    pub fn begin(now: Instant) -> Self {
        Self { began: now }
    }

    /// Milliseconds that are left for a request; none where they are used up.
    pub fn left_ms(&self, now: Instant) -> Option<u32> {
        let left = MOST.saturating_sub(now.saturating_duration_since(self.began));
        u32::try_from(left.as_millis()).ok().filter(|left| *left >= LEAST_MS)
    }

    /// Whether the rest is for the next call.
    pub fn is_enough(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= ENOUGH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ended as silence, it would begin with the same files again, until its message is given up.
    #[test]
    fn a_long_round_is_no_silence() {
        // As the host has it for a round; what ends it then is no death of the platform's.
        const ROUND: Duration = Duration::from_secs(360);
        let asking = Duration::from_millis(POLL_TIMEOUT_MS.into());
        assert!(asking + MOST < ROUND && ROUND < Duration::from_millis(SILENCE_LIMIT_MS.into()));
    }

    #[test]
    fn it_is_used_up() {
        let began = Instant::now();
        let budget = Budget::begin(began);
        let at = |seconds| began + Duration::from_secs(seconds);
        assert_eq!((budget.left_ms(began), budget.is_enough(began)), (Some(240_000), false));
        assert_eq!((budget.left_ms(at(60)), budget.is_enough(at(60))), (Some(180_000), true));
        assert_eq!(budget.left_ms(at(239)), Some(1_000));
        for over in [240, 10_000] {
            assert_eq!(budget.left_ms(at(over)), None);
        }
    }
}
