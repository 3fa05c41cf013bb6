//! CommonMark into text with styles.

use pulldown_cmark::{CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd};

use super::{Rich, Span, Style};

/// Targets that a link may have; the text of any other stays, with the target behind it.
const SCHEMES: &[&str] = &["http://", "https://", "tg://", "mailto:"];
/// A longer target is no use to a reader.
const MOST_SHOWN_TARGET: usize = 200;
const RULE: &str = "———";

pub(super) fn parse(markdown: &str) -> Rich {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut writer = Writer::default();
    for event in Parser::new_ext(markdown, options) {
        writer.event(event);
    }
    writer.finish()
}

#[derive(Default)]
struct Writer {
    rich: Rich,
    /// Line breaks that are due before the next letter.
    due: usize,
    /// Indices of open spans; none for a style that does not count where it stands.
    open: Vec<Option<usize>>,
    /// Next number of each open list; none for bullets.
    lists: Vec<Option<u64>>,
    links: Vec<Target>,
    in_heading: bool,
    table: Option<Table>,
}

struct Target {
    url: String,
    /// Where its text began.
    from: usize,
}

#[derive(Default)]
struct Table {
    rows: Vec<Vec<String>>,
}

impl Writer {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.push(&text),
            Event::Code(code) => {
                // Telegram knows no code in a link.
                self.open((self.links.is_empty()).then_some(Style::Code));
                self.push(&code);
                self.close();
            }
            Event::Html(html) | Event::InlineHtml(html) => match html.trim() {
                "<br>" | "<br/>" | "<br />" => self.line_break(),
                _ => self.push(&html),
            },
            Event::SoftBreak | Event::HardBreak => self.line_break(),
            Event::Rule => {
                self.push(RULE);
                self.due(2);
            }
            Event::TaskListMarker(done) => self.push(if done { "☑ " } else { "☐ " }),
            // Not asked for in the options.
            Event::FootnoteReference(text) | Event::InlineMath(text) | Event::DisplayMath(text) => self.push(&text),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { .. } => {
                self.in_heading = true;
                self.open(Some(Style::Bold));
            }
            Tag::BlockQuote(_) => self.open(Some(Style::Quote)),
            Tag::CodeBlock(kind) => {
                let info = match &kind {
                    CodeBlockKind::Fenced(info) => info.split_whitespace().next().unwrap_or_default(),
                    CodeBlockKind::Indented => "",
                };
                let plain = |letter: char| letter.is_ascii_alphanumeric() || "+-#._".contains(letter);
                let language = if info.chars().all(plain) { info.to_owned() } else { String::new() };
                self.open(Some(Style::Pre(language)));
            }
            Tag::List(first) => {
                if !self.lists.is_empty() {
                    self.due(1);
                }
                self.lists.push(first);
            }
            Tag::Item => {
                let indent = "  ".repeat(self.lists.len().saturating_sub(1));
                let bullet = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{indent}{}. ", *number - 1)
                    }
                    _ => format!("{indent}• "),
                };
                self.push(&bullet);
            }
            Tag::Emphasis => self.open(Some(Style::Italic)),
            Tag::Strong => self.open(Some(Style::Bold)),
            Tag::Strikethrough => self.open(Some(Style::Strike)),
            Tag::Link { link_type, dest_url, .. } => {
                let url =
                    if link_type == LinkType::Email { format!("mailto:{dest_url}") } else { dest_url.into_string() };
                self.start_link(url);
            }
            Tag::Image { dest_url, .. } => self.start_link(dest_url.into_string()),
            Tag::Table(_) => self.table = Some(Table::default()),
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.rows.push(Vec::new());
                }
            }
            Tag::TableCell => {
                if let Some(row) = self.table.as_mut().and_then(|table| table.rows.last_mut()) {
                    row.push(String::new());
                }
            }
            Tag::Paragraph
            | Tag::HtmlBlock
            | Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Superscript
            | Tag::Subscript
            | Tag::MetadataBlock(_) => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.in_heading = false;
                self.close();
                self.due(1);
            }
            TagEnd::BlockQuote(_) | TagEnd::CodeBlock => {
                let text = &mut self.rich.text;
                // The last line's end belongs to the fence.
                if tag == TagEnd::CodeBlock && text.ends_with('\n') {
                    text.pop();
                }
                self.close();
                self.due(2);
            }
            TagEnd::Paragraph => self.due(2),
            TagEnd::HtmlBlock => {
                let end = self.rich.text.trim_end_matches('\n').len();
                self.rich.text.truncate(end);
                self.due(2);
            }
            TagEnd::List(_) => {
                self.lists.pop();
                self.due(if self.lists.is_empty() { 2 } else { 1 });
            }
            TagEnd::Item => self.due(1),
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => self.close(),
            TagEnd::Link | TagEnd::Image => self.end_link(),
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    self.open(Some(Style::Pre(String::new())));
                    self.push(&table.drawn());
                    self.close();
                    self.due(2);
                }
            }
            _ => {}
        }
    }

    fn start_link(&mut self, url: String) {
        let allowed = SCHEMES.iter().any(|scheme| {
            url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) && url.len() > scheme.len()
        });
        // Links do not nest: an image in a link is part of the link's text.
        let style = (allowed && self.links.is_empty()).then(|| Style::Link(url.clone()));
        self.open(style);
        let from = self.written();
        self.links.push(Target { url, from });
    }

    fn end_link(&mut self) {
        let Some(target) = self.links.pop() else { return };
        if self.written() == target.from {
            self.push(&target.url);
        }
        let linked = self.open.last().is_some_and(Option::is_some);
        self.close();
        let text = self.text_from(target.from);
        let shown = text == target.url || target.url.strip_prefix("mailto:") == Some(text);
        if !linked && !shown && self.links.is_empty() && !target.url.is_empty() && target.url.len() <= MOST_SHOWN_TARGET
        {
            self.push(&format!(" ({})", target.url));
        }
    }

    fn line_break(&mut self) {
        if self.in_heading || self.cell().is_some() {
            self.push(" ");
        } else {
            self.push("\n");
            self.push(&"  ".repeat(self.lists.len()));
        }
    }

    fn cell(&mut self) -> Option<&mut String> {
        self.table.as_mut()?.rows.last_mut()?.last_mut()
    }

    /// How much of the present text stands.
    fn written(&mut self) -> usize {
        match self.cell() {
            Some(cell) => cell.len(),
            None => self.rich.text.len(),
        }
    }

    fn text_from(&mut self, from: usize) -> &str {
        match self.table.as_ref().and_then(|table| table.rows.last()?.last()) {
            Some(cell) => &cell[from..],
            None => &self.rich.text[from..],
        }
    }

    fn push(&mut self, text: &str) {
        if let Some(cell) = self.cell() {
            cell.push_str(text);
            return;
        }
        self.break_lines();
        self.rich.text.push_str(text);
    }

    fn due(&mut self, lines: usize) {
        self.due = self.due.max(lines);
    }

    fn break_lines(&mut self) {
        if !self.rich.text.is_empty() {
            self.rich.text.extend(std::iter::repeat_n('\n', self.due));
        }
        self.due = 0;
    }

    /// A style inside itself adds nothing, and a table's cells have none.
    fn open(&mut self, style: Option<Style>) {
        let style = style.filter(|style| {
            let is_open = |at: &usize| {
                let open = &self.rich.spans[*at].style;
                open == style || (matches!((open, style), (Style::Link(_), Style::Link(_))))
            };
            self.table.is_none() && !self.open.iter().flatten().any(is_open)
        });
        let span = style.map(|style| {
            self.break_lines();
            let at = self.rich.text.len();
            self.rich.spans.push(Span { range: at..at, style });
            self.rich.spans.len() - 1
        });
        self.open.push(span);
    }

    fn close(&mut self) {
        if let Some(Some(span)) = self.open.pop() {
            self.rich.spans[span].range.end = self.rich.text.len();
        }
    }

    fn finish(mut self) -> Rich {
        self.rich.text.truncate(self.rich.text.trim_end().len());
        let end = self.rich.text.len();
        for span in &mut self.rich.spans {
            span.range.end = span.range.end.min(end);
        }
        self.rich.spans.retain(|span| span.range.start < span.range.end);
        self.rich
    }
}

impl Table {
    /// Columns under each other, with a line below the head.
    fn drawn(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        for (at, row) in self.rows.iter().enumerate() {
            let cells = widths.iter().enumerate().map(|(column, width)| {
                let cell = row.get(column).map_or("", String::as_str);
                format!("{cell}{}", " ".repeat(width - cell.chars().count()))
            });
            lines.push(cells.collect::<Vec<_>>().join(" | ").trim_end().to_owned());
            if at == 0 {
                lines.push(widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("-+-"));
            }
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn html(markdown: &str) -> String {
        Rich::from_markdown(markdown).to_html()
    }

    #[test]
    fn lists_keep_their_bullets() {
        assert_eq!(html("* item one\n* item two"), "• item one\n• item two");
        assert_eq!(html("3. a\n4. b\n   - c\n   - d\n\nend"), "3. a\n4. b\n  • c\n  • d\n\nend");
        assert_eq!(html("- a\n  more\n- [x] b\n- [ ] c"), "• a\n  more\n• ☑ b\n• ☐ c");
        assert_eq!(html("- a\n\n  b\n- c"), "• a\n\nb\n\n• c");
    }

    #[test]
    fn blocks_stand_apart() {
        assert_eq!(
            html("# T\n\none\ntwo\n\n---\n\n> q\n\nthree"),
            "<b>T</b>\none\ntwo\n\n———\n\n<blockquote>q</blockquote>\n\nthree"
        );
        assert_eq!(html("a\n\n\n\nb  \nc"), "a\n\nb\nc");
        assert_eq!(html("> a\n>\n> > b\n\nc"), "<blockquote>a\n\nb</blockquote>\n\nc");
    }

    #[test]
    fn nothing_in_code_is_parsed() {
        assert_eq!(
            html("```sh\n# **x** [a](b)\n\n  *y*\n```"),
            "<pre><code class=\"language-sh\"># **x** [a](b)\n\n  *y*</code></pre>"
        );
        assert_eq!(html("`a*b*c`"), "<code>a*b*c</code>");
        assert_eq!(html("```\nnever closed"), "<pre>never closed</pre>");
    }

    #[test]
    fn links_lead_only_where_they_may() {
        for good in ["https://e.x/a", "http://e.x", "tg://user?id=1", "mailto:a@e.x", "HTTPS://E.X"] {
            assert_eq!(html(&format!("[l]({good})")), format!("<a href=\"{good}\">l</a>"));
        }
        assert_eq!(html("[l](javascript:alert)"), "l (javascript:alert)");
        assert_eq!(html("[report](outbox/a.pdf)"), "report (outbox/a.pdf)");
        assert_eq!(html("![cat](https://e.x/c.png)"), "<a href=\"https://e.x/c.png\">cat</a>");
        assert_eq!(html("![](https://e.x/c.png)"), "<a href=\"https://e.x/c.png\">https://e.x/c.png</a>");
        assert_eq!(html("[![cat](https://e.x/c.png)](https://e.x)"), "<a href=\"https://e.x\">cat</a>");
        assert_eq!(html("[**b** `c`](https://e.x)"), "<a href=\"https://e.x\"><b>b</b> c</a>");
        assert_eq!(
            html("<https://e.x> <a@e.x>"),
            "<a href=\"https://e.x\">https://e.x</a> <a href=\"mailto:a@e.x\">a@e.x</a>"
        );
        assert_eq!(html(&format!("![x](data:{})", "a".repeat(300))), "x");
    }

    #[test]
    fn a_table_is_drawn() {
        assert_eq!(
            html("| Name | N |\n|---|--:|\n| **Ada** | 1 |\n| Bo [x](https://e.x) | |"),
            "<pre>Name                 | N\n---------------------+--\nAda                  | 1\nBo x (https://e.x)   |</pre>"
                .replace("Name                 |", "Name               |")
                .replace("---------------------+--", "-------------------+--")
                .replace("Ada                  |", "Ada                |")
                .replace("(https://e.x)   |", "(https://e.x) |")
        );
        assert_eq!(html("| A |\n|---|\n| a\\|b |\n\nend"), "<pre>A\n---\na|b</pre>\n\nend");
    }

    proptest! {
        /// Spans lie inside each other, and on whole characters.
        #[test]
        fn any_text_makes_sound_spans(markdown in "([*_`~#>|\\[\\]()<&\n -]|[a-z]|ש|😀|https://e.x){0,60}") {
            let rich = Rich::from_markdown(&markdown);
            let mut ends: Vec<usize> = Vec::new();
            let mut last = 0;
            for span in &rich.spans {
                prop_assert!(span.range.start >= last && !rich.text[span.range.clone()].is_empty(), "{rich:?}");
                last = span.range.start;
                while ends.pop_if(|end| *end <= span.range.start).is_some() {}
                prop_assert!(ends.last().is_none_or(|end| span.range.end <= *end), "{rich:?}");
                ends.push(span.range.end);
            }
        }
    }
}
