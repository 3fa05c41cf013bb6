//! What of a conversation goes into a run.

/// What is known of the run and its space.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// `context.mode` is `context`, not `clear`.
    pub enabled: bool,
    /// Turns, 1 to 50.
    pub window: u32,
    /// How far an answered message is followed back, in turns, 1 to 50.
    pub depth: u32,
    /// Nothing of the conversation is for whoever asks.
    pub isolated: bool,
    /// The messages that lead to the one that is answered, of which the host knows some.
    pub follows: bool,
}

/// What is read for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Latest turns.
    pub turns: u32,
    /// Messages of the chain that is answered.
    pub chain: u32,
    /// Whether the chain stands apart from the latest turns, or in their place.
    pub anchored: bool,
}

impl Wanted {
    pub fn plan(self) -> Plan {
        let chain = if self.follows && !self.isolated { self.depth.saturating_mul(2) } else { 0 };
        let turns = match (self.isolated, self.enabled, chain) {
            (true, ..) | (_, false, _) => 0,
            (_, true, 0) => self.window,
            // The half of the room is for what is answered.
            (_, true, _) => self.window / 2,
        };
        Plan { turns, chain, anchored: self.enabled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// pipeline.md 14.1, #38, #39; storage.md #10, #11: two messages of the chain for a turn, the latest turns alone
    /// where nothing leads to the message, and none of them where there is no room.
    #[test]
    fn what_a_mode_reads() {
        let all = Wanted { enabled: true, window: 10, depth: 3, isolated: false, follows: false };
        let plan = |turns, chain, anchored| Plan { turns, chain, anchored };
        assert_eq!(all.plan(), plan(10, 0, true));
        assert_eq!(Wanted { follows: true, ..all }.plan(), plan(5, 6, true));
        assert_eq!(Wanted { follows: true, window: 1, ..all }.plan(), plan(0, 6, true));
        assert_eq!(Wanted { enabled: false, ..all }.plan(), plan(0, 0, false));
        assert_eq!(Wanted { enabled: false, follows: true, ..all }.plan(), plan(0, 6, false));
        assert_eq!(Wanted { isolated: true, follows: true, ..all }.plan(), plan(0, 0, true));
    }
}
