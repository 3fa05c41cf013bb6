//! Keeps faults cheap. A plugin that must be asked whatever came of the calls before, a guard, is called seldom for
//! somebody whose calls make it fail one after the other: a hundredth of the time until a call succeeds. Whoever makes
//! it fail ten thousand times a second is denied as often as before, and of a hundred calls of others one at most
//! meets that. Kept for each person: what makes a guard fail may be one person's text, and must not delay the others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::breaker::FAULTS_TO_BREAK;

/// How often as long as a failed call took is waited for the next.
const REST: u32 = 99;
/// A rest is at least so long: a call that fails at once costs the host more than the guest.
const SHORTEST: Duration = Duration::from_millis(10);
/// And at most: the next call may be sound, and is to be answered within a guard's patience.
const LONGEST: Duration = Duration::from_millis(1_500);
/// People that are kept in mind. Others are called as if nothing had been.
const MOST_PEOPLE: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<String, Failing>>);

#[derive(Debug)]
struct Failing {
    /// In a row.
    faults: u32,
    rests_until: Instant,
    /// One call at a time.
    turn: Arc<Semaphore>,
}

impl Pace {
    /// Waits until the plugin may be called for this person. What it returns is held during the call;
    /// nothing where calls succeed.
    pub(super) async fn turn(&self, person: &str) -> Option<OwnedSemaphorePermit> {
        let turn = self.failing(person)?.0.acquire_owned().await.ok()?;
        // None where the call before succeeded: those who waited behind it wait no longer for each other.
        let (_, until) = self.failing(person)?;
        tokio::time::sleep_until(until).await;
        Some(turn)
    }

    /// Whether calls for this person take turns.
    pub(super) fn is_failing(&self, person: &str) -> bool {
        self.failing(person).is_some()
    }

    /// Books a call that took so long.
    pub(super) fn book(&self, person: &str, failed: bool, took: Duration) {
        let mut people = self.people();
        if !failed {
            people.remove(person);
            return;
        }
        let now = Instant::now();
        if people.len() >= MOST_PEOPLE && !people.contains_key(person) {
            people.retain(|_, failing| failing.rests_until > now);
            if people.len() >= MOST_PEOPLE {
                return;
            }
        }
        let failing = people.entry(person.to_owned()).or_insert_with(|| Failing {
            faults: 0,
            rests_until: now,
            turn: Arc::new(Semaphore::new(1)),
        });
        failing.faults = failing.faults.saturating_add(1);
        failing.rests_until = now + rest(failing.faults, took);
    }

    /// The turn of somebody whose calls fail often enough, and when the next call may be made.
    fn failing(&self, person: &str) -> Option<(Arc<Semaphore>, Instant)> {
        let people = self.people();
        let failing = people.get(person).filter(|failing| failing.faults >= FAULTS_TO_BREAK)?;
        Some((failing.turn.clone(), failing.rests_until))
    }

    fn people(&self) -> MutexGuard<'_, HashMap<String, Failing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rest(faults: u32, took: Duration) -> Duration {
    if faults < FAULTS_TO_BREAK { Duration::ZERO } else { took.saturating_mul(REST).clamp(SHORTEST, LONGEST) }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn what_fails_in_a_row_rests_in_proportion() {
        let took = Duration::from_millis(2);
        for faults in 1..FAULTS_TO_BREAK {
            assert_eq!(rest(faults, took), Duration::ZERO, "not yet often enough");
        }
        for faults in [FAULTS_TO_BREAK, u32::MAX] {
            assert_eq!(rest(faults, took), took * REST);
            assert_eq!(rest(faults, Duration::from_micros(50)), SHORTEST);
            assert_eq!(rest(faults, Duration::from_secs(30)), LONGEST);
        }
    }

    fn failing() -> Pace {
        let pace = Pace::default();
        for _ in 0..FAULTS_TO_BREAK {
            assert!(pace.failing("p:eve").is_none());
            pace.book("p:eve", true, Duration::ZERO);
        }
        pace
    }

    #[tokio::test]
    async fn while_calls_fail_there_is_one_at_a_time() {
        let pace = failing();
        let first = pace.turn("p:eve").await;
        assert!(first.is_some());
        let mut second = std::pin::pin!(pace.turn("p:eve"));
        assert!(second.as_mut().now_or_never().is_none(), "the first call is not over");
        assert!(pace.turn("p:ada").await.is_none(), "nobody else waits");
        pace.book("p:eve", false, Duration::ZERO);
        drop(first);
        assert!(second.await.is_none(), "it succeeded, so nobody waits any longer");
        pace.book("p:eve", true, Duration::ZERO);
        assert!(pace.turn("p:eve").await.is_none(), "and the count begins anew");
    }

    /// A caller that goes away while it waits takes nobody's turn along.
    #[tokio::test]
    async fn a_turn_that_was_given_up_is_the_next_ones() {
        let pace = failing();
        assert!(pace.turn("p:eve").now_or_never().is_none(), "it rests");
        assert!(pace.turn("p:eve").await.is_some());
    }

    /// A stream of new names neither fills the memory nor lets go whoever rests.
    #[test]
    fn few_are_kept_in_mind() {
        let pace = Pace::default();
        for _ in 0..FAULTS_TO_BREAK {
            pace.book("p:eve", true, Duration::from_secs(60));
        }
        for n in 0..2 * MOST_PEOPLE {
            pace.book(&format!("p:{n}"), true, Duration::ZERO);
        }
        assert!(pace.people().len() <= MOST_PEOPLE);
        assert!(pace.failing("p:eve").is_some());
    }
}
