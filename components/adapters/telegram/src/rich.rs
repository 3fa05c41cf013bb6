//! A reply as Telegram keeps it: plain text, and stretches of it with a style.
//!
//! Lengths are counted on this text, as Telegram does "after entities parsing", and a part of it is cut
//! out with its styles; so no markup can break at a cut.

mod html;
mod markdown;
mod split;

use std::ops::Range;

pub use split::units;

/// `sendMessage`, in UTF-16 units.
pub const MOST_TEXT: usize = 4096;
/// The caption of a file, in UTF-16 units.
pub const MOST_CAPTION: usize = 1024;

const RIGHT_TO_LEFT_MARK: char = '\u{200f}';

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Style {
    Bold,
    Italic,
    Strike,
    Quote,
    Link(String),
    Code,
    /// A block with its language, which may be empty.
    Pre(String),
}

/// In bytes of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub range: Range<usize>,
    pub style: Style,
}

/// Spans lie inside each other or apart, the outer one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rich {
    pub text: String,
    pub spans: Vec<Span>,
}

impl Rich {
    /// CommonMark with tables, strikethrough and task lists. Lines of text in a script that runs from
    /// right to left are marked, so that they do so whatever they begin with.
    pub fn from_markdown(markdown: &str) -> Self {
        if !mercury_text::rtl::is_rtl(markdown) {
            return markdown::parse(markdown);
        }
        markdown::parse(&markdown.split('\n').map(unmarked).collect::<Vec<_>>().join("\n")).marked()
    }

    /// Without any markup, as for chats that have none.
    pub fn plain(markdown: &str) -> Self {
        Self { text: mercury_text::rtl::mark_lines(&mercury_text::chat::normalise(markdown)), spans: Vec::new() }
    }

    pub fn is_blank(&self) -> bool {
        self.text.chars().all(|letter| letter.is_whitespace() || letter == RIGHT_TO_LEFT_MARK)
    }

    /// `parse_mode: HTML`
    pub fn to_html(&self) -> String {
        html::render(self)
    }

    /// In parts of at most `most` UTF-16 units, none of them blank.
    pub fn split(&self, most: usize) -> Vec<Self> {
        if !self.text.contains(RIGHT_TO_LEFT_MARK) {
            return split::split(self, most);
        }
        // A line that is cut begins a second time.
        let mut parts = split::split(self, most - 1);
        for part in &mut parts {
            if !part.text.starts_with(RIGHT_TO_LEFT_MARK) && !part.is_code(0) {
                part.insert_mark(0);
            }
        }
        parts
    }

    fn is_code(&self, at: usize) -> bool {
        self.spans.iter().any(|span| matches!(span.style, Style::Pre(_)) && span.range.contains(&at))
    }

    /// A mark before every line but empty ones and code, which somebody may want to copy.
    fn marked(mut self) -> Self {
        let mut starts = Vec::new();
        let mut at = 0;
        for line in self.text.split('\n') {
            if !line.is_empty() && !self.is_code(at) {
                starts.push(at);
            }
            at += line.len() + 1;
        }
        for start in starts.into_iter().rev() {
            self.insert_mark(start);
        }
        self
    }

    fn insert_mark(&mut self, at: usize) {
        self.text.insert(at, RIGHT_TO_LEFT_MARK);
        let length = RIGHT_TO_LEFT_MARK.len_utf8();
        for span in &mut self.spans {
            if span.range.start >= at {
                span.range.start += length;
            }
            if span.range.end > at {
                span.range.end += length;
            }
        }
    }

    /// What lies in the range, with the styles that reach into it.
    fn slice(&self, range: Range<usize>) -> Self {
        let spans = self.spans.iter().filter_map(|span| {
            let start = span.range.start.max(range.start);
            let end = span.range.end.min(range.end);
            let range = start.checked_sub(range.start)?..end.saturating_sub(range.start);
            (start < end).then(|| Span { range, style: span.style.clone() })
        });
        Self { text: self.text[range.clone()].to_owned(), spans: spans.collect() }
    }
}

/// Marks that are there already would hide what begins the line, or stand there twice.
fn unmarked(line: &str) -> String {
    let (before, words) = line.split_at(line.find(char::is_alphanumeric).unwrap_or(line.len()));
    format!("{}{words}", before.replace([RIGHT_TO_LEFT_MARK, '\u{202a}', '\u{202b}'], ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_to_left_lines_are_marked_and_code_is_not() {
        let rich = Rich::from_markdown("**שלום**\n\nabc\n\n```\nls\n```");
        assert_eq!(rich.text, "\u{200f}שלום\n\n\u{200f}abc\n\nls");
        assert_eq!(rich.to_html(), "\u{200f}<b>שלום</b>\n\n\u{200f}abc\n\n<pre>ls</pre>");
        assert_eq!(Rich::from_markdown("abc").text, "abc");
        // A processor may have marked the lines before: the heading is one nevertheless.
        let marked = Rich::from_markdown("\u{200f}# שלום\n\u{200f}\n- \u{200f}א");
        assert_eq!(marked.to_html(), "\u{200f}<b>שלום</b>\n\u{200f}• א");
    }

    #[test]
    fn a_line_that_is_cut_is_marked_again() {
        let rich = Rich::from_markdown(&"שלום ".repeat(30));
        let parts = rich.split(40);
        assert!(parts.len() > 3);
        for part in &parts {
            assert!(part.text.starts_with(RIGHT_TO_LEFT_MARK) && units(&part.text) <= 40, "{part:?}");
            assert_eq!(part.text.matches(RIGHT_TO_LEFT_MARK).count(), 1);
        }
    }

    /// adapters.md #1 to #3, with formatting switched off.
    #[test]
    fn without_formatting_nothing_is_marked_up() {
        let plain = Rich::plain("| A | B |\n|---|---|\n| 1 | 2 |\n\n**bold** <x>");
        assert_eq!(plain.text, "• A — B\n• 1 — 2\n\n*bold* <x>");
        assert!(plain.spans.is_empty());
        assert_eq!(Rich::plain("שלום\nabc").text, "\u{200f}שלום\n\u{200f}abc");
    }
}
