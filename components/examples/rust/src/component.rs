//! The component's export: reads the settings, asks the rule.

use mercury_plugin::{
    settings, tool_guard,
    types::Caller,
    verdicts::{Question, Verdict},
};

use crate::{Rules, list, question};

struct MailGuard;

impl tool_guard::Guest for MailGuard {
    fn check(caller: Caller, tool: String, arguments: String) -> Verdict {
        let setting = |key| settings::get(key, Some(&caller.space)).unwrap_or_default();
        if tool != "bash" {
            return Verdict::Allow;
        }
        let arguments: serde_json::Value = serde_json::from_str(&arguments).unwrap_or_default();
        let Some(command) = arguments["command"].as_str() else {
            return Verdict::Deny("the shell was called without a command".into());
        };
        let rules = Rules { programs: list(&setting("programs")), known_domains: list(&setting("known-domains")) };
        match question(command, &rules) {
            None => Verdict::Allow,
            Some(text) => {
                let seconds: u32 = setting("timeout-s").parse().unwrap_or(600);
                Verdict::Ask(Question { text, approver: setting("approver"), timeout_ms: seconds.saturating_mul(1000) })
            }
        }
    }
}

tool_guard::export!(MailGuard);
