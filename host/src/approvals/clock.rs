//! A run's deadline, which stands still while a person is asked.
//!
//! The container's time is for the agent's work; a person's time is bounded by the question's own
//! (`domain::approval::LONGEST` for each question, and for all questions of a run together).

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{Approvals, judge};
use crate::{clock::millis, domain::ids::RunId, store::StoreError};

/// The deadline of one run, and the questions that hold it.
#[derive(Debug)]
pub(super) struct Clock {
    deadline: watch::Sender<Instant>,
    open: HashSet<i64>,
    /// What was left when the first of them was opened.
    left: Duration,
}

impl Clock {
    fn new(deadline: Instant) -> Self {
        Self { deadline: watch::Sender::new(deadline), open: HashSet::new(), left: Duration::ZERO }
    }

    /// A question is open for `time`: the run may go on behind it for what it had left. Nobody may
    /// come to fetch the answer, so the deadline moves no further than that.
    pub(super) fn open(&mut self, question: i64, time: Duration, now: Instant) {
        if self.open.is_empty() {
            self.left = self.deadline.borrow().saturating_duration_since(now);
        }
        if self.open.insert(question) {
            let until = now + time + self.left;
            self.deadline.send_if_modified(|deadline| std::mem::replace(deadline, until.max(*deadline)) != *deadline);
        }
    }

    /// The run's time goes on when the last question is settled.
    pub(super) fn settle(&mut self, question: i64, now: Instant) {
        if self.open.remove(&question) && self.open.is_empty() {
            self.deadline.send_replace(now + self.left);
        }
    }
}

/// A run's deadline for whoever waits for the run. Forgotten when dropped.
#[derive(Debug)]
pub struct RunClock {
    run: RunId,
    clocks: Arc<Mutex<HashMap<RunId, Clock>>>,
    pub deadline: watch::Receiver<Instant>,
}

impl Drop for RunClock {
    fn drop(&mut self) {
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.run);
    }
}

impl Approvals {
    /// Starts the clock of a run; `left` says how much of its time is left, given the milliseconds
    /// for which people have been asked.
    pub async fn start_clock(&self, run: &RunId, left: impl FnOnce(i64) -> Duration) -> Result<RunClock, StoreError> {
        let left = left(self.store.waited(run, millis()).await?);
        let now = Instant::now();
        let clock = Clock::new(now + left);
        let followed = RunClock { run: run.clone(), clocks: self.clocks.clone(), deadline: clock.deadline.subscribe() };
        // Known before the questions are read: one that is asked meanwhile finds it.
        self.clocks().insert(run.clone(), clock);
        for question in self.store.open_questions().await? {
            if let Some(clock) = self.clocks().get_mut(run).filter(|_| question.asked.run == *run) {
                clock.open(question.id, judge::remaining(&question), now);
            }
        }
        Ok(followed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_clock_stands_still_while_somebody_is_asked() {
        let start = Instant::now();
        let at = |seconds: u32| start + SECOND * seconds;
        let mut clock = Clock::new(at(100));
        clock.open(1, SECOND * 600, at(40));
        assert_eq!(*clock.deadline.borrow(), at(40 + 600 + 60));
        clock.open(2, SECOND * 600, at(50));
        clock.settle(1, at(60));
        assert_eq!(*clock.deadline.borrow(), at(50 + 600 + 60), "the other is still open");
        clock.settle(2, at(90));
        assert_eq!(*clock.deadline.borrow(), at(90 + 60), "it had 60 s left");
        clock.settle(2, at(95));
        assert_eq!(*clock.deadline.borrow(), at(150), "a second time changes nothing");
    }

    proptest! {
        /// The time in which no question is open is never more than the limit.
        #[test]
        fn the_agent_gets_its_time_and_no_more(pauses in proptest::collection::vec((1_u32..20, 1_u32..20), 0..5)) {
            let start = Instant::now();
            let mut clock = Clock::new(start + SECOND * 200);
            let (mut now, mut asked) = (start, Duration::ZERO);
            for (index, (work, wait)) in pauses.into_iter().enumerate() {
                now += SECOND * work;
                clock.open(index as i64, SECOND * 30, now);
                now += SECOND * wait;
                asked += SECOND * wait;
                clock.settle(index as i64, now);
            }
            prop_assert_eq!(*clock.deadline.borrow(), start + SECOND * 200 + asked);
        }
    }
}
