//! An allowance of so many requests in a minute.

/// Holds as many tokens as a minute brings, full at first. The caller brings the clock: milliseconds
/// from any fixed moment.
#[derive(Clone, Debug)]
pub struct Bucket {
    per_minute: u64,
    /// In 60,000ths of a token: one token a minute is one of them a millisecond.
    level: u64,
    at: u64,
}

const TOKEN: u64 = 60_000;

impl Bucket {
    pub fn new(per_minute: u32, now_ms: u64) -> Self {
        let per_minute = u64::from(per_minute.max(1));
        Self { per_minute, level: per_minute * TOKEN, at: now_ms }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// Milliseconds until there is one.
    pub fn take(&mut self, now_ms: u64) -> Result<(), u32> {
        let passed = now_ms.saturating_sub(self.at);
        self.at = self.at.max(now_ms);
        self.level = self.level.saturating_add(passed.saturating_mul(self.per_minute)).min(self.per_minute * TOKEN);
        match self.level.checked_sub(TOKEN) {
            Some(left) => {
                self.level = left;
                Ok(())
            }
            None => Err(u32::try_from((TOKEN - self.level).div_ceil(self.per_minute)).unwrap_or(u32::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_minutes_worth_at_once_then_one_by_one() {
        let mut bucket = Bucket::new(60, 1_000);
        for _ in 0..60 {
            assert_eq!(bucket.take(1_000), Ok(()));
        }
        assert_eq!(bucket.take(1_000), Err(1_000));
        assert_eq!(bucket.take(1_999), Err(1));
        assert_eq!(bucket.take(2_000), Ok(()));
        assert_eq!(bucket.take(0), Err(1_000), "a clock that goes back gives nothing");
    }

    proptest! {
        #[test]
        fn no_minute_has_more_than_two_allowances(per_minute in 1_u32..200, steps in prop::collection::vec(0_u64..2_000, 1..400)) {
            let mut bucket = Bucket::new(per_minute, 0);
            let (mut now, mut taken) = (0, Vec::new());
            for step in steps {
                now += step;
                match bucket.take(now) {
                    Ok(()) => taken.push(now),
                    Err(wait) => prop_assert!(bucket.clone().take(now + u64::from(wait)).is_ok()),
                }
            }
            for (index, &from) in taken.iter().enumerate() {
                let within = taken[index..].iter().take_while(|at| **at < from + 60_000).count();
                prop_assert!(within <= 2 * per_minute as usize);
            }
        }
    }
}
