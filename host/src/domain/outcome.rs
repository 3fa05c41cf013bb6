//! Which of several endings of a run counts.

use mercury_protocol::io::{FailureKind, RunResult};

use super::failure::Failure;

/// How the container ended, read before it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    pub code: Option<i64>,
    pub oom_killed: bool,
}

/// Why the host stopped waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A result appeared.
    Result,
    /// The container ended by itself, or is gone.
    Exit(Exit),
    /// Its time was up; it has been killed.
    Timeout { seconds: u64 },
    /// Somebody stopped it; it has been killed.
    Aborted,
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

/// Decides between result, exit, time-out and stop. A stop beats everything, since the person
/// wants no answer any more; a result beats an exit and a time-out, since the work is done.
///
/// # Errors
/// The failure, where the run has no answer.
pub fn decide(ending: Ending, found: Found, memory_limit_mb: u64, output: &str) -> Result<RunResult, Failure> {
    match (ending, found) {
        (Ending::Aborted, _) => Err(Failure::Aborted),
        // Before every other ending: who forges a result can bring about the others, too.
        (_, Found::Forged) => Err(Failure::ForgedResult),
        (_, Found::Result(result)) if result.ok => Ok(*result),
        (_, Found::Result(result)) if result.failure == Some(FailureKind::OutOfMemory) => {
            Err(Failure::OutOfMemory { limit_mb: memory_limit_mb })
        }
        (_, Found::Result(result)) if result.failure == Some(FailureKind::Stopped) => Err(Failure::Aborted),
        (_, Found::Result(result)) => {
            let reason = result.error.as_deref().filter(|error| !error.trim().is_empty());
            Err(Failure::agent(reason.unwrap_or("it gave no reason")))
        }
        (Ending::Timeout { seconds }, _) => Err(Failure::Timeout { seconds }),
        (Ending::Exit(exit), _) if exit.oom_killed || exit.code == Some(KILLED) => {
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
        let code = |ending, found| decide(ending, found, 2048, "boom").err().map(|failure| failure.code());
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
        for (kind, expected) in [(FailureKind::OutOfMemory, "out_of_memory"), (FailureKind::Stopped, "aborted")] {
            let told = RunResult { failure: Some(kind), error: Some("E".into()), ..RunResult::default() };
            assert_eq!(code(Ending::Result, Found::Result(Box::new(told))), Some(expected));
        }
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
            let decided = decide(ending, found, 1, "");
            prop_assert_eq!(decided.is_ok(), usable && ending != Ending::Aborted);
        }
    }
}
