//! Any interleaving of result, exit, time-out, stop, crash and restart ends in exactly one outcome.
//!
//! A model of the world around the pure decisions: the same `ending`, `decide` and `recover` that the
//! host uses, with a database that takes a change of state or refuses it, a container, and a host
//! that may die between any two of its steps.

use mercury_protocol::io::RunResult;
use proptest::prelude::*;

use super::{
    failure::Failure,
    outcome::{Ending, Exit, Found, Seen, decide, ending},
    run::{Container, Recovery, Remains, RunState, recover},
};

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The host does the next thing.
    Step,
    /// The agent publishes its result, if it is alive.
    Publish,
    /// The container ends, if it is alive.
    End(i64, bool),
    TimeIsUp,
    /// Somebody asks for the run's end, and is answered.
    Stop,
    Crash,
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    Down,
    /// Nothing in hand: looks at the rows.
    Idle,
    Preparing,
    Created,
    Waiting,
    /// The ending is decided and not yet written.
    Ended(bool, bool),
}

#[derive(Debug)]
struct World {
    host: Host,
    /// The row.
    state: RunState,
    attempts: u32,
    stop_requested: bool,
    answers: u32,
    /// The machine.
    container: Container,
    exit: Option<Exit>,
    result: bool,
    overdue: bool,
    /// For the assertions.
    written: Vec<RunState>,
    killed_alive: u32,
}

impl World {
    fn new() -> Self {
        Self {
            host: Host::Idle,
            state: RunState::Queued,
            attempts: 0,
            stop_requested: false,
            answers: 0,
            container: Container::Gone,
            exit: None,
            result: false,
            overdue: false,
            written: Vec::new(),
            killed_alive: 0,
        }
    }

    fn alive(&self) -> bool {
        self.container == Container::Started && self.exit.is_none()
    }

    fn kill(&mut self) {
        if self.alive() {
            self.killed_alive += 1;
            self.exit = Some(Exit { code: Some(137), oom_killed: false });
        }
    }

    /// As the store does it: a change that the state does not allow is none.
    fn write(&mut self, next: RunState) {
        if self.state.may_become(next) {
            self.state = next;
            if next.is_over() {
                self.written.push(next);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Step => self.step(),
            Event::Publish if self.alive() => self.result = true,
            Event::End(code, oom_killed) if self.alive() => self.exit = Some(Exit { code: Some(code), oom_killed }),
            Event::TimeIsUp if self.state == RunState::Running => self.overdue = true,
            Event::Stop if self.host != Host::Down => match self.state {
                RunState::Queued => self.write(RunState::Aborted),
                RunState::Preparing | RunState::Running => self.stop_requested = true,
                _ => {}
            },
            Event::Crash => self.host = Host::Down,
            Event::Restart if self.host == Host::Down => self.host = Host::Idle,
            _ => {}
        }
    }

    fn step(&mut self) {
        match self.host {
            Host::Down => {}
            Host::Idle => self.look(),
            Host::Preparing if self.stop_requested => self.host = Host::Ended(true, false),
            Host::Preparing => {
                self.container = Container::Created;
                self.write(RunState::Running);
                self.host = Host::Created;
            }
            Host::Created if self.stop_requested => self.host = Host::Ended(true, false),
            Host::Created => {
                (self.container, self.exit) = (Container::Started, None);
                self.host = Host::Waiting;
            }
            Host::Waiting => {
                let seen =
                    Seen { stopped: self.stop_requested, result: self.result, exit: self.exit, overdue: self.overdue };
                if let Some(ending) = ending(seen, 1) {
                    if matches!(ending, Ending::Aborted | Ending::Timeout { .. }) {
                        self.kill();
                    }
                    let found = if self.result { Found::Result(Box::new(good())) } else { Found::Nothing };
                    let decided = decide(ending, found, false, 1, "");
                    self.host = Host::Ended(decided == Err(Failure::Aborted), decided.is_ok());
                }
            }
            Host::Ended(aborted, good) => {
                self.write(match (aborted, good) {
                    (true, _) => RunState::Aborted,
                    (_, true) => RunState::Finished,
                    _ => RunState::Failed,
                });
                self.host = Host::Idle;
            }
        }
    }

    /// What a host does with the rows that it finds: an answer for what is over, an adoption, a
    /// beginning.
    fn look(&mut self) {
        if self.state.is_over() {
            if self.answers == 0 {
                self.answers += 1;
            } else {
                self.kill();
                self.container = Container::Gone;
            }
            return;
        }
        let remains = Remains { result: self.result, container: self.container };
        match recover(self.state, self.attempts, self.stop_requested, remains) {
            Recovery::Keep => {
                self.write(RunState::Preparing);
                self.attempts += 1;
                (self.container, self.exit, self.result, self.overdue) = (Container::Gone, None, false, false);
                self.host = Host::Preparing;
            }
            Recovery::Requeue => self.state = RunState::Queued,
            Recovery::Adopt => {
                self.write(RunState::Running);
                self.host = Host::Waiting;
                if self.container == Container::Gone {
                    self.exit = Some(Exit { code: None, oom_killed: false });
                }
            }
            Recovery::Stop => {
                self.kill();
                self.host = Host::Ended(true, false);
            }
            Recovery::Lost => self.host = Host::Ended(false, false),
        }
    }
}

fn good() -> RunResult {
    RunResult { ok: true, ..RunResult::default() }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Step),
        2 => Just(Event::Publish),
        1 => (0_i64..256, any::<bool>()).prop_map(|(code, oom)| Event::End(code, oom)),
        1 => Just(Event::TimeIsUp),
        1 => Just(Event::Stop),
        1 => Just(Event::Crash),
        2 => Just(Event::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn every_interleaving_has_one_outcome(events in proptest::collection::vec(event(), 0..40)) {
        let mut world = World::new();
        let mut promised_stop = false;
        for event in events {
            let was_over = world.state.is_over();
            world.happen(event);
            // A stop that is asked for while a run is on must not end in an answer, unless the answer
            // was decided before it.
            let decided = matches!(world.host, Host::Ended(..));
            promised_stop |= matches!(event, Event::Stop) && world.stop_requested && !was_over && !decided;
            prop_assert!(world.written.len() <= 1, "{world:?}");
        }
        // Then the host stays up and time passes.
        world.happen(Event::Restart);
        for _ in 0..30 {
            world.happen(Event::TimeIsUp);
            world.happen(Event::Step);
        }
        prop_assert!(world.state.is_over(), "{world:?}");
        prop_assert_eq!(world.written.len(), 1, "{:?}", world);
        prop_assert_eq!(world.answers, 1, "{:?}", world);
        prop_assert!(!world.alive(), "nothing goes on: {world:?}");
        if promised_stop {
            prop_assert_eq!(world.state, RunState::Aborted, "{:?}", world);
        }
    }
}
