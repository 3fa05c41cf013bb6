//! Puts a reply's CommonMark in order. It changes how a reply looks, never what it says, and
//! nothing inside a fenced code block.

mod table;

#[cfg(target_family = "wasm")]
mod component;

use mercury_text::{
    lines::{Place, lines},
    tables,
};

/// What becomes of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    Keep,
    /// One whose widest row has more characters becomes a list.
    ListWiderThan(usize),
}

/// The reply in order. Doing it twice changes nothing more.
pub fn tidy(text: &str, tables: Tables) -> String {
    let text = text.replace("\r\n", "\n");
    let text = match tables {
        Tables::Keep => text,
        Tables::ListWiderThan(width) => lists_for_tables(&text, width),
    };
    let mut walk = lines(&text);
    let mut kept: Vec<&str> = Vec::new();
    let mut blank_before = true;
    let mut all = walk.by_ref().peekable();
    while let Some((line, place)) = all.next() {
        let blank = place == Place::Text && line.trim().is_empty();
        let breaks = all.peek().is_some_and(|(next, _)| !next.trim().is_empty());
        match place {
            Place::Code => kept.push(line),
            _ if blank && blank_before => {}
            _ if blank => kept.push(""),
            _ => kept.push(without_end_blanks(line, place == Place::Text && breaks)),
        }
        blank_before = blank;
    }
    drop(all);
    let open = walk.open();
    if open.is_none() {
        while kept.last().is_some_and(|line| line.is_empty()) {
            kept.pop();
        }
    }
    let mut tidy = kept.join("\n");
    if let Some(fence) = open {
        // A fence at the very end of the text holds nothing.
        tidy.truncate(tidy.trim_end_matches('\n').len());
        tidy.push('\n');
        tidy.push_str(&fence.closing());
    }
    tidy
}

/// Two blanks before another line are a hard break (CommonMark 0.31, 6.7); any other number is an
/// accident.
fn without_end_blanks(line: &str, breaks: bool) -> &str {
    let bare = line.trim_end();
    let hard = breaks && line[bare.len()..].starts_with("  ");
    if hard { &line[..bare.len() + 2] } else { bare }
}

fn lists_for_tables(text: &str, width: usize) -> String {
    let all: Vec<_> = lines(text).collect();
    let text_at = |at: usize| all.get(at).filter(|(_, place)| *place == Place::Text).map(|(line, _)| *line);
    let mut out: Vec<String> = Vec::with_capacity(all.len());
    let mut at = 0;
    while let Some((line, place)) = all.get(at) {
        let starts = *place == Place::Text && tables::begins(line, text_at(at + 1)) && !line.starts_with("    ");
        if !starts {
            out.push((*line).to_owned());
            at += 1;
            continue;
        }
        let rows: Vec<_> = (at + 2..).map_while(text_at).take_while(|row| row.contains('|')).collect();
        let end = at + 2 + rows.len();
        match table::as_list(line, &rows, width) {
            Some(list) => {
                // A list begins and ends a block, as the table did.
                if out.last().is_some_and(|before| !before.trim().is_empty()) {
                    out.push(String::new());
                }
                out.extend(list);
                if text_at(end).is_some_and(|after| !after.trim().is_empty()) {
                    out.push(String::new());
                }
            }
            None => out.extend(all[at..end].iter().map(|(line, _)| (*line).to_owned())),
        }
        at = end;
    }
    out.join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIST: Tables = Tables::ListWiderThan(10);

    #[test]
    fn blanks_and_fences() {
        for (text, expected) in [
            ("\n\na  \n\n\n\nb \n\n", "a\n\nb"),
            ("a  \nb   \nc", "a  \nb  \nc"),
            ("```rs\nlet a;  \n\n\n", "```rs\nlet a;  \n```"),
            ("~~~~\nx", "~~~~\nx\n~~~~"),
            ("a\n```\n\n\nx  \n```  \nb", "a\n```\n\n\nx  \n```\nb"),
            ("a\r\nb\r\n", "a\nb"),
            ("", ""),
            ("- a\n  - b", "- a\n  - b"),
            ("plain", "plain"),
        ] {
            assert_eq!(tidy(text, Tables::Keep), expected, "{text:?}");
        }
    }

    #[test]
    fn wide_tables_become_lists() {
        let table =
            "Prices:\n| Item | Price | Note |\n|---|---:|---|\n| Tea | 3 € | |\n| **Rum** | 9 € | a \\| b |\nend";
        assert_eq!(tidy(table, LIST), "Prices:\n\n- **Tea**: Price 3 €\n- **Rum**: Price 9 €; Note a | b\n\nend");
        assert_eq!(tidy(table, Tables::Keep), table);
        let narrow = "| a | b |\n|---|---|\n| 1 | 2 |";
        assert_eq!(tidy(narrow, LIST), narrow);
        let two = "| Word | Meaning |\n|-|-|\n| abundant | plenty |\n| | empty |";
        assert_eq!(tidy(two, LIST), "- **abundant**: plenty\n- empty");
    }

    #[test]
    fn tables_in_code_stay() {
        let text = "```\n| long header | long header |\n|---|---|\n| 1 | 2 |\n```";
        assert_eq!(tidy(text, LIST), text);
        let text = "    | long header | long header |\n    |---|---|";
        assert_eq!(tidy(text, LIST), text);
    }

    proptest! {
        #[test]
        fn twice_is_once(
            parts in prop::collection::vec(prop::sample::select(vec![
                "a", " ", "  ", "\n", "\n\n", "```", "~~~", "`", "| a | bcdefghijkl |\n", "|---|---|\n", "|", "- ", "**", "\t", "\r\n", "> ", "\\",
            ]), 0..24),
            width in prop::sample::select(vec![None, Some(0), Some(10)]),
        ) {
            let tables = width.map_or(Tables::Keep, Tables::ListWiderThan);
            let once = tidy(&parts.concat(), tables);
            prop_assert_eq!(tidy(&once, tables), once.clone());
        }

        #[test]
        fn code_stays_and_no_letter_is_lost(code in "[a-z |\\-\n]{0,60}", before in "[a-z \n]{0,40}") {
            let text = format!("{before}\n~~~~\n{code}\n~~~~");
            let tidied = tidy(&text, LIST);
            let inside = format!("~~~~\n{code}\n~~~~");
            prop_assert!(tidied.ends_with(&inside));
            let letters = |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&tidied), letters(&text));
        }
    }
}
