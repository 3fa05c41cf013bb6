//! Which of the host's `MERCURY_*` variables the agent's tools get, and under which names.
//!
//! Deny by default: what nobody declared or allowed stays with the host (container.md W2). Model
//! credentials never go this way, in either mode: the credentials' room hands them over.

use std::collections::{BTreeMap, BTreeSet};

/// What operators put in front of a variable that is meant for the agent; it is taken off.
pub const PREFIX: &str = "MERCURY_";

/// What becomes of variables that no plugin declares and the operator does not list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PassThrough {
    /// They stay with the host.
    #[default]
    Claimed,
    /// They pass: the replaced system's default, for who asks for it.
    All,
}

/// Secrets and settings of the host itself. Nothing makes them pass.
const BLOCKED: &[&str] = &[
    "MERCURY_ADMINS",
    "MERCURY_AGENT_ID",
    "MERCURY_API_SECRET",
    "MERCURY_API_SOCKET",
    "MERCURY_CALLER_TOKEN_KEY",
    "MERCURY_CHAT_API_KEY",
    "MERCURY_CONSOLE_INTERNAL_SECRET",
    "MERCURY_CONSOLE_URL",
    "MERCURY_CONSOLE_USER_ID",
    "MERCURY_CONTAINER_BWRAP_DOCKER_COMPAT",
    "MERCURY_CONTAINER_RUNTIME",
    "MERCURY_DISCORD_BOT_TOKEN",
    "MERCURY_DISCORD_GATEWAY_SECRET",
    "MERCURY_DOCKER_HOST",
    "MERCURY_HOST_DATA_DIR",
    "MERCURY_SLACK_BOT_TOKEN",
    "MERCURY_SLACK_SIGNING_SECRET",
    "MERCURY_TEAMS_APP_ID",
    "MERCURY_TEAMS_APP_PASSWORD",
    "MERCURY_TELEGRAM_BOT_TOKEN",
    "MERCURY_TELEGRAM_WEBHOOK_SECRET_TOKEN",
    "MERCURY_WHATSAPP_AUTH_DIR",
];

/// Those of [`BLOCKED`] that are a chat platform's: the plugin that speaks to it may bind them.
const OF_PLATFORMS: &[&str] = &[
    "MERCURY_DISCORD_BOT_TOKEN",
    "MERCURY_DISCORD_GATEWAY_SECRET",
    "MERCURY_SLACK_BOT_TOKEN",
    "MERCURY_SLACK_SIGNING_SECRET",
    "MERCURY_TEAMS_APP_ID",
    "MERCURY_TEAMS_APP_PASSWORD",
    "MERCURY_TELEGRAM_BOT_TOKEN",
    "MERCURY_TELEGRAM_WEBHOOK_SECRET_TOKEN",
];

/// Model credentials (container.md 5.2): they reach the agent by the credentials' own way, if at all.
const MODEL_CREDENTIALS: &[&str] = &[
    "AI_GATEWAY_API_KEY",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_OAUTH_TOKEN",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AZURE_OPENAI_API_KEY",
    "CEREBRAS_API_KEY",
    "COPILOT_GITHUB_TOKEN",
    "DEEPSEEK_API_KEY",
    "GEMINI_API_KEY",
    "GITHUB_COPILOT_OAUTH_TOKEN",
    "GOOGLE_CLOUD_API_KEY",
    "GROQ_API_KEY",
    "HF_TOKEN",
    "KIMI_API_KEY",
    "MINIMAX_API_KEY",
    "MINIMAX_CN_API_KEY",
    "MISTRAL_API_KEY",
    "OPENAI_API_KEY",
    "OPENROUTER_API_KEY",
    "XAI_API_KEY",
    "ZAI_API_KEY",
];

/// Switches of the entry program, which travel only this way (container.md W17).
const SWITCHES: &[&str] = &["MERCURY_DISABLE_BUBBLEWRAP"];

/// Names in the container that the host or the entry program sets: no variable replaces them
/// (container.md W16).
const RESERVED: &[&str] = &[
    "API_SECRET",
    "API_SOCKET",
    "API_URL",
    "BOT_USERNAME",
    "CALLER_ID",
    "CALLER_TOKEN",
    "CONTAINER_BUBBLEWRAP",
    "CONTAINER_RUNTIME",
    "HOME",
    "IO_DIR",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "MODEL_CHAIN",
    "MODEL_CHAIN_BUDGET_MS",
    "MODEL_CHAIN_CAPABILITIES",
    "MODEL_RETRY_MAX_PER_LEG",
    "NODE_OPTIONS",
    "OVERRIDE_PI_SYSTEM_PROMPT",
    "PATH",
    "PI_CODING_AGENT_DIR",
    "PWD",
    "SPACE_ID",
];

/// Whether a variable of the container may be set by nobody but the host: no plugin's hook takes the
/// place of an identity, a credential, a search path or a switch (extensions.md W3).
pub fn is_the_hosts(name: &str) -> bool {
    RESERVED.contains(&name)
        || MODEL_CREDENTIALS.contains(&name)
        || [PREFIX, "LD_", "PI_", "NODE_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Whether the variable, named as in the container, opens a model.
pub fn is_model_credential(name: &str) -> bool {
    MODEL_CREDENTIALS.contains(&name)
}

/// A plugin's word that it needs a variable. A claimed variable never passes by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// As the host has it.
    pub name: String,
    /// As the agent gets it; without a name of its own, the host's without the prefix.
    pub given_as: Option<String>,
    /// For the host's half of the plugin: claimed, so that it passes to nobody.
    pub host_only: bool,
    /// Who lacks it does not get the variable.
    pub permission: Option<String>,
}

/// What decides. `own` are the names of the host's settings, which mode `all` leaves out.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    pub mode: PassThrough,
    /// Listed by the operator: they pass in either mode.
    pub allowed: &'a [String],
    pub own: &'a [&'static str],
    pub claims: &'a [Claim],
}

/// Name in the container → name in the host, of the variables that are `set`, for a caller who
/// `holds` permissions.
pub fn select<'a>(
    set: impl IntoIterator<Item = &'a str>,
    rules: &Rules<'_>,
    holds: impl Fn(&str) -> bool,
) -> BTreeMap<String, String> {
    let set: BTreeSet<&str> = set.into_iter().collect();
    let mut given: BTreeMap<String, String> = set
        .iter()
        .filter(|name| rules.passes(name))
        .filter_map(|name| Some((inside(name)?.to_owned(), (*name).to_owned())))
        .collect();
    for claim in rules.claims.iter().filter(|claim| !claim.host_only && set.contains(claim.name.as_str())) {
        let as_name = claim.given_as.as_deref().unwrap_or_else(|| inside(&claim.name).unwrap_or(&claim.name));
        if !BLOCKED.contains(&claim.name.as_str()) && claim.permission.as_deref().is_none_or(&holds) {
            given.insert(as_name.to_owned(), claim.name.clone());
        }
    }
    given.retain(|name, _| !is_reserved(name));
    given
}

/// Variables for the agent that nobody declared: in mode `all` they reach every space, in mode
/// `claimed` nobody. For the line at start; names only.
pub fn undeclared<'a>(set: impl IntoIterator<Item = &'a str>, rules: &Rules<'_>) -> Vec<&'a str> {
    let all = Rules { mode: PassThrough::All, allowed: &[], ..rules.clone() };
    let names: BTreeSet<&str> = set.into_iter().filter(|name| all.passes(name)).collect();
    names
        .into_iter()
        .filter(|name| {
            !rules.lists(name) && !SWITCHES.contains(name) && inside(name).is_some_and(|name| !is_reserved(name))
        })
        .collect()
}

/// Whether the host keeps the variable to itself whatever is configured.
pub fn is_blocked(name: &str) -> bool {
    BLOCKED.contains(&name)
}

/// Whether no plugin may have it, not even as a secret that it never sees.
pub fn is_hosts_own(name: &str) -> bool {
    is_blocked(name) && !OF_PLATFORMS.contains(&name)
}

impl Rules<'_> {
    /// Whether it passes without a claim.
    fn passes(&self, name: &str) -> bool {
        let Some(inside) = inside(name) else { return false };
        if BLOCKED.contains(&name) || MODEL_CREDENTIALS.contains(&inside) {
            return false;
        }
        if self.claims.iter().any(|claim| claim.name == name) {
            return false;
        }
        SWITCHES.contains(&name) || self.lists(name) || (self.mode == PassThrough::All && !self.own.contains(&name))
    }

    /// The operator may leave the prefix out.
    fn lists(&self, name: &str) -> bool {
        self.allowed.iter().any(|listed| listed == name || Some(listed.as_str()) == inside(name))
    }
}

fn inside(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX).filter(|rest| !rest.is_empty())
}

pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || name.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SET: &[&str] = &[
        "MERCURY_ANTHROPIC_API_KEY",
        "MERCURY_BILLING_KEY",
        "MERCURY_API_SECRET",
        "MERCURY_TELEGRAM_BOT_TOKEN",
        "MERCURY_CLAIMED_TOKEN",
        "MERCURY_PORT",
        "MERCURY_DISABLE_BUBBLEWRAP",
        "PATH",
    ];

    fn claim(name: &str) -> Claim {
        Claim { name: name.into(), given_as: None, host_only: false, permission: Some("plugin".into()) }
    }

    fn rules<'a>(mode: PassThrough, claims: &'a [Claim]) -> Rules<'a> {
        Rules { mode, allowed: &[], own: &["MERCURY_PORT"], claims }
    }

    fn names(mode: PassThrough, claims: &[Claim], holds: bool) -> Vec<String> {
        select(SET.iter().copied(), &rules(mode, claims), |_| holds).into_keys().collect()
    }

    /// container.md #13: prefix off, sorted; claimed, blocked, unset, foreign and the host's own stay.
    /// Model keys go by the credentials' way, in either mode.
    #[test]
    fn all_passes_what_is_nobodys() {
        assert_eq!(
            names(PassThrough::All, &[claim("MERCURY_CLAIMED_TOKEN")], false),
            ["BILLING_KEY", "DISABLE_BUBBLEWRAP"]
        );
    }

    /// container.md #14: unclaimed, the token passes in mode `all`.
    #[test]
    fn unclaimed_it_passes() {
        assert!(names(PassThrough::All, &[], false).contains(&"CLAIMED_TOKEN".to_owned()));
    }

    /// container.md #15 #62, config.md #24: blocked names pass in no mode, not even listed or claimed.
    #[test]
    fn blocked_names_never_pass() {
        let allowed: Vec<String> = BLOCKED.iter().map(|name| (*name).to_owned()).collect();
        let claims: Vec<Claim> = BLOCKED.iter().map(|name| claim(name)).collect();
        for mode in [PassThrough::All, PassThrough::Claimed] {
            for claims in [&[][..], &claims] {
                let rules = Rules { mode, allowed: &allowed, own: &[], claims };
                assert!(select(BLOCKED.iter().copied(), &rules, |_| true).is_empty());
            }
        }
        for secret in ["MERCURY_CONSOLE_INTERNAL_SECRET", "MERCURY_CONSOLE_URL"] {
            assert!(is_blocked(secret));
        }
    }

    /// container.md #16 (as architecture.md has it), config.md #24: mode `claimed`, the default, passes only what is
    /// declared, listed or a switch of the entry program.
    #[test]
    fn claimed_passes_what_is_declared() {
        assert_eq!(PassThrough::default(), PassThrough::Claimed);
        assert_eq!(names(PassThrough::Claimed, &[], true), ["DISABLE_BUBBLEWRAP"]);
        for listed in ["MERCURY_BILLING_KEY", "BILLING_KEY"] {
            let rules = Rules { allowed: &[listed.to_owned()], ..rules(PassThrough::Claimed, &[]) };
            let given = select(SET.iter().copied(), &rules, |_| false);
            assert_eq!(given.get("BILLING_KEY").map(String::as_str), Some("MERCURY_BILLING_KEY"), "{listed}");
        }
    }

    /// container.md #17: the line at start names what nobody declared, and nothing else.
    #[test]
    fn the_inventory_is_of_the_undeclared() {
        let claims = [claim("MERCURY_CLAIMED_TOKEN")];
        for mode in [PassThrough::All, PassThrough::Claimed] {
            assert_eq!(undeclared(SET.iter().copied(), &rules(mode, &claims)), ["MERCURY_BILLING_KEY"]);
            assert!(undeclared(["MERCURY_OPENAI_API_KEY"], &rules(mode, &claims)).is_empty());
        }
    }

    /// container.md #18: no model credential is blocked: one list is not the other.
    #[test]
    fn the_lists_are_apart() {
        for name in MODEL_CREDENTIALS {
            assert!(!BLOCKED.contains(&format!("{PREFIX}{name}").as_str()), "{name}");
        }
    }

    /// container.md #19: by permission, under the name that the plugin gives it; host-only never.
    #[test]
    fn claims_need_the_permission() {
        let mut token = claim("MERCURY_CLAIMED_TOKEN");
        assert_eq!(names(PassThrough::Claimed, std::slice::from_ref(&token), false), ["DISABLE_BUBBLEWRAP"]);
        token.given_as = Some("TOKEN".into());
        assert_eq!(names(PassThrough::Claimed, std::slice::from_ref(&token), true), ["DISABLE_BUBBLEWRAP", "TOKEN"]);
        token.permission = None;
        assert_eq!(names(PassThrough::Claimed, std::slice::from_ref(&token), false), ["DISABLE_BUBBLEWRAP", "TOKEN"]);
        token.host_only = true;
        for mode in [PassThrough::All, PassThrough::Claimed] {
            assert!(!names(mode, std::slice::from_ref(&token), true).iter().any(|name| name.contains("TOKEN")));
        }
    }

    /// container.md #63: neither the environment nor a plugin replaces what the host sets.
    #[test]
    fn reserved_names_stand() {
        let set: Vec<String> = RESERVED.iter().map(|name| format!("{PREFIX}{name}")).collect();
        let mut evil = claim("MERCURY_BILLING_KEY");
        evil.permission = None;
        for name in ["PATH", "IO_DIR", "CALLER_TOKEN", "MERCURY_X"] {
            evil.given_as = Some(name.into());
            let given =
                select(set.iter().map(String::as_str), &rules(PassThrough::All, std::slice::from_ref(&evil)), |_| true);
            assert!(given.is_empty(), "{given:?}");
            let given =
                select(["MERCURY_BILLING_KEY"], &rules(PassThrough::All, std::slice::from_ref(&evil)), |_| true);
            assert!(given.is_empty(), "{given:?}");
        }
    }

    proptest! {
        /// Whatever is set, declared and listed: nothing blocked, reserved or of a model passes unclaimed.
        #[test]
        fn nothing_else_passes(names in proptest::collection::vec("(MERCURY_)?[A-Z_]{0,12}", 0..20), all: bool) {
            let mode = if all { PassThrough::All } else { PassThrough::Claimed };
            let every: Vec<&str> = names.iter().map(String::as_str).chain(BLOCKED.iter().copied()).collect();
            for (inside, outside) in select(every, &rules(mode, &[]), |_| true) {
                prop_assert!(!BLOCKED.contains(&outside.as_str()) && !RESERVED.contains(&inside.as_str()));
                prop_assert!(outside.starts_with(PREFIX) && !MODEL_CREDENTIALS.contains(&inside.as_str()));
                prop_assert!(all || SWITCHES.contains(&outside.as_str()));
            }
        }
    }
}
