//! Tables in the style of GitHub's Markdown, found line by line.

/// Whether `line` can be the row between a table's header and its body: only `|`, `-`, `:` and
/// blanks, with at least one `-` and one `|`.
pub fn is_separator(line: &str) -> bool {
    line.contains('-')
        && line.contains('|')
        && line.chars().all(|letter| matches!(letter, '|' | '-' | ':' | ' ' | '\t'))
}

/// Whether a table begins with `header`, when `next` is the line after it.
pub fn begins(header: &str, next: Option<&str>) -> bool {
    header.contains('|') && !is_separator(header) && next.is_some_and(is_separator)
}

/// The cells of a row, trimmed. `\|` is a bar in a cell.
pub fn cells(row: &str) -> Vec<String> {
    let row = row.trim();
    let row = row.strip_prefix('|').unwrap_or(row);
    let mut cells = vec![String::new()];
    let mut letters = row.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek() == Some(&'|') => {
                letters.next();
                push(&mut cells, '|');
            }
            '|' => cells.push(String::new()),
            letter => push(&mut cells, letter),
        }
    }
    // The bar at the end closes the last cell.
    if cells.len() > 1 && cells.last().is_some_and(|last| last.trim().is_empty()) {
        cells.pop();
    }
    cells.into_iter().map(|cell| cell.trim().to_owned()).collect()
}

fn push(cells: &mut [String], letter: char) {
    if let Some(cell) = cells.last_mut() {
        cell.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_split() {
        assert_eq!(cells("| a | b |"), ["a", "b"]);
        assert_eq!(cells("a|b"), ["a", "b"]);
        assert_eq!(cells("| 3 | |"), ["3", ""]);
        assert_eq!(cells(r"| a \| b | `c` |"), ["a | b", "`c`"]);
        assert_eq!(cells("|"), [""]);
    }

    #[test]
    fn separators_are_told_from_rows() {
        for line in ["|---|---|", "| :-- | --: |", "-|-", " --- | --- "] {
            assert!(is_separator(line), "{line}");
        }
        for line in ["---", "| a |", "|||", "", "| | |"] {
            assert!(!is_separator(line), "{line}");
        }
    }
}
