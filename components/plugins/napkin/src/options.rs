//! What an operator may set.

use jiff::tz::TimeZone;

/// For one space.
#[derive(Clone, Debug)]
pub struct Options {
    /// Between two rounds, in milliseconds. None: the space is not distilled.
    pub interval_ms: Option<i64>,
    /// Past days that are still taken up.
    pub backfill_days: i64,
    /// In which days begin.
    pub zone: TimeZone,
}

impl Options {
    /// From the settings as text, the way `get` resolves them. What is not a number counts as off: a
    /// typo must not spend money.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let number = |key: &str| get(key).and_then(|text| text.trim().parse::<i64>().ok());
        let zone = get("time-zone").filter(|name| !name.trim().is_empty());
        Self {
            interval_ms: number("distill_interval_ms").filter(|&interval| interval > 0),
            backfill_days: number("distill_backfill_days").unwrap_or(90).max(0),
            zone: zone.and_then(|name| TimeZone::get(name.trim()).ok()).unwrap_or(TimeZone::UTC),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// examples.md #43: an interval of 0 switches the space off, and so does what is not a number.
    #[test]
    fn what_counts_as_off() {
        let interval = |text: &str| {
            let text = text.to_owned();
            Options::read(move |key| (key == "distill_interval_ms").then(|| text.clone())).interval_ms
        };
        assert_eq!(interval("86400000"), Some(86_400_000));
        for off in ["0", "-1", "daily", "", "NaN"] {
            assert_eq!(interval(off), None, "{off}");
        }
    }

    #[test]
    fn an_unknown_zone_is_utc() {
        let zone = |name: &'static str| Options::read(move |key| (key == "time-zone").then(|| name.to_owned())).zone;
        assert_eq!(zone("Europe/Berlin").iana_name(), Some("Europe/Berlin"));
        assert_eq!(zone("Middle/Earth"), TimeZone::UTC);
        assert_eq!(zone(""), TimeZone::UTC);
    }
}
