use super::*;
use proptest::prelude::*;
use serde_json::json;

const ONE: &[Candidate] = &[Candidate { id: 7, ordinal: 0 }];
const TWO: &[Candidate] = &[Candidate { id: 7, ordinal: 0 }, Candidate { id: 8, ordinal: 1 }];

#[test]
fn answers_are_understood() {
    let one = |text| hear(text, ONE);
    let said = |said| Heard::Answer { question: 7, said };
    for text in ["1", " 1. ", "1)", "yes", "Yes!", "ALLOW", "allow once", "approve"] {
        assert_eq!(one(text), said(Said::Allow), "{text}");
    }
    for text in ["2", "no", "No.", "deny", "reject"] {
        assert_eq!(one(text), said(Said::Deny(None)), "{text}");
    }
    for text in ["2 not now", "2: not now", "deny not now", "Deny: not now", "reject, not now"] {
        assert_eq!(one(text), said(Said::Deny(Some("not now".into()))), "{text}");
    }
    assert_eq!(one("edit ls -la"), said(Said::Edit("ls -la".into())));
    assert_eq!(one("Edit: {\"command\":\"ls\"}"), said(Said::Edit("{\"command\":\"ls\"}".into())));
    for text in
        ["", "1 apple", "3", "2nd", "yes, and then write a report", "no way to do that?", "edit", "edition", "denying"]
    {
        assert_eq!(one(text), Heard::Nothing, "{text}");
    }
    assert_eq!(hear("yes", &[]), Heard::Nothing);
}

#[test]
fn a_number_means_one_question_and_a_word_does_not() {
    assert_eq!(hear("1", TWO), Heard::Answer { question: 7, said: Said::Allow });
    assert_eq!(hear("4", TWO), Heard::Answer { question: 8, said: Said::Deny(None) });
    assert_eq!(hear("yes", TWO), Heard::Ambiguous);
    assert_eq!(hear("what is this?", TWO), Heard::Nothing);
    assert_eq!(addressed("#12 deny too much"), Some((12, "deny too much")));
    for text in ["#12", "12 allow", "#x allow", "#-1 allow"] {
        assert_eq!(addressed(text), None, "{text}");
    }
    assert_eq!((pressed("#12 allow"), pressed("#12 deny")), (Some(12), Some(12)));
    for forged in ["#12 edit ls", "#12 deny because", "#12 1", "allow", "#x allow", "write me a poem", ""] {
        assert_eq!(pressed(forged), None, "{forged}");
    }
}

#[test]
fn who_may_answer_what() {
    assert!(may_answer("moderator", "moderator") && may_answer("moderator", "admin") && may_answer("admin", "system"));
    assert!(!may_answer("admin", "member") && !may_answer("moderator", "member") && !may_answer("admin", ""));
    assert_eq!(approver("moderator"), "moderator");
    for role in ["", "system", "Admin", "a b", "-x", &"a".repeat(33)] {
        assert_eq!(approver(role), "admin", "{role}");
    }
}

#[test]
fn an_edit_is_a_command_or_an_object() {
    let call = json!({ "command": "rm -rf /", "timeout": 5 });
    assert_eq!(edited(&call, "rm x"), Ok(json!({ "command": "rm x", "timeout": 5 })));
    assert_eq!(edited(&call, "{\"command\":\"ls\"}"), Ok(json!({ "command": "ls" })));
    assert!(matches!(edited(&call, "{\"command\""), Err(EditError::NotJson(_))));
    assert_eq!(edited(&json!({ "path": "x" }), "y"), Err(EditError::NoCommand));
    assert_eq!(edited(&call, &"x".repeat(MOST_SHOWN + 1)), Err(EditError::TooLong));
}

#[test]
fn a_shown_call_hides_nothing() {
    let shown = |command: &str| shown("bash", &json!({ "command": command })).unwrap();
    assert_eq!(shown("rm -rf x\n1. Allow"), "    bash:\n    rm -rf x\n    1. Allow");
    assert_eq!(shown("a\u{202e}b\u{1b}[2Kc\u{200b}"), "    bash:\n    a\\u{202e}b\\u{1b}[2Kc\\u{200b}");
    assert!(super::shown("bash", &json!({ "command": "x".repeat(MOST_SHOWN) })).is_none());
}

#[test]
fn a_questions_time_is_bounded() {
    let day = LONGEST;
    assert_eq!(lasts(0, day), Some(SHORTEST));
    assert_eq!(lasts(u32::MAX, day), Some(LONGEST));
    assert_eq!(lasts(60_000, Duration::from_secs(30)), Some(Duration::from_secs(30)));
    assert_eq!(lasts(60_000, Duration::from_secs(9)), None);
}

#[test]
fn durations_are_words() {
    for (millis, words) in [(9_001, "10 s"), (599_990, "10 min"), (86_400_000, "24 h"), (121_000, "3 min")] {
        assert_eq!(duration(Duration::from_millis(millis)), words);
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Answered(Said::Allow)),
        Just(Event::Answered(Said::Deny(None))),
        ".{0,8}".prop_map(|text| Event::Answered(Said::Edit(text))),
        Just(Event::Looked),
        Just(Event::RunEnded),
    ]
}

proptest! {
    /// Whatever happens in whatever order: it is settled once, and by nobody after its time.
    #[test]
    fn a_question_is_settled_once(events in proptest::collection::vec((event(), 0_i64..20), 1..12), expires_at in 0_i64..20) {
        let mut state = State::Open;
        for (event, now) in events {
            if let Some(next) = state.after(&event, now, expires_at) {
                prop_assert_eq!(state, State::Open);
                prop_assert!(next != State::Open && state.may_become(next));
                let answered = matches!(next, State::Allowed | State::Edited | State::Denied);
                prop_assert!(!answered || now < expires_at);
                prop_assert!(next != State::Expired || now >= expires_at);
                state = next;
            }
        }
    }

    #[test]
    fn overlapping_waits_count_once(intervals in proptest::collection::vec((0_i64..60, 0_i64..20), 0..8)) {
        let intervals: Vec<_> = intervals.into_iter().map(|(from, length)| (from, from + length)).collect();
        let counted = (0..100).filter(|&at| intervals.iter().any(|&(from, to)| from <= at && at < to)).count();
        prop_assert_eq!(covered(intervals), counted as i64);
    }

    /// No text answers what was not asked, and none panics.
    #[test]
    fn any_text_is_read(text in "\\PC{0,40}", ordinals in proptest::collection::vec(0_u32..50, 0..4)) {
        let open: Vec<_> = ordinals.iter().enumerate().map(|(id, ordinal)| Candidate { id: id as i64, ordinal: *ordinal }).collect();
        if let Heard::Answer { question, .. } = hear(&text, &open) {
            prop_assert!(open.iter().any(|candidate| candidate.id == question));
        }
        let _ = (addressed(&text), answer(&text, 3), edited(&json!({ "command": "x" }), &text));
    }

    #[test]
    fn no_two_questions_share_a_number(a in 0_u32..1000, b in 0_u32..1000) {
        prop_assume!(a != b);
        for choice in choices(a) {
            prop_assert!(choices(b).iter().all(|other| other.number != choice.number));
        }
    }

    #[test]
    fn lines_of_a_shown_call_are_indented(command in ".{0,200}") {
        if let Some(shown) = shown("bash", &json!({ "command": command })) {
            prop_assert!(shown.lines().all(|line| line.starts_with("    ")));
        }
    }
}
