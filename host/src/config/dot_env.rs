//! The grammar of `.env`, for all who read one.
//!
//! The library's, but for a value that stands without quotes around it and has a quote or a backslash within: JSON, a
//! password, a path of Windows. The replaced system took and wrote such a value as it stands, and the library would
//! drop those characters without a word. It is taken to the line's end: in JSON ` #` begins no remark.

use std::{borrow::Cow, io::Cursor};

/// The lines as the library is to read them: as many, and in the same places.
pub(crate) fn prepared(content: &str) -> String {
    let mut open = None;
    let line = |line| {
        // A line within a value of several lines is no assignment.
        let assigned = if open.is_none() { literal(line) } else { None };
        let Some((name, value)) = assigned else {
            open = open_after(open, line);
            return Cow::Borrowed(line);
        };
        let end = if line.ends_with('\n') { "\n" } else { "" };
        Cow::Owned(format!("{name}={}{end}", escaped(value)))
    };
    content.split_inclusive('\n').map(line).collect()
}

/// Names and values, or what is wrong with a line.
pub(crate) fn pairs(content: &str) -> impl Iterator<Item = dotenvy::Result<(String, String)>> + use<> {
    dotenvy::from_read_iter(Cursor::new(prepared(content)))
}

/// The first line whose value has a `$` that the library would expand: number and name. The replaced
/// system took such a value as it stands, so a secret must not be cut without a word.
pub(super) fn expanded(content: &str) -> Option<(usize, &str)> {
    content.lines().enumerate().find_map(|(index, line)| {
        let (name, value) = line.trim_start().split_once('=')?;
        let value = value.trim();
        let plain = name.starts_with('#') || value.starts_with('\'') || literal(line).is_some();
        let value = if value.starts_with('"') { value } else { before_remark(value) };
        let dollar = value.match_indices('$').any(|(at, _)| !value[..at].ends_with('\\'));
        (!plain && dollar).then(|| (index + 1, name.trim_start_matches("export ").trim()))
    })
}

/// Name and value of a line whose value is taken as it stands.
fn literal(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=').filter(|(name, _)| !name.trim_start().starts_with('#'))?;
    let value = value.trim();
    // Of a backslash before a `$` the library makes the `$`.
    let altered = before_remark(value).replace("\\$", "").contains(['"', '\'', '\\']);
    (altered && !value.starts_with(['"', '\''])).then_some((name, value))
}

/// A remark behind an unquoted value is not part of it.
fn before_remark(value: &str) -> &str {
    let remark = value.match_indices('#').find(|(at, _)| *at == 0 || value[..*at].ends_with([' ', '\t']));
    remark.map_or(value, |(at, _)| &value[..at])
}

/// The quote that is still open at the line's end, as the library finds it.
fn open_after(mut open: Option<char>, line: &str) -> Option<char> {
    if open.is_none() && line.trim_start().starts_with('#') {
        return None;
    }
    let (mut escaped, mut behind_space) = (false, false);
    for c in line.chars() {
        match (c, open) {
            _ if escaped => escaped = false,
            ('\\', _) => escaped = true,
            ('#', None) if behind_space => break,
            ('"' | '\'', None) => open = Some(c),
            (c, Some(quote)) if c == quote => open = None,
            _ => {}
        }
        behind_space = c.is_whitespace();
    }
    open
}

/// In double quotes, as the library reads it back.
pub(crate) fn escaped(value: &str) -> String {
    let escaped = |c: char| matches!(c, '"' | '\\' | '$').then_some('\\').into_iter().chain(std::iter::once(c));
    format!("\"{}\"", value.chars().flat_map(escaped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn read(content: &str) -> BTreeMap<String, String> {
        pairs(content).collect::<Result<_, _>>().unwrap()
    }

    /// cli.md section 1 (the grammar of `.env`), http-api.md section 6 (what its routes wrote).
    #[test]
    fn what_has_quotes_within_is_taken_as_it_stands() {
        for (written, value) in [
            (r#"{"access":"a","refresh":"b","expires":1}"#, r#"{"access":"a","refresh":"b","expires":1}"#),
            (r#" [{"provider": "x", "model": "a #1"}]  "#, r#"[{"provider": "x", "model": "a #1"}]"#),
            (r#"pa"ss"word"#, r#"pa"ss"word"#),
            ("it's", "it's"),
            (r"x\\y", r"x\\y"),
            (r"C:\new\", r"C:\new\"),
            (r#"{"a":"$HOME"}"#, r#"{"a":"$HOME"}"#),
            (r#"{"a":"b"} # whole"#, r#"{"a":"b"} # whole"#),
            // As the library reads them.
            ("1 # it's a remark", "1"),
            (" # it's a remark", ""),
            ("a#b", "a#b"),
            (r"abc\$def", "abc$def"),
            (r#""x \"y\" \\z" # remark"#, r#"x "y" \z"#),
            (r#"'{"a":"$b"}'"#, r#"{"a":"$b"}"#),
        ] {
            for end in ["", "\n", "\r\n"] {
                let content = format!("# it's\nBEFORE=1\n export A ={written}{end}");
                assert_eq!(expanded(&content), None, "{content}");
                let read = read(&content);
                assert_eq!((read["A"].as_str(), read.len()), (value, 2), "{content}");
            }
        }
    }

    #[test]
    fn lines_within_a_value_are_not_its_neighbours() {
        let content = "A=\"first\nB=it's \\\" one\nlast\" # it's\nC='x\n\"y'\nD=it's\nE=1\n";
        let read = read(content);
        let values: Vec<&str> = read.values().map(String::as_str).collect();
        assert_eq!(values, ["first\nB=it's \" one\nlast", "x\n\"y", "it's", "1"]);
    }

    proptest! {
        /// No character of it is lost or changed, and the lines around it stay what they are.
        #[test]
        fn a_value_with_a_quote_within_is_whole(
            first in "[^\\p{Cc}\\s'\"#$\\\\]", middle in "[^\\p{Cc}\\s#$]{0,20}",
            quote in "['\"]", rest in "[^\\p{Cc}]{0,20}[^\\p{Cc}\\s]",
        ) {
            let value = format!("{first}{middle}{quote}{rest}");
            let content = format!("B=1\nA={value}\nC=2\n");
            prop_assert_eq!(expanded(&content), None);
            let read = read(&content);
            prop_assert_eq!(&read["A"], &value);
            prop_assert_eq!((read["B"].as_str(), read["C"].as_str(), read.len()), ("1", "2", 3));
        }
    }
}
