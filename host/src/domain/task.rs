//! Tasks that people have scheduled: what may be asked, when one is due, and what becomes of it then. Times
//! are milliseconds since the epoch.

use jiff::{Timestamp, Zoned, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    cron::{self, Fields, Line},
    roles::SYSTEM_ROLE,
};

/// Characters of what a task asks. Our own bound: ten pages.
pub const MOST_PROMPT: usize = 20_000;
/// Characters of a task's name.
pub const MOST_NAME: usize = 100;
/// Times that are looked at to see how often a line is due.
const LOOKS: usize = 60;
/// How often a task may fail one after the other.
pub const MOST_FAILURES: u32 = 5;
/// How late a run may be without a word about it.
const LATE: i64 = 5 * 60_000;

/// Why a task is not made. The words of the replaced system, which its clients know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    #[error("Missing prompt")]
    NoPrompt,
    #[error("The prompt has more than {MOST_PROMPT} characters")]
    LongPrompt,
    #[error("Missing cron or at")]
    NoTime,
    #[error("Cannot specify both cron and at")]
    TwoTimes,
    #[error("Invalid timezone identifier")]
    Zone(String),
    #[error("Invalid cron expression")]
    Cron(String),
    #[error("Invalid at timestamp")]
    At,
    #[error("at timestamp must be in the future")]
    Past,
    #[error("The task would run more often than every {0} minutes")]
    TooOften(u32),
}

impl TaskError {
    pub fn next_step(&self) -> String {
        match self {
            Self::NoPrompt => "Say what is to be done".into(),
            Self::LongPrompt => "Put what it needs into a file of the space, and name the file".into(),
            Self::NoTime | Self::TwoTimes => {
                "Send cron for something that comes again, or at for something that comes once".into()
            }
            Self::Zone(why) | Self::Cron(why) => why.clone(),
            Self::At => "Write it as in 2026-05-01T08:00, in the task's time zone, or with its own offset: 2026-05-01T08:00+02:00".into(),
            Self::Past => "Name a later one".into(),
            Self::TooOften(_) => "Let it run less often; the operator sets scheduling.min_interval_minutes".into(),
        }
    }
}

/// When somebody wants something, as it was written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    pub cron: Option<&'a str>,
    pub at: Option<&'a str>,
    pub timezone: Option<&'a str>,
}

/// A schedule that holds.
#[derive(Clone, Debug)]
pub enum Schedule {
    Cron(Line),
    At(i64),
}

impl Schedule {
    /// Without a time zone the clock is that of UTC.
    ///
    /// # Errors
    /// [`TaskError`]
    pub fn parse(wish: Wish<'_>) -> Result<Self, TaskError> {
        let zone = match wish.timezone {
            Some(name) => cron::zone(name).map_err(TaskError::Zone)?,
            None => TimeZone::UTC,
        };
        match (wish.cron, wish.at) {
            (None, None) => Err(TaskError::NoTime),
            (Some(_), Some(_)) => Err(TaskError::TwoTimes),
            (Some(text), None) => Line::parse(text, zone, Fields::SecondsToo).map(Self::Cron).map_err(TaskError::Cron),
            (None, Some(text)) => moment(text.trim(), zone).map(Self::At).ok_or(TaskError::At),
        }
    }

    /// When it is due first.
    ///
    /// # Errors
    /// Where that is never, or more often than every `least` minutes.
    pub fn first(&self, now: i64, least: u32) -> Result<i64, TaskError> {
        match self {
            Self::At(at) if *at > now => Ok(*at),
            Self::At(_) => Err(TaskError::Past),
            Self::Cron(line) => {
                let never = || TaskError::Cron("There is no day on which it is due".into());
                let first = line.next(now).ok_or_else(never)?;
                let mut last = first;
                for _ in 0..LOOKS {
                    let Some(next) = line.next(last) else { break };
                    if next - last < i64::from(least) * 60_000 {
                        return Err(TaskError::TooOften(least));
                    }
                    last = next;
                }
                Ok(first)
            }
        }
    }

    /// When a task is due that somebody lets go on: what was missed meanwhile of something that comes again
    /// is past; what comes once still comes.
    pub fn resumed(&self, now: i64) -> Option<i64> {
        match self {
            Self::At(at) => Some(*at),
            Self::Cron(line) => line.next(now),
        }
    }
}

/// A moment with its own offset or zone, or a time on the clock of `zone`.
fn moment(text: &str, zone: TimeZone) -> Option<i64> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_millisecond());
    }
    if let Ok(moment) = text.parse::<Zoned>() {
        return Some(moment.timestamp().as_millisecond());
    }
    let clock: DateTime = text.parse().ok()?;
    Some(clock.to_zoned(zone).ok()?.timestamp().as_millisecond())
}

/// Where the answer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub platform: String,
    pub conversation: String,
    /// A topic inside the conversation.
    pub thread: Option<String>,
    pub direct: bool,
}

impl Place {
    /// The platform of programs: nobody can be written to there, so the answer is kept and not sent.
    pub const PROGRAMS: &str = "api";

    pub fn of_program(caller: &str) -> Self {
        Self {
            platform: Self::PROGRAMS.into(),
            conversation: format!("{}:{caller}", Self::PROGRAMS),
            thread: None,
            direct: true,
        }
    }

    pub fn is_told(&self) -> bool {
        self.platform != Self::PROGRAMS
    }
}

/// One time that a task is due, kept with the message that it becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occasion {
    pub task: i64,
    pub name: Option<String>,
    /// When it was due; where somebody let it run, when that was.
    pub due: i64,
    /// Somebody let it run, whatever its schedule says.
    pub by_hand: bool,
    /// Nothing is sent.
    pub silent: bool,
    pub timezone: Option<String>,
}

impl Occasion {
    /// The event that the message comes from: of one task and one time there is one message. No adapter and
    /// no program has events of this form.
    pub fn event(&self) -> String {
        let kind = if self.by_hand { "by-hand" } else { "due" };
        format!("mercury:task:{}:{kind}:{}", self.task, self.due)
    }

    /// As people know it: `#3`, or `#3 (morning news)`.
    pub fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("#{} ({name})", self.task),
            None => format!("#{}", self.task),
        }
    }

    /// What the agent is told of where its prompt comes from.
    pub fn note(&self, now: i64) -> String {
        let mut note = format!("This prompt is the scheduled task #{}", self.task);
        if self.by_hand {
            note.push_str(", which somebody has let run just now.");
        } else {
            note.push_str(&format!(", due at {}", self.clock()));
            match now - self.due {
                late if late > LATE => note.push_str(&format!(" and {} minutes late.", late / 60_000)),
                _ => note.push('.'),
            }
        }
        note.push_str(match self.silent {
            true => " Nobody sees your answer: what you do counts.",
            false => " Nobody has just written to you: your answer is sent into the conversation as it is.",
        });
        note
    }

    /// The time on the task's own clock.
    fn clock(&self) -> String {
        let zone = self.timezone.as_deref().and_then(|name| cron::zone(name).ok()).unwrap_or(TimeZone::UTC);
        match Timestamp::from_millisecond(self.due) {
            Ok(due) => due.to_zoned(zone).to_string(),
            Err(_) => String::new(),
        }
    }
}

/// A task that is due, or that somebody wants to run.
#[derive(Clone, Debug)]
pub struct Due {
    pub cron: Option<String>,
    pub at: Option<String>,
    pub timezone: Option<String>,
    pub due: i64,
    /// When somebody asked for a run of it.
    pub requested: Option<i64>,
    pub silent: bool,
    /// Its last run is not over.
    pub busy: bool,
    /// Its conversation is one of its space, or one that no one is written to in.
    pub reachable: bool,
    /// Its space is to be silent, or too much waits there already.
    pub held: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Not now; the same question is asked again.
    Hold,
    /// This time is left out.
    Skip { next: Option<i64> },
    /// Not again until somebody lets it go on.
    Stop { why: String },
    Run {
        due: i64,
        by_hand: bool,
        /// The next time, where it comes again.
        next: Option<i64>,
    },
}

/// What becomes of a task at `now`. Times that were missed become one run: the last of them.
pub fn turn(task: &Due, now: i64) -> Turn {
    let wish = Wish { cron: task.cron.as_deref(), at: task.at.as_deref(), timezone: task.timezone.as_deref() };
    let schedule = match Schedule::parse(wish) {
        Ok(schedule) => schedule,
        Err(error) => return Turn::Stop { why: format!("{error}: {}", error.next_step()) },
    };
    let is_due = task.due <= now;
    if task.held || !(is_due || task.requested.is_some()) {
        return Turn::Hold;
    }
    if !task.reachable && !task.silent {
        return Turn::Stop { why: "its conversation is no longer one of its space".into() };
    }
    match (schedule, task.requested) {
        // What comes once waits; what comes again does not pile up.
        (Schedule::At(_), _) if task.busy => Turn::Hold,
        (Schedule::Cron(line), _) if task.busy && is_due => Turn::Skip { next: line.next(now) },
        (Schedule::Cron(_), _) if task.busy => Turn::Skip { next: Some(task.due) },
        (Schedule::At(at), _) if is_due => Turn::Run { due: at, by_hand: false, next: None },
        (Schedule::Cron(line), _) if is_due => {
            let due = line.last(now).unwrap_or(task.due).max(task.due);
            Turn::Run { due, by_hand: false, next: line.next(now) }
        }
        (_, Some(requested)) => Turn::Run { due: requested, by_hand: true, next: Some(task.due) },
        (_, None) => Turn::Hold,
    }
}

/// The role in which a task runs whose maker has the role `role` now: the host's own tasks are the operator's.
pub fn role<'a>(created_by: &str, role: &'a str) -> &'a str {
    if created_by == SYSTEM_ROLE { SYSTEM_ROLE } else { role }
}

/// What is said of a failure, the one with this number in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Said,
    /// It was said of the one before.
    Unsaid,
    /// The task is stopped.
    GivenUp,
}

pub fn word(failures: u32) -> Word {
    match failures {
        0 | 1 => Word::Said,
        failures if failures >= MOST_FAILURES => Word::GivenUp,
        _ => Word::Unsaid,
    }
}

#[cfg(test)]
mod tests {
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
}
