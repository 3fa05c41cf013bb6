//! People who are not heard for a while.

use super::roles;

/// The longest mute: a year. Whoever is to be silent for longer has no business in the space.
const LONGEST_MS: i64 = 366 * DAY_MS;
const MINUTE_MS: i64 = 60 * 1000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// `10m`, `1 hr`, `7d` and the like, in milliseconds. None for what is no time, for 0, and beyond a year.
pub fn duration(text: &str) -> Option<i64> {
    let text = text.trim().to_lowercase();
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let count: i64 = text[..end].parse().ok()?;
    let unit = text[end..].trim_start();
    let unit = match unit.strip_suffix('s').unwrap_or(unit) {
        "m" | "min" => MINUTE_MS,
        "h" | "hr" => HOUR_MS,
        "d" | "day" => DAY_MS,
        _ => return None,
    };
    count.checked_mul(unit).filter(|time| (1..=LONGEST_MS).contains(time))
}

/// Whether a mute counts for a role: admins cannot be silenced, by a person or an agent.
pub fn silences(role: &str) -> bool {
    role != roles::ADMIN_ROLE && role != roles::SYSTEM_ROLE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// permissions.md #29, http-api.md #17
    #[test]
    fn durations() {
        for (text, expected) in [
            ("10m", 10 * MINUTE_MS),
            ("1h", HOUR_MS),
            ("24h", DAY_MS),
            ("7d", 7 * DAY_MS),
            ("1day", DAY_MS),
            ("5min", 5 * MINUTE_MS),
            ("30mins", 30 * MINUTE_MS),
            ("1 hr", HOUR_MS),
            ("2 DAYS", 2 * DAY_MS),
        ] {
            assert_eq!(duration(text), Some(expected), "{text}");
        }
        for text in ["", "xyz", "1w", "0m", "5x", "m", "9999999999999999d", "400d", "-1m", "s5m"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn admins_are_heard() {
        assert!(silences("member") && silences("moderator") && !silences("admin") && !silences("system"));
    }
}
