//! What becomes of a message.

use super::{
    command::{Command, Giver, Refusal},
    mute,
    notices::Notice,
    roles::{self, Held},
    words::Locale,
};

/// What is known of a message when it is decided.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub caller: &'a str,
    pub role: &'a str,
    /// What the role may do in the space.
    pub held: &'a Held,
    /// The caller is named in `permissions.admins`.
    pub operator: bool,
    /// Between one person and the bot.
    pub direct: bool,
    /// What is asked; none where nobody called the bot.
    pub prompt: Option<&'a str>,
    /// Files that came with it.
    pub files: usize,
    /// Why files that it had did not come, one reason each.
    pub missing: &'a [String],
    /// The space is to be silent.
    pub paused: bool,
    /// What people say to each other is kept.
    pub ambient: bool,
    pub locale: Locale,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Guards see it next, then it is queued.
    Run,
    /// The host does it itself.
    Command(Command),
    /// It is kept as something that was said, and not answered.
    Overhear,
    /// It is neither kept nor answered.
    Ignore,
    /// The person is told why.
    Deny { code: &'static str, reason: String },
}

/// `system` is the host itself: a message from outside that claims it is refused.
pub fn decide(facts: Facts<'_>) -> Decision {
    if is_reserved(facts.caller, facts.role) {
        return Decision::Deny {
            code: "caller_reserved",
            reason: "This caller id is reserved. Use another callerId.".into(),
        };
    }
    let Some(prompt) = facts.prompt else { return unanswered(facts) };
    let command = Command::parse(prompt);
    if facts.paused && !command.as_ref().is_some_and(Command::works_paused) {
        return unanswered(facts);
    }
    let wordless = prompt.trim().is_empty() && facts.files == 0;
    if wordless && let Some(reason) = facts.missing.first() {
        return Decision::Deny { code: "media_not_received", reason: format!("Your file did not arrive: {reason}.") };
    }
    if wordless {
        return Decision::Deny {
            code: "empty_message",
            reason: "The message is empty. Write what you want to know or to have done.".into(),
        };
    }
    if let Some(command) = command {
        let giver = Giver { role: facts.role, held: facts.held, operator: facts.operator, direct: facts.direct };
        return match command.gate(giver) {
            Ok(()) => Decision::Command(command),
            Err(refusal) => deny("not_permitted", refused(refusal, command.name()), facts.locale),
        };
    }
    if !facts.held.may("prompt") {
        return deny("not_permitted", Notice::NoPrompt, facts.locale);
    }
    Decision::Run
}

/// What is said between people is kept in groups; what somebody tells a bot that is silent is for nobody.
fn unanswered(facts: Facts<'_>) -> Decision {
    if facts.ambient && !facts.direct { Decision::Overhear } else { Decision::Ignore }
}

fn refused(refusal: Refusal, command: &str) -> Notice<'_> {
    match refusal {
        Refusal::Permission => Notice::NoPermission { command },
        Refusal::AdminsOnly => Notice::AdminsOnly { command },
        Refusal::OperatorsOnly => Notice::OperatorsOnly { command },
        Refusal::Prompt => Notice::NoPrompt,
    }
}

/// Whether somebody is not heard at all. Whoever claims to be the host is told that he is not.
pub fn is_silenced(caller: &str, role: &str, muted: bool) -> bool {
    muted && mute::silences(role) && !is_reserved(caller, role)
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

fn deny(code: &'static str, notice: Notice<'_>, locale: Locale) -> Decision {
    Decision::Deny { code, reason: notice.say(locale) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The defaults of a role.
    fn held(role: &str) -> &'static Held {
        Box::leak(Box::new(roles::Registry::default().held(role, None)))
    }

    fn facts<'a>(caller: &'a str, role: &'a str, prompt: &'a str) -> Facts<'a> {
        Facts {
            caller,
            role,
            held: held(role),
            operator: false,
            direct: true,
            prompt: Some(prompt),
            files: 0,
            missing: &[],
            paused: false,
            ambient: true,
            locale: Locale::English,
        }
    }

    #[test]
    fn who_may_ask() {
        let decide = |caller, role, text| decide(facts(caller, role, text));
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
        let facts = Facts { files: 1, ..facts("p:a", "member", "") };
        assert_eq!(decide(facts), Decision::Run);
        let missing = ["it is larger than 20 MB".to_owned()];
        let Decision::Deny { code, reason } = decide(Facts { files: 0, missing: &missing, ..facts }) else { panic!() };
        assert_eq!(
            (code, reason.as_str()),
            ("media_not_received", "Your file did not arrive: it is larger than 20 MB.")
        );
        let asked = Facts { prompt: Some("what is it?"), files: 0, missing: &missing, ..facts };
        assert_eq!(decide(asked), Decision::Run);
    }

    /// pipeline.md #19, #55 in their decisions.
    #[test]
    fn commands_and_what_calls_nobody() {
        let group = Facts { direct: false, ..facts("p:a", "admin", "stop") };
        assert_eq!(decide(group), Decision::Command(Command::Stop));
        let denied = decide(Facts { role: "member", held: held("member"), ..group });
        assert!(
            matches!(&denied, Decision::Deny { code: "not_permitted", reason } if reason.contains("stop")),
            "{denied:?}"
        );
        assert_eq!(decide(Facts { prompt: Some("stop all"), ..group }), Decision::Run);
        let uncalled = Facts { prompt: None, ..group };
        assert_eq!(decide(uncalled), Decision::Overhear);
        assert_eq!(decide(Facts { ambient: false, ..uncalled }), Decision::Ignore);
    }

    /// pipeline.md #24: in a paused space nothing is answered but what ends it. What runs can be stopped.
    #[test]
    fn a_paused_space() {
        let paused = |role, text, direct| decide(Facts { paused: true, direct, ..facts("p:a", role, text) });
        assert_eq!(paused("member", "hi", true), Decision::Ignore);
        assert_eq!(paused("admin", "/help", true), Decision::Ignore);
        assert_eq!(paused("admin", "hi", false), Decision::Overhear);
        assert_eq!(paused("guest", "hi", true), Decision::Ignore, "nor is anybody refused");
        assert_eq!(paused("admin", "/resume", false), Decision::Command(Command::Resume));
        assert_eq!(paused("admin", "stop", true), Decision::Command(Command::Stop));
    }

    /// permissions.md #35
    #[test]
    fn who_is_silenced() {
        assert!(is_silenced("p:a", "member", true) && !is_silenced("p:a", "member", false));
        assert!(!is_silenced("p:a", "admin", true));
        assert!(!is_silenced("system", "member", true));
    }

    /// pipeline.md #31 in part.
    #[test]
    fn a_refusal_is_in_the_language() {
        let hebrew = Facts { locale: Locale::Hebrew, ..facts("p:a", "guest", "hi") };
        let Decision::Deny { reason, .. } = decide(hebrew) else { panic!() };
        assert!(reason.chars().any(|c| ('א'..='ת').contains(&c)), "{reason}");
    }

    proptest! {
        #[test]
        fn nobody_claims_system(text in ".*", caller in "[sS][yY][sS][tT][eE][mM]") {
            prop_assert_ne!(decide(facts(&caller, "admin", &text)), Decision::Run);
        }

        /// Whatever is written in a paused space, no agent begins.
        #[test]
        fn nothing_runs_in_a_pause(text in "(/?[a-z]{0,8} ?.{0,9})", direct: bool, role in "(admin|member|guest)") {
            prop_assert_ne!(decide(Facts { paused: true, direct, ..facts("p:a", &role, &text) }), Decision::Run);
        }
    }
}
