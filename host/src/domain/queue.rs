//! Whose turn it is: fair over spaces, and how long it takes until then.
//!
//! Of the spaces in which nothing is at work the least recently served one comes next, with its oldest
//! run. [`order`] is that rule in memory, for whoever is told his place; the store takes by the same rule.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// A run that waits, oldest first in its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub run: String,
    pub space: String,
}

/// The queue as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Oldest first.
    pub waiting: Vec<Waiting>,
    /// The spaces in which something is at work, with how long it has been.
    pub active: Vec<(String, Duration)>,
    /// When each space was last served; any number that grows. A space that is missing never was.
    pub served: HashMap<String, i64>,
    /// How long a run takes, as far as is known.
    pub typical: Option<Duration>,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Runs that begin before it.
    pub ahead: usize,
    pub wait: Duration,
}

/// How long a run takes where none has ended yet.
const USUAL: Duration = Duration::from_secs(20);

/// Whose wait is worth a word: below it the answer is nearly as fast as the word.
const WORTH_A_WORD: Duration = Duration::from_secs(30);

impl Snapshot {
    /// Where `run` stands when `concurrency` runs may be at work at a time. None where it does not wait.
    pub fn place(&self, run: &str, concurrency: usize) -> Option<Place> {
        let typical = self.typical.unwrap_or(USUAL);
        // When each slot, and each space, is free again; the slots of running work first.
        let rest = |lasted: &Duration| typical.saturating_sub(*lasted);
        let mut slots: Vec<Duration> = self.active.iter().map(|(_, lasted)| rest(lasted)).collect();
        slots.resize(slots.len().max(concurrency.max(1)), Duration::ZERO);
        let mut busy: HashMap<&str, Duration> =
            self.active.iter().map(|(space, lasted)| (space.as_str(), rest(lasted))).collect();
        let mut served: HashMap<&str, i64> = self.served.iter().map(|(space, at)| (space.as_str(), *at)).collect();
        let mut queues: HashMap<&str, VecDeque<&str>> = HashMap::new();
        for waiting in &self.waiting {
            queues.entry(&waiting.space).or_default().push_back(&waiting.run);
        }
        let mut clock = served.values().copied().max().unwrap_or(0);
        for ahead in 0..self.waiting.len() {
            slots.sort_unstable();
            let free = slots[0];
            // The spaces that can be served first, and of them the one that waits longest.
            let start = |space: &str| busy.get(space).copied().unwrap_or_default().max(free);
            let next = queues
                .iter()
                .filter_map(|(&space, queue)| {
                    Some((start(space), served.get(space).copied().unwrap_or(0), *queue.front()?, space))
                })
                .min()?;
            let (begins, _, taken, space) = next;
            if taken == run {
                return Some(Place { ahead, wait: begins });
            }
            queues.get_mut(space)?.pop_front();
            clock += 1;
            served.insert(space, clock);
            busy.insert(space, begins + typical);
            slots[0] = begins + typical;
        }
        None
    }

    /// How long the last of a space waits about, for somebody who is sent away.
    pub fn wait(&self, space: &str, concurrency: usize) -> Duration {
        let last = self.waiting.iter().rev().find(|waiting| waiting.space == space).or(self.waiting.last());
        last.and_then(|last| self.place(&last.run, concurrency))
            .map_or(self.typical.unwrap_or(USUAL), |place| place.wait)
    }
}

impl Place {
    /// Whether somebody is told.
    pub fn is_worth_a_word(self) -> bool {
        self.wait >= WORTH_A_WORD
    }

    /// Rounded up.
    pub fn minutes(self) -> u64 {
        minutes(self.wait)
    }
}

/// Rounded up, and 1 at least.
pub fn minutes(wait: Duration) -> u64 {
    wait.as_secs().div_ceil(60).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn waiting(all: &[(&str, &str)]) -> Vec<Waiting> {
        all.iter().map(|(run, space)| Waiting { run: (*run).into(), space: (*space).into() }).collect()
    }

    fn order(snapshot: &Snapshot, concurrency: usize) -> Vec<String> {
        let mut all: Vec<(usize, String)> = snapshot
            .waiting
            .iter()
            .map(|waiting| (snapshot.place(&waiting.run, concurrency).unwrap().ahead, waiting.run.clone()))
            .collect();
        all.sort();
        all.into_iter().map(|(_, run)| run).collect()
    }

    /// Weakness W26: a busy space delays the others by one run each.
    #[test]
    fn spaces_take_turns() {
        let snapshot = Snapshot {
            waiting: waiting(&[("1", "busy"), ("2", "busy"), ("3", "busy"), ("4", "calm"), ("5", "new")]),
            served: [("busy".to_owned(), 7), ("calm".to_owned(), 3)].into(),
            ..Snapshot::default()
        };
        assert_eq!(order(&snapshot, 1), ["5", "4", "1", "2", "3"]);
    }

    #[test]
    fn how_long_it_takes() {
        let snapshot = Snapshot {
            waiting: waiting(&[("1", "main"), ("2", "main"), ("3", "other")]),
            active: vec![("main".into(), Duration::from_secs(45))],
            served: [("main".to_owned(), 1)].into(),
            typical: Some(MINUTE),
        };
        let place = |run, concurrency| snapshot.place(run, concurrency).unwrap();
        assert_eq!(place("3", 2), Place { ahead: 0, wait: Duration::ZERO });
        assert_eq!(place("1", 2), Place { ahead: 1, wait: Duration::from_secs(15) });
        assert_eq!(
            place("2", 2),
            Place { ahead: 2, wait: Duration::from_secs(75) },
            "a space does one thing at a time"
        );
        assert_eq!(place("3", 1).wait, Duration::from_secs(15));
        assert_eq!((place("1", 1).ahead, place("1", 1).wait), (1, Duration::from_secs(75)));
        assert_eq!(snapshot.place("9", 2), None);
        assert!(!place("1", 2).is_worth_a_word() && place("2", 2).is_worth_a_word());
        assert_eq!(place("2", 2).minutes(), 2);
    }

    proptest! {
        /// Everybody has a place of his own; in a space the order is that of arrival; and before a space's
        /// first run no other space gets more than one turn for each place in line.
        #[test]
        fn it_is_fair(spaces in proptest::collection::vec(0_u8..5, 1..40), served in proptest::collection::vec(0_i64..9, 5), concurrency in 1_usize..4) {
            let all: Vec<Waiting> = spaces.iter().enumerate()
                .map(|(at, space)| Waiting { run: format!("{at:03}"), space: format!("s{space}") }).collect();
            let snapshot = Snapshot {
                waiting: all.clone(),
                served: served.iter().enumerate().map(|(at, when)| (format!("s{at}"), *when)).collect(),
                ..Snapshot::default()
            };
            let order = order(&snapshot, concurrency);
            let mut sorted = order.clone();
            sorted.sort();
            prop_assert_eq!(sorted, all.iter().map(|waiting| waiting.run.clone()).collect::<Vec<_>>());
            let space_of = |run: &str| &all[run.parse::<usize>().unwrap()].space;
            for space in ["s0", "s1", "s2", "s3", "s4"] {
                let own: Vec<&String> = order.iter().filter(|run| space_of(run) == space).collect();
                prop_assert!(own.is_sorted());
                let Some(first) = own.first() else { continue };
                let before = order.iter().take_while(|run| run != first);
                let mut turns: HashMap<&str, usize> = HashMap::new();
                for run in before {
                    *turns.entry(space_of(run)).or_default() += 1;
                }
                prop_assert!(turns.values().all(|turns| *turns <= 1), "{:?} before {}", turns, space);
            }
        }
    }
}
