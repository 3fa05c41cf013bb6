//! The component's exports: reads the settings, asks the rules, answers in the contract's words.

use mercury_plugin::{
    log, permissions, prompt_guard, settings, tool_guard,
    types::{Caller, Media},
    verdicts::{Question, Verdict},
};

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

impl prompt_guard::Guest for PermissionGuard {
    fn check(caller: Caller, prompt: String, _attachments: Vec<Media>) -> Verdict {
        verdict("prompt", &caller, prompt::check(&policy(&caller), &prompt))
    }
}

impl tool_guard::Guest for PermissionGuard {
    fn check(caller: Caller, tool: String, arguments: String) -> Verdict {
        let mut policy = policy(&caller);
        // Programs of plugins follow their plugin's permission, whatever the operator lists beside them.
        policy.denied_clis.extend(permissions::denied_programs(&caller));
        let decision = tool::check(&policy, &caller.space, &tool, &arguments);
        let question = decision.is_ok().then(|| tool::approval(&policy, &caller.space, &tool, &arguments)).flatten();
        match question {
            Some(text) => {
                let (approver, timeout_ms) = (policy.asking.approver, policy.asking.timeout_ms);
                Verdict::Ask(Question { text, approver, timeout_ms })
            }
            None => verdict("tool call", &caller, decision),
        }
    }
}

prompt_guard::export!(PermissionGuard);
tool_guard::export!(PermissionGuard);
