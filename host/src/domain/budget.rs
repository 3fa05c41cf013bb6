//! Whether one more model call may be made: decided before it, from what is already spent.

use serde::{Deserialize, Serialize};

/// Limits in millionths of a US dollar; without one there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    pub run: Option<u64>,
    pub person_day: Option<u64>,
    pub space_day: Option<u64>,
    pub day: Option<u64>,
}

/// What is spent, in millionths of a US dollar; days are those of UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub run: u64,
    pub person_day: u64,
    pub space_day: u64,
    pub day: u64,
}

/// Whose budget it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    Run,
    PersonDay,
    SpaceDay,
    Day,
}

/// Why a call is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Exhausted {
        scope: Scope,
        limit_micro_usd: u64,
    },
    /// There are budgets, and nobody knows what the model costs: they could not be kept.
    Unpriced {
        model: String,
    },
}

impl Budgets {
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

impl Scope {
    /// The setting that holds the limit.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Run => "budgets.run_usd / MERCURY_BUDGET_RUN_USD",
            Self::PersonDay => "budgets.person_day_usd / MERCURY_BUDGET_PERSON_DAY_USD",
            Self::SpaceDay => "budgets.space_day_usd / MERCURY_BUDGET_SPACE_DAY_USD",
            Self::Day => "budgets.day_usd / MERCURY_BUDGET_DAY_USD",
        }
    }

    /// As in "the budget of this run".
    pub fn owner(self) -> &'static str {
        match self {
            Self::Run => "this run",
            Self::PersonDay => "this person for today (UTC)",
            Self::SpaceDay => "this space for today (UTC)",
            Self::Day => "everybody for today (UTC)",
        }
    }
}

/// A call is made while every budget has something left, so the last one may overdraw it: what a
/// call will cost is known only after it. `priced` is whether the model's price is known.
///
/// # Errors
/// The first budget that forbids it.
pub fn admit(budgets: &Budgets, spent: &Spent, model: &str, priced: bool) -> Result<(), Refusal> {
    if budgets.any() && !priced {
        return Err(Refusal::Unpriced { model: model.to_owned() });
    }
    let checks = [
        (Scope::Run, budgets.run, spent.run),
        (Scope::PersonDay, budgets.person_day, spent.person_day),
        (Scope::SpaceDay, budgets.space_day, spent.space_day),
        (Scope::Day, budgets.day, spent.day),
    ];
    match checks.into_iter().find(|(_, limit, spent)| limit.is_some_and(|limit| *spent >= limit)) {
        Some((scope, limit, _)) => Err(Refusal::Exhausted { scope, limit_micro_usd: limit.unwrap_or(0) }),
        None => Ok(()),
    }
}

const DAY_MS: i64 = 86_400_000;

/// When the day of `now` began in UTC; both in milliseconds since the epoch.
pub fn day_start(now: i64) -> i64 {
    now - now.rem_euclid(DAY_MS)
}

/// Dollars and cents; small sums with as many digits as they need to be seen.
pub fn dollars(micro_usd: u64) -> String {
    let usd = micro_usd as f64 / 1e6;
    if micro_usd.is_multiple_of(10_000) { format!("${usd:.2}") } else { format!("${usd:.6}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_budget_stops_its_own() {
        let spent = Spent { run: 1, person_day: 2, space_day: 3, day: 4 };
        let none = Budgets::default();
        assert_eq!(admit(&none, &spent, "m", false), Ok(()), "without budgets no price is needed");
        for (budgets, expected) in [
            (Budgets { run: Some(1), ..none }, Scope::Run),
            (Budgets { person_day: Some(2), ..none }, Scope::PersonDay),
            (Budgets { space_day: Some(3), ..none }, Scope::SpaceDay),
            (Budgets { day: Some(4), ..none }, Scope::Day),
        ] {
            let refused = admit(&budgets, &spent, "m", true).unwrap_err();
            assert!(matches!(refused, Refusal::Exhausted { scope, .. } if scope == expected), "{refused:?}");
        }
        let roomy = Budgets { run: Some(2), person_day: Some(3), space_day: Some(4), day: Some(5) };
        assert_eq!(admit(&roomy, &spent, "m", true), Ok(()));
        assert_eq!(admit(&roomy, &spent, "m", false), Err(Refusal::Unpriced { model: "m".into() }));
    }

    #[test]
    fn a_budget_of_nothing_allows_nothing() {
        let budgets = Budgets { day: Some(0), ..Budgets::default() };
        assert!(admit(&budgets, &Spent::default(), "m", true).is_err());
    }

    #[test]
    fn days_are_those_of_utc() {
        assert_eq!(day_start(1_700_000_000_000), 1_699_920_000_000);
        assert_eq!((day_start(DAY_MS - 1), day_start(DAY_MS), day_start(-1)), (0, DAY_MS, -DAY_MS));
        assert_eq!((dollars(2_500_000).as_str(), dollars(123).as_str()), ("$2.50", "$0.000123"));
    }

    proptest! {
        #[test]
        fn nothing_is_admitted_at_or_above_a_limit(limit: u64, spent: u64) {
            let budgets = Budgets { space_day: Some(limit), ..Budgets::default() };
            let spent = Spent { space_day: spent, ..Spent::default() };
            prop_assert_eq!(admit(&budgets, &spent, "m", true).is_ok(), spent.space_day < limit);
        }
    }
}
