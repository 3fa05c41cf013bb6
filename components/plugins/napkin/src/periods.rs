//! Weeks and months: which are over, and which were not yet written or have changed since.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, ISOWeekDate, Weekday};

/// Weeks that one job looks at: each is an agent run.
pub const MOST_WEEKS: usize = 4;

/// One that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub name: String,
    /// Names of the notes that it is written from, sorted.
    pub sources: Vec<String>,
    /// Of those notes.
    pub digest: String,
    /// Its last day.
    pub end: Date,
}

/// `2026-W24`
pub fn week_of(date: Date) -> String {
    let week = date.iso_week_date();
    format!("{}-W{:02}", week.year(), week.week())
}

/// The Monday of a week's name.
pub fn monday_of(week: &str) -> Option<Date> {
    let (year, number) = week.split_once("-W")?;
    ISOWeekDate::new(year.parse().ok()?, number.parse().ok()?, Weekday::Monday).ok().map(|week| week.date())
}

/// `2026-06`
pub fn month_of(date: Date) -> String {
    format!("{:04}-{:02}", date.year(), date.month())
}

/// Weeks that are over at `today`, oldest first. `daily` are names and digests of the daily notes;
/// `written` are weeks that have a file, `known` the digests from which they were written. A file that
/// nobody knows the sources of was there before this plugin, and is left alone.
pub fn weeks_due(
    daily: &BTreeMap<String, String>,
    written: &BTreeSet<String>,
    known: &BTreeMap<String, String>,
    today: Date,
) -> Vec<Due> {
    let dated = daily.keys().filter_map(|name| Some((name, name.parse::<Date>().ok()?)));
    let mut weeks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, date) in dated {
        weeks.entry(week_of(date)).or_default().push(name.clone());
    }
    due(weeks, daily, written, known, today, |week| monday_of(week)?.checked_add(jiff::Span::new().days(6)).ok())
}

/// The same for months, from the weeks whose Monday lies in them. A month is over when the last of
/// its weeks is.
pub fn months_due(
    weekly: &BTreeMap<String, String>,
    written: &BTreeSet<String>,
    known: &BTreeMap<String, String>,
    today: Date,
) -> Vec<Due> {
    let mut months: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, monday) in weekly.keys().filter_map(|name| Some((name, monday_of(name)?))) {
        months.entry(month_of(monday)).or_default().push(name.clone());
    }
    due(months, weekly, written, known, today, |month| {
        let first: Date = format!("{month}-01").parse().ok()?;
        let last = first.last_of_month();
        // The week of the last Monday ends up to six days later.
        let back = i64::from(last.weekday().to_monday_zero_offset());
        last.checked_sub(jiff::Span::new().days(back)).ok()?.checked_add(jiff::Span::new().days(6)).ok()
    })
}

fn due(
    groups: BTreeMap<String, Vec<String>>,
    digests: &BTreeMap<String, String>,
    written: &BTreeSet<String>,
    known: &BTreeMap<String, String>,
    today: Date,
    end: impl Fn(&str) -> Option<Date>,
) -> Vec<Due> {
    let mut found = Vec::new();
    for (name, sources) in groups {
        let Some(end) = end(&name).filter(|&end| end < today) else { continue };
        let digest = combined(sources.iter().filter_map(|source| digests.get(source)));
        let current = match known.get(&name) {
            Some(from) => *from == digest && written.contains(&name),
            None => written.contains(&name),
        };
        if !current {
            found.push(Due { name, sources, digest, end });
        }
    }
    found
}

/// One digest of several; short, since each is kept.
fn combined<'a>(digests: impl Iterator<Item = &'a String>) -> String {
    let text = digests.map(String::as_str).collect::<Vec<_>>().join(",");
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn notes(names: &[&str]) -> BTreeMap<String, String> {
        names.iter().map(|name| ((*name).to_owned(), format!("digest of {name}"))).collect()
    }

    fn names(due: &[Due]) -> Vec<&str> {
        due.iter().map(|due| due.name.as_str()).collect()
    }

    /// examples.md #38
    #[test]
    fn weeks_have_their_year() {
        for (day, week) in
            [(date(2026, 6, 8), "2026-W24"), (date(2025, 12, 29), "2026-W01"), (date(2027, 1, 1), "2026-W53")]
        {
            assert_eq!(week_of(day), week);
            assert_eq!(week_of(monday_of(week).unwrap()), week);
        }
    }

    /// examples.md #38: a running week is not touched; X7: what is no date is no week.
    #[test]
    fn only_what_is_over() {
        let daily = notes(&["2026-06-08", "2026-06-10", "index", "2026-13-01"]);
        let at = |today| names(&weeks_due(&daily, &BTreeSet::new(), &BTreeMap::new(), today)).len();
        assert_eq!((at(date(2026, 6, 10)), at(date(2026, 6, 14)), at(date(2026, 6, 15))), (0, 0, 1));
        let weekly = notes(&["2026-W22", "2026-W26"]);
        let months = |today| months_due(&weekly, &BTreeSet::new(), &BTreeMap::new(), today);
        // The week of Monday the 29th of June ends on the 5th of July.
        assert_eq!(names(&months(date(2026, 7, 5))), ["2026-05"]);
        assert_eq!(names(&months(date(2026, 7, 6))), ["2026-05", "2026-06"]);
    }

    #[test]
    fn a_change_is_written_again() {
        let mut daily = notes(&["2026-06-01"]);
        let today = date(2026, 6, 20);
        let due = weeks_due(&daily, &BTreeSet::new(), &BTreeMap::new(), today);
        let written = BTreeSet::from([due[0].name.clone()]);
        let known = BTreeMap::from([(due[0].name.clone(), due[0].digest.clone())]);
        assert!(weeks_due(&daily, &written, &known, today).is_empty());
        daily.insert("2026-06-02".into(), "new".into());
        assert_eq!(names(&weeks_due(&daily, &written, &known, today)), ["2026-W23"]);
        assert!(weeks_due(&daily, &written, &BTreeMap::new(), today).is_empty(), "somebody else wrote it");
        assert_eq!(names(&weeks_due(&daily, &BTreeSet::new(), &known, today)), ["2026-W23"], "its file is gone");
    }
}
