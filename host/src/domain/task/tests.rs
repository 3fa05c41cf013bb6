use proptest::prelude::*;

use super::*;

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

fn once(text: &str, timezone: Option<&str>) -> Result<i64, TaskError> {
    match Schedule::parse(Wish { at: Some(text), timezone, ..Wish::default() })? {
        Schedule::At(at) => Ok(at),
        Schedule::Cron(_) => panic!("{text} is no line"),
    }
}

fn repeated(cron: &str, timezone: Option<&str>, least: u32) -> Result<i64, TaskError> {
    let schedule = Schedule::parse(Wish { cron: Some(cron), timezone, ..Wish::default() })?;
    schedule.first(at("2026-01-01T00:00:30Z"), least)
}

/// http-api.md #9, pipeline.md #45: what is refused, in the words that clients know.
#[test]
fn what_may_be_asked() {
    let refused = |wish| Schedule::parse(wish).unwrap_err().to_string();
    assert_eq!(refused(Wish::default()), "Missing cron or at");
    let both = Wish { cron: Some("* * * * *"), at: Some("2026-01-01"), timezone: None };
    assert_eq!(refused(both), "Cannot specify both cron and at");
    for bad in ["", "x", "61 * * * *", "* * * *", "0 0 0 1 1 * 2030", "H * * * *"] {
        assert_eq!(repeated(bad, None, 1).unwrap_err().to_string(), "Invalid cron expression", "{bad}");
    }
    assert_eq!(repeated("* * * * *", Some("Mars/Base"), 1).unwrap_err().to_string(), "Invalid timezone identifier");
    for bad in ["", "tomorrow", "2026-13-01T00:00", "2026-01-01T25:00", "08:00"] {
        assert_eq!(once(bad, None), Err(TaskError::At), "{bad}");
    }
    let schedule = Schedule::parse(Wish { at: Some("2026-01-01T00:00Z"), ..Wish::default() }).unwrap();
    assert_eq!(schedule.first(at("2026-01-01T00:00:00Z"), 1), Err(TaskError::Past));
    assert_eq!(schedule.first(at("2025-12-31T23:59:59Z"), 1), Ok(at("2026-01-01T00:00:00Z")));
    assert!(matches!(repeated("0 0 30 2 *", None, 1), Err(TaskError::Cron(_))), "a day that never comes");
}

#[test]
fn lines_of_the_replaced_system() {
    for (line, first) in [
        ("0 9 * * *", "2026-01-01T09:00:00Z"),
        ("@daily", "2026-01-02T00:00:00Z"),
        ("0 0 9 * * *", "2026-01-01T09:00:00Z"),
        ("0 9 L * *", "2026-01-31T09:00:00Z"),
        ("0 9 * * MON#1", "2026-01-05T09:00:00Z"),
        ("0 9 * JAN mon-fri", "2026-01-01T09:00:00Z"),
    ] {
        assert_eq!(repeated(line, None, 1), Ok(at(first)), "{line}");
    }
    assert_eq!(repeated("0 9 * * *", Some("asia/jerusalem"), 1), Ok(at("2026-01-01T07:00:00Z")));
}

/// Weakness W10: a time without an offset is one on the task's clock.
#[test]
fn a_moment() {
    for (text, zone, expected) in [
        ("2026-05-01T08:00", None, "2026-05-01T08:00:00Z"),
        ("2026-05-01T08:00", Some("Europe/Berlin"), "2026-05-01T06:00:00Z"),
        ("2026-05-01 08:00", Some("Europe/Berlin"), "2026-05-01T06:00:00Z"),
        ("2026-05-01", Some("Europe/Berlin"), "2026-04-30T22:00:00Z"),
        ("2026-05-01T08:00+03:00", Some("Europe/Berlin"), "2026-05-01T05:00:00Z"),
        ("2026-05-01T08:00:00.000Z", Some("Europe/Berlin"), "2026-05-01T08:00:00Z"),
        ("2026-05-01T08:00[America/New_York]", None, "2026-05-01T12:00:00Z"),
        // The clock is put forward from two to three, and back from three to two.
        ("2026-03-29T02:30", Some("Europe/Berlin"), "2026-03-29T01:00:00Z"),
        ("2026-03-29T02:30[Europe/Berlin]", None, "2026-03-29T01:00:00Z"),
        ("2026-10-25T02:30", Some("Europe/Berlin"), "2026-10-25T00:30:00Z"),
    ] {
        assert_eq!(once(text, zone), Ok(at(expected)), "{text} {zone:?}");
    }
}

#[test]
fn how_often() {
    assert_eq!(repeated("* * * * *", None, 1), Ok(at("2026-01-01T00:01:00Z")));
    for line in ["* * * * * *", "*/30 * * * * *", "0,30 0 9 * * *"] {
        assert_eq!(repeated(line, None, 1), Err(TaskError::TooOften(1)), "{line}");
    }
    assert_eq!(repeated("*/10 * * * *", None, 15), Err(TaskError::TooOften(15)));
    assert_eq!(repeated("0,10 9 * * *", None, 15), Err(TaskError::TooOften(15)));
    assert!(repeated("0,15 * * * *", None, 15).is_ok());
}

fn daily(due: &str) -> Due {
    Due {
        cron: Some("0 8 * * *".into()),
        at: None,
        timezone: None,
        due: at(due),
        requested: None,
        silent: false,
        busy: false,
        reachable: true,
        held: false,
    }
}

/// Weakness W8: what was missed comes once, and is known by its last time.
#[test]
fn what_was_missed_is_one_run() {
    let now = at("2026-05-04T11:00:00Z");
    let task = daily("2026-05-01T08:00:00Z");
    let next = Some(at("2026-05-05T08:00:00Z"));
    assert_eq!(turn(&task, now), Turn::Run { due: at("2026-05-04T08:00:00Z"), by_hand: false, next });
    assert_eq!(turn(&daily("2026-05-05T08:00:00Z"), now), Turn::Hold, "not due");
    let reminder = Due { cron: None, at: Some("2026-05-01T08:00Z".into()), ..daily("2026-05-01T08:00:00Z") };
    let late = Turn::Run { due: at("2026-05-01T08:00:00Z"), by_hand: false, next: None };
    assert_eq!(turn(&reminder, now), late, "a reminder is not forgotten");
}

#[test]
fn what_is_not_now() {
    let now = at("2026-05-04T11:00:00Z");
    let task = daily("2026-05-04T08:00:00Z");
    assert_eq!(turn(&Due { held: true, ..task.clone() }, now), Turn::Hold);
    let next = Some(at("2026-05-05T08:00:00Z"));
    assert_eq!(turn(&Due { busy: true, ..task.clone() }, now), Turn::Skip { next });
    let reminder = Due { cron: None, at: Some("2026-05-04T08:00Z".into()), ..task.clone() };
    assert_eq!(turn(&Due { busy: true, ..reminder }, now), Turn::Hold, "what comes once is not left out");
    let lost = Due { reachable: false, ..task.clone() };
    assert!(matches!(turn(&lost, now), Turn::Stop { .. }));
    assert!(matches!(turn(&Due { silent: true, ..lost }, now), Turn::Run { .. }), "nobody is written to");
    // Weakness W6: a row that is not understood harms itself alone.
    let broken = Due { cron: Some("never".into()), ..task.clone() };
    assert!(matches!(turn(&broken, now), Turn::Stop { why } if why.contains("never")));
    let nowhere = Due { timezone: Some("Mars/Base".into()), ..task };
    assert!(matches!(turn(&nowhere, now), Turn::Stop { why } if why.contains("Mars/Base")), "weakness W9");
}

#[test]
fn by_hand() {
    let now = at("2026-05-04T11:00:00Z");
    let due = at("2026-05-05T08:00:00Z");
    let wanted = Due { requested: Some(now - 1), ..daily("2026-05-05T08:00:00Z") };
    assert_eq!(turn(&wanted, now), Turn::Run { due: now - 1, by_hand: true, next: Some(due) });
    assert_eq!(turn(&Due { busy: true, ..wanted.clone() }, now), Turn::Skip { next: Some(due) });
    let both = Due { due: at("2026-05-04T08:00:00Z"), ..wanted };
    assert!(matches!(turn(&both, now), Turn::Run { by_hand: false, .. }), "one run for both");
}

#[test]
fn what_the_agent_is_told() {
    let occasion = Occasion {
        task: 3,
        name: Some("news".into()),
        due: at("2026-05-04T06:00:00Z"),
        by_hand: false,
        silent: false,
        timezone: Some("Europe/Berlin".into()),
    };
    assert_eq!(
        (occasion.label().as_str(), occasion.event().as_str()),
        ("#3 (news)", "mercury:task:3:due:1777874400000")
    );
    let note = occasion.note(occasion.due + 2_000);
    assert!(note.contains("due at 2026-05-04T08:00:00+02:00[Europe/Berlin]."), "{note}");
    assert!(occasion.note(occasion.due + 3_600_000).contains("and 60 minutes late."));
    let by_hand = Occasion { by_hand: true, silent: true, ..occasion };
    assert!(by_hand.note(0).contains("let run just now") && by_hand.note(0).contains("Nobody sees your answer"));
}

#[test]
fn failures_are_said_once_and_end() {
    assert_eq!(
        (1..=6).map(word).collect::<Vec<_>>(),
        [Word::Said, Word::Unsaid, Word::Unsaid, Word::Unsaid, Word::GivenUp, Word::GivenUp]
    );
}

#[test]
fn the_operators_tasks() {
    assert_eq!((role("system", "member"), role("p:ada", "member")), ("system", "member"));
}

proptest! {
    /// Whatever the times of looking are, and however long the host was down between them: each run has a
    /// time of its own, the times go forward, and after each look the next one lies ahead.
    #[test]
    fn no_time_runs_twice_and_none_is_for_ever(
        cron in prop::sample::select(&["*/5 * * * *", "30 2 * * *", "0 9,17 * * 1-5", "15 1-3 * * *", "@monthly"][..]),
        zone in prop::sample::select(&["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago"][..]),
        from in 1_262_304_000_000_i64..2_366_841_600_000,
        gaps in prop::collection::vec(1_i64..200 * 3_600_000, 1..40),
    ) {
        let wish = Wish { cron: Some(cron), timezone: Some(zone), at: None };
        let first = Schedule::parse(wish).unwrap().first(from, 1).unwrap();
        let mut task = Due { cron: Some(cron.into()), timezone: Some(zone.into()), due: first, ..daily("2026-01-01T00:00:00Z") };
        let (mut now, mut last) = (from, from);
        for gap in gaps {
            now += gap;
            match turn(&task, now) {
                Turn::Run { due, by_hand: false, next: Some(next) } => {
                    prop_assert!(due > last && due <= now && next > now, "{} {} {} {}", last, due, now, next);
                    (last, task.due) = (due, next);
                }
                Turn::Hold => prop_assert!(task.due > now),
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }

    #[test]
    fn any_moment(text in "\\PC{0,30}", zone in prop::sample::select(&["UTC", "Asia/Kathmandu"][..])) {
        let _ = once(&text, Some(zone));
    }
}
