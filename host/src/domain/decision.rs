//! Whether a message becomes a run.

use super::roles;

/// What is known of a message when it is decided.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub caller: &'a str,
    pub role: &'a str,
    /// Whether the role may do so in the space.
    pub may_prompt: bool,
    pub text: &'a str,
    /// Files that came with it.
    pub files: usize,
    /// Why files that it had did not come, one reason each.
    pub missing: &'a [String],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Guards see it next, then it is queued.
    Run,
    /// The person is told why.
    Deny { code: &'static str, reason: String },
}

/// `system` is the host itself: a message from outside that claims it is refused.
pub fn decide(facts: Facts<'_>) -> Decision {
    if is_reserved(facts.caller, facts.role) {
        return deny("caller_reserved", "This caller id is reserved. Use another callerId.");
    }
    let wordless = facts.text.trim().is_empty() && facts.files == 0;
    if wordless && let Some(reason) = facts.missing.first() {
        return Decision::Deny { code: "media_not_received", reason: format!("Your file did not arrive: {reason}.") };
    }
    if wordless {
        return deny("empty_message", "The message is empty. Write what you want to know or to have done.");
    }
    if !facts.may_prompt {
        return deny("not_permitted", "You may not ask the assistant here. An admin of this space can grant it.");
    }
    Decision::Run
}

/// Whether a message claims to be the host's own, or a plugin's.
pub fn is_reserved(caller: &str, role: &str) -> bool {
    let of_plugin = |name: &str| {
        name.get(..roles::PLUGIN_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(roles::PLUGIN_PREFIX))
    };
    caller.is_empty()
        || caller.eq_ignore_ascii_case(roles::SYSTEM_ROLE)
        || role == roles::SYSTEM_ROLE
        || of_plugin(caller)
        || of_plugin(role)
}

fn deny(code: &'static str, reason: &str) -> Decision {
    Decision::Deny { code, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_may_ask() {
        let decide = |caller, role, text| {
            let may_prompt = roles::may(role, "prompt");
            decide(Facts { caller, role, may_prompt, text, files: 0, missing: &[] })
        };
        assert_eq!(decide("api:a", "member", "hi"), Decision::Run);
        assert!(matches!(decide("system", "member", "hi"), Decision::Deny { code: "caller_reserved", .. }));
        assert!(matches!(decide("Plugin:x", "member", "hi"), Decision::Deny { code: "caller_reserved", .. }));
        assert!(matches!(decide("api:a", "plugin:x", "hi"), Decision::Deny { code: "caller_reserved", .. }));
        assert!(matches!(decide("api:a", "guest", "hi"), Decision::Deny { code: "not_permitted", .. }));
        assert!(matches!(decide("api:a", "member", " \n"), Decision::Deny { code: "empty_message", .. }));
    }

    /// adapters.md 1.9: a file that says it all, and one that did not come.
    #[test]
    fn a_message_of_files() {
        let facts = Facts { caller: "p:a", role: "member", may_prompt: true, text: "", files: 1, missing: &[] };
        assert_eq!(decide(facts), Decision::Run);
        let missing = ["it is larger than 20 MB".to_owned()];
        let Decision::Deny { code, reason } = decide(Facts { files: 0, missing: &missing, ..facts }) else { panic!() };
        assert_eq!(
            (code, reason.as_str()),
            ("media_not_received", "Your file did not arrive: it is larger than 20 MB.")
        );
        assert_eq!(decide(Facts { text: "what is it?", files: 0, missing: &missing, ..facts }), Decision::Run);
    }

    proptest! {
        #[test]
        fn nobody_claims_system(text in ".*", caller in "[sS][yY][sS][tT][eE][mM]") {
            prop_assert_ne!(decide(Facts { caller: &caller, role: "admin", may_prompt: true, text: &text, files: 0, missing: &[] }), Decision::Run);
        }
    }
}
