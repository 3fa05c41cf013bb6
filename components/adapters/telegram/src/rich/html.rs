//! Styles as the tags of `parse_mode: HTML` (core.telegram.org/bots/api#html-style).

use super::{Rich, Style};

pub(super) fn render(rich: &Rich) -> String {
    let mut out = String::with_capacity(rich.text.len() * 5 / 4);
    let mut open: Vec<(usize, &str)> = Vec::new();
    let mut at = 0;
    for span in &rich.spans {
        close(&mut out, &mut open, rich, &mut at, span.range.start);
        escape(&mut out, &rich.text[at..span.range.start]);
        at = span.range.start;
        let end_tag = match &span.style {
            Style::Bold => tag(&mut out, "<b>", "</b>"),
            Style::Italic => tag(&mut out, "<i>", "</i>"),
            Style::Strike => tag(&mut out, "<s>", "</s>"),
            Style::Quote => tag(&mut out, "<blockquote>", "</blockquote>"),
            Style::Code => tag(&mut out, "<code>", "</code>"),
            Style::Pre(language) if language.is_empty() => tag(&mut out, "<pre>", "</pre>"),
            Style::Pre(language) => {
                out.push_str("<pre><code class=\"language-");
                escape(&mut out, language);
                tag(&mut out, "\">", "</code></pre>")
            }
            Style::Link(target) => {
                out.push_str("<a href=\"");
                escape(&mut out, target);
                tag(&mut out, "\">", "</a>")
            }
        };
        open.push((span.range.end, end_tag));
    }
    close(&mut out, &mut open, rich, &mut at, usize::MAX);
    escape(&mut out, &rich.text[at..]);
    out
}

fn tag(out: &mut String, opening: &str, closing: &'static str) -> &'static str {
    out.push_str(opening);
    closing
}

/// Closes what ends at or before `until`, the inner ones first.
fn close(out: &mut String, open: &mut Vec<(usize, &str)>, rich: &Rich, at: &mut usize, until: usize) {
    while let Some((end, end_tag)) = open.pop_if(|(end, _)| *end <= until) {
        escape(out, &rich.text[*at..end]);
        *at = end;
        out.push_str(end_tag);
    }
}

fn escape(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rich;

    fn html(markdown: &str) -> String {
        Rich::from_markdown(markdown).to_html()
    }

    /// adapters.md #17
    #[test]
    fn bold_code_and_a_link_with_brackets() {
        assert_eq!(
            html("**b** `a*c` [l](https://e.x/a_(b))"),
            "<b>b</b> <code>a*c</code> <a href=\"https://e.x/a_(b)\">l</a>"
        );
    }

    /// pipeline.md #52
    #[test]
    fn nothing_that_a_person_writes_becomes_a_tag() {
        assert_eq!(html("a < b & c > \"d\""), "a &lt; b &amp; c &gt; &quot;d&quot;");
        assert_eq!(html("`<b>`"), "<code>&lt;b&gt;</code>");
        assert_eq!(html("<script>x</script>"), "&lt;script&gt;x&lt;/script&gt;");
        assert_eq!(html("[x](https://e.x/?a=\"&b)"), "<a href=\"https://e.x/?a=&quot;&amp;b\">x</a>");
        assert_eq!(html("```a\"b\nx\n```"), "<pre>x</pre>");
    }

    /// pipeline.md #52
    #[test]
    fn every_style_has_its_tag() {
        assert_eq!(html("*i* ~~s~~ ***both***"), "<i>i</i> <s>s</s> <i><b>both</b></i>");
        assert_eq!(html("> quoted\n> *twice*"), "<blockquote>quoted\n<i>twice</i></blockquote>");
        assert_eq!(html("```rust\nfn a() {}\n```"), "<pre><code class=\"language-rust\">fn a() {}</code></pre>");
        assert_eq!(html("```\nx\n```"), "<pre>x</pre>");
        assert_eq!(html("# A **b** c"), "<b>A b c</b>");
        assert_eq!(html("### A"), "<b>A</b>");
        assert_eq!(html("**bold** and *italic*"), "<b>bold</b> and <i>italic</i>");
    }
}
