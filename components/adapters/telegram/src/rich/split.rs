//! Where a long text is cut: between paragraphs, else lines, else sentences, else words.

use super::{Rich, Style};

/// UTF-16 code units, in which Telegram counts.
pub fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// From the best place to cut to the worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Paragraph,
    Line,
    Sentence,
    Word,
}

const PLACES: [Place; 4] = [Place::Paragraph, Place::Line, Place::Sentence, Place::Word];

pub(super) fn split(rich: &Rich, most: usize) -> Vec<Rich> {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < rich.text.len() {
        let rest = &rich.text[start..];
        let cut = if units(rest) <= most { rich.text.len() } else { start + place_to_cut(rich, start, most) };
        let part = rich.slice(start..start + rich.text[start..cut].trim_end().len());
        if !part.is_blank() {
            parts.push(part);
        }
        start = behind(rich, cut);
    }
    parts
}

/// Behind the blanks at a cut. In code only the end of the line goes: what is indented stays so.
fn behind(rich: &Rich, cut: usize) -> usize {
    let rest = &rich.text[cut..];
    if rich.is_code(cut) {
        return cut + usize::from(rest.starts_with('\n'));
    }
    let lines = rest.len() - rest.trim_start_matches('\n').len();
    if lines > 0 { cut + lines } else { cut + (rest.len() - rest.trim_start().len()) }
}

/// How many bytes from `start` belong to this part: at least one character, at most `most` units.
fn place_to_cut(rich: &Rich, start: usize, most: usize) -> usize {
    let rest = &rich.text[start..];
    let mut left = most;
    let window = rest
        .char_indices()
        .find(|(_, letter)| match left.checked_sub(letter.len_utf16()) {
            Some(less) => {
                left = less;
                false
            }
            None => true,
        })
        .map_or(rest.len(), |(at, _)| at);
    let places = places(rich, start, window);
    // A good place early in the text would leave a tiny part: behind the first third, if there is one.
    for from in [window / 3, 1] {
        for wanted in PLACES {
            let last = places.iter().rev().find(|(at, place)| *place == wanted && *at >= from);
            if let Some((at, _)) = last {
                return *at;
            }
        }
    }
    whole_signs(rest, window)
}

/// The places at which one may cut, in order. Never in a link, in a word of code, or in a line of a block.
fn places(rich: &Rich, start: usize, window: usize) -> Vec<(usize, Place)> {
    let rest = &rich.text[start..];
    let inside = |at: usize, block: bool| {
        rich.spans.iter().any(|span| {
            let kind = if block {
                matches!(span.style, Style::Pre(_))
            } else {
                matches!(span.style, Style::Code | Style::Link(_))
            };
            kind && span.range.start < at && at < span.range.end
        })
    };
    let mut found = Vec::new();
    let mut before = None;
    // The first letter that does not fit may be the blank at which to cut.
    for (at, letter) in rest.char_indices().take_while(|(at, _)| *at <= window) {
        if letter.is_whitespace() && at > 0 && !inside(start + at, false) {
            let in_block = inside(start + at, true);
            let next = rest[at + letter.len_utf8()..].chars().next();
            let place = match letter {
                '\n' if !in_block && next == Some('\n') => Some(Place::Paragraph),
                '\n' if before == Some('\n') => None,
                '\n' => Some(Place::Line),
                _ if in_block => None,
                _ if before.is_some_and(|before| ".!?…。؟".contains(before)) => Some(Place::Sentence),
                _ => Some(Place::Word),
            };
            found.extend(place.map(|place| (at, place)));
        }
        before = Some(letter);
    }
    found
}

/// The end of the window, moved before a sign that would come apart (a flag, a family, an accent).
fn whole_signs(text: &str, window: usize) -> usize {
    const JOINER: char = '\u{200d}';
    let joins = |letter: char| matches!(letter, JOINER | '\u{fe0f}' | '\u{20e3}' | '\u{300}'..='\u{36f}' | '\u{1f3fb}'..='\u{1f3ff}');
    let mut cut = window;
    while let Some(before) = text[..cut].chars().next_back() {
        let after = text[cut..].chars().next();
        if before != JOINER && !after.is_some_and(joins) {
            return cut;
        }
        cut -= before.len_utf8();
    }
    // One endless sign: it comes apart.
    window
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(markdown: &str, most: usize) -> Vec<String> {
        Rich::from_markdown(markdown).split(most).into_iter().map(|part| part.text).collect()
    }

    fn htmls(markdown: &str, most: usize) -> Vec<String> {
        Rich::from_markdown(markdown).split(most).iter().map(Rich::to_html).collect()
    }

    #[test]
    fn paragraph_before_line_before_sentence_before_word() {
        assert_eq!(texts("aaaa aaaa\n\nbbbb bbbb\nbbbb", 20), ["aaaa aaaa", "bbbb bbbb\nbbbb"]);
        assert_eq!(texts("aaaa aaaa\nbbbb bbbb bbbb", 20), ["aaaa aaaa", "bbbb bbbb bbbb"]);
        assert_eq!(texts("aaaa aaaa. bbbb bbbb bbbb", 20), ["aaaa aaaa.", "bbbb bbbb bbbb"]);
        assert_eq!(texts("aaaa bbbb cccc", 10), ["aaaa bbbb", "cccc"]);
        // Where the good place is far too early, a worse one is taken.
        assert_eq!(texts("a\n\nbbbb bbbb bbbb bbbb bbbb", 20), ["a\n\nbbbb bbbb bbbb", "bbbb bbbb"]);
    }

    #[test]
    fn a_word_without_end_is_cut_at_whole_signs() {
        assert_eq!(texts(&"a".repeat(25), 10), ["a".repeat(10), "a".repeat(10), "a".repeat(5)]);
        assert_eq!(texts(&"😀".repeat(5), 4), ["😀😀", "😀😀", "😀"]);
        assert_eq!(texts("xxx👩\u{200d}🚀", 6), ["xxx", "👩\u{200d}🚀"]);
    }

    #[test]
    fn styles_go_on_in_the_next_part() {
        assert_eq!(htmls("**aaaa bbbb**", 6), ["<b>aaaa</b>", "<b>bbbb</b>"]);
        assert_eq!(
            htmls("```py\nif a:\n    b()\n    c()\n```", 14),
            [
                "<pre><code class=\"language-py\">if a:\n    b()</code></pre>",
                "<pre><code class=\"language-py\">    c()</code></pre>"
            ]
        );
    }

    #[test]
    fn links_and_code_stay_whole() {
        assert_eq!(htmls("aaaa [two words](https://e.x) b", 11), ["aaaa", "<a href=\"https://e.x\">two words</a> b"]);
        assert_eq!(htmls("aaaa `two words` b", 11), ["aaaa", "<code>two words</code> b"]);
    }

    /// adapters.md #14, pipeline.md #52: three parts for 9,000 characters.
    #[test]
    fn nine_thousand_characters_are_three_parts() {
        for text in ["a".repeat(9000), "wörter ".repeat(1285), "Ein Satz. Noch einer!\n".repeat(409)] {
            let parts = texts(&text, 4096);
            assert_eq!(parts.len(), 3);
            assert!(parts.iter().all(|part| units(part) <= 4096));
            let letters = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(letters(&parts.concat()), letters(&text));
        }
    }

    proptest! {
        /// No part is too long or blank, no letter is lost or said twice, and every part is sound HTML.
        #[test]
        fn nothing_is_lost(markdown in "([*_`#>|\\[\\]() \n.]|[a-z]{1,9}|ש|😀|👩\u{200d}🚀|```\n){0,80}", most in 4_usize..40) {
            let rich = Rich::from_markdown(&markdown);
            let parts = rich.split(most);
            for part in &parts {
                prop_assert!(units(&part.text) <= most && !part.is_blank(), "{part:?}");
                let html = part.to_html();
                prop_assert_eq!(html.matches("</").count(), html.matches('<').count() - html.matches("</").count(), "{}", html);
            }
            let letters = |text: &str| text.chars().filter(|letter| !letter.is_whitespace() && *letter != '\u{200f}').collect::<String>();
            prop_assert_eq!(parts.iter().map(|part| letters(&part.text)).collect::<String>(), letters(&rich.text));
        }
    }
}
