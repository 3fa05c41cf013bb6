//! A space that is silent for a while, and how long.

/// The longest pause with an end: 24 h.
const LONGEST_MS: i64 = 24 * 60 * 60 * 1000;
const MINUTE_MS: i64 = 60 * 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Milliseconds since the epoch; none where somebody has to end it.
    pub until: Option<i64>,
}

impl Pause {
    pub fn holds(self, now: i64) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDuration {
    #[error("That is not a time. Write for example `/pause 30m` or `/pause 2h`.")]
    Unknown,
    #[error("A pause lasts at least 1 minute.")]
    TooShort,
    #[error("A pause lasts at most 24 hours. Without a time it lasts until `/resume`.")]
    TooLong,
}

/// `30m` or `2h`, in milliseconds: from one minute to 24 hours.
///
/// # Errors
/// [`BadDuration`], in words for whoever wrote it.
pub fn duration(text: &str) -> Result<i64, BadDuration> {
    let text = text.trim().to_lowercase();
    let (digits, unit) = match text.strip_suffix('m') {
        Some(digits) => (digits, MINUTE_MS),
        None => (text.strip_suffix('h').ok_or(BadDuration::Unknown)?, 60 * MINUTE_MS),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadDuration::Unknown);
    }
    let count: i64 = digits.parse().map_err(|_| BadDuration::TooLong)?;
    match count.checked_mul(unit) {
        Some(0) => Err(BadDuration::TooShort),
        Some(time) if time <= LONGEST_MS => Ok(time),
        _ => Err(BadDuration::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// pipeline.md #24, in its durations.
    #[test]
    fn durations() {
        assert_eq!(duration("30m"), Ok(30 * MINUTE_MS));
        assert_eq!(duration(" 24H "), Ok(LONGEST_MS));
        assert_eq!(duration("25h"), Err(BadDuration::TooLong));
        assert_eq!(duration("99999999999999999999m"), Err(BadDuration::TooLong));
        assert_eq!(duration("0m"), Err(BadDuration::TooShort));
        for text in ["abc", "", "m", "5", "-5m", "1.5h", "5 m"] {
            assert_eq!(duration(text), Err(BadDuration::Unknown), "{text:?}");
        }
    }

    #[test]
    fn how_long_it_holds() {
        assert!(Pause { until: None }.holds(i64::MAX));
        assert!(Pause { until: Some(10) }.holds(9) && !Pause { until: Some(10) }.holds(10));
    }

    proptest! {
        #[test]
        fn a_pause_is_between_a_minute_and_a_day(text in "[0-9a-z ]{0,8}") {
            if let Ok(time) = duration(&text) {
                prop_assert!((MINUTE_MS..=LONGEST_MS).contains(&time));
            }
        }
    }
}
