//! How often something may be done in a minute.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_secs(60);
/// Owners that are remembered before those without a recent use are forgotten.
const MOST_OWNERS: usize = 1_000;

/// Uses of the last minute, of each owner.
#[derive(Debug, Default)]
pub struct Allowance {
    uses: HashMap<String, VecDeque<Instant>>,
}

impl Allowance {
    /// Takes one use of the `most` that `owner` has in any minute.
    ///
    /// # Errors
    /// How long it takes until there is one again.
    pub fn take(&mut self, owner: &str, most: u32, now: Instant) -> Result<(), Duration> {
        let recent = |at: &Instant| now.saturating_duration_since(*at) < MINUTE;
        if self.uses.len() >= MOST_OWNERS && !self.uses.contains_key(owner) {
            self.uses.retain(|_, uses| uses.back().is_some_and(recent));
        }
        let uses = self.uses.entry(owner.to_owned()).or_default();
        while uses.front().is_some_and(|at| !recent(at)) {
            uses.pop_front();
        }
        match uses.front() {
            Some(first) if uses.len() >= most as usize => Err(MINUTE - now.saturating_duration_since(*first)),
            _ => {
                uses.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_its_uses_for_each_owner() {
        let mut allowance = Allowance::default();
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        assert!(allowance.take("a", 2, at(0)).is_ok() && allowance.take("a", 2, at(10)).is_ok());
        assert_eq!(allowance.take("a", 2, at(20)), Err(Duration::from_secs(40)));
        assert!(allowance.take("b", 2, at(20)).is_ok(), "another has its own");
        assert!(allowance.take("a", 2, at(60)).is_ok());
        assert_eq!(allowance.take("a", 2, at(61)), Err(Duration::from_secs(9)));
    }
}
