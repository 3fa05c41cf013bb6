//! CommonMark as the light markup of chat apps that have no headings, rules or tables.

use crate::{
    lines::{Place, code_spans, lines},
    tables,
};

/// Tables become bulleted lines, rules become empty lines, and double or triple emphasis becomes
/// `*x*`. Code, fenced or inline, is left as it is.
pub fn normalise(text: &str) -> String {
    let all: Vec<_> = lines(text).collect();
    let text_at = |at: usize| all.get(at).filter(|(_, place)| *place == Place::Text).map(|(line, _)| *line);
    let mut out: Vec<String> = Vec::with_capacity(all.len());
    let mut at = 0;
    while let Some((line, place)) = all.get(at) {
        at += 1;
        if place.is_code() {
            out.push((*line).to_owned());
        } else if tables::begins(line, text_at(at)) {
            out.push(bulleted(line));
            at += 1;
            while let Some(row) = text_at(at).filter(|row| row.contains('|')) {
                out.push(bulleted(row));
                at += 1;
            }
        } else if is_rule(line) {
            out.push(String::new());
        } else {
            out.push(emphasis(line));
        }
    }
    out.join("\n")
}

fn bulleted(row: &str) -> String {
    let cells: Vec<_> = tables::cells(row).iter().filter(|cell| !cell.is_empty()).map(|cell| emphasis(cell)).collect();
    format!("• {}", cells.join(" — "))
}

/// Three or more of one of `-`, `*`, `_`, with blanks between them.
pub fn is_rule(line: &str) -> bool {
    let mut marks = line.chars().filter(|letter| !letter.is_whitespace());
    let Some(first) = marks.next().filter(|mark| matches!(mark, '-' | '*' | '_')) else { return false };
    let mut count = 1;
    for mark in marks {
        if mark != first {
            return false;
        }
        count += 1;
    }
    count >= 3
}

/// `**x**`, `***x***`, `__x__` and `___x___` as `*x*`, outside of code.
fn emphasis(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut at = 0;
    for code in code_spans(line) {
        out.push_str(&emphasis_of_text(&line[at..code.start]));
        out.push_str(&line[code.clone()]);
        at = code.end;
    }
    out.push_str(&emphasis_of_text(&line[at..]));
    out
}

fn emphasis_of_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(['*', '_']) {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let mark = if from.starts_with('*') { '*' } else { '_' };
        let length = from.chars().take_while(|letter| *letter == mark).count();
        let inside = &from[length..];
        // An underscore inside a word is a letter of it.
        let in_word = mark == '_' && out.chars().next_back().is_some_and(char::is_alphanumeric);
        let end = ((2..=3).contains(&length) && !in_word).then(|| closing(inside, mark, length)).flatten();
        match end {
            Some(end) => {
                out.push('*');
                out.push_str(&inside[..end]);
                out.push('*');
                rest = &inside[end + length..];
            }
            None => {
                out.push_str(&from[..length]);
                rest = inside;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Where the run that closes begins: of the same length, behind something that is not blank.
fn closing(text: &str, mark: char, length: usize) -> Option<usize> {
    if text.starts_with(char::is_whitespace) {
        return None;
    }
    let mut at = 0;
    while let Some(found) = text[at..].find(mark) {
        let start = at + found;
        let here = text[start..].chars().take_while(|letter| *letter == mark).count();
        let after = text[start + here..].chars().next();
        let before = text[..start].chars().next_back();
        let closes = before.is_some_and(|letter| !letter.is_whitespace())
            && (mark == '*' || !after.is_some_and(char::is_alphanumeric));
        if here == length && closes {
            return Some(start);
        }
        at = start + here;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::normalise;

    /// adapters.md #1
    #[test]
    fn tables_become_bullets() {
        let table = "| A | B |\n|---|---|\n| 1 | 2 |\n| 3 | |\n\nend";
        assert_eq!(normalise(table), "• A — B\n• 1 — 2\n• 3\n\nend");
        assert_eq!(normalise("**A**|B\n-|-\n1|`**2**`\nend"), "• *A* — B\n• 1 — `**2**`\nend");
    }

    /// adapters.md #2
    #[test]
    fn fenced_code_is_left_alone() {
        assert_eq!(normalise("```\n**x**\n---\n```\n**y**"), "```\n**x**\n---\n```\n*y*");
        assert_eq!(normalise("```\n|a|b|\n|-|-|\n```"), "```\n|a|b|\n|-|-|\n```");
    }

    #[test]
    fn emphasis_and_rules() {
        for (text, expected) in [
            ("**a** and ***b*** and __c__ and ___d___", "*a* and *b* and *c* and *d*"),
            ("*a* _b_", "*a* _b_"),
            ("a\n- - -\nb\n***\n_____", "a\n\nb\n\n"),
            ("2 ** 3 ** 4", "2 ** 3 ** 4"),
            ("snake__case__name", "snake__case__name"),
            ("`**a**` **b**", "`**a**` *b*"),
            ("**open", "**open"),
            ("****x****", "****x****"),
            ("--", "--"),
            ("**שלום**", "*שלום*"),
        ] {
            assert_eq!(normalise(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_normalised_without_a_panic(text in "[a*_`|:\\-\\\\ \nא]{0,60}") {
            normalise(&text);
        }

        #[test]
        fn plain_words_are_left_alone(text in "[a-z .,\n]{0,200}") {
            prop_assert_eq!(normalise(&text), text);
        }
    }
}
