//! Whether an agent run left the vault as it was allowed to. What it read was written by people, so
//! it may have been talked into anything.

use std::collections::BTreeMap;

use crate::{
    note,
    plan::Work,
    vault::{
        DAILY, ENTITIES, EPISODES, MONTHLY, MOST_FILE, MOST_FILES, MOST_NOTE, MOST_VAULT, SUGGESTIONS, WEEKLY, note_in,
    },
};

/// Files of a vault: path below it, and bytes. What is neither a file nor a folder is [`Entry::Other`].
pub type Files = BTreeMap<String, Entry>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    File(Vec<u8>),
    /// A link, a socket: nothing that belongs here.
    Other,
}

/// Why a run's changes are undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

/// # Errors
/// The first thing that the run was not allowed to do.
pub fn check(work: &Work, before: &Files, after: &Files) -> Result<(), Violation> {
    let changed = after.iter().filter(|(path, entry)| before.get(*path) != Some(*entry));
    for (path, entry) in changed {
        let Entry::File(bytes) = entry else { return refuse(path, "is no ordinary file") };
        if !may_write(work, path) {
            return refuse(path, "is not for this run to write");
        }
        if bytes.len() as u64 > MOST_NOTE {
            return refuse(path, "is too long for a note");
        }
        let Ok(text) = std::str::from_utf8(bytes) else { return refuse(path, "is no text") };
        let Some(Entry::File(old)) = before.get(path) else { continue };
        let old = String::from_utf8_lossy(old);
        if let Some(lost) = first_lost(&note::history(&old), &note::history(text)) {
            return refuse(path, &format!("lost a line of its history: {lost}"));
        }
    }
    if let Some(path) = before.keys().find(|path| !after.contains_key(*path)) {
        return refuse(path, "was deleted");
    }
    fits(after)
}

/// # Errors
/// A vault that is too large to be looked after.
pub fn fits(files: &Files) -> Result<(), Violation> {
    let bytes: u64 =
        files.values().map(|entry| if let Entry::File(bytes) = entry { bytes.len() as u64 } else { 0 }).sum();
    let is_large = |entry: &Entry| matches!(entry, Entry::File(bytes) if bytes.len() > MOST_FILE);
    if let Some((path, _)) = files.iter().find(|(_, entry)| is_large(entry)) {
        return refuse(path, "is larger than 1 MiB; keep large files outside the vault");
    }
    if files.len() > MOST_FILES || bytes > MOST_VAULT {
        return Err(Violation(format!(
            "the vault has more than {MOST_FILES} files or {} MiB; move what is old elsewhere",
            MOST_VAULT >> 20
        )));
    }
    Ok(())
}

fn may_write(work: &Work, path: &str) -> bool {
    let note_of = |folder: &str| note_in(path, folder).is_some_and(is_plain);
    let entities = ENTITIES.into_iter().chain([EPISODES]).any(note_of);
    match work {
        Work::Day { date, .. } => entities || note_in(path, DAILY) == Some(date.to_string().as_str()),
        Work::Week { name, .. } => entities || note_in(path, WEEKLY) == Some(name.as_str()),
        Work::Month { name, .. } => entities || path == SUGGESTIONS || note_in(path, MONTHLY) == Some(name.as_str()),
    }
}

/// A name that is no trick on whoever lists the folder.
fn is_plain(name: &str) -> bool {
    name.len() <= 100 && !name.starts_with(['.', '-']) && name.chars().all(|c| c.is_alphanumeric() || "-_ ".contains(c))
}

/// The first line that `after` has less often than `before`.
fn first_lost<'a>(before: &[&'a str], after: &[&str]) -> Option<&'a str> {
    let count = |lines: &[&str], wanted: &str| lines.iter().filter(|line| **line == wanted).count();
    before.iter().find(|line| count(after, line) < count(before, line)).copied()
}

fn refuse(path: &str, why: &str) -> Result<(), Violation> {
    let path: String = path.chars().take(120).collect();
    Err(Violation(format!("{path} {why}")))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn day() -> Work {
        Work::Day { date: date(2026, 6, 2), from: 0, lines: 1 }
    }

    fn files(list: &[(&str, &str)]) -> Files {
        list.iter().map(|(path, text)| ((*path).to_owned(), Entry::File(text.as_bytes().to_vec()))).collect()
    }

    const ADA: &str = "---\nname: ada\n---\n\n## History\n\n- met\n- left\n";

    /// examples.md #42
    #[test]
    fn history_is_not_lost() {
        let before = files(&[("people/ada.md", ADA)]);
        let grown = files(&[("people/ada.md", &ADA.replace("- met", "- came back\n- met"))]);
        assert_eq!(check(&day(), &before, &grown), Ok(()));
        let shrunk = files(&[("people/ada.md", &ADA.replace("- left\n", ""))]);
        assert_eq!(check(&day(), &before, &shrunk).unwrap_err().0, "people/ada.md lost a line of its history: - left");
        assert!(check(&day(), &before, &Files::new()).unwrap_err().0.contains("was deleted"));
    }

    /// examples.md #41: nothing outside the folders of notes, no matter what the messages said.
    #[test]
    fn only_notes_of_its_own_kind() {
        let before = files(&[("NAPKIN.md", "map"), (".messages/2026-06-02.jsonl", "{}")]);
        let with = |path: &str, text: &str| {
            let mut after = before.clone();
            after.insert(path.to_owned(), Entry::File(text.into()));
            check(&day(), &before, &after)
        };
        for allowed in ["people/ada.md", "episodes/the-move.md", "daily/2026-06-02.md", "references/ünïcode.md"] {
            assert_eq!(with(allowed, "x"), Ok(()), "{allowed}");
        }
        for refused in [
            "NAPKIN.md",
            ".messages/2026-06-02.jsonl",
            "daily/2026-06-03.md",
            "weekly/2026-W23.md",
            "people/deep/x.md",
            "people/x.sh",
            "people/.x.md",
            "secret.md",
            ".obsidian/app.json",
            "people/x\n.md",
        ] {
            assert!(with(refused, "y").is_err(), "{refused}");
        }
        let mut linked = before.clone();
        linked.insert("people/ada.md".into(), Entry::Other);
        assert!(check(&day(), &before, &linked).is_err());
        assert!(with("people/ada.md", &"x".repeat(300 << 10)).is_err());
    }

    #[test]
    fn each_kind_of_run_has_its_own_page() {
        let week = Work::Week { name: "2026-W23".into(), digest: String::new() };
        let month = Work::Month { name: "2026-06".into(), digest: String::new() };
        let wrote = |work: &Work, path: &str| check(work, &Files::new(), &files(&[(path, "x")])).is_ok();
        assert!(wrote(&week, "weekly/2026-W23.md") && !wrote(&week, "weekly/2026-W22.md"));
        assert!(wrote(&month, "monthly/2026-06.md") && wrote(&month, SUGGESTIONS) && !wrote(&week, SUGGESTIONS));
    }

    proptest! {
        #[test]
        fn what_is_unchanged_is_allowed(list in prop::collection::btree_map("[a-z/.]{1,12}", "[ -~\n]{0,30}", 0..8)) {
            let same: Files = list.into_iter().map(|(path, text)| (path, Entry::File(text.into_bytes()))).collect();
            prop_assert_eq!(check(&day(), &same, &same), Ok(()));
        }
    }
}
