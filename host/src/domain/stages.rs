//! How long each stage of a message took.

use mercury_protocol::io::AgentTimings;
use serde::{Deserialize, Serialize};

/// Moments of one message in microseconds since the epoch; zero means that it was not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    pub received: u64,
    /// The inbound row is durable.
    pub accepted: u64,
    /// Guards have answered, the run row is durable.
    pub queued: u64,
    /// The executor took it.
    pub picked: u64,
    /// Files and socket are ready.
    pub prepared: u64,
    pub created: u64,
    /// Docker answered that it has started.
    pub started: u64,
    pub agent: AgentTimings,
    /// The result was seen by the host.
    pub noticed: u64,
    /// Processors have answered, the outbound row is durable.
    pub processed: u64,
    pub delivered: u64,
}

/// A stage and its length in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage<'a> {
    pub name: &'a str,
    pub micros: u64,
}

impl Marks {
    /// The stages in their order. Those that were not reached are left out.
    ///
    /// `start` ends when `entry` begins (or when Docker answers, whichever is earlier): a container
    /// is at work before the daemon's answer arrives.
    pub fn stages(&self) -> Vec<Stage<'static>> {
        let entered = match self.agent.entry_started {
            0 => self.started,
            entered => entered,
        };
        let spans = [
            ("accept", self.received, self.accepted),
            ("guard", self.accepted, self.queued),
            ("queue", self.queued, self.picked),
            ("prepare", self.picked, self.prepared),
            ("create", self.prepared, self.created),
            ("start", self.created, entered),
            ("agent start", entered, self.agent.agent_ready),
            ("agent", self.agent.agent_ready, self.agent.agent_ended),
            ("result noticed", self.agent.agent_ended, self.noticed),
            ("process", self.noticed, self.processed),
            ("deliver", self.processed, self.delivered),
        ];
        spans
            .into_iter()
            .filter(|(_, from, to)| *from > 0 && *to > 0)
            .map(|(name, from, to)| Stage { name, micros: to.saturating_sub(from) })
            .collect()
    }

    pub fn total_micros(&self) -> u64 {
        let end = [self.delivered, self.processed, self.noticed].into_iter().find(|&mark| mark > 0).unwrap_or(0);
        end.saturating_sub(self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreached_stages_are_left_out() {
        let marks = Marks { received: 10, accepted: 15, queued: 17, ..Marks::default() };
        let stages = marks.stages();
        assert_eq!(stages, [Stage { name: "accept", micros: 5 }, Stage { name: "guard", micros: 2 }]);
    }
}
