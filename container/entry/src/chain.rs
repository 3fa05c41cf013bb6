//! The order in which models are asked, and when to ask again. Knows nothing of processes: an
//! attempt is a call of [`Agent`], so that the decisions can be tested without one.
//!
//! An attempt in which a tool ran is never repeated, on no leg: what it did is done.

use std::time::Duration;

use mercury_protocol::io::{Leg, ModelSettings};
use thiserror::Error;

use crate::failure::{AttemptError, Class};

/// Attempts per leg beyond the first are at most this many (agent-entry.md section 2).
const MAX_RETRIES: u32 = 5;
/// The first pause before a repeated attempt, in milliseconds; it doubles up to the longest
/// (agent-entry.md 4.3).
const FIRST_PAUSE_MS: u64 = 300;
const LONGEST_PAUSE_MS: u64 = 12_000;
/// Below this many milliseconds of random addition, so that runs that failed together do not
/// come back together (agent-entry.md 4.3).
const JITTER_MS: u64 = 200;

/// How an attempt ended.
#[derive(Debug, PartialEq)]
pub struct Attempt {
    pub reply: Result<String, AttemptError>,
    pub tool_ran: bool,
}

/// What the chain needs from the world.
pub trait Agent {
    /// Runs the agent once. It ends with [`AttemptError::Deadline`] if the model has not begun
    /// to answer after `time`.
    fn attempt(&mut self, leg: &Leg, time: Duration) -> Attempt;
    /// Since the chain began.
    fn elapsed(&self) -> Duration;
    /// Waits, or less if told to stop.
    fn pause(&mut self, time: Duration);
    fn stopped(&self) -> bool;
    /// Any number.
    fn random(&mut self) -> u64;
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChainError {
    #[error("no model is configured for this run")]
    Empty,
    #[error("{0}")]
    Attempt(AttemptError),
    #[error("the models' time budget of {budget_ms} ms is used up; the last error was: {last}")]
    Budget { budget_ms: u64, last: String },
    #[error("stopped")]
    Stopped,
}

/// Asks until one answers. The attempt that answered is the last one made.
pub fn run(settings: &ModelSettings, agent: &mut impl Agent) -> Result<String, ChainError> {
    let mut refused: Vec<&str> = Vec::new();
    let mut last = None;
    for leg in &settings.chain {
        if refused.contains(&leg.provider.as_str()) {
            continue;
        }
        if leg.provider.trim().eq_ignore_ascii_case("cursor") {
            return Err(ChainError::Attempt(AttemptError::CursorProvider));
        }
        for attempt in 0..=settings.max_retries_per_leg.min(MAX_RETRIES) {
            if attempt > 0 {
                let pause = pause_ms(attempt - 1, agent.random());
                agent.pause(Duration::from_millis(pause));
            }
            if agent.stopped() {
                return Err(ChainError::Stopped);
            }
            let budget = Duration::from_millis(settings.budget_ms);
            let Some(left) = budget.checked_sub(agent.elapsed()).filter(|left| !left.is_zero()) else {
                return Err(over_budget(settings, last.as_ref()));
            };
            let ended = agent.attempt(leg, left);
            let error = match ended.reply {
                Ok(reply) => return Ok(reply),
                Err(AttemptError::Stopped) => return Err(ChainError::Stopped),
                Err(AttemptError::Deadline) => return Err(over_budget(settings, last.as_ref())),
                Err(error) if ended.tool_ran => return Err(ChainError::Attempt(error)),
                Err(error) => error,
            };
            match error.class() {
                Class::EndAll => return Err(ChainError::Attempt(error)),
                Class::Retry => last = Some(error),
                class => {
                    if class == Class::SkipProvider {
                        refused.push(&leg.provider);
                    }
                    last = Some(error);
                    break;
                }
            }
        }
    }
    Err(last.map_or(ChainError::Empty, ChainError::Attempt))
}

/// Before the repetition that follows failure number `failure` (from 0).
fn pause_ms(failure: u32, random: u64) -> u64 {
    let doubled = FIRST_PAUSE_MS.saturating_mul(1 << failure.min(MAX_RETRIES));
    (doubled + random % JITTER_MS).min(LONGEST_PAUSE_MS)
}

fn over_budget(settings: &ModelSettings, last: Option<&AttemptError>) -> ChainError {
    let last = last.map_or_else(|| AttemptError::Deadline.to_string(), ToString::to_string);
    ChainError::Budget { budget_ms: settings.budget_ms, last }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Answers as told; time passes only in pauses and attempts.
    #[derive(Default)]
    struct Scripted {
        ends: VecDeque<Attempt>,
        asked: Vec<String>,
        now: Duration,
        pauses: Vec<Duration>,
        takes: Duration,
    }

    impl Agent for Scripted {
        fn attempt(&mut self, leg: &Leg, _: Duration) -> Attempt {
            self.asked.push(format!("{}/{}", leg.provider, leg.model));
            self.now += self.takes;
            self.ends.pop_front().unwrap_or(failed("nothing left"))
        }
        fn elapsed(&self) -> Duration {
            self.now
        }
        fn pause(&mut self, time: Duration) {
            self.now += time;
            self.pauses.push(time);
        }
        fn stopped(&self) -> bool {
            false
        }
        fn random(&mut self) -> u64 {
            199
        }
    }

    fn failed(text: &str) -> Attempt {
        Attempt { reply: Err(AttemptError::Model(text.into())), tool_ran: false }
    }

    fn said(text: &str) -> Attempt {
        Attempt { reply: Ok(text.into()), tool_ran: false }
    }

    fn settings(legs: &[&str], retries: u32) -> ModelSettings {
        let leg = |text: &&str| {
            let (provider, model) = text.split_once('/').unwrap();
            Leg { provider: provider.into(), model: model.into(), ..Leg::default() }
        };
        ModelSettings {
            chain: legs.iter().map(leg).collect(),
            max_retries_per_leg: retries,
            ..ModelSettings::default()
        }
    }

    fn play(
        settings: &ModelSettings,
        ends: impl IntoIterator<Item = Attempt>,
    ) -> (Result<String, ChainError>, Scripted) {
        let mut agent = Scripted { ends: ends.into_iter().collect(), ..Scripted::default() };
        (run(settings, &mut agent), agent)
    }

    /// agent-entry.md #13
    #[test]
    fn a_passing_failure_is_repeated_after_a_pause() {
        let (reply, agent) = play(&settings(&["a/1"], 2), [failed("503"), said("ok")]);
        assert_eq!((reply.as_deref(), agent.asked.len()), (Ok("ok"), 2));
        assert_eq!(agent.pauses, [Duration::from_millis(499)]);
    }

    /// agent-entry.md #14
    #[test]
    fn a_rate_limit_leads_to_the_next_leg() {
        let (reply, agent) = play(&settings(&["a/1", "b/2"], 2), [failed("429"), said("ok")]);
        assert_eq!((reply.as_deref(), agent.asked.as_slice()), (Ok("ok"), &["a/1".to_owned(), "b/2".into()][..]));
    }

    /// agent-entry.md #15, improved (weakness E3): only legs of the same provider are skipped.
    #[test]
    fn a_refused_credential_skips_its_provider() {
        let (reply, agent) = play(&settings(&["a/1", "a/2", "b/3"], 2), [failed("401"), said("ok")]);
        assert_eq!((reply.as_deref(), agent.asked.as_slice()), (Ok("ok"), &["a/1".to_owned(), "b/3".into()][..]));
        let (reply, agent) = play(&settings(&["a/1", "a/2"], 2), [failed("401 no")]);
        assert_eq!((reply.unwrap_err().to_string().as_str(), agent.asked.len()), ("401 no", 1));
    }

    /// agent-entry.md #17
    #[test]
    fn the_last_error_is_reported_and_the_budget_ends_it() {
        let (reply, _) = play(&settings(&["a/1", "b/2"], 0), [failed("first"), failed("second")]);
        assert_eq!(reply.unwrap_err().to_string(), "second");
        let mut agent = Scripted {
            ends: [failed("slow"), failed("x")].into(),
            takes: Duration::from_secs(119),
            ..Scripted::default()
        };
        let error = run(&settings(&["a/1"], 5), &mut agent).unwrap_err().to_string();
        assert_eq!(agent.asked.len(), 2);
        assert!(error.contains("120000 ms") && error.ends_with("x"), "{error}");
    }

    /// agent-entry.md #18
    #[test]
    fn cursor_is_refused_without_an_attempt() {
        let (reply, agent) = play(&settings(&["Cursor/x", "a/1"], 2), []);
        assert!(reply.unwrap_err().to_string().contains("no longer supported") && agent.asked.is_empty());
    }

    /// agent-entry.md, weaknesses E4 and E5
    #[test]
    fn what_a_retry_cannot_mend_is_not_retried() {
        let setup = Attempt { reply: Err(AttemptError::NotStarted("no such file".into())), tool_ran: false };
        let (reply, agent) = play(&settings(&["a/1", "b/2"], 2), [setup]);
        assert!(reply.is_err() && agent.asked.len() == 1);
        let (reply, agent) = play(&settings(&["a/1", "b/2"], 2), [Attempt { tool_ran: true, ..failed("503") }]);
        assert!(reply.is_err() && agent.asked.len() == 1);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        assert_eq!([0, 1, 5].map(|failure| pause_ms(failure, 0)), [300, 600, 9600]);
        assert_eq!(pause_ms(9, 199), 9799);
    }
}
