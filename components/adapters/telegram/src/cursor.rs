//! Up to where updates were taken: `bot:update:time`, the host's cursor of this adapter.

/// Seconds after which the next update's id says nothing about order any more. "If there are no new
/// updates for at least a week, then identifier of the next update will be chosen randomly instead of
/// sequentially" (core.telegram.org/bots/api#update): a day less than that.
const KNOWN_FOR: u64 = 6 * 24 * 60 * 60;

/// `now` in seconds since the epoch.
pub fn write(bot: i64, update: i64, now: u64) -> String {
    format!("{bot}:{update}:{now}")
}

/// What `getUpdates` is to be asked for: the update behind the last one, or whatever is unconfirmed. The
/// host recognises what it has taken before.
pub fn offset(cursor: &str, bot: i64, now: u64) -> Option<i64> {
    let mut parts = cursor.split(':');
    // Ids count for each bot on its own.
    let of: i64 = parts.next()?.parse().ok()?;
    let update: i64 = parts.next()?.parse().ok()?;
    let at: u64 = parts.next()?.parse().ok()?;
    (of == bot && now.saturating_sub(at) < KNOWN_FOR).then(|| update.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_on_for_a_while() {
        let cursor = write(9, 100, 1_000);
        assert_eq!(offset(&cursor, 9, 1_000), Some(101));
        assert_eq!(offset(&cursor, 9, 1_000 + KNOWN_FOR - 1), Some(101));
        assert_eq!(offset(&cursor, 9, 1_000 + KNOWN_FOR), None, "the next id may be any");
        assert_eq!(offset(&cursor, 8, 1_000), None, "another bot's");
        assert_eq!(offset(&cursor, 9, 0), Some(101), "the clock was set back");
        for odd in ["", "9", "9:x:1", "9:100", "x:100:1"] {
            assert_eq!(offset(odd, 9, 0), None, "{odd}");
        }
    }
}
