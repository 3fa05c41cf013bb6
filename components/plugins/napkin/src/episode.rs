//! How episodes age: without a model, since it is only a matter of dates.

use jiff::civil::Date;

use crate::note;

/// Days without a mention after which an active episode cools, and a cooling one fades.
const COOLS_AFTER: i64 = 14;
const FADES_AFTER: i64 = 30;

/// The note as it is at the end of a week, if that changes it.
pub fn aged(text: &str, week_end: Date) -> Option<String> {
    let last = note::field(text, "last_mentioned")?.get(..10)?.parse::<Date>().ok()?;
    let silent = week_end.since(last).ok()?.get_days();
    let status = match note::field(text, "status")? {
        "active" if i64::from(silent) > COOLS_AFTER => "cooling",
        "cooling" if i64::from(silent) > FADES_AFTER => "faded",
        _ => return None,
    };
    // A run that is tried again ages nothing twice.
    let mark = format!("{week_end}: ");
    if note::history(text).iter().any(|line| line.strip_prefix("- ").is_some_and(|line| line.starts_with(&mark))) {
        return None;
    }
    let changed = note::with_field(text, "status", status);
    Some(note::with_history(&changed, &format!("{mark}{status}, not mentioned since {last}")))
}

/// Whether a month's end takes it out of the episodes.
pub fn is_faded(text: &str) -> bool {
    note::field(text, "status") == Some("faded")
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn episode(status: &str, last: &str) -> String {
        format!("---\ntype: episode\nstatus: {status}\nlast_mentioned: {last}\n---\n\n## History\n\n- began\n")
    }

    /// examples.md #39
    #[test]
    fn silence_cools() {
        let end = date(2026, 6, 7);
        assert_eq!(aged(&episode("active", "2026-05-24"), end), None);
        let cooled = aged(&episode("active", "2026-05-23"), end).unwrap();
        assert_eq!(note::field(&cooled, "status"), Some("cooling"));
        assert_eq!(note::history(&cooled), ["- 2026-06-07: cooling, not mentioned since 2026-05-23", "- began"]);
        assert_eq!(aged(&episode("cooling", "2026-05-08"), end), None);
        assert!(is_faded(&aged(&episode("cooling", "2026-05-07"), end).unwrap()));
        let long_ago = aged(&episode("active", "2026-03-01"), end).unwrap();
        assert_eq!(note::field(&long_ago, "status"), Some("cooling"));
        assert_eq!(aged(&long_ago, end), None, "the week is tried again");
        assert!(is_faded(&aged(&long_ago, date(2026, 6, 14)).unwrap()), "the next week");
        for kept in ["resolved", "faded", "unheard-of"] {
            assert_eq!(aged(&episode(kept, "2020-01-01"), end), None, "{kept}");
        }
        assert_eq!(aged("no front matter", end), None);
        assert_eq!(aged(&episode("active", "yesterday"), end), None);
    }
}
