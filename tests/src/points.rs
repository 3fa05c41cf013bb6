//! The points at which a host is killed. All are seen from outside: a call that arrives at its Docker Engine or at
//! a chat platform, what its container does, a row that it has written. So the program that is killed is the one
//! that is shipped, without a line that knows of this.
//!
//! Where the host waits for an answer the point is exact: the fake that holds the answer back ends the host,
//! waits until it is dead, and only then goes on.

use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::Notify;

/// A moment in the way of a message, or in the start that follows a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// A webhook with a message is under way; its answer is not.
    EventSent,
    /// The webhook's answer was read.
    EventAcknowledged,
    /// The answer to a long poll, with messages in it, went out a moment ago.
    PollAnswered,
    /// A message is in the database, and nothing is decided about it.
    MessageStored,
    /// A run waits in the queue.
    RunQueued,
    /// The engine was asked for a container.
    CreateAsked,
    /// The container is there; the engine has not said so.
    Created,
    StartAsked,
    /// The container runs; the engine has not said so.
    Started,
    /// The agent has taken its request, and its files are gone.
    AgentAtWork,
    /// The agent is about to hand its result in: it does so while no host is there.
    BeforeResult,
    /// The result was handed in a moment ago.
    ResultWritten,
    /// A run's result is in the database, and its answer is not.
    RunEnded,
    /// The answer is in the database, and was not sent.
    AnswerStored,
    /// The platform was asked to take an answer, and has not.
    SendAsked,
    /// The platform has taken the answer, and has not said so.
    SendTaken,
    /// The platform said so a moment ago.
    SendAnswered,
    RemoveAsked,
    /// The container is gone; the engine has not said so.
    Removed,
    /// The engine was asked how a container is: in a start, that of a run which is to be taken up.
    InspectAsked,
    /// The engine was asked which containers there are, as only a starting host does.
    ListAsked,
    /// Any moment.
    Anywhere,
}

impl Point {
    pub const ALL: [Self; 22] = [
        Self::EventSent,
        Self::EventAcknowledged,
        Self::PollAnswered,
        Self::MessageStored,
        Self::RunQueued,
        Self::CreateAsked,
        Self::Created,
        Self::StartAsked,
        Self::Started,
        Self::AgentAtWork,
        Self::BeforeResult,
        Self::ResultWritten,
        Self::RunEnded,
        Self::AnswerStored,
        Self::SendAsked,
        Self::SendTaken,
        Self::SendAnswered,
        Self::RemoveAsked,
        Self::Removed,
        Self::InspectAsked,
        Self::ListAsked,
        Self::Anywhere,
    ];

    /// Those that a start passes while it looks at what its predecessor left.
    pub const OF_A_START: [Self; 2] = [Self::InspectAsked, Self::ListAsked];

    pub fn name(self) -> &'static str {
        match self {
            Self::EventSent => "event-sent",
            Self::EventAcknowledged => "event-acknowledged",
            Self::PollAnswered => "poll-answered",
            Self::MessageStored => "message-stored",
            Self::RunQueued => "run-queued",
            Self::CreateAsked => "create-asked",
            Self::Created => "created",
            Self::StartAsked => "start-asked",
            Self::Started => "started",
            Self::AgentAtWork => "agent-at-work",
            Self::BeforeResult => "before-result",
            Self::ResultWritten => "result-written",
            Self::RunEnded => "run-ended",
            Self::AnswerStored => "answer-stored",
            Self::SendAsked => "send-asked",
            Self::SendTaken => "send-taken",
            Self::SendAnswered => "send-answered",
            Self::RemoveAsked => "remove-asked",
            Self::Removed => "removed",
            Self::InspectAsked => "inspect-asked",
            Self::ListAsked => "list-asked",
            Self::Anywhere => "anywhere",
        }
    }

    /// For points that are states of rows: finds the id of a row that is in it, and tells of an id whether it
    /// still is.
    pub fn rows(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::MessageStored => (
                "SELECT CAST(id AS TEXT) FROM inbound WHERE decided = 0 ORDER BY id DESC LIMIT 1",
                "SELECT count(*) FROM inbound WHERE decided = 0 AND CAST(id AS TEXT) = ?1",
            ),
            Self::RunQueued => (
                "SELECT id FROM runs WHERE state = 'queued' ORDER BY id DESC LIMIT 1",
                "SELECT count(*) FROM runs WHERE state = 'queued' AND id = ?1",
            ),
            Self::RunEnded => (
                "SELECT id FROM runs WHERE state = 'finished' AND answered = 0 ORDER BY id DESC LIMIT 1",
                "SELECT count(*) FROM runs WHERE state = 'finished' AND answered = 0 AND id = ?1",
            ),
            Self::AnswerStored => (
                "SELECT CAST(id AS TEXT) FROM deliveries WHERE state = 'pending' ORDER BY id DESC LIMIT 1",
                "SELECT count(*) FROM deliveries WHERE state = 'pending' AND CAST(id AS TEXT) = ?1",
            ),
            _ => return None,
        })
    }
}

#[derive(Default)]
struct Inner {
    /// Where whom.
    armed: Mutex<Option<(Point, u32)>>,
    sprung: Notify,
}

/// What everybody passes who sees a point, and where one of them ends the host.
#[derive(Clone, Default)]
pub struct Trap(Arc<Inner>);

impl Trap {
    /// The next time that `point` is reached, the process is killed.
    pub fn arm(&self, point: Point, process: u32) {
        *self.0.armed.lock().unwrap() = Some((point, process));
    }

    /// `false` where it has sprung already.
    pub fn disarm(&self) -> bool {
        self.0.armed.lock().unwrap().take().is_some()
    }

    /// That it has sprung is not to be said any more.
    pub fn forget(&self) {
        use futures_util::FutureExt;
        let _ = self.0.sprung.notified().now_or_never();
    }

    /// Says that `point` is reached now. Returns whether the host was killed for it; then it is dead.
    pub async fn reached(&self, point: Point) -> bool {
        let process = {
            let mut armed = self.0.armed.lock().unwrap();
            match *armed {
                Some((wanted, process)) if wanted == point => {
                    *armed = None;
                    process
                }
                _ => return false,
            }
        };
        // Whoever passes is often a server that answers the host: it is dropped with the host's connection.
        let this = self.clone();
        let killing = tokio::spawn(async move {
            kill(process).await;
            this.0.sprung.notify_one();
        });
        killing.await.unwrap();
        true
    }

    /// Waits until it has sprung.
    pub async fn sprung(&self) {
        self.0.sprung.notified().await;
    }
}

/// SIGKILL, and back when the process is dead. It stays to be reaped by its parent, so its number is nobody else's.
pub async fn kill(process: u32) {
    // Not in the task that waits: that one is begun when there is a thread for it.
    kill_process(number(process), Signal::KILL).unwrap();
    tokio::task::spawn_blocking(move || until_dead(process)).await.unwrap();
}

/// The same on a thread that may block.
pub fn kill_here(process: u32) {
    kill_process(number(process), Signal::KILL).unwrap();
    until_dead(process);
}

fn until_dead(process: u32) {
    // Its parent may have reaped it already.
    let _ = waitid(WaitId::Pid(number(process)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
}

fn number(process: u32) -> Pid {
    i32::try_from(process).ok().and_then(Pid::from_raw).expect("a process")
}
