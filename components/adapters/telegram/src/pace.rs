//! How fast one may send (core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this): a
//! message a second to a chat, 20 a minute to a group, 30 a second in all.

use std::collections::{BTreeMap, VecDeque};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60_000;
const GROUP_MINUTE: usize = 20;
const ALL_SECOND: usize = 30;

/// What was sent lately. Times are milliseconds on any clock that only goes forward.
#[derive(Debug, Default)]
pub struct Pace {
    chats: BTreeMap<i64, VecDeque<u64>>,
    all: VecDeque<u64>,
}

impl Pace {
    pub const fn new() -> Self {
        Self { chats: BTreeMap::new(), all: VecDeque::new() }
    }

    /// Milliseconds until the chat may get its next message.
    pub fn wait(&self, chat: i64, now: u64) -> u64 {
        let until = |at: Option<&u64>, gap: u64| at.map_or(0, |at| (at + gap).saturating_sub(now));
        let sent = self.chats.get(&chat);
        let in_chat = until(sent.and_then(VecDeque::back), SECOND);
        // Groups have negative ids.
        let in_group = sent.filter(|_| chat < 0).map_or(0, |sent| until(nth_last(sent, GROUP_MINUTE), MINUTE));
        in_chat.max(in_group).max(until(nth_last(&self.all, ALL_SECOND), SECOND))
    }

    pub fn sent(&mut self, chat: i64, now: u64) {
        let old = |sent: &mut VecDeque<u64>| {
            while sent.front().is_some_and(|at| at + MINUTE <= now) {
                sent.pop_front();
            }
        };
        self.chats.entry(chat).or_default().push_back(now);
        self.all.push_back(now);
        old(&mut self.all);
        self.chats.retain(|_, sent| {
            old(sent);
            !sent.is_empty()
        });
    }
}

fn nth_last(sent: &VecDeque<u64>, count: usize) -> Option<&u64> {
    sent.len().checked_sub(count).and_then(|at| sent.get(at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_a_second_to_a_chat() {
        let mut pace = Pace::new();
        assert_eq!(pace.wait(1, 0), 0);
        pace.sent(1, 0);
        assert_eq!((pace.wait(1, 300), pace.wait(1, 1000), pace.wait(2, 300)), (700, 0, 0));
    }

    #[test]
    fn twenty_a_minute_to_a_group() {
        let mut pace = Pace::new();
        for second in 0..20 {
            assert_eq!((pace.wait(-1, second * 1000), pace.wait(1, second * 1000)), (0, 0));
            pace.sent(-1, second * 1000);
            pace.sent(1, second * 1000);
        }
        assert_eq!((pace.wait(-1, 20_000), pace.wait(1, 20_000)), (40_000, 0));
        assert_eq!(pace.wait(-1, 60_000), 0);
    }

    #[test]
    fn thirty_a_second_in_all() {
        let mut pace = Pace::new();
        for chat in 1..=30 {
            assert_eq!(pace.wait(chat, 10), 0);
            pace.sent(chat, 10);
        }
        assert_eq!((pace.wait(31, 10), pace.wait(31, 1010)), (1000, 0));
    }

    proptest! {
        #[test]
        fn whoever_waits_keeps_the_limits(chats in prop::collection::vec(-3_i64..3, 1..120)) {
            let (mut pace, mut now, mut sent) = (Pace::new(), 0, Vec::new());
            for chat in chats {
                now += pace.wait(chat, now);
                prop_assert_eq!(pace.wait(chat, now), 0);
                pace.sent(chat, now);
                sent.push((chat, now));
                let within = |span: u64, of: Option<i64>| sent.iter().filter(|(to, at)| at + span > now && of.is_none_or(|of| of == *to)).count();
                prop_assert!(within(SECOND, None) <= ALL_SECOND && within(SECOND, Some(chat)) <= 1);
                prop_assert!(chat >= 0 || within(MINUTE, Some(chat)) <= GROUP_MINUTE);
            }
        }
    }
}
