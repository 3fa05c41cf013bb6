//! How long an operator's session in a browser lasts, and how often somebody may guess. Pure.

use std::{collections::HashMap, net::IpAddr};

/// A session ends this long after it was last used: 12 h, a working day.
pub const IDLE_MS: i64 = 12 * 3_600_000;
/// And this long after its beginning at the latest: 7 days.
pub const LONGEST_MS: i64 = 7 * 86_400_000;
/// Its last use is written down at most this often: 1 min.
pub const NOTED_EVERY_MS: i64 = 60_000;
/// Sessions at once. A further one ends the oldest.
pub const MOST_SESSIONS: u32 = 64;

/// When a session ends that is not used again. Times are milliseconds since the epoch.
pub fn ends_at(created_at: i64, used_at: i64) -> i64 {
    (used_at + IDLE_MS).min(created_at + LONGEST_MS)
}

/// Wrong guesses of one address within [`WINDOW_MS`]; then it waits.
pub const MOST_GUESSES: u32 = 10;
/// 5 min.
pub const WINDOW_MS: i64 = 300_000;
/// Addresses that are remembered at once; the one that has waited longest is forgotten.
const MOST_ADDRESSES: usize = 4096;

/// Wrong guesses at the secret, by the address that they came from. Behind a reverse proxy that is the
/// proxy's for everybody; whoever holds the secret can still send it as a bearer then.
#[derive(Clone, Debug, Default)]
pub struct Guesses(HashMap<IpAddr, (i64, u32)>);

impl Guesses {
    /// # Errors
    /// Seconds that this address has to wait, 1 or more.
    pub fn admit(&self, from: IpAddr, now: i64) -> Result<(), u32> {
        match self.0.get(&from) {
            Some((since, count)) if *count >= MOST_GUESSES && now - since < WINDOW_MS => {
                Err(u32::try_from((since + WINDOW_MS - now) / 1000 + 1).unwrap_or(1).max(1))
            }
            _ => Ok(()),
        }
    }

    pub fn wrong(&mut self, from: IpAddr, now: i64) {
        self.0.retain(|_, (since, _)| now - *since < WINDOW_MS);
        if self.0.len() >= MOST_ADDRESSES
            && let Some(oldest) = self.0.iter().min_by_key(|(_, (since, _))| *since).map(|(address, _)| *address)
        {
            self.0.remove(&oldest);
        }
        self.0.entry(from).or_insert((now, 0)).1 += 1;
    }

    pub fn right(&mut self, from: IpAddr) {
        self.0.remove(&from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_session_ends_by_rest_and_by_age() {
        assert_eq!(ends_at(0, 0), IDLE_MS);
        assert_eq!(ends_at(0, LONGEST_MS - 1), LONGEST_MS);
    }

    #[test]
    fn whoever_guesses_waits_and_nobody_else() {
        let mut guesses = Guesses::default();
        for n in 0..MOST_GUESSES {
            assert_eq!(guesses.admit(address(1), i64::from(n)), Ok(()));
            guesses.wrong(address(1), i64::from(n));
        }
        assert_eq!(guesses.admit(address(1), 10), Err(300));
        assert_eq!(guesses.admit(address(2), 10), Ok(()));
        assert_eq!(guesses.admit(address(1), WINDOW_MS), Ok(()));
        guesses.right(address(1));
        assert_eq!(guesses.admit(address(1), 10), Ok(()));
    }

    proptest! {
        /// However the guesses are spread over time, no address makes more than the limit in one window,
        /// and the table stays bounded.
        #[test]
        fn guesses_are_bounded(steps in prop::collection::vec((0_u8..4, 0_i64..40_000), 1..300)) {
            let (mut guesses, mut now) = (Guesses::default(), 0);
            let mut made: Vec<(u8, i64)> = Vec::new();
            for (who, pause) in steps {
                now += pause;
                match guesses.admit(address(who), now) {
                    Ok(()) => {
                        guesses.wrong(address(who), now);
                        made.push((who, now));
                    }
                    Err(wait) => prop_assert!(wait >= 1 && i64::from(wait) * 1000 <= WINDOW_MS + 1000),
                }
                // Windows begin at a first guess, so two of them may touch.
                let recent = made.iter().filter(|(by, at)| *by == who && now - at < WINDOW_MS).count();
                prop_assert!(recent <= 2 * MOST_GUESSES as usize);
            }
            prop_assert!(guesses.0.len() <= MOST_ADDRESSES);
        }
    }
}
