//! Marks that make chat apps show right-to-left text from the right.
//!
//! Most apps take a line's direction from its first strong character, so a Hebrew line that begins
//! with a Latin word, a bullet or a number is shown the wrong way round.

use unicode_script::{Script, UnicodeScript};

use crate::{
    chat::is_rule,
    lines::{Place, lines},
    tables,
};

/// RIGHT-TO-LEFT MARK.
pub const MARK: char = '\u{200F}';

/// What an earlier pass, or the model itself, may have put in front: the mark above, and the
/// embeddings LRE and RLE.
const STRIPPED: [char; 3] = [MARK, '\u{202A}', '\u{202B}'];

/// Whether the text has a letter of a script that is written from the right.
pub fn is_rtl(text: &str) -> bool {
    let rtl = |letter: char| {
        matches!(
            letter.script(),
            Script::Hebrew
                | Script::Arabic
                | Script::Syriac
                | Script::Thaana
                | Script::Nko
                | Script::Mandaic
                | Script::Samaritan
        )
    };
    text.chars().any(|letter| !letter.is_ascii() && rtl(letter))
}

/// One mark before every line of a text that has right-to-left letters; any other text stays
/// byte for byte. For text that is shown as it is: the last thing that happens to it.
pub fn mark_lines(text: &str) -> String {
    if !is_rtl(text) {
        return text.to_owned();
    }
    let marked: Vec<_> = text.split('\n').map(|line| marked("", line)).collect();
    marked.join("\n")
}

/// The same for CommonMark that is yet to be rendered: the mark stands behind what makes a line a
/// heading, a quote or an item; code, tables, rules and empty lines get none.
pub fn mark_markdown(text: &str) -> String {
    if !is_rtl(text) {
        return text.to_owned();
    }
    let all: Vec<_> = lines(text).collect();
    let text_at = |at: usize| all.get(at).filter(|(_, place)| *place == Place::Text).map(|(line, _)| *line);
    let mut in_table = false;
    let mut out: Vec<String> = Vec::with_capacity(all.len());
    for (at, (line, place)) in all.iter().enumerate() {
        in_table = !place.is_code() && line.contains('|') && (in_table || tables::begins(line, text_at(at + 1)));
        // Behind a paragraph, `---` and `===` make it a heading; elsewhere they are rules.
        let underline = !line.trim().is_empty() && line.trim().bytes().all(|byte| byte == b'=');
        let bare = line.trim_start_matches(STRIPPED);
        if place.is_code() || in_table || underline || bare.trim().is_empty() || is_rule(bare) {
            out.push((*line).to_owned());
            continue;
        }
        let (syntax, content) = bare.split_at(syntax(bare));
        out.push(marked(syntax, content));
    }
    out.join("\n")
}

fn marked(syntax: &str, content: &str) -> String {
    format!("{syntax}{MARK}{}", content.trim_start_matches(STRIPPED))
}

/// How many bytes of the line are indentation and the signs of quotes, items and headings.
fn syntax(line: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = &line[at..];
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let rest = &rest[blanks..];
        let sign = if rest.starts_with('>') { 1 } else { spaced_sign(rest) };
        if sign == 0 {
            return at + blanks;
        }
        at += blanks + sign;
    }
}

/// `- `, `* `, `+ `, `1. `, `1) `, `# ` to `###### `, and the boxes of tasks; without the blank.
fn spaced_sign(text: &str) -> usize {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let hashes = text.bytes().take_while(|byte| *byte == b'#').count();
    let sign = match text.as_bytes() {
        [b'-' | b'*' | b'+', ..] => 1,
        [b'[', b' ' | b'x' | b'X', b']', ..] => 3,
        _ if (1..=9).contains(&digits) && text[digits..].starts_with(['.', ')']) => digits + 1,
        _ if (1..=6).contains(&hashes) => hashes,
        _ => return 0,
    };
    if text[sign..].starts_with([' ', '\t']) { sign } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// adapters.md #3
    #[test]
    fn every_line_of_an_rtl_text_is_marked_once() {
        let once = mark_lines("שלום\nabc");
        assert_eq!(once, "\u{200F}שלום\n\u{200F}abc");
        assert_eq!(mark_lines(&once), once);
        assert_eq!(mark_lines("abc"), "abc");
        assert_eq!(mark_lines("\u{202B}\u{200F}\u{202A}שלום"), "\u{200F}שלום");
    }

    #[test]
    fn all_seven_scripts_count() {
        for text in ["שלום", "سلام", "ܫܠܡܐ", "ދިވެހި", "ߒߞߏ", "ࡌࡀࡍࡃࡀ", "ࠔࠅࠌ"] {
            assert!(is_rtl(text), "{text}");
        }
        for text in ["hello", "привет", "你好", "1 + 1 = 2", "\u{200F}", ""] {
            assert!(!is_rtl(text), "{text:?}");
        }
    }

    #[test]
    fn markdown_stays_markdown() {
        let text = "# כותרת\n\n- פריט\n1. אחד\n> ציטוט\n  - [ ] משימה\n\n| א | ב |\n|---|---|\n| 1 | 2 |\n\n---\n```\nקוד\n```\nabc `קוד`";
        let expected = "# \u{200F}כותרת\n\n- \u{200F}פריט\n1. \u{200F}אחד\n> \u{200F}ציטוט\n  - [ ] \u{200F}משימה\n\n| א | ב |\n|---|---|\n| 1 | 2 |\n\n---\n```\nקוד\n```\n\u{200F}abc `קוד`";
        assert_eq!(mark_markdown(text), expected);
        assert_eq!(mark_markdown(&mark_markdown(text)), mark_markdown(text));
        assert_eq!(mark_markdown("# title\n- x"), "# title\n- x");
    }

    proptest! {
        #[test]
        fn twice_is_once(text in "[אa#>|\\-\\*1. \n`\u{200F}\u{202B}]{0,60}") {
            let lines = mark_lines(&text);
            prop_assert_eq!(mark_lines(&lines), lines.clone());
            let markdown = mark_markdown(&text);
            prop_assert_eq!(mark_markdown(&markdown), markdown.clone());
        }

        #[test]
        fn text_from_the_left_stays(text in "[a-zа-я0-9 \n#>|-]{0,80}") {
            prop_assert_eq!(mark_lines(&text), text.clone());
            prop_assert_eq!(mark_markdown(&text), text.clone());
        }
    }
}
