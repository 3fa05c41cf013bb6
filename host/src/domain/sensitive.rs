//! Whether an agent may begin where others read along, while a connection to somebody's mail, calendar or money is
//! active.

/// What an admin of a space types to open it.
pub const ALLOW: &str = "mrctl config set security.sensitive_connections_allowed true";
/// How long a question is open: 5 min, in milliseconds.
pub const CONFIRM_WITHIN: i64 = 300_000;

/// Who wants the agent to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn<'a> {
    /// Somebody who has just written it.
    Asked,
    /// Somebody who has said yes to the question, which named these connections.
    Confirmed(&'a [String]),
    /// The clock, for whoever made the task: nobody is there who could be asked.
    Scheduled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The sensitive connections that are active.
    pub active: &'a [String],
    /// A conversation of several people is linked to the space.
    pub shared: bool,
    /// The space says that it may be.
    pub allowed: bool,
    pub turn: Turn<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    Pass,
    /// The space has to allow it first.
    Closed,
    /// The person has to say yes first.
    Ask,
}

/// A yes opens nothing that the space has closed since, and is to nothing that was not named.
pub fn rule(facts: Facts<'_>) -> Ruling {
    match facts {
        Facts { active: [], .. } | Facts { shared: false, .. } => Ruling::Pass,
        Facts { allowed: false, .. } => Ruling::Closed,
        Facts { turn: Turn::Asked, .. } => Ruling::Ask,
        Facts { turn: Turn::Confirmed(named), active, .. } => match active.iter().all(|name| named.contains(name)) {
            true => Ruling::Pass,
            false => Ruling::Ask,
        },
        Facts { turn: Turn::Scheduled, .. } => Ruling::Pass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// extensions.md #25 in its decision, for every case that there is.
    #[test]
    fn who_may_begin() {
        let (mail, both) = (["Mail".to_owned()], ["Mail".to_owned(), "Trade".to_owned()]);
        for (active, shared, allowed) in every_case(&[&[], &mail, &both]) {
            for turn in [Turn::Asked, Turn::Confirmed(&mail), Turn::Confirmed(&both), Turn::Scheduled] {
                let knew = matches!(turn, Turn::Confirmed(named) if active.len() <= named.len());
                let expected = match (!active.is_empty() && shared, allowed) {
                    (false, _) => Ruling::Pass,
                    (true, false) => Ruling::Closed,
                    (true, true) if knew || turn == Turn::Scheduled => Ruling::Pass,
                    (true, true) => Ruling::Ask,
                };
                assert_eq!(rule(Facts { active, shared, allowed, turn }), expected, "{active:?} {turn:?}");
            }
        }
    }

    fn every_case<'a>(active: &[&'a [String]]) -> Vec<(&'a [String], bool, bool)> {
        let cases = active.iter().flat_map(|active| (0..4).map(move |bits| (*active, bits & 1 > 0, bits & 2 > 0)));
        cases.collect()
    }
}
