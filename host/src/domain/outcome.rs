//! Which of several endings of a run counts.

use mercury_protocol::io::{FailureKind, RunResult};

use super::failure::Failure;

/// How the container ended, read before it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    pub code: Option<i64>,
    pub oom_killed: bool,
}

/// What a waiting host knows of its run at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Somebody asked for its end.
    pub stopped: bool,
    /// Something lies where the result is published.
    pub result: bool,
    pub exit: Option<Exit>,
    /// Its time is up.
    pub overdue: bool,
}

/// Whether the waiting is over, and why. Several things may be true at once: a stop comes first,
/// since the person wants no answer any more; then a result, since the work is done.
pub fn ending(seen: Seen, seconds: u64) -> Option<Ending> {
    match seen {
        Seen { stopped: true, .. } => Some(Ending::Aborted),
        Seen { result: true, .. } => Some(Ending::Result),
        Seen { exit: Some(exit), .. } => Some(Ending::Exit(exit)),
        Seen { overdue: true, .. } => Some(Ending::Timeout { seconds }),
        _ => None,
    }
}

/// Why the host stopped waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A result appeared.
    Result,
    /// The container ended by itself, or is gone.
    Exit(Exit),
    /// Its time was up; it has been killed.
    Timeout { seconds: u64 },
    /// Somebody stopped it; it has been killed.
    Aborted,
    /// The daemon did not start it, or did not say so in time; it has been killed.
    NotStarted(Failure),
}

/// What the IO directory held when the waiting was over.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Nothing,
    Result(Box<RunResult>),
    /// Something is there that is not a result.
    Unusable(String),
    /// A result is there that `entry` did not write.
    Forged,
}

/// Exit code of a process that SIGKILL ended (128 + 9): with a memory limit, the OOM killer's.
const KILLED: i64 = 137;

/// Decides between result, exit, time-out and stop. A stop beats everything; a result that came
/// during the kill beats an exit and a time-out. `oom` says that the kernel killed a process of the
/// container for its memory: then that is why the agent failed, whatever it says itself.
///
/// # Errors
/// The failure, where the run has no answer.
pub fn decide(
    ending: Ending,
    found: Found,
    oom: bool,
    memory_limit_mb: u64,
    output: &str,
) -> Result<RunResult, Failure> {
    match (ending, found) {
        (Ending::Aborted, _) => Err(Failure::Aborted),
        // Before every other ending: who forges a result can bring about the others, too.
        (_, Found::Forged) => Err(Failure::ForgedResult),
        (_, Found::Result(result)) if result.ok => Ok(*result),
        (_, Found::Result(result)) if oom || result.failure == Some(FailureKind::OutOfMemory) => {
            Err(Failure::OutOfMemory { limit_mb: memory_limit_mb })
        }
        // By nobody who asked this host: that would have been an abort.
        (_, Found::Result(result)) if result.failure == Some(FailureKind::Stopped) => {
            Err(Failure::crashed(None, "it was told to end from outside, as an engine does that stops"))
        }
        (_, Found::Result(result)) => {
            let reason = result.error.as_deref().filter(|error| !error.trim().is_empty());
            Err(Failure::agent(reason.unwrap_or("it gave no reason")))
        }
        (Ending::NotStarted(failure), _) => Err(failure),
        (Ending::Timeout { seconds }, _) => Err(Failure::Timeout { seconds }),
        (Ending::Exit(exit), _) if oom || exit.oom_killed || exit.code == Some(KILLED) => {
            Err(Failure::OutOfMemory { limit_mb: memory_limit_mb })
        }
        (_, Found::Unusable(detail)) => Err(Failure::BadResult { detail }),
        (Ending::Exit(exit), Found::Nothing) => Err(Failure::crashed(exit.code, output)),
        (Ending::Result, Found::Nothing) => Err(Failure::BadResult { detail: "it vanished before it was read".into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn result(ok: bool) -> Found {
        Found::Result(Box::new(RunResult {
            ok,
            reply: Some("x".into()),
            error: (!ok).then(|| "E".into()),
            ..RunResult::default()
        }))
    }

    fn exit(code: Option<i64>, oom_killed: bool) -> Ending {
        Ending::Exit(Exit { code, oom_killed })
    }

    /// container.md #26 #29 #30 #31 #32 #33 #34: each race has one outcome.
    #[test]
    fn races() {
        let code = |ending, found| decide(ending, found, false, 2048, "boom").err().map(|failure| failure.code());
        assert_eq!(code(exit(Some(0), false), result(true)), None, "a result just before the exit wins");
        assert_eq!(code(Ending::Timeout { seconds: 1 }, result(true)), None, "a result during the kill wins");
        assert_eq!(code(Ending::Aborted, result(true)), Some("aborted"), "a stop beats a result");
        assert_eq!(code(Ending::Timeout { seconds: 1 }, Found::Nothing), Some("timeout"));
        assert_eq!(code(exit(Some(3), false), Found::Nothing), Some("container_crashed"));
        assert_eq!(code(exit(None, false), Found::Nothing), Some("container_crashed"));
        assert_eq!(code(exit(Some(137), false), Found::Nothing), Some("out_of_memory"));
        assert_eq!(code(exit(Some(1), true), Found::Nothing), Some("out_of_memory"));
        assert_eq!(code(Ending::Result, Found::Unusable("not JSON".into())), Some("bad_result"));
        assert_eq!(code(Ending::Result, result(false)), Some("agent_failed"));
        assert_eq!(code(Ending::Result, Found::Forged), Some("forged_result"));
        assert_eq!(code(Ending::Timeout { seconds: 1 }, Found::Forged), Some("forged_result"));
        for (kind, expected) in
            [(FailureKind::OutOfMemory, "out_of_memory"), (FailureKind::Stopped, "container_crashed")]
        {
            let told = RunResult { failure: Some(kind), error: Some("E".into()), ..RunResult::default() };
            assert_eq!(code(Ending::Result, Found::Result(Box::new(told))), Some(expected));
        }
        let not_started = Ending::NotStarted(Failure::DockerUnavailable { detail: "late".into() });
        assert_eq!(code(not_started.clone(), Found::Nothing), Some("docker_unavailable"));
        assert_eq!(code(not_started, result(true)), None, "it was started after all, and answered");
    }

    /// container.md #70: the agent's own words about its death do not hide the reason.
    #[test]
    fn out_of_memory_is_said_whatever_the_agent_says() {
        let code = |found, oom| decide(Ending::Result, found, oom, 128, "").err().map(|failure| failure.code());
        assert_eq!(code(result(false), true), Some("out_of_memory"));
        assert_eq!(code(result(false), false), Some("agent_failed"));
        assert_eq!(code(result(true), true), None, "a child was killed and the agent found a way");
    }

    #[test]
    fn what_ends_the_waiting() {
        let all =
            Seen { stopped: true, result: true, exit: Some(Exit { code: Some(0), oom_killed: false }), overdue: true };
        assert_eq!(ending(all, 1), Some(Ending::Aborted));
        assert_eq!(ending(Seen { stopped: false, ..all }, 1), Some(Ending::Result));
        assert!(matches!(ending(Seen { stopped: false, result: false, ..all }, 1), Some(Ending::Exit(_))));
        assert_eq!(ending(Seen { overdue: true, ..Seen::default() }, 7), Some(Ending::Timeout { seconds: 7 }));
        assert_eq!(ending(Seen::default(), 1), None);
    }

    proptest! {
        /// Every combination ends in exactly one outcome, and only a usable result is an answer.
        #[test]
        fn every_combination_is_decided(ending in 0..5_u8, found in 0..5_u8, code in proptest::option::of(0_i64..256), oom: bool) {
            let ending = match ending {
                0 => Ending::Result,
                1 | 2 => exit(code, oom),
                3 => Ending::Timeout { seconds: 5 },
                _ => Ending::Aborted,
            };
            let usable = found == 1;
            let found = match found { 0 => Found::Nothing, 1 => result(true), 2 => result(false), 3 => Found::Forged, _ => Found::Unusable("u".into()) };
            let stopped = ending == Ending::Aborted;
            prop_assert_eq!(decide(ending, found, oom, 1, "").is_ok(), usable && !stopped);
        }
    }
}
