//! Wall-clock time as the result and the prompts show it.

use std::time::{SystemTime, UNIX_EPOCH};

use time::{OffsetDateTime, UtcOffset};

/// Microseconds since the Unix epoch.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The names that the replaced system's formatter (ICU, en-GB) gives.
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec"];

/// `DD Mon YYYY, HH:MM:SS UTC` for milliseconds since the Unix epoch.
pub fn stamp(ms: u64) -> String {
    let at = from_ms(ms);
    let month = MONTHS[usize::from(u8::from(at.month())) - 1];
    format!("{:02} {month} {}, {:02}:{:02}:{:02} UTC", at.day(), at.year(), at.hour(), at.minute(), at.second())
}

/// `YYYY-MM-DD`, UTC, for milliseconds since the Unix epoch.
pub fn date(ms: u64) -> String {
    let at = from_ms(ms);
    format!("{}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())
}

/// A time beyond the year 9999 is shown as the epoch: it can only be a mistake.
fn from_ms(ms: u64) -> OffsetDateTime {
    let seconds = i64::try_from(ms / 1000).unwrap_or(0);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH).to_offset(UtcOffset::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// agent-entry.md #35
    #[test]
    fn times_are_shown_as_day_month_year() {
        assert_eq!(stamp(0), "01 Jan 1970, 00:00:00 UTC");
        assert_eq!(stamp(1_726_000_000_999), "10 Sept 2024, 20:26:40 UTC");
        assert_eq!(stamp(u64::MAX), "01 Jan 1970, 00:00:00 UTC");
        assert_eq!(date(1_726_000_000_999), "2024-09-10");
    }
}
