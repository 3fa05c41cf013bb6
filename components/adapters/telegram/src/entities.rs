//! Text with entities as Markdown, and the bot's own mention as the host writes it.

use std::{iter::Peekable, ops::Range, vec::IntoIter};

use crate::{api::Entity, inbound::Bot};

/// Telegram takes 4,096 characters of a message, and keeps 100 entities of it. A server that sends more
/// does not get this adapter to work on one message for ever.
const MOST_TEXT: usize = 1 << 16;
const MOST_ENTITIES: usize = 200;

/// A text as people wrote it, in Markdown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub text: String,
    pub mentions_bot: bool,
}

/// What becomes of one stretch of the text.
enum Change {
    Replace(String),
    Wrap {
        open: String,
        close: String,
        link: bool,
    },
    /// As it is; nothing inside is touched.
    Code {
        open: String,
        close: String,
    },
}

struct Span {
    range: Range<usize>,
    change: Change,
}

/// Entities that do not lie in the text, or cross another, are passed over.
pub fn markdown(text: &str, entities: &[Entity], bot: &Bot) -> Written {
    let text = text.char_indices().nth(MOST_TEXT).map_or(text, |(end, _)| &text[..end]);
    let mut mentions_bot = false;
    let mut spans = Vec::new();
    for entity in entities.iter().take(MOST_ENTITIES) {
        let Some(range) = bytes(text, entity.offset, entity.length) else { continue };
        let words = &text[range.clone()];
        let change = match entity.kind.as_str() {
            "mention" if bot.is_called(words.trim_start_matches('@')) => mention(bot, &mut mentions_bot),
            "text_mention" if entity.user.as_ref().is_some_and(|user| user.id == bot.me.id) => {
                mention(bot, &mut mentions_bot)
            }
            "bot_command" => match words.split_once('@') {
                Some((command, addressed)) if bot.is_called(addressed) => {
                    mentions_bot = true;
                    Change::Replace(command.to_owned())
                }
                _ => continue,
            },
            "text_link" => match &entity.url {
                Some(url) => Change::Wrap { open: "[".into(), close: format!("]({})", destination(url)), link: true },
                None => continue,
            },
            "bold" => emphasis("**"),
            "italic" => emphasis("*"),
            "strikethrough" => emphasis("~~"),
            "code" => {
                let fence = "`".repeat(longest_run(words, '`') + 1);
                let gap = if words.starts_with('`') || words.ends_with('`') { " " } else { "" };
                Change::Code { open: format!("{fence}{gap}"), close: format!("{gap}{fence}") }
            }
            "pre" => fenced(text, &range, entity.language.as_deref().unwrap_or_default()),
            _ => continue,
        };
        let range = if matches!(change, Change::Wrap { .. }) { without_blank_edges(text, range) } else { range };
        if !range.is_empty() {
            spans.push(Span { range, change });
        }
    }
    // The outer one of two first; of two that are the same, the one named first.
    spans.sort_by_key(|span| (span.range.start, std::cmp::Reverse(span.range.end)));
    let mut out = String::with_capacity(text.len() + 16);
    write(&mut out, text, 0..text.len(), &mut spans.into_iter().peekable(), false);
    Written { text: out.trim().to_owned(), mentions_bot }
}

fn write(out: &mut String, text: &str, range: Range<usize>, spans: &mut Peekable<IntoIter<Span>>, in_link: bool) {
    let plain = |out: &mut String, part: &str| {
        for letter in part.chars() {
            if in_link && matches!(letter, '[' | ']' | '(' | ')' | '\\') {
                out.push('\\');
            }
            out.push(letter);
        }
    };
    let mut at = range.start;
    while let Some(span) = spans.next_if(|span| span.range.start < range.end) {
        if span.range.start < at || span.range.end > range.end {
            continue;
        }
        plain(out, &text[at..span.range.start]);
        at = span.range.end;
        match span.change {
            Change::Replace(with) => out.push_str(&with),
            Change::Code { open, close } => {
                out.push_str(&open);
                out.push_str(&text[span.range]);
                out.push_str(&close);
            }
            Change::Wrap { open, close, link } => {
                out.push_str(&open);
                write(out, text, span.range, spans, in_link || link);
                out.push_str(&close);
            }
        }
    }
    plain(out, &text[at..range.end]);
}

fn mention(bot: &Bot, mentions_bot: &mut bool) -> Change {
    *mentions_bot = true;
    Change::Replace(format!("@{}", bot.name))
}

fn emphasis(mark: &str) -> Change {
    Change::Wrap { open: mark.to_owned(), close: mark.to_owned(), link: false }
}

/// A fence stands on lines of its own.
fn fenced(text: &str, range: &Range<usize>, language: &str) -> Change {
    let words = &text[range.clone()];
    let fence = "`".repeat((longest_run(words, '`') + 1).max(3));
    let line_before = if range.start == 0 || text[..range.start].ends_with('\n') { "" } else { "\n" };
    let end_of_line = if words.ends_with('\n') { "" } else { "\n" };
    let line_after = if text[range.end..].is_empty() || text[range.end..].starts_with('\n') { "" } else { "\n" };
    Change::Code {
        open: format!("{line_before}{fence}{language}\n"),
        close: format!("{end_of_line}{fence}{line_after}"),
    }
}

/// A link's target, in pointed brackets where CommonMark would end it too early.
fn destination(url: &str) -> String {
    if url.contains(['(', ')', ' ', '<', '>']) {
        format!("<{}>", url.replace('<', "%3C").replace('>', "%3E"))
    } else {
        url.to_owned()
    }
}

/// Emphasis with a blank at its edge is none in CommonMark.
fn without_blank_edges(text: &str, range: Range<usize>) -> Range<usize> {
    let words = &text[range.clone()];
    let start = range.start + (words.len() - words.trim_start().len());
    let end = range.end - (words.len() - words.trim_end().len());
    start..end.max(start)
}

fn longest_run(text: &str, letter: char) -> usize {
    text.split(|other| other != letter).map(str::len).max().unwrap_or(0)
}

/// UTF-16 units as a range of bytes; none where they lie outside, or cut a character.
fn bytes(text: &str, offset: usize, length: usize) -> Option<Range<usize>> {
    let end = offset.checked_add(length)?;
    let (mut units, mut start) = (0, None);
    for (at, letter) in text.char_indices() {
        if units == offset {
            start = Some(at);
        }
        if units == end {
            return start.map(|start| start..at);
        }
        units += letter.len_utf16();
    }
    if units == offset {
        start = Some(text.len());
    }
    (units == end).then_some(start?..text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::{Me, User};

    fn bot() -> Bot {
        Bot { me: Me { id: 99, username: "mercury_real_bot".into(), ..Me::default() }, name: "Mercury".into() }
    }

    fn entity(kind: &str, offset: usize, length: usize) -> Entity {
        Entity { kind: kind.into(), offset, length, ..Entity::default() }
    }

    fn text_of(text: &str, entities: &[Entity]) -> String {
        markdown(text, entities, &bot()).text
    }

    #[test]
    fn every_kind_has_its_marks() {
        assert_eq!(text_of("a b c d", &[entity("bold", 0, 1), entity("italic", 2, 1)]), "**a** *b* c d");
        assert_eq!(text_of("gone", &[entity("strikethrough", 0, 4)]), "~~gone~~");
        assert_eq!(text_of("run ls now", &[entity("code", 4, 2)]), "run `ls` now");
        assert_eq!(text_of("a`b", &[entity("code", 0, 3)]), "``a`b``");
        assert_eq!(text_of("`", &[entity("code", 0, 1)]), "`` ` ``");
        let pre = Entity { language: Some("rust".into()), ..entity("pre", 4, 4) };
        assert_eq!(text_of("see fn() ok", &[pre]), "see \n```rust\nfn()\n```\n ok");
        let link = Entity { url: Some("https://e.x/".into()), ..entity("text_link", 0, 5) };
        assert_eq!(text_of("a[b]c", std::slice::from_ref(&link)), "[a\\[b\\]c](https://e.x/)");
        let odd = Entity { url: Some("https://e.x/a(b".into()), ..link };
        assert_eq!(text_of("links", &[odd]), "[links](<https://e.x/a(b>)");
        assert_eq!(text_of("#tag spoiler", &[entity("hashtag", 0, 4), entity("spoiler", 5, 7)]), "#tag spoiler");
    }

    #[test]
    fn offsets_are_utf_16_units() {
        assert_eq!(text_of("😀 bold", &[entity("bold", 3, 4)]), "😀 **bold**");
        assert_eq!(text_of("שלום עולם", &[entity("bold", 5, 4)]), "שלום **עולם**");
        // Inside the surrogate pair, behind the end, too long for any number.
        let wrong = [entity("bold", 1, 2), entity("bold", 40, 2), entity("bold", 2, usize::MAX)];
        assert_eq!(text_of("😀 bold", &wrong), "😀 bold");
    }

    #[test]
    fn no_message_is_endless() {
        let all = vec![entity("bold", 0, 1 << 20); 100_000];
        assert_eq!(text_of(&"x".repeat(1 << 20), &all).len(), MOST_TEXT);
        let nested = vec![entity("bold", 0, 1); 100_000];
        assert_eq!(text_of("x", &nested).len(), 1 + 4 * MOST_ENTITIES);
    }

    #[test]
    fn nested_ones_close_in_order_and_crossing_ones_are_passed_over() {
        assert_eq!(text_of("abcd", &[entity("bold", 0, 4), entity("italic", 0, 4)]), "***abcd***");
        assert_eq!(text_of("abcd", &[entity("italic", 1, 2), entity("bold", 0, 4)]), "**a*bc*d**");
        assert_eq!(text_of("abcdef", &[entity("bold", 0, 4), entity("italic", 2, 4)]), "**abcd**ef");
        assert_eq!(text_of("abc ", &[entity("bold", 0, 4)]), "**abc**");
        assert_eq!(text_of("a   b", &[entity("bold", 1, 3)]), "a   b");
        assert_eq!(text_of("a*b", &[entity("code", 0, 3), entity("bold", 0, 3)]), "`a*b`");
    }

    #[test]
    fn the_bots_own_name_becomes_the_hosts() {
        let called = markdown("@Mercury_Real_Bot hi", &[entity("mention", 0, 17)], &bot());
        assert_eq!(called, Written { text: "@Mercury hi".into(), mentions_bot: true });
        let command = markdown("/stop@mercury_real_bot now", &[entity("bot_command", 0, 22)], &bot());
        assert_eq!(command, Written { text: "/stop now".into(), mentions_bot: true });
        let by_id = Entity { user: Some(User { id: 99, ..User::default() }), ..entity("text_mention", 0, 3) };
        assert_eq!(markdown("You there", &[by_id], &bot()).text, "@Mercury there");
        for (text, kind) in
            [("@somebody hi", "mention"), ("/stop@x_bot1 ", "bot_command"), ("/stop hello", "bot_command")]
        {
            let length = text.find(' ').unwrap();
            let other = markdown(text, &[entity(kind, 0, length)], &bot());
            assert_eq!(other, Written { text: text.trim().into(), mentions_bot: false });
        }
    }

    proptest! {
        /// Whatever a server says about a text: no panic, and no letter of it is lost.
        #[test]
        fn any_entities_are_survived(
            text in "[a-z😀ש`\\[\\] \n]{0,30}",
            entities in prop::collection::vec(("bold|italic|code|pre|text_link|mention|bot_command", 0_usize..40, 0_usize..40), 0..6),
        ) {
            let entities: Vec<_> = entities.iter().map(|(kind, offset, length)| Entity {
                url: Some("https://e.x".into()), ..entity(kind, *offset, *length)
            }).collect();
            let written = markdown(&text, &entities, &bot()).text;
            let mut letters = written.chars();
            for letter in text.chars().filter(|letter| letter.is_alphanumeric() || *letter == '😀') {
                prop_assert!(letters.any(|found| found == letter), "{text:?} became {written:?}");
            }
        }
    }
}
