//! Tasks that people have scheduled: what may be asked, when one is due, and what becomes of it then. Times
//! are milliseconds since the epoch.

use jiff::{Timestamp, fmt::temporal::Pieces, tz::TimeZone};
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

/// A moment with its own offset, or a time on the clock of its own zone, else of `zone`. One that does not exist or
/// exists twice comes as it does in a cron line.
fn moment(text: &str, zone: TimeZone) -> Option<i64> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_millisecond());
    }
    let pieces = Pieces::parse(text).ok()?;
    let zone = pieces.to_time_zone().ok()?.unwrap_or(zone);
    let clock = pieces.date().to_datetime(pieces.time().unwrap_or_default());
    Some(cron::moment(&zone, clock)?.as_millisecond())
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
mod tests;
