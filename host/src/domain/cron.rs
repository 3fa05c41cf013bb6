//! Cron lines on the clock of a time zone. Times are milliseconds since the epoch.
//!
//! A line that names its hours is due once for each time on the clock that it names, also on the days on
//! which the clock is put forward or back: a time that does not exist comes at the moment of the change,
//! and one that exists twice comes the first time. A line for every hour goes on as the hours do.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    SignedDuration, Timestamp, Zoned,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};

/// Times on the clock that are looked at until one is found that lies ahead: more than an hour has seconds.
const MOST_LOOKS: usize = 4_000;

/// What stands before the minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fields {
    /// Nothing: minute, hour, day, month, weekday.
    Five,
    /// A second, or nothing.
    SecondsToo,
}

#[derive(Clone, Debug)]
pub struct Line {
    cron: Box<Cron>,
    zone: TimeZone,
    /// It says nothing about the hour.
    every_hour: bool,
}

/// A time zone by its IANA name, in any case.
///
/// # Errors
/// What is wrong, in words.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| format!("time-zone `{name}` is not known; write it as in Europe/Berlin"))
}

impl Line {
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str, zone: TimeZone, fields: Fields) -> Result<Self, String> {
        let seconds = match fields {
            Fields::Five => Seconds::Disallowed,
            Fields::SecondsToo => Seconds::Optional,
        };
        let parser = CronParser::builder().seconds(seconds).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| format!("`{text}` is not understood: {error}"))?;
        let every_hour = (0..24).all(|hour| cron.pattern.hour_match(hour).unwrap_or(false));
        Ok(Self { cron: Box::new(cron), zone, every_hour })
    }

    /// The first time after `after`; none where it never comes again.
    pub fn next(&self, after: i64) -> Option<i64> {
        let after = self.zoned(after)?;
        if self.every_hour {
            return Some(self.cron.find_next_occurrence(&after, false).ok()?.timestamp().as_millisecond());
        }
        let mut clock = after.datetime();
        for _ in 0..MOST_LOOKS {
            clock = self.cron.find_next_occurrence(&clock, false).ok()?;
            let moment = moment(&self.zone, clock)?;
            // What the clock shows again after it was put back has been.
            if moment > after.timestamp() {
                return Some(moment.as_millisecond());
            }
        }
        None
    }

    /// The last time until `until`.
    pub fn last(&self, until: i64) -> Option<i64> {
        let until = self.zoned(until)?;
        if self.every_hour {
            return Some(self.cron.find_previous_occurrence(&until, true).ok()?.timestamp().as_millisecond());
        }
        let clock = self.cron.find_previous_occurrence(&until.datetime(), true).ok()?;
        Some(moment(&self.zone, clock)?.as_millisecond())
    }

    fn zoned(&self, at: i64) -> Option<Zoned> {
        Some(Timestamp::from_millisecond(at).ok()?.to_zoned(self.zone.clone()))
    }
}

/// The first moment at which the clock of `zone` shows this time, or has just passed it over.
pub(super) fn moment(zone: &TimeZone, clock: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(clock);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
        AmbiguousOffset::Gap { before, .. } => {
            // With the offset of before, it lies at the change or behind it.
            let behind = before.to_timestamp(clock).ok()?.checked_add(SignedDuration::from_secs(1)).ok()?;
            zone.preceding(behind).next().map(|change| change.timestamp())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn line(text: &str, zone_name: &str) -> Line {
        Line::parse(text, zone(zone_name).unwrap(), Fields::Five).unwrap()
    }

    /// The next `count` times, in UTC.
    fn next(line: &Line, after: &str, count: usize) -> Vec<String> {
        let mut after = at(after);
        let mut times = Vec::new();
        for _ in 0..count {
            after = line.next(after).unwrap();
            times.push(Timestamp::from_millisecond(after).unwrap().to_string());
        }
        times
    }

    #[test]
    fn the_clock_is_put_forward() {
        let berlin = |text| line(text, "Europe/Berlin");
        assert_eq!(
            next(&berlin("30 2 * * *"), "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
            "a time that does not exist comes when it is passed over"
        );
        assert_eq!(
            next(&berlin("30 2,14 * * *"), "2026-03-28T14:00:00Z", 2),
            ["2026-03-29T01:00:00Z", "2026-03-29T12:30:00Z"],
            "also where there are several"
        );
        assert_eq!(
            next(&berlin("*/20 2 * * *"), "2026-03-29T00:00:00Z", 2),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"],
            "all that is passed over comes once"
        );
        assert_eq!(
            next(&berlin("*/30 * * * *"), "2026-03-29T00:15:00Z", 3),
            ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]
        );
        assert_eq!(
            next(&line("0 2 * * *", "Australia/Lord_Howe"), "2026-10-03T12:00:00Z", 1),
            ["2026-10-03T15:30:00Z"]
        );
    }

    #[test]
    fn the_clock_is_put_back() {
        let berlin = |text| line(text, "Europe/Berlin");
        for text in ["30 2 * * *", "30 2,14 * * *"] {
            let days: Vec<_> = next(&berlin(text), "2026-10-24T12:45:00Z", 3);
            assert_eq!(days[0], "2026-10-25T00:30:00Z", "{text}");
            assert!(!days.contains(&"2026-10-25T01:30:00Z".to_owned()), "{text}: the second half past two is none");
        }
        assert_eq!(
            next(&berlin("30 * * * *"), "2026-10-24T23:45:00Z", 3),
            ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"],
            "an hour is an hour"
        );
        let second_half = berlin("30 2 * * *").next(at("2026-10-25T01:10:00Z")).unwrap();
        assert_eq!(second_half, at("2026-10-26T01:30:00Z"));
    }

    #[test]
    fn the_last_time() {
        let daily = line("0 8 * * *", "Asia/Tokyo");
        assert_eq!(daily.last(at("2026-05-01T23:00:00Z")), Some(at("2026-05-01T23:00:00Z")));
        assert_eq!(daily.last(at("2026-05-01T22:59:59Z")), Some(at("2026-04-30T23:00:00Z")));
        assert_eq!(line("*/5 * * * *", "UTC").last(at("2026-05-01T22:59:59Z")), Some(at("2026-05-01T22:55:00Z")));
    }

    #[test]
    fn zones_and_their_aliases() {
        for name in ["UTC", "utc", "Etc/UTC", "US/Eastern", "Asia/Kolkata", "Asia/Calcutta", "europe/berlin"] {
            assert!(zone(name).is_ok(), "{name}");
        }
        for name in ["", "Berlin", "Europe/Atlantis", "+02:00", "../etc/passwd"] {
            assert!(zone(name).unwrap_err().contains("Europe/Berlin"), "{name}");
        }
    }

    const ZONES: &[&str] = &[
        "UTC",
        "Europe/Berlin",
        "Europe/Dublin",
        "America/New_York",
        "America/Santiago",
        "America/Asuncion",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Africa/Cairo",
        "Asia/Jerusalem",
        "Asia/Kathmandu",
        "Pacific/Chatham",
        "Pacific/Apia",
        "Antarctica/Troll",
    ];

    /// 2010 to 2045.
    const TIMES: std::ops::Range<i64> = 1_262_304_000_000..2_366_841_600_000;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// A time of the day comes on each day once, whatever the clock is put to, and a day that the zone
        /// left out, as Samoa did, is made up for at its end.
        #[test]
        fn every_day_once(zone in prop::sample::select(ZONES), hour in 0..24, minute in 0..60, from in TIMES) {
            let line = line(&format!("{minute} {hour} * * *"), zone);
            let clock = |at: i64| Timestamp::from_millisecond(at).unwrap().to_zoned(line.zone.clone()).datetime();
            let mut now = from;
            let mut days: BTreeMap<_, usize> = BTreeMap::new();
            for _ in 0..400 {
                let next = line.next(now).unwrap();
                prop_assert!(next > now);
                prop_assert!(next - now < 50 * 3_600_000, "a day was skipped: {} to {}", clock(now), clock(next));
                *days.entry(clock(next).date()).or_default() += 1;
                now = next;
            }
            let left_out = jiff::civil::date(2011, 12, 31);
            prop_assert!(days.iter().all(|(day, times)| *times == 1 || *day == left_out), "{:?}", days);
        }

        /// Several hours of a day: as many runs as there are times, or fewer where some are passed over
        /// together, and none of them twice.
        #[test]
        fn no_time_twice(zone in prop::sample::select(ZONES), first in 0..12_u32, step in 1..60_u32, from in TIMES) {
            let line = line(&format!("*/{step} {first},{} * * *", first + 12), zone);
            let minutes = 60_u32.div_ceil(step);
            let (mut now, mut of_day) = (from, BTreeMap::<_, Vec<_>>::new());
            for _ in 0..(20 * 2 * minutes) {
                now = line.next(now).unwrap();
                let clock = Timestamp::from_millisecond(now).unwrap().to_zoned(line.zone.clone()).datetime();
                of_day.entry(clock.date()).or_default().push(clock.time());
            }
            for (day, times) in &of_day {
                let mut distinct = times.clone();
                distinct.dedup();
                prop_assert_eq!(times, &distinct, "{} has a time twice", day);
                prop_assert!(times.len() <= 2 * minutes as usize + usize::from(*day == jiff::civil::date(2011, 12, 31)));
            }
        }

        /// Lines for every hour keep their distance in real time, but for the shift itself.
        #[test]
        fn every_hour_goes_on(zone in prop::sample::select(ZONES), minute in 0..60, from in TIMES) {
            let line = line(&format!("{minute} * * * *"), zone);
            let mut now = line.next(from).unwrap();
            for _ in 0..500 {
                let next = line.next(now).unwrap();
                prop_assert!(next > now && next - now <= 2 * 3_600_000, "{} h", (next - now) / 3_600_000);
                now = next;
            }
        }

        /// The last time until a moment is not after it, and what comes next lies behind.
        #[test]
        fn last_and_next(
            zone in prop::sample::select(ZONES),
            text in prop::sample::select(&["*/7 * * * *", "30 2 * * *", "0 9 * * 1-5", "0 0 1 * *", "15,45 1-3 * * *"][..]),
            at in TIMES,
        ) {
            let line = line(text, zone);
            let (last, next) = (line.last(at).unwrap(), line.next(at).unwrap());
            prop_assert!(last <= at && at < next);
            prop_assert_eq!(line.next(next - 1), Some(next), "the search finds its own result");
        }

        #[test]
        fn any_text(text in "\\PC{0,20}", at in TIMES) {
            if let Ok(line) = Line::parse(&text, TimeZone::UTC, Fields::SecondsToo) {
                prop_assert!(line.next(at).is_none_or(|next| next > at));
                prop_assert!(line.last(at).is_none_or(|last| last <= at));
            }
        }
    }
}
