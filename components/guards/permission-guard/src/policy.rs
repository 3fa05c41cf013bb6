//! What the operator has set, resolved for one caller.

use std::collections::BTreeSet;

use crate::paths::PathPattern;

/// The run's own sockets and files, what the host brings along, and other processes' memory,
/// environment and open files. `/proc/cpuinfo` and its like stay readable.
const PROTECTED_PATHS: &str = "/run/mercury-io,/run/mercury,/opt/mercury,/proc/[0-9]*,/proc/self,/proc/thread-self";
const EXEMPT_ROLES: &str = "admin,system";
const MAX_PROMPT_CHARS: usize = 200_000;
const ASK_APPROVER: &str = "admin";
const ASK_TIMEOUT_S: u32 = 600;

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
    /// What somebody is asked about before it runs.
    pub asking: Asking,
}

/// Programs and tools that need somebody's approval.
#[derive(Debug, Clone)]
pub struct Asking {
    /// Names of programs or of tools.
    pub before: BTreeSet<String>,
    /// The role that may answer.
    pub approver: String,
    /// Milliseconds.
    pub timeout_ms: u32,
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
            asking: Asking {
                before: list("ask-before", "").into_iter().collect(),
                approver: get("ask-approver")
                    .map(|role| role.trim().to_owned())
                    .filter(|role| !role.is_empty())
                    .unwrap_or_else(|| ASK_APPROVER.to_owned()),
                timeout_ms: get("ask-timeout-s")
                    .and_then(|seconds| seconds.trim().parse().ok())
                    .unwrap_or(ASK_TIMEOUT_S)
                    .saturating_mul(1000),
            },
        }
    }

    /// The same rules, with the programs that need an approval in the place of the denied ones:
    /// what they refuse is what somebody has to be asked about.
    pub fn for_asking(&self) -> Self {
        Self { denied_clis: self.asking.before.clone(), ..self.clone() }
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
