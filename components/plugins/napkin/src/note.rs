//! A note's front matter and sections, read and changed line by line: what a model or a person wrote
//! around them stays as it is.

/// The value of a field of the front matter, without quotes. Empty is none.
pub fn field<'a>(note: &'a str, name: &str) -> Option<&'a str> {
    let value = front_matter(note)?.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.trim();
    let unquoted = ['"', '\''].iter().find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote));
    Some(unquoted.unwrap_or(value).trim()).filter(|value| !value.is_empty())
}

fn front_matter(note: &str) -> Option<impl Iterator<Item = &str>> {
    let mut lines = note.lines();
    (lines.next()?.trim_end() == "---").then(|| lines.take_while(|line| line.trim_end() != "---"))
}

/// The note with the field set. A note without front matter gets one.
pub fn with_field(note: &str, name: &str, value: &str) -> String {
    let line = format!("{name}: {value}");
    if front_matter(note).is_none() {
        return format!("---\n{line}\n---\n{note}");
    }
    let mut lines: Vec<&str> = note.lines().collect();
    let end = lines.iter().skip(1).position(|line| line.trim_end() == "---").map_or(lines.len(), |found| found + 1);
    let is_field = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'));
    match lines[1..end].iter().position(is_field) {
        Some(at) => lines[at + 1] = &line,
        None => lines.insert(end, &line),
    }
    joined(&lines, note)
}

const HISTORY: &str = "## History";

/// The bullets of the history section.
pub fn history(note: &str) -> Vec<&str> {
    let section = note.lines().skip_while(|line| line.trim_end() != HISTORY).skip(1);
    section.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("- ")).collect()
}

/// The note with one more bullet at the top of its history.
pub fn with_history(note: &str, bullet: &str) -> String {
    let line = format!("- {bullet}");
    let mut lines: Vec<&str> = note.lines().collect();
    match lines.iter().position(|line| line.trim_end() == HISTORY) {
        Some(at) => {
            let blank = lines[at + 1..].iter().take_while(|line| line.trim().is_empty()).count();
            lines.insert(at + 1 + blank, &line);
        }
        None => lines.extend(["", HISTORY, "", &line]),
    }
    joined(&lines, note)
}

fn joined(lines: &[&str], original: &str) -> String {
    let mut text = lines.join("\n");
    if original.ends_with('\n') || original.is_empty() {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOTE: &str =
        "---\nname: ada\nsummary: \"A friend\"\n---\n\n# Ada\n\n## History\n\n- one\n- two\n\n## More\n\n- three\n";

    #[test]
    fn fields() {
        assert_eq!(field(NOTE, "summary"), Some("A friend"));
        assert_eq!(field(NOTE, "name"), Some("ada"));
        assert_eq!((field(NOTE, "nam"), field(NOTE, "More"), field("# no\nname: x", "name")), (None, None, None));
        assert_eq!(field(&with_field(NOTE, "status", "active"), "status"), Some("active"));
        assert_eq!(field(&with_field(NOTE, "name", "eve"), "name"), Some("eve"));
        assert_eq!(with_field("text\n", "a", "b"), "---\na: b\n---\ntext\n");
    }

    #[test]
    fn the_history_is_one_section() {
        assert_eq!(history(NOTE), ["- one", "- two"]);
        assert_eq!(history(&with_history(NOTE, "zero")), ["- zero", "- one", "- two"]);
        assert_eq!(history(&with_history("# bare\n", "zero")), ["- zero"]);
    }

    proptest! {
        #[test]
        fn a_set_field_is_read_back(note in "(---\n(a: [a-z]{0,5}\n){0,3}---\n)?([ -~]{0,20}\n){0,4}", value in "[a-z0-9]{1,10}") {
            let changed = with_field(&note, "status", &value);
            prop_assert_eq!(field(&changed, "status"), Some(value.as_str()));
        }

        #[test]
        fn history_only_grows(note in "([#a-z -]{0,12}\n|## History\n|- [a-z]{1,5}\n){0,12}", bullet in "[a-z]{1,8}") {
            let before: Vec<String> = history(&note).into_iter().map(str::to_owned).collect();
            let changed = with_history(&note, &bullet);
            prop_assert_eq!(history(&changed).len(), before.len() + 1);
        }
    }
}
