//! What waits in a chat behind its files: how much, and for how long. The names under which updates are kept
//! tell it, so that none is read for it.

/// `pending:<chat>:<update id>:<since>:<bytes>`, with `:a` behind a piece of an album, and a timer
/// `pending:<chat>`.
pub const PENDING: &str = "pending:";
const PIECE: &str = ":a";

/// What one call of `kv.keys` hands out, and not all that may be kept.
const MOST_UPDATES: usize = 1_000;
/// In one chat, and in all: well below the quota, which the other notes share.
const MOST_BYTES_OF_CHAT: usize = 512 << 10;
const MOST_BYTES: usize = 2 << 20;

/// How long the other pieces of an album are waited for, from the last update of its chat and from the first
/// piece: in a chat where much is said something comes at any time.
const ALBUM_WAIT_MS: u64 = 1_000;
const MOST_ALBUM_WAIT_MS: u64 = 5_000;

/// An update that waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waiting {
    pub update_id: i64,
    /// Milliseconds since the epoch.
    pub since: u64,
    pub bytes: usize,
    pub is_piece: bool,
}

impl Waiting {
    pub fn of(key: &str) -> Option<Self> {
        let rest = key.strip_prefix(PENDING)?;
        let (rest, is_piece) = rest.strip_suffix(PIECE).map_or((rest, false), |rest| (rest, true));
        let mut parts = rest.split(':').skip(1);
        let update_id = parts.next()?.parse().ok()?;
        let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok()).unwrap_or(0);
        let (since, bytes) = (number(), usize::try_from(number()).unwrap_or(usize::MAX));
        Some(Self { update_id, since, bytes, is_piece })
    }

    /// Keys of a chat are in the order of their updates, whose numbers have the same length.
    pub fn key(&self, chat: i64) -> String {
        let Self { update_id, since, bytes, is_piece } = self;
        let mark = if *is_piece { PIECE } else { "" };
        format!("{PENDING}{chat}:{update_id:020}:{since}:{bytes}{mark}")
    }
}

/// Whether a chat has no room for so many bytes more. One update always has room, however large.
pub fn is_full_chat(waiting: &[Waiting], more: usize) -> bool {
    waiting.len() >= MOST_UPDATES || exceeds(bytes(waiting), more, MOST_BYTES_OF_CHAT)
}

/// The same for all chats together.
pub fn is_full(waiting: usize, more: usize) -> bool {
    exceeds(waiting, more, MOST_BYTES)
}

pub fn bytes(waiting: &[Waiting]) -> usize {
    waiting.iter().fold(0, |sum, update| sum.saturating_add(update.bytes))
}

fn exceeds(waiting: usize, more: usize, most: usize) -> bool {
    waiting > 0 && waiting.saturating_add(more) > most
}

/// After how many milliseconds a chat is complete, as far as it is waited for.
pub fn wait_ms(waiting: &[Waiting], now: u64) -> u64 {
    let first_piece = waiting.iter().filter(|update| update.is_piece).map(|update| update.since).min();
    first_piece.map_or(0, |since| since.saturating_add(MOST_ALBUM_WAIT_MS).saturating_sub(now).min(ALBUM_WAIT_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(update_id: i64, since: u64, bytes: usize, is_piece: bool) -> Waiting {
        Waiting { update_id, since, bytes, is_piece }
    }

    #[test]
    fn a_key_tells_what_waits() {
        for update in [waiting(7, 1_700_000_000_000, 900, true), waiting(i64::MAX, 0, 0, false)] {
            for chat in [42, -1001] {
                assert_eq!(Waiting::of(&update.key(chat)), Some(update));
            }
        }
        assert!(waiting(9, 5, 9, true).key(1) < waiting(10, 1, 1, false).key(1));
        // As kept by an earlier version.
        assert_eq!(Waiting::of("pending:-1:00000000000000000007:a"), Some(waiting(7, 0, 0, true)));
        for odd in ["pending:1", "pending:1:x", "album:1", ""] {
            assert_eq!(Waiting::of(odd), None);
        }
    }

    #[test]
    fn what_waits_has_a_bound() {
        assert!(!is_full_chat(&[], 3 << 20) && !is_full(0, 3 << 20));
        assert!(!is_full_chat(&[waiting(1, 0, 500 << 10, false)], 10 << 10));
        assert!(is_full_chat(&[waiting(1, 0, 500 << 10, false)], 20 << 10));
        assert!(is_full_chat(&[waiting(1, 0, 1, false); 1_000], 1));
        assert!(!is_full(1 << 20, 1 << 20) && is_full(2 << 20, 1));
    }

    /// However much is said meanwhile.
    #[test]
    fn an_album_is_not_waited_for_without_end() {
        assert_eq!(wait_ms(&[waiting(1, 10_000, 1, false)], 10_000), 0);
        let mut said = vec![waiting(1, 10_000, 1, true)];
        assert_eq!(wait_ms(&said, 10_000), 1_000);
        let mut due = 0;
        for (id, now) in (2..).zip((10_500..20_000).step_by(500)) {
            said.push(waiting(id, now, 1, id % 2 == 0));
            due = now + wait_ms(&said, now);
            if due <= now {
                break;
            }
        }
        assert_eq!(due, 15_000);
        // A clock that was set back.
        assert_eq!(wait_ms(&said, 0), 1_000);
    }
}
