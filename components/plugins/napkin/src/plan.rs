//! What is known of a space between two jobs, and which days are due.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Days that one round takes up: each is an agent run, which costs money.
pub const MOST_DAYS: usize = 5;
const HOUR_MS: i64 = 3_600_000;
/// After the first, second and every further failure of a day.
const BACK_OFF_MS: [i64; 3] = [HOUR_MS, 4 * HOUR_MS, 24 * HOUR_MS];
/// A run whose end nobody told for so long is given up.
const LOST_MS: i64 = 26 * HOUR_MS;

/// What is kept of one space.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Space {
    /// The last entry of the history that is in a day's file.
    pub cursor: Option<u64>,
    pub days: BTreeMap<Date, Day>,
    /// When the last round began, in milliseconds.
    pub round_at: Option<i64>,
    /// Days of this round that are still to come.
    pub queue: Vec<Date>,
    pub running: Option<Running>,
    /// Weeks and months by name, with the digest of what they were written from.
    pub periods: BTreeMap<String, Period>,
    pub last_success_at: Option<i64>,
    /// Why the last run did not count.
    pub last_failure: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Day {
    /// Of the day's file, as this plugin wrote it.
    pub lines: u64,
    pub bytes: u64,
    /// How many of the lines were distilled.
    pub distilled: u64,
    pub trouble: Trouble,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Period {
    /// Of the notes that it was written from.
    pub digest: String,
    /// Its runs that are over, however they ended.
    pub runs: u32,
    pub trouble: Trouble,
}

/// Failures in a row, and when to try again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trouble {
    pub failures: u32,
    pub retry_at: Option<i64>,
}

impl Trouble {
    pub fn failed(&mut self, now: i64) {
        let step = usize::try_from(self.failures).unwrap_or(usize::MAX).min(BACK_OFF_MS.len() - 1);
        self.failures += 1;
        self.retry_at = Some(now + BACK_OFF_MS[step]);
    }

    fn over(&self, now: i64) -> bool {
        self.retry_at.is_none_or(|at| at <= now)
    }
}

/// An agent run that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// The task's id, which also stands in its prompt.
    pub id: String,
    pub work: Work,
    pub since: i64,
    /// Of a week or month: the notes that it is written from, and its last day.
    #[serde(default)]
    pub sources: Vec<String>,
    #[serde(default)]
    pub last_day: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// The day's lines from `from` to `lines`.
    Day {
        date: Date,
        from: u64,
        lines: u64,
    },
    Week {
        name: String,
        digest: String,
    },
    Month {
        name: String,
        digest: String,
    },
}

impl Work {
    /// The same until the work's end is told, so that a repeated request is no second run; then another,
    /// since the host takes each id once. `ended` is how many of its runs ended so far.
    pub fn id(&self, space: &str, ended: u32) -> String {
        match self {
            Self::Day { date, from, lines } => format!("day/{space}/{date}/{from}-{lines}/{ended}"),
            // Not of its digest: the same notes may have to be written up again.
            Self::Week { name, .. } | Self::Month { name, .. } => format!("period/{space}/{name}/{ended}"),
        }
    }
}

impl Space {
    /// The days to distill now, oldest first, [`MOST_DAYS`] at most; empty where it is not time. The
    /// first look at a space only sets its clock, at a place of the interval that the space's name
    /// gives: not all spaces of a host begin in the same hour.
    pub fn round(&mut self, space: &str, now: i64, today: Date, interval_ms: i64, backfill_days: i64) -> Vec<Date> {
        let Some(last) = self.round_at else {
            self.round_at = Some(now - (interval_ms - first_offset(space, interval_ms)));
            return Vec::new();
        };
        let due = now - last >= interval_ms;
        let oldest = today.checked_sub(jiff::Span::new().days(backfill_days)).unwrap_or(Date::MIN);
        let days: Vec<Date> = self
            .days
            .iter()
            .filter(|(date, day)| (oldest..=today).contains(date) && day.lines > day.distilled)
            // A day that failed waits for its own time, not for the next round.
            .filter(|(_, day)| if day.trouble.failures > 0 { day.trouble.over(now) } else { due })
            .map(|(date, _)| *date)
            .take(MOST_DAYS)
            .collect();
        if due {
            self.round_at = Some(now);
        }
        days
    }

    /// Takes further days into the round. What is left of the last one comes first: it was due before.
    pub fn enqueue(&mut self, days: Vec<Date>) {
        self.queue.extend(days);
        self.queue.sort_unstable();
        self.queue.dedup();
    }

    /// Notes the run that is about to be asked for. None where another is under way: two jobs may want
    /// one at the same moment.
    pub fn claim(&mut self, space: &str, work: Work, now: i64) -> Option<Running> {
        if self.is_busy(now) {
            return None;
        }
        let id = work.id(space, self.ended(&work));
        let running = Running { id, work, since: now, sources: Vec::new(), last_day: String::new() };
        self.running = Some(running.clone());
        Some(running)
    }

    /// Takes a claim back: the run was not taken, and its day is due as before.
    pub fn release(&mut self, id: &str) {
        let Some(running) = self.running.take_if(|running| running.id == id) else { return };
        if let Work::Day { date, .. } = running.work {
            self.enqueue(vec![date]);
        }
    }

    /// Whether the run that was asked for last is still expected to end.
    pub fn is_busy(&self, now: i64) -> bool {
        self.running.as_ref().is_some_and(|running| now - running.since < LOST_MS)
    }

    pub fn busy_with(&self, now: i64) -> Option<&Running> {
        self.running.as_ref().filter(|_| self.is_busy(now))
    }

    /// What to ask for next of the round's days.
    pub fn next_day(&mut self) -> Option<Work> {
        while !self.queue.is_empty() {
            let date = self.queue.remove(0);
            let Some(day) = self.days.get(&date) else { continue };
            if day.lines > day.distilled {
                return Some(Work::Day { date, from: day.distilled, lines: day.lines });
            }
        }
        None
    }

    /// How many runs of this work ended. A day's lines are distilled well once, so those are its
    /// failures; a week or month is written again where its page is gone or its notes have changed.
    pub fn ended(&self, work: &Work) -> u32 {
        match work {
            Work::Day { date, .. } => self.days.get(date).map_or(0, |day| day.trouble.failures),
            Work::Week { name, .. } | Work::Month { name, .. } => {
                self.periods.get(name).map_or(0, |period| period.runs)
            }
        }
    }

    /// Takes down how the running work ended.
    pub fn settle(&mut self, outcome: Result<(), String>, now: i64) {
        let Some(running) = self.running.take() else { return };
        let done = outcome.is_ok();
        match running.work {
            Work::Day { date, lines, .. } => {
                let day = self.days.entry(date).or_default();
                if done {
                    day.distilled = lines;
                    day.trouble = Trouble::default();
                } else {
                    day.trouble.failed(now);
                }
            }
            Work::Week { name, digest } | Work::Month { name, digest } => {
                let period = self.periods.entry(name).or_default();
                period.runs += 1;
                if done {
                    period.digest = digest;
                    period.trouble = Trouble::default();
                } else {
                    period.trouble.failed(now);
                }
            }
        }
        match outcome {
            Ok(()) => {
                self.last_success_at = Some(now);
                self.last_failure = None;
            }
            Err(why) => self.last_failure = Some(why.chars().take(300).collect()),
        }
    }

    /// Whether a week or month may be tried now.
    pub fn may_try(&self, period: &str, now: i64) -> bool {
        self.periods.get(period).is_none_or(|period| period.trouble.over(now))
    }

    /// Days and periods whose last attempt failed.
    pub fn failing(&self) -> usize {
        let days = self.days.values().filter(|day| day.trouble.failures > 0).count();
        days + self.periods.values().filter(|period| period.trouble.failures > 0).count()
    }
}

/// Where in the interval a space begins, in milliseconds: FNV-1a of its name, as the replaced
/// system spread them.
pub fn first_offset(space: &str, interval_ms: i64) -> i64 {
    let hash = space.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    i64::from(hash) % interval_ms.max(1)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn running(id: &str, work: Work, since: i64) -> Running {
        Running { id: id.into(), work, since, sources: Vec::new(), last_day: String::new() }
    }

    fn with(days: &[(Date, u64, u64)]) -> Space {
        let days = days.iter().map(|&(date, lines, distilled)| (date, Day { lines, distilled, ..Day::default() }));
        Space { days: days.collect(), round_at: Some(0), ..Space::default() }
    }

    /// examples.md #34
    #[test]
    fn spaces_begin_at_their_own_time() {
        for (space, offset) in [("main", 47_363_592), ("dm-15551234567", 61_416_383), ("team", 56_121_612)] {
            assert_eq!(first_offset(space, DAY_MS), offset, "{space}");
            let mut state = Space::default();
            let now = 1_780_000_000_000;
            assert!(state.round(space, now, date(2026, 6, 3), DAY_MS, 90).is_empty());
            assert_eq!(state.round_at, Some(now - (DAY_MS - offset)));
        }
    }

    /// examples.md #36
    #[test]
    fn days_that_are_due() {
        let today = date(2026, 6, 3);
        let days = [(date(2026, 5, 31), 2, 0), (date(2026, 6, 1), 3, 3), (date(2026, 6, 2), 4, 0), (today, 5, 5)];
        assert_eq!(with(&days).round("s", DAY_MS, today, DAY_MS, 2), [date(2026, 6, 2)]);
        let mut changed = with(&days);
        changed.days.get_mut(&today).unwrap().lines = 6;
        assert_eq!(changed.round("s", DAY_MS, today, DAY_MS, 2), [date(2026, 6, 2), today]);
        assert!(changed.round("s", DAY_MS + 1, today, DAY_MS, 2).is_empty(), "the round has just been");
    }

    /// examples.md #37: the failed day comes back after an hour, the others go on; X3.
    #[test]
    fn a_failed_day_has_its_own_clock() {
        let (first, second) = (date(2026, 6, 1), date(2026, 6, 2));
        let mut state = with(&[(first, 1, 0), (second, 1, 0)]);
        let now = DAY_MS;
        state.queue = state.round("s", now, second, DAY_MS, 9);
        let work = state.next_day().unwrap();
        assert_eq!(work.id("s", state.ended(&work)), "day/s/2026-06-01/0-1/0");
        state.running = Some(running("a", work, now));
        state.settle(Err("no".into()), now);
        assert_eq!((state.failing(), state.last_failure.as_deref()), (1, Some("no")));
        assert!(matches!(state.next_day(), Some(Work::Day { date, .. }) if date == second));
        for failures in 1..=4 {
            let at = state.days[&first].trouble.retry_at.unwrap();
            assert!(!state.round("s", at - 1, second, DAY_MS * 365, 9).contains(&first), "{failures}");
            assert_eq!(state.round("s", at, second, DAY_MS * 365, 9), [first], "{failures}");
            assert_eq!(state.days[&first].trouble.failures, failures);
            let work = Work::Day { date: first, from: 0, lines: 1 };
            assert!(work.id("s", state.ended(&work)).ends_with(&format!("/{failures}")));
            state.running = Some(running("a", work, at));
            state.settle(Err("no".into()), at);
        }
        let waits: Vec<i64> = BACK_OFF_MS.iter().map(|wait| wait / HOUR_MS).collect();
        assert_eq!(waits, [1, 4, 24]);
    }

    /// X4: what was distilled is not distilled again; what came after is.
    #[test]
    fn only_new_lines_are_distilled() {
        let today = date(2026, 6, 3);
        let mut state = with(&[(today, 3, 0)]);
        state.running = Some(running("a", Work::Day { date: today, from: 0, lines: 3 }, 0));
        state.days.get_mut(&today).unwrap().lines = 5;
        state.settle(Ok(()), 1);
        state.queue = vec![today];
        assert_eq!(state.next_day(), Some(Work::Day { date: today, from: 3, lines: 5 }));
    }

    #[test]
    fn a_round_is_bounded_and_a_lost_run_is_given_up() {
        let days: Vec<_> = (1..=20).map(|day| (date(2026, 6, day), 1, 0)).collect();
        assert_eq!(with(&days).round("s", DAY_MS, date(2026, 6, 20), DAY_MS, 90).len(), MOST_DAYS);
        let running = running("a", Work::Week { name: "w".into(), digest: "d".into() }, 0);
        let state = Space { running: Some(running), ..Space::default() };
        assert!(state.is_busy(LOST_MS - 1) && !state.is_busy(LOST_MS));
    }

    /// Two jobs of one space at the same moment: one run, and what was not taken stays due.
    #[test]
    fn one_run_at_a_time() {
        let (first, second) = (date(2026, 6, 1), date(2026, 6, 2));
        let mut state = with(&[(first, 1, 0), (second, 1, 0)]);
        state.enqueue(vec![second, first, second]);
        assert_eq!(state.queue, [first, second]);
        let work = state.next_day().unwrap();
        let claimed = state.claim("s", work, 5).unwrap();
        assert_eq!((claimed.id.as_str(), state.queue.as_slice()), ("day/s/2026-06-01/0-1/0", [second].as_slice()));
        let week = Work::Week { name: "2026-W22".into(), digest: "d".into() };
        assert_eq!(state.claim("s", week.clone(), 6), None);
        state.release("another");
        assert_eq!(state.claim("s", week.clone(), 6), None);
        state.release(&claimed.id);
        assert_eq!(state.queue, [first, second]);
        assert!(state.claim("s", week, 6).is_some());
    }

    /// The host takes an id once. So the same week, of the same notes, is another run after each end, good
    /// or bad; until then it is the same one.
    #[test]
    fn a_week_that_is_written_again_is_another_run() {
        let week = Work::Week { name: "2026-W23".into(), digest: "d".into() };
        let mut state = Space::default();
        let mut taken = Vec::new();
        for outcome in [Ok(()), Err("no".to_owned()), Ok(()), Ok(())] {
            let claimed = state.claim("s", week.clone(), 0).unwrap();
            state.release(&claimed.id);
            assert_eq!(state.claim("s", week.clone(), 0).unwrap().id, claimed.id, "nobody told of its end");
            assert!(!taken.contains(&claimed.id), "{} after {taken:?}", claimed.id);
            taken.push(claimed.id);
            state.settle(outcome, 0);
        }
        assert_eq!((state.failing(), state.periods["2026-W23"].digest.as_str()), (0, "d"));
    }

    /// A state of before runs were counted, with the ids of then.
    #[test]
    fn an_older_state_gives_no_id_again() {
        let kept = r#"{"periods":{"2026-W23":{"digest":"d","trouble":{"failures":0,"retry_at":null}}}}"#;
        let mut state: Space = serde_json::from_str(kept).unwrap();
        let week = Work::Week { name: "2026-W23".into(), digest: "d".into() };
        assert_ne!(state.claim("s", week, 0).unwrap().id, "period/s/2026-W23/d/0");
    }

    proptest! {
        #[test]
        fn an_offset_lies_in_its_interval(space in ".{0,40}", interval in 1i64..100_000_000_000) {
            prop_assert!((0..interval).contains(&first_offset(&space, interval)));
        }
    }
}
