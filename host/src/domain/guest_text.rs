//! What components say of themselves, for logs and people: bounded, and nothing that acts on a terminal
//! or looks like a line of the host's.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Bytes of an error of a component's: 4 KiB.
pub const MOST_ERROR: usize = 4 << 10;
/// Bytes of one line in the log: 16 KiB.
pub const MOST_LINE: usize = 16 << 10;

/// Cuts `text` to `most` bytes, between two characters.
pub fn bounded(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
    text
}

/// For a log that people read on a terminal: control characters are spelled out, and every further line
/// is indented, so that none can pass for a line of the host's own.
pub fn for_log(text: &str, most: usize) -> Cow<'_, str> {
    let cut = &text[..text.floor_char_boundary(most)];
    if cut.len() == text.len() && !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(cut.len() + 16);
    for character in cut.chars() {
        match character {
            '\n' => shown.push_str("\n    "),
            character if acts(character) => {
                let _ = write!(shown, "{}", character.escape_unicode());
            }
            character => shown.push(character),
        }
    }
    if cut.len() < text.len() {
        shown.push('…');
    }
    Cow::Owned(shown)
}

/// Control characters, what ends a line, and what turns the direction of the text around it.
fn acts(character: char) -> bool {
    character.is_control() && character != '\t'
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_acts() {
        assert_eq!(for_log("a\tb ü", 99), "a\tb ü");
        assert_eq!(for_log("\u{1b}[2J\u{9b}x\r\0", 99), "\\u{1b}[2J\\u{9b}x\\u{d}\\u{0}");
        assert_eq!(for_log("one\n2026-01-01T00:00:00Z ERROR forged", 99), "one\n    2026-01-01T00:00:00Z ERROR forged");
        assert_eq!(for_log("a\u{202e}b", 99), "a\\u{202e}b");
        assert_eq!(for_log("ääää", 3), "ä…");
        assert_eq!(bounded("ääää".into(), 3), "ä…");
        assert_eq!(bounded("ää".into(), 4), "ää");
    }

    proptest! {
        #[test]
        fn whatever_is_said(text in "[a-c\u{0}-\u{20}\u{7f}-\u{9f}\u{2028}-\u{202f}ü]{0,80}", most in 0..90_usize) {
            let shown = for_log(&text, most);
            prop_assert!(shown.chars().all(|c| !acts(c) || c == '\n'));
            prop_assert!(shown.split('\n').skip(1).all(|line| line.starts_with("    ")));
            prop_assert!(shown.chars().count() <= 8 * most + 1);
            prop_assert_eq!(shown.is_empty(), text.is_empty());
        }
    }
}
