//! When a job is due. Times are milliseconds since the epoch.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::cron::{self, Fields, Line};

/// The first run of a job comes within this time of the start, or of its interval where that is shorter,
/// so that a start does not run all jobs at once.
const SPREAD: Duration = Duration::from_secs(60);

/// The clock of one job.
#[derive(Clone, Debug)]
pub enum Timing {
    /// Between two starts.
    Every(Duration),
    Cron(Line),
}

impl Timing {
    /// Exactly one of `every_s` and `cron`; a cron line has five fields. Without a time zone the host's.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(every_s: Option<u64>, cron: Option<&str>, zone: Option<&str>) -> Result<Self, String> {
        match (every_s, cron) {
            (Some(0), None) => Err("0 is not a time: 1 is the least".into()),
            (Some(_), None) if zone.is_some() => Err("a time zone belongs to a cron line".into()),
            (Some(seconds), None) => Ok(Self::Every(Duration::from_secs(seconds))),
            (None, Some(line)) => {
                let zone = zone.map_or_else(|| Ok(TimeZone::system()), cron::zone)?;
                Line::parse(line, zone, Fields::Five).map(Self::Cron)
            }
            _ => Err("name one of `every-s` and `cron`".into()),
        }
    }

    /// When a job is due that this host has not run yet; `last` is its last start by a predecessor, and
    /// `fraction`, from 0 to 1, spreads what is due at once. What was missed meanwhile is run once.
    pub fn first(&self, now: i64, last: Option<i64>, fraction: f64) -> Option<i64> {
        let soon = now.saturating_add(millis(self.spread().mul_f64(fraction.clamp(0.0, 1.0))));
        match (self, last) {
            (Self::Every(_), None) => Some(soon),
            (Self::Cron(_), None) => self.after(now, now),
            (_, Some(last)) => match self.after(last, now) {
                Some(due) if due <= now => Some(soon),
                due => due,
            },
        }
    }

    /// When it is due after a start at `last`: not before `now`, whatever was missed. `None` where
    /// the line never matches again.
    pub fn after(&self, last: i64, now: i64) -> Option<i64> {
        // A clock that was set back must not put the next run off.
        let last = last.min(now);
        match self {
            Self::Every(interval) => Some(last.saturating_add(millis(*interval)).max(now)),
            Self::Cron(line) => Some(line.next(last)?.max(now)),
        }
    }

    /// When it is due after a look at the clock that showed `now`, and `before` at the look before it; else as in
    /// [`Timing::first`]. A clock that was set back is gone by from then on: the job would else stand still
    /// until it shows again what it has shown.
    pub fn looked_at(&self, due: Option<i64>, last: Option<i64>, before: i64, now: i64) -> Option<i64> {
        if now < before { self.first(now, last, 1.0) } else { due }
    }

    fn spread(&self) -> Duration {
        match self {
            Self::Every(interval) => SPREAD.min(*interval),
            Self::Cron(_) => SPREAD,
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn cron(line: &str, zone: &str) -> Timing {
        Timing::parse(None, Some(line), Some(zone)).unwrap()
    }

    fn next(timing: &Timing, now: &str) -> String {
        Timestamp::from_millisecond(timing.after(at(now), at(now)).unwrap()).unwrap().to_string()
    }

    /// A line of a plugin's that never matches: its search ends.
    #[test]
    fn a_day_that_never_comes_is_searched_for_once() {
        for line in ["0 0 30 2 *", "0 0 31 4 *", "0 0 31 2,4,6,9,11 *"] {
            if let Ok(timing) = Timing::parse(None, Some(line), Some("UTC")) {
                let now = at("2026-01-01T00:00:00Z");
                assert_eq!((timing.after(now, now), timing.first(now, None, 1.0)), (None, None), "{line}");
            }
        }
        let rare = cron("0 0 29 2 *", "UTC");
        assert_eq!(next(&rare, "2096-03-01T00:00:00Z"), "2104-02-29T00:00:00Z");
    }

    /// extensions.md #15
    #[test]
    fn a_long_delay_ends_on_its_day() {
        assert_eq!(next(&cron("0 0 1 * *", "UTC"), "2026-01-02T00:00:00Z"), "2026-02-01T00:00:00Z");
    }

    /// Where the clock is put forward the run is not lost; where it is put back it comes once.
    #[test]
    fn daylight_saving() {
        let half_past_two = cron("30 2 * * *", "Europe/Berlin");
        let skipped = next(&half_past_two, "2026-03-28T12:00:00Z");
        assert!(skipped.starts_with("2026-03-29T01:"), "{skipped}");
        let first = next(&half_past_two, "2026-10-24T12:00:00Z");
        let second = next(&half_past_two, &first);
        assert!(first.starts_with("2026-10-25T0") && second.starts_with("2026-10-26T01:30"), "{first} {second}");
        assert_eq!(next(&cron("0 8 * * *", "Asia/Tokyo"), "2026-05-01T00:00:00Z"), "2026-05-01T23:00:00Z");
    }

    #[test]
    fn what_was_missed_is_run_once_and_soon() {
        let hourly = Timing::Every(Duration::from_secs(3600));
        let now = 100_000_000;
        assert_eq!(hourly.first(now, None, 0.5), Some(now + 30_000), "never run: within a minute");
        assert_eq!(hourly.first(now, Some(0), 1.0), Some(now + 60_000), "missed many times");
        assert_eq!(hourly.first(now, Some(now - 1), 1.0), Some(now - 1 + 3_600_000), "not due yet");
        assert_eq!(Timing::Every(Duration::from_secs(2)).first(now, None, 1.0), Some(now + 2_000));
        let daily = cron("0 0 * * *", "UTC");
        let (yesterday, noon) = (at("2026-01-01T00:00:00Z"), at("2026-01-02T12:00:00Z"));
        assert_eq!(daily.first(noon, Some(yesterday), 0.0), Some(noon));
        assert_eq!(daily.first(noon, None, 0.0), Some(at("2026-01-03T00:00:00Z")), "never run: not missed either");
    }

    /// extensions.md #14, in its decision: a run that took longer than its interval delays the next start.
    #[test]
    fn the_next_start_is_never_in_the_past() {
        let second = Timing::Every(Duration::from_secs(1));
        assert_eq!(second.after(10_000, 12_500), Some(12_500));
        assert_eq!(second.after(10_000, 10_200), Some(11_000));
        assert_eq!(second.after(99_000, 10_000), Some(11_000), "the clock was set back");
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_a_job() {
        let (hour, day) = (3_600_000, 86_400_000);
        let hourly = Timing::Every(Duration::from_secs(3600));
        let due = hourly.after(100 * day, 100 * day);
        assert_eq!(hourly.looked_at(due, Some(100 * day), 100 * day, 100 * day + 1), due, "it went on");
        assert_eq!(hourly.looked_at(due, Some(100 * day), 100 * day, day), Some(day + hour), "not in 99 days");
        assert_eq!(hourly.looked_at(due, None, 100 * day, day), Some(day + 60_000), "never run: as after a start");
        let daily = cron("0 8 * * *", "UTC");
        let (last, noon) = (at("2026-03-10T08:00:00Z"), at("2026-03-10T12:00:00Z"));
        let due = daily.after(last, noon);
        let (hour_before, days_before) = (at("2026-03-10T11:00:00Z"), at("2026-03-01T12:00:00Z"));
        assert_eq!(daily.looked_at(due, Some(last), noon, hour_before), due, "today's run has been");
        assert_eq!(daily.looked_at(due, Some(last), noon, days_before), Some(at("2026-03-02T08:00:00Z")));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let refusal = |every, cron, zone| Timing::parse(every, cron, zone).unwrap_err();
        assert_eq!(refusal(None, None, None), "name one of `every-s` and `cron`");
        assert_eq!(refusal(Some(1), Some("* * * * *"), None), "name one of `every-s` and `cron`");
        assert!(refusal(Some(0), None, None).contains("1 is the least"));
        assert!(refusal(None, Some("* * * * * *"), None).contains("5 fields"), "five fields");
        assert!(refusal(None, Some("61 * * * *"), None).contains("61"));
        assert!(refusal(None, Some("* * * * *"), Some("Berlin")).contains("Europe/Berlin"));
    }

    proptest! {
        /// Any text is a clock or an error, and a clock never leads into the past.
        #[test]
        fn any_line(line in ".{0,20}", now in 0..4_000_000_000_000_i64, last in 0..4_000_000_000_000_i64) {
            if let Ok(timing) = Timing::parse(None, Some(&line), Some("Europe/Berlin")) {
                prop_assert!(timing.after(last, now).is_none_or(|due| due >= now));
            }
        }
    }
}
