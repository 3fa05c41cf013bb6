//! The component's exports: reads the settings, asks the rules, answers in the contract's words.

use mercury_plugin::guard::{self, Caller, Media, PromptGuard, ToolGuard, Verdict, log, settings};

use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::{prompt, tool};

struct PermissionGuard;

fn policy(caller: &Caller) -> Policy {
    Policy::read(&caller.role, |key| settings::get(key, Some(&caller.space)))
}

fn verdict(what: &str, caller: &Caller, decision: Result<(), Refusal>) -> Verdict {
    match decision {
        Ok(()) => Verdict::Allow,
        Err(refusal) => {
            log::info(&format!("{what} of {} denied: {}", caller.person, refusal.kind()));
            Verdict::Deny(refusal.to_string())
        }
    }
}

impl PromptGuard for PermissionGuard {
    fn check(caller: Caller, prompt: String, _attachments: Vec<Media>) -> Verdict {
        verdict("prompt", &caller, prompt::check(&policy(&caller), &prompt))
    }
}

impl ToolGuard for PermissionGuard {
    fn check(caller: Caller, tool: String, arguments: String) -> Verdict {
        let decision = tool::check(&policy(&caller), &caller.space, &tool, &arguments);
        verdict("tool call", &caller, decision)
    }
}

guard::export!(PermissionGuard);
