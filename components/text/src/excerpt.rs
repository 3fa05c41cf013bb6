//! The beginning of a text that is too long, cut where a reader would pause.

use crate::lines::{Place, lines};

/// The longest beginning of at most `most` characters that ends with a sentence, else with a word,
/// else anywhere. The whole text where it fits.
pub fn sentences(text: &str, most: usize) -> &str {
    let Some((cut, _)) = text.char_indices().nth(most) else { return text };
    let fits = &text[..cut];
    let behind = |at: usize| text[at..].chars().next();
    let sentence = fits
        .char_indices()
        .filter(|(_, letter)| ends_sentence(*letter))
        .map(|(at, letter)| at + letter.len_utf8())
        .rfind(|end| behind(*end).is_none_or(char::is_whitespace));
    let word = || fits.rfind(char::is_whitespace).filter(|_| behind(cut).is_some_and(|next| !next.is_whitespace()));
    let end = sentence.or_else(word).unwrap_or(cut);
    let excerpt = text[..end].trim_end();
    if excerpt.is_empty() { fits } else { excerpt }
}

fn ends_sentence(letter: char) -> bool {
    matches!(letter, '.' | '!' | '?' | '…' | '。' | '！' | '？' | '؟' | '۔' | '׃')
}

/// The first whole blocks (paragraphs, lists, fenced code) of a CommonMark text with at most `most`
/// characters. A first block that alone is longer is cut: code at a line, with its fence closed,
/// anything else behind a sentence.
pub fn blocks(text: &str, most: usize) -> String {
    let text = text.trim_end();
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut end = 0;
    let mut at = 0;
    let mut length = 0;
    let mut begun = false;
    for (line, place) in lines(text) {
        let blank = place == Place::Text && line.trim().is_empty();
        if blank && begun && length <= most {
            end = at;
        }
        begun |= !blank;
        at += line.len() + 1;
        length += line.chars().count() + 1;
        if length > most + 1 {
            break;
        }
    }
    match text[..end].trim_end() {
        "" => first_block(text.trim_start_matches('\n'), most),
        whole => whole.to_owned(),
    }
}

fn first_block(text: &str, most: usize) -> String {
    let mut kept = String::new();
    let mut walk = lines(text);
    let Some((first, Place::Opening)) = walk.next() else { return sentences(text, most).to_owned() };
    let Some(fence) = walk.open() else { return sentences(text, most).to_owned() };
    kept.push_str(first);
    let room = most.saturating_sub(fence.closing().len() + 1);
    for (line, place) in walk {
        if place != Place::Code || kept.chars().count() + 1 + line.chars().count() > room {
            break;
        }
        kept.push('\n');
        kept.push_str(line);
    }
    kept.push('\n');
    kept.push_str(&fence.closing());
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_sentences_first() {
        assert_eq!(sentences("One. Two! Three?", 10), "One. Two!");
        assert_eq!(sentences("One. Two!", 9), "One. Two!");
        assert_eq!(sentences("Version 1.5 is out", 11), "Version 1.5");
        assert_eq!(sentences("abcdefgh", 3), "abc");
        assert_eq!(sentences("שלום עולם. עוד", 12), "שלום עולם.");
        assert_eq!(sentences("", 3), "");
    }

    #[test]
    fn whole_blocks_first() {
        assert_eq!(blocks("a\n\nb\n\ncccc", 5), "a\n\nb");
        assert_eq!(blocks("a\n\n```\nx\n\ny\n```\n\nb", 8), "a");
        assert_eq!(blocks("First. Second one.", 8), "First.");
        assert_eq!(blocks("```rs\na\nb\nc\n```", 13), "```rs\na\nb\n```");
        assert_eq!(blocks("short", 100), "short");
    }

    proptest! {
        #[test]
        fn never_longer_than_allowed(text in "[a `.!\n]{0,80}", most in 8_usize..40) {
            prop_assert!(sentences(&text, most).chars().count() <= most);
            // A fence that has no room for its end keeps its two lines.
            let kept = blocks(&text, most);
            prop_assert!(kept.chars().count() <= most.max(text.lines().map(|line| line.len() * 2 + 1).max().unwrap_or(0)), "{kept:?}");
        }
    }
}
