//! The door to the grammar crate: what it may be given, and what counts as unreadable.

use brush_parser::Parser;
use brush_parser::ast::Program;

use super::MAX_TEXT_BYTES;
use super::word::options;

/// Deepest nesting of brackets and compound commands; the grammar is recursive.
const MAX_NESTING: usize = 40;
/// The grammar panics on a file descriptor that does not fit 32 bits.
const MAX_DESCRIPTOR_DIGITS: usize = 9;

pub(crate) enum Failure {
    TooLong,
    Unreadable,
}

/// Parses a whole text.
pub(crate) fn parse(text: &str) -> Result<Program, Failure> {
    if text.len() > MAX_TEXT_BYTES || nesting(text) > MAX_NESTING {
        return Err(Failure::TooLong);
    }
    if has_wide_descriptor(text) || has_document_in_arithmetic(text) || has_fragile_document(text) {
        return Err(Failure::Unreadable);
    }
    Parser::new(text.as_bytes(), &options()).parse_program().map_err(|_| Failure::Unreadable)
}

/// An upper bound for the depth of the tree: quotes are not understood, so it may be too high.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut word = String::new();
    for character in text.chars().chain([' ']) {
        if character.is_ascii_alphabetic() {
            if word.len() < 8 {
                word.push(character);
            }
            continue;
        }
        let opens = matches!(word.as_str(), "if" | "while" | "until" | "for" | "case");
        let closes = matches!(word.as_str(), "fi" | "done" | "esac");
        depth += usize::from(opens) + usize::from(matches!(character, '(' | '{'));
        deepest = deepest.max(depth);
        depth = depth.saturating_sub(usize::from(closes) + usize::from(matches!(character, ')' | '}')));
        word.clear();
    }
    deepest
}

fn has_wide_descriptor(text: &str) -> bool {
    let mut digits = 0;
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'<' | b'>' if digits > MAX_DESCRIPTOR_DIGITS => return true,
            // A continued line does not end the number.
            b'\\' | b'\n' => {}
            _ => digits = 0,
        }
    }
    false
}

/// A here-document after `((`: the grammar loses it, bash refuses it, dash runs it.
fn has_document_in_arithmetic(text: &str) -> bool {
    let opened = text.match_indices("((").find(|(at, _)| !text[..*at].ends_with('$'));
    opened.is_some_and(|(at, _)| {
        text[at..].split("<<").skip(1).any(|after| {
            let word = after.trim_start_matches(['-', ' ', '\t']);
            word.starts_with(|c: char| c.is_alphabetic() || "_'\"\\".contains(c))
        })
    })
}

/// A here-document that the tokenizer of brush-parser 0.4.0 gets wrong: on an empty delimiter, and
/// on an expansion that is open at the operator or begins after it on the operator's line, it hangs,
/// panics, or gives a wrong tree (`cat <<E > ${x}` becomes the words `x` and `${}`). Found by search,
/// not by proof: what still hangs or panics ends as a trap, which the host counts as a denial.
fn has_fragile_document(text: &str) -> bool {
    let text = text.replace("\\\n", "");
    let mut at = 0;
    while let Some(found) = text[at..].find("<<") {
        let start = at + found;
        // `<<<` is a here-string: its word may expand.
        let string = text[start..].starts_with("<<<");
        at = start + if string { 3 } else { 2 };
        if string {
            continue;
        }
        let before = text[..start].rsplit('\n').next().unwrap_or_default();
        let after = text[at..].split('\n').next().unwrap_or_default();
        let delimiter = after.trim_start_matches(['-', ' ', '\t']);
        let empty = delimiter.is_empty() || delimiter.starts_with("''") || delimiter.starts_with("\"\"");
        if empty || is_open(before) || expands(delimiter) {
            return true;
        }
    }
    false
}

/// Whether an expansion other than a command substitution is still open at the end of the line.
fn is_open(line: &str) -> bool {
    [("${", "}"), ("$((", "))"), ("$[", "]")].iter().any(|(open, close)| {
        line.rfind(open).is_some_and(|at| !line[at..].contains(close)) || line.matches(open).count() > 1
    })
}

/// Whether the rest of an operator's line begins an expansion with brackets.
fn expands(line: &str) -> bool {
    line.contains(['`', '(', '[']) || line.contains("${")
}
