//! How often people may ask: in a short window, and in a day.
//!
//! The moments that count are rows, written with the run that they admit, so a restart forgets nothing and
//! a refusal costs nothing. Zero is no limit everywhere.

use super::{auto_space, roles, space_settings::SpaceSettings};

const HOUR_MS: i64 = 60 * 60 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// What the configuration says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// Milliseconds.
    pub window: i64,
    /// In the window, by one person in one space.
    pub per_user: u32,
    /// In the window, in one space.
    pub per_space: u32,
    /// In the window, altogether.
    pub total: u32,
    /// In a day of UTC, by one member in one space.
    pub daily_member: u32,
    pub daily_admin: u32,
}

/// What holds for one person in one space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub window: i64,
    pub person: u32,
    pub space: u32,
    pub total: u32,
    pub day: u32,
}

/// What was asked before. Each list is of moments in the window, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub person: Vec<i64>,
    pub space: Vec<i64>,
    pub total: Vec<i64>,
    /// By the person, today.
    pub today: u32,
}

/// A limit that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    pub reach: Reach,
    pub limit: u32,
    /// When the next one may be asked, in milliseconds since the epoch.
    pub again_at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Person,
    Space,
    Host,
    Day,
}

impl Configured {
    /// The limits of a role in a space, whose own settings come first.
    pub fn of(&self, role: &str, settings: &SpaceSettings) -> Limits {
        let mut limits = Limits { window: self.window, total: self.total, ..Limits::default() };
        // The host's own work is not held up by what people did.
        if role == roles::SYSTEM_ROLE {
            return Limits::default();
        }
        limits.person = settings.number("rate_limit").map_or(self.per_user, at_least_none);
        limits.space = self.per_space;
        limits.day = self.daily(role, settings);
        limits
    }

    fn daily(&self, role: &str, settings: &SpaceSettings) -> u32 {
        let configured = match role {
            roles::MEMBER_ROLE => self.daily_member,
            roles::ADMIN_ROLE => self.daily_admin,
            _ => 0,
        };
        let key = format!("rate_limit.{role}");
        match settings.stored(&key) {
            // One that was written for a new space stands for whatever the configuration says now.
            Some(stored) if stored.by != auto_space::WRITER => settings.number(&key).map_or(0, at_least_none),
            _ => configured,
        }
    }
}

fn at_least_none(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

impl Limits {
    /// # Errors
    /// The limit that is reached; of several the one that holds longest, so that who waits for it is not
    /// refused again.
    pub fn check(&self, usage: &Usage, now: i64) -> Result<(), Exceeded> {
        let window = |reach, limit: u32, moments: &[i64]| {
            let counted: Vec<i64> = moments.iter().copied().filter(|at| self.counts(*at, now)).collect();
            let over = (limit > 0 && counted.len() >= limit as usize).then(|| counted[counted.len() - limit as usize]);
            over.map(|oldest| Exceeded { reach, limit, again_at: oldest.min(now) + self.window })
        };
        let day = (self.day > 0 && usage.today >= self.day).then(|| Exceeded {
            reach: Reach::Day,
            limit: self.day,
            again_at: next_day(now),
        });
        let all = [
            day,
            window(Reach::Person, self.person, &usage.person),
            window(Reach::Space, self.space, &usage.space),
            window(Reach::Host, self.total, &usage.total),
        ];
        // Of equals the first, which is the one that people can do something about.
        let worst = all.into_iter().flatten().rev().max_by_key(|exceeded| exceeded.again_at);
        worst.map_or(Ok(()), Err)
    }

    /// Whether a moment is in the window. One a little ahead was written at the same time, one far ahead
    /// before the clock was set back.
    fn counts(&self, at: i64, now: i64) -> bool {
        at > now.saturating_sub(self.window) && at < now.saturating_add(self.window)
    }
}

/// The beginning of the next day of UTC.
pub fn next_day(now: i64) -> i64 {
    (now.div_euclid(DAY_MS) + 1) * DAY_MS
}

/// The number of a day of UTC since the epoch.
pub fn day(now: i64) -> i64 {
    now.div_euclid(DAY_MS)
}

/// Whole hours until then, rounded up.
pub fn hours_until(then: i64, now: i64) -> u64 {
    (then - now).max(0).unsigned_abs().div_ceil(HOUR_MS.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1000;

    fn person(limit: u32) -> Limits {
        Limits { window: 60 * SECOND, person: limit, ..Limits::default() }
    }

    fn asked(moments: &[i64]) -> Usage {
        Usage { person: moments.to_vec(), ..Usage::default() }
    }

    fn settings(rows: &[(&str, &str, &str)]) -> SpaceSettings {
        SpaceSettings::new(rows.iter().map(|(key, value, by)| ((*key).into(), (*value).into(), (*by).into())))
    }

    /// pipeline.md #26, #28: three pass, the fourth does not; the window slides.
    #[test]
    fn a_burst_is_limited() {
        let usage = asked(&[0, 10 * SECOND, 20 * SECOND]);
        assert_eq!(person(3).check(&asked(&[0, 10 * SECOND]), 20 * SECOND), Ok(()));
        let exceeded = person(3).check(&usage, 30 * SECOND).unwrap_err();
        assert_eq!((exceeded.reach, exceeded.limit, exceeded.again_at), (Reach::Person, 3, 60 * SECOND));
        assert_eq!(person(3).check(&usage, 60 * SECOND), Ok(()));
        assert_eq!(person(4).check(&usage, 30 * SECOND), Ok(()));
        assert_eq!(person(0).check(&usage, 30 * SECOND), Ok(()), "0 is no limit");
    }

    /// pipeline.md #27, #29, #30: whose word counts.
    #[test]
    fn which_limits_hold() {
        let configured =
            Configured { window: 1, per_user: 10, per_space: 7, total: 9, daily_member: 5, daily_admin: 0 };
        let of = |role: &str, rows: &[(&str, &str, &str)]| configured.of(role, &settings(rows));
        assert_eq!(of("member", &[]), Limits { window: 1, person: 10, space: 7, total: 9, day: 5 });
        assert_eq!(of("member", &[("rate_limit", "1", "api")]).person, 1);
        assert_eq!(of("member", &[("rate_limit", "0", "api")]).person, 0);
        assert_eq!(of("member", &[("rate_limit", "x", "api")]).person, 10, "no number is no setting");
        assert_eq!(of("member", &[("rate_limit.member", "2", "dashboard")]).day, 2);
        assert_eq!(of("member", &[("rate_limit.member", "2", "dm-auto-space")]).day, 5);
        assert_eq!(of("member", &[("rate_limit.member", "-3", "dashboard")]).day, 0);
        assert_eq!(of("member", &[("rate_limit.member", "NaN", "dashboard")]).day, 0);
        assert_eq!(of("admin", &[("rate_limit.member", "2", "dashboard")]).day, 0);
        assert_eq!(of("moderator", &[("rate_limit.moderator", "4", "dashboard")]).day, 4);
        assert_eq!(of("system", &[("rate_limit", "1", "api")]), Limits::default());
        let seeded = [("rate_limit.member", "2", "dm-auto-space")];
        let none = Configured { daily_member: 0, ..configured };
        assert_eq!(none.of("member", &settings(&seeded)).day, 0);
    }

    #[test]
    fn of_several_limits_the_longest_is_told() {
        let limits = Limits { window: 60 * SECOND, person: 1, space: 1, total: 1, day: 1 };
        let usage = Usage { person: vec![5], space: vec![5], total: vec![5], today: 1 };
        let told = limits.check(&usage, 10).unwrap_err();
        assert_eq!((told.reach, told.again_at), (Reach::Day, DAY_MS));
        let told = limits.check(&Usage { today: 0, ..usage }, 10).unwrap_err();
        assert_eq!(told.reach, Reach::Person);
    }

    #[test]
    fn days_are_those_of_utc() {
        assert_eq!((day(0), day(DAY_MS - 1), day(DAY_MS), next_day(DAY_MS)), (0, 0, 1, 2 * DAY_MS));
        assert_eq!(hours_until(HOUR_MS + 1, 0), 2);
        assert_eq!(hours_until(0, 5), 0);
    }

    proptest! {
        /// No window of that length ever holds more than the limit, and whoever waits until he is told to
        /// is let in.
        #[test]
        fn never_more_than_the_limit(limit in 1_u32..6, pauses in proptest::collection::vec(0_i64..40_000, 1..60)) {
            let limits = person(limit);
            let (mut now, mut taken) = (0, Vec::new());
            for pause in pauses {
                now += pause;
                match limits.check(&asked(&taken), now) {
                    Ok(()) => taken.push(now),
                    Err(exceeded) => {
                        prop_assert!(exceeded.again_at > now && exceeded.again_at <= now + limits.window);
                        prop_assert!(limits.check(&asked(&taken), exceeded.again_at).is_ok());
                        prop_assert!(limits.check(&asked(&taken), exceeded.again_at - 1).is_err());
                    }
                }
            }
            for end in &taken {
                let within = taken.iter().filter(|at| **at <= *end && **at > end - limits.window).count();
                prop_assert!(within <= limit as usize);
            }
        }

        /// A clock that was set back locks nobody out for longer than two windows.
        #[test]
        fn a_clock_that_was_set_back(at in 0_i64..10_000_000, now in 0_i64..10_000_000) {
            if let Err(exceeded) = person(1).check(&asked(&[at]), now) {
                prop_assert!(exceeded.again_at <= now + 60 * SECOND);
                prop_assert!(person(1).check(&asked(&[at]), now + 120 * SECOND).is_ok());
            }
        }
    }
}
