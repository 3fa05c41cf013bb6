//! What a run is, and which states it may go through.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    chat::Chat,
    confinement::Confinement,
    ids::{RunId, SpaceId},
    task::{Occasion, Place},
};

/// `queued → preparing → running → finished | failed | aborted`, each change one transaction. What
/// becomes of the answer is the outbound row's own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// On disk, waiting for its turn.
    Queued,
    /// Its container's name is on disk; the container may exist, but was not started.
    Preparing,
    /// Its container was asked to start.
    Running,
    /// The agent's result is on disk.
    Finished,
    /// It ended without a result; the failure is on disk.
    Failed,
    /// Somebody stopped it.
    Aborted,
}

impl RunState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Queued, Self::Preparing, Self::Running, Self::Finished, Self::Failed, Self::Aborted]
            .into_iter()
            .find(|state| state.as_str() == text)
    }

    /// Whether a container may be at work for it.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Preparing | Self::Running)
    }

    pub fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Aborted)
    }

    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Queued => matches!(next, Self::Preparing | Self::Failed | Self::Aborted),
            // Back to the queue: the host ended before the container was started.
            Self::Preparing => !matches!(next, Self::Preparing),
            Self::Running => next.is_over(),
            Self::Finished | Self::Failed | Self::Aborted => false,
        }
    }
}

/// The platform of runs that plugins ask for. No adapter has it.
pub const TASK_PLATFORM: &str = "task";

/// A run as it is kept.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: RunId,
    pub inbound: i64,
    pub space: SpaceId,
    pub platform: String,
    pub conversation: String,
    pub caller: String,
    pub author_name: Option<String>,
    pub role: String,
    /// As the person wrote it.
    pub prompt: String,
    /// What run hooks put behind it.
    pub appended: Option<String>,
    pub attachments: Vec<mercury_protocol::io::Attachment>,
    /// How many more there were, which the person may not send to the agent.
    pub withheld: u32,
    pub state: RunState,
    /// Times that a container was prepared for it.
    pub attempts: u32,
    /// Milliseconds since the epoch, when the container was asked to start.
    pub started_at: Option<i64>,
    /// Where its person was asked about it and has said yes: the connections that were named.
    pub consented: Option<Vec<String>>,
    /// Somebody asked for its end, and was told that it is coming.
    pub stop_requested: bool,
    /// For messages of chat platforms.
    pub chat: Option<Chat>,
    /// What its plugin wants it to be denied, where one asked for it.
    pub confinement: Option<Confinement>,
    /// Where somebody's task was due.
    pub occasion: Option<Occasion>,
}

impl Run {
    /// Nobody has just asked for it: a plugin's task, or somebody's that was due.
    pub fn is_scheduled(&self) -> bool {
        self.is_of_plugin() || self.occasion.is_some()
    }

    /// A plugin asked for it, and is told of its end.
    pub fn is_of_plugin(&self) -> bool {
        self.platform == TASK_PLATFORM
    }

    /// Where its answer goes, if anywhere.
    pub fn answers_to(&self) -> Option<String> {
        let unsent = self.is_of_plugin() || (self.occasion.is_some() && self.chat.is_none());
        (!unsent).then(|| self.conversation.clone())
    }

    /// Where it takes place: tasks that it makes answer to there.
    pub fn place(&self) -> Place {
        Place {
            platform: self.platform.clone(),
            conversation: self.conversation.clone(),
            thread: self.chat.as_ref().and_then(|chat| chat.thread.clone()),
            direct: self.chat.as_ref().is_none_or(|chat| chat.direct),
        }
    }

    /// What it is denied: nothing, where nobody asked for anything.
    pub fn denied(&self) -> &Confinement {
        static NOTHING: Confinement = Confinement { no_network: false, read_only: false, folders: None, tools: None };
        self.confinement.as_ref().unwrap_or(&NOTHING)
    }

    /// The prompt with what run hooks put behind it.
    pub fn full_prompt(&self) -> String {
        match &self.appended {
            Some(appended) => format!("{}\n\n{appended}", self.prompt),
            None => self.prompt.clone(),
        }
    }
}

/// What becomes of an unfinished run that a starting host finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It waits in the queue as before.
    Keep,
    /// It never started: once more from the beginning.
    Requeue,
    /// Its container lives, or left a result: wait for the outcome as if nothing had happened.
    Adopt,
    /// Somebody was told that it is stopped: end it.
    Stop,
    /// Nothing is left of it.
    Lost,
}

/// What a starting host sees of a run's container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remains {
    pub result: bool,
    pub container: Container,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    Gone,
    /// Created, never started.
    Created,
    /// Alive, or exited with its exit state still to be read.
    Started,
}

/// Most times that a container is prepared for one run. It did nothing yet, so each repetition is safe; a host that
/// is ended again and again must not cost anybody a message, and one that a message ends must not do so for ever.
pub const MOST_ATTEMPTS: u32 = 10;

/// `stop_requested` as in [`Run`]: what was promised before the restart is kept after it.
pub fn recover(state: RunState, attempts: u32, stop_requested: bool, remains: Remains) -> Recovery {
    match (state, remains.container) {
        (RunState::Queued, _) => Recovery::Keep,
        _ if stop_requested => Recovery::Stop,
        _ if remains.result => Recovery::Adopt,
        (RunState::Preparing | RunState::Running, Container::Started) => Recovery::Adopt,
        // `Running` is written before the start is asked for: a container that is only created, or was
        // never created, did nothing yet.
        (RunState::Preparing, _) | (RunState::Running, Container::Created) if attempts < MOST_ATTEMPTS => {
            Recovery::Requeue
        }
        _ => Recovery::Lost,
    }
}

/// The least that an adopted run is given: time to hand in what it has, if the clock was moved forward.
const LEAST_ADOPTED: Duration = Duration::from_secs(10);

/// How long an adopted run may go on. Its beginning is known by the wall clock alone, which may have
/// been moved: the answer is between [`LEAST_ADOPTED`] and `limit`, whatever the clock says.
pub fn time_left(limit: Duration, started_at: Option<i64>, now: i64) -> Duration {
    let used = started_at.map_or(0, |started| now.saturating_sub(started).max(0)).unsigned_abs();
    limit.saturating_sub(Duration::from_millis(used)).clamp(LEAST_ADOPTED.min(limit), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A moved clock neither kills an adopted run at once nor lets it go on for ever.
    #[test]
    fn adopted_time_is_bounded() {
        let limit = Duration::from_secs(300);
        let left = |started: i64, now: i64| time_left(limit, Some(started), now).as_secs();
        assert_eq!(left(0, 100_000), 200);
        assert_eq!(left(0, 86_400_000), 10, "the clock jumped forward");
        assert_eq!(left(86_400_000, 0), 300, "the clock was set back");
        assert_eq!(left(i64::MIN, i64::MAX), 10);
        assert_eq!(time_left(limit, None, 5), limit);
        assert_eq!(time_left(Duration::from_secs(5), Some(0), 100_000), Duration::from_secs(5));
    }

    #[test]
    fn states_keep_their_names() {
        for state in [
            RunState::Queued,
            RunState::Preparing,
            RunState::Running,
            RunState::Finished,
            RunState::Failed,
            RunState::Aborted,
        ] {
            assert_eq!(RunState::parse(state.as_str()), Some(state));
            assert!(!state.is_over() || !state.may_become(RunState::Queued), "{state:?} is final");
        }
    }

    #[test]
    fn recovery_table() {
        let gone = |result| Remains { result, container: Container::Gone };
        let created = Remains { result: false, container: Container::Created };
        let started = Remains { result: false, container: Container::Started };
        let cases = [
            (RunState::Queued, 0, gone(false), Recovery::Keep),
            (RunState::Preparing, 1, gone(false), Recovery::Requeue),
            (RunState::Preparing, 1, created, Recovery::Requeue),
            (RunState::Preparing, MOST_ATTEMPTS - 1, created, Recovery::Requeue),
            (RunState::Preparing, MOST_ATTEMPTS, created, Recovery::Lost),
            (RunState::Running, MOST_ATTEMPTS, created, Recovery::Lost),
            (RunState::Preparing, 1, started, Recovery::Adopt),
            (RunState::Running, 1, started, Recovery::Adopt),
            (RunState::Running, 1, created, Recovery::Requeue),
            (RunState::Running, 1, gone(false), Recovery::Lost),
            (RunState::Running, 1, gone(true), Recovery::Adopt),
        ];
        for (state, attempts, remains, expected) in cases {
            assert_eq!(recover(state, attempts, false, remains), expected, "{state:?} {attempts} {remains:?}");
            let stopped = if state == RunState::Queued { Recovery::Keep } else { Recovery::Stop };
            assert_eq!(recover(state, attempts, true, remains), stopped, "{state:?} {attempts} {remains:?}");
        }
    }
}
