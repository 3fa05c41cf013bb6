//! What the operator has set, resolved for one caller.

use std::collections::BTreeSet;

use crate::paths::PathPattern;

/// The run's own sockets and files, what the host brings along, and other processes' memory,
/// environment and open files. `/proc/cpuinfo` and its like stay readable.
const PROTECTED_PATHS: &str = "/run/mercury-io,/run/mercury,/opt/mercury,/proc/[0-9]*,/proc/self,/proc/thread-self";
const EXEMPT_ROLES: &str = "admin,system";
const MAX_PROMPT_CHARS: usize = 200_000;

/// The settings that bear on one caller.
#[derive(Debug, Clone)]
pub struct Policy {
    /// CLI names that this caller may not run; empty for an exempt role.
    pub denied_clis: BTreeSet<String>,
    /// Paths that nobody's tools may touch, at or below.
    pub protected_paths: Vec<PathPattern>,
    /// Lower-case phrases that a prompt may not contain.
    pub blocked_phrases: Vec<String>,
    /// Longest prompt, in characters.
    pub max_prompt_chars: usize,
}

impl Policy {
    /// Reads the settings for a caller of `role`; `get` answers with the value in force, if any.
    ///
    /// A number that cannot be read falls back to the default: the guard stays up, and the
    /// default is the stricter side.
    pub fn read(role: &str, get: impl Fn(&str) -> Option<String>) -> Self {
        let list = |key: &str, default: &str| -> Vec<String> { items(&get(key).unwrap_or_else(|| default.to_owned())) };
        let exempt = list("exempt-roles", EXEMPT_ROLES).iter().any(|name| name == role);
        Self {
            denied_clis: if exempt { BTreeSet::new() } else { list("denied-clis", "").into_iter().collect() },
            protected_paths: list("protected-paths", PROTECTED_PATHS)
                .iter()
                .map(|path| PathPattern::new(path))
                .collect(),
            blocked_phrases: list("blocked-phrases", "").iter().map(|phrase| phrase.to_lowercase()).collect(),
            max_prompt_chars: get("max-prompt-chars")
                .and_then(|number| number.trim().parse().ok())
                .unwrap_or(MAX_PROMPT_CHARS),
        }
    }

    /// Whether a denied list applies to this caller.
    pub fn restricted(&self) -> bool {
        !self.denied_clis.is_empty()
    }
}

fn items(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_trimmed_and_exempt_roles_are_not_restricted() {
        let get = |key: &str| (key == "denied-clis").then(|| " gws, ,napkin ".to_owned());
        let member = Policy::read("member", get);
        assert_eq!(member.denied_clis.iter().collect::<Vec<_>>(), ["gws", "napkin"]);
        assert!(!Policy::read("admin", get).restricted());
        assert!(!Policy::read("system", get).restricted());
        assert!(!Policy::read("member", |_| None).restricted());
    }

    #[test]
    fn an_unreadable_number_is_the_default() {
        assert_eq!(Policy::read("member", |_| Some("many".into())).max_prompt_chars, 200_000);
    }
}
