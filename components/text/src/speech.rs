//! What a voice reads of a reply: words, without the signs that only eyes need.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// The language of the spoken text, as far as voices are kept for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
    Hebrew,
}

impl Language {
    /// Hebrew where the text has a Hebrew letter, else English.
    pub fn of(text: &str) -> Self {
        if text.chars().any(|letter| matches!(letter, '\u{0590}'..='\u{05FF}' | '\u{FB1D}'..='\u{FB4F}')) {
            Self::Hebrew
        } else {
            Self::English
        }
    }

    fn code_left_out(self) -> &'static str {
        match self {
            Self::English => "The code is in the text.",
            Self::Hebrew => "הקוד מופיע בטקסט.",
        }
    }

    /// Said behind an excerpt.
    pub fn more_in_text(self) -> &'static str {
        match self {
            Self::English => "The rest is in the text.",
            Self::Hebrew => "ההמשך מופיע בטקסט.",
        }
    }
}

/// The words of a CommonMark text: code blocks become one remark, links their text, bare addresses
/// their host, table rows their cells with commas; emoji and markup are dropped. Empty where there
/// is nothing to say.
pub fn spoken(markdown: &str, language: Language) -> String {
    let mut words = Words::default();
    let mut code = Code::No;
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    for event in Parser::new_ext(markdown, options) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => {
                words.end_block();
                if code == Code::No {
                    words.push(language.code_left_out());
                    words.end_block();
                }
                code = Code::Inside;
            }
            Event::End(TagEnd::CodeBlock) => code = Code::Said,
            Event::Text(_) if code == Code::Inside => {}
            Event::Text(text) | Event::Code(text) => words.push(&text),
            Event::SoftBreak | Event::HardBreak => words.push(" "),
            Event::End(TagEnd::TableCell) => words.end_cell(),
            Event::End(
                TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::Item | TagEnd::TableRow | TagEnd::TableHead,
            ) => {
                words.end_block();
            }
            Event::Start(Tag::List(_) | Tag::Item) => words.end_block(),
            _ => {}
        }
    }
    words.finish()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Code {
    No,
    Inside,
    Said,
}

#[derive(Default)]
struct Words {
    /// Blocks that are done, each with what ends it.
    done: Vec<String>,
    block: String,
}

impl Words {
    fn push(&mut self, text: &str) {
        self.block.push_str(text);
    }

    fn end_cell(&mut self) {
        if !self.block.trim_end().ends_with([',', '|']) && !self.block.trim().is_empty() {
            self.block.truncate(self.block.trim_end().len());
            self.block.push_str(", ");
        }
    }

    fn end_block(&mut self) {
        let block = readable(std::mem::take(&mut self.block).trim_end().trim_end_matches(','));
        if !block.is_empty() {
            self.done.push(block);
        }
    }

    /// Blocks that end without a mark get a full stop, so that the voice pauses.
    fn finish(mut self) -> String {
        self.end_block();
        let last = self.done.len().saturating_sub(1);
        let blocks = self.done.into_iter().enumerate().map(|(at, block)| {
            let pauses =
                at == last || block.ends_with(|end: char| !end.is_alphanumeric() && !matches!(end, ')' | '"' | '\''));
            if pauses { block } else { format!("{block}.") }
        });
        blocks.collect::<Vec<_>>().join(" ")
    }
}

/// One block with addresses as their hosts, without emoji, and with single blanks.
fn readable(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let (before, address) = word.split_at(word.find("http").unwrap_or(word.len()));
        match host(address) {
            Some((host, rest)) => format!("{before}{host}{rest}"),
            None => word.to_owned(),
        }
    });
    let words = words.map(|word| word.chars().filter(|letter| !is_emoji(*letter)).collect::<String>());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The host of an address, and the punctuation behind it.
fn host(address: &str) -> Option<(&str, &str)> {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
    let bare = rest.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '>', '"', '\'']);
    let host = bare.split(['/', '?', '#', ':']).next().filter(|host| !host.is_empty())?;
    Some((host.strip_prefix("www.").unwrap_or(host), &rest[bare.len()..]))
}

/// Pictures, their modifiers, and the joiners between them (Unicode's `emoji-data.txt`, by block).
fn is_emoji(letter: char) -> bool {
    matches!(letter,
        '\u{1F000}'..='\u{1FAFF}' | '\u{2600}'..='\u{27BF}' | '\u{2B05}'..='\u{2B07}' | '\u{2B1B}' | '\u{2B1C}' | '\u{2B50}' | '\u{2B55}'
        | '\u{231A}' | '\u{231B}' | '\u{23E9}'..='\u{23FA}' | '\u{25FB}'..='\u{25FE}' | '\u{FE0E}' | '\u{FE0F}' | '\u{200D}' | '\u{20E3}'
        | '\u{E0020}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn english(text: &str) -> String {
        spoken(text, Language::English)
    }

    /// The spoken text of examples.md #49
    #[test]
    fn markup_is_not_read() {
        assert_eq!(english("**Hi** [docs](https://x.y)"), "Hi docs");
        assert_eq!(english("# Title\n\n- one\n- `two`\n\n> quoted"), "Title. one. two. quoted");
        assert_eq!(english("See https://www.example.com/a?b=c, please."), "See example.com, please.");
        assert_eq!(english("| a | b |\n|---|---|\n| 1 | 2 |"), "a, b. 1, 2");
        assert_eq!(english("Done 🎉👍🏽 now"), "Done now");
        assert_eq!(english("a\nb   c"), "a b c");
        assert_eq!(english("![alt](x.png)"), "alt");
    }

    #[test]
    fn code_is_remarked_once() {
        assert_eq!(english("Run:\n\n```sh\nls\n```\n\nand\n\n```\nx\n```"), "Run: The code is in the text. and");
        assert_eq!(spoken("```\nx\n```", Language::Hebrew), "הקוד מופיע בטקסט.");
    }

    #[test]
    fn nothing_to_say_is_nothing() {
        for text in ["", "  \n", "🎉", "---", "<br>"] {
            assert_eq!(english(text), "", "{text:?}");
        }
    }

    #[test]
    fn the_language_is_that_of_the_letters() {
        assert_eq!(Language::of("hi שלום"), Language::Hebrew);
        assert_eq!(Language::of("hi"), Language::English);
    }

    proptest! {
        #[test]
        fn single_blanks_and_no_panic(text in "[a-c *_`#>|\\-\n\\[\\]()https:/.🎉א]{0,80}") {
            let said = english(&text);
            prop_assert!(!said.contains("  ") && said.trim() == said, "{said:?}");
        }
    }
}
