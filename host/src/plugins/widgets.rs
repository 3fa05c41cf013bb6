//! Panels of the dashboard. A component makes HTML, and the host takes out all that could act.

use std::{collections::HashSet, sync::LazyLock, time::Duration};

use ammonia::Builder;

use super::{Interface, Plugins, exports::recorded, missing};
use crate::domain::guest_text::{MOST_ERROR, for_log};

/// For one panel.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a panel's HTML, before it is sanitised.
const MOST_HTML: usize = 256 << 10;
/// Tags of a panel. For each, a parser may look at all that are open.
const MOST_TAGS: usize = 8_000;
/// Tags times formatting elements: one that is not closed is made anew in every block behind it.
const MOST_REMADE: usize = 400_000;
/// The same with their attributes, which are made anew as well.
const MOST_REMADE_ATTRIBUTES: usize = 2_000_000;
/// HTML, 13.2.4.3: the list of active formatting elements.
const FORMATTING: &[&str] =
    &["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];

/// One panel.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Panel {
    pub plugin: String,
    pub name: String,
    pub label: String,
    /// Safe to show as it is.
    pub html: Option<String>,
    /// Why there is nothing to show.
    pub problem: Option<&'static str>,
}

impl Plugins {
    /// All panels, for one space or for none, in the order of the plugins' names.
    pub async fn panels(&self, space: Option<&str>) -> Vec<Panel> {
        let plugins = self.providing(Interface::Widget);
        let wanted =
            plugins.iter().flat_map(|plugin| plugin.manifest.widgets.iter().map(move |widget| (plugin, widget)));
        let panels = wanted.map(|(plugin, widget)| async move {
            let (name, space) = (widget.name.clone(), space.map(str::to_owned));
            let rendered = self
                .call(plugin, Interface::Widget, PATIENCE, move |store, instance, exports| {
                    Box::pin(async move {
                        let indices = exports.widget.as_ref().ok_or_else(missing)?;
                        recorded!(store, indices.load(&mut *store, instance)?, call_render(&name, space.as_deref()))
                    })
                })
                .await;
            let (html, problem) = match rendered {
                Ok(Ok(html)) if html.len() > MOST_HTML || !is_modest(&html) => {
                    (None, Some("This panel is too large to be shown."))
                }
                // Computing that is the component's doing: not on the threads that serve everybody.
                Ok(Ok(html)) => match tokio::task::spawn_blocking(move || sanitise(&html)).await {
                    Ok(html) => (Some(html), None),
                    Err(_) => (None, Some("This panel cannot be shown at the moment.")),
                },
                Ok(Err(error)) => {
                    let error = for_log(&error, MOST_ERROR);
                    tracing::warn!(plugin = plugin.name(), widget = widget.name, %error, "a panel was not rendered");
                    (None, Some("This panel cannot be shown at the moment."))
                }
                Err(_) => (None, Some("This panel cannot be shown at the moment.")),
            };
            Panel {
                plugin: plugin.name().to_owned(),
                name: widget.name.clone(),
                label: widget.label.clone(),
                html,
                problem,
            }
        });
        futures_util::future::join_all(panels).await
    }
}

/// Whether the document that a parser makes of it is not much larger than the text: a text of 256 KiB can
/// be one of gigabytes. Counts more rather than less, whatever is hidden in comments and attributes.
fn is_modest(html: &str) -> bool {
    let begins_tag = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c));
    let starts = html.match_indices('<').map(|(at, _)| at).filter(|at| begins_tag(&html[at + 1..]));
    let starts: Vec<usize> = starts.collect();
    let (mut formatting, mut attributes) = (0, 0);
    for (index, &start) in starts.iter().enumerate() {
        let tag = &html[start + 1..starts.get(index + 1).copied().unwrap_or(html.len())];
        let name = &tag[..tag.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tag.len())];
        if !FORMATTING.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            continue;
        }
        // Whatever stands behind it could be its attributes.
        let Some(end) = tag.rfind('>') else { return false };
        formatting += 1;
        attributes += tag[..end].chars().filter(|c| c.is_whitespace() || "/\"'".contains(*c)).count();
    }
    let tags = starts.len();
    tags <= MOST_TAGS && tags * formatting <= MOST_REMADE && tags * attributes <= MOST_REMADE_ATTRIBUTES
}

/// Text, tables, lists and links. No script, no style, no form, and nothing that is fetched when it is
/// looked at: a picture from elsewhere would tell that somebody looks.
fn sanitise(html: &str) -> String {
    static RULES: LazyLock<Builder<'static>> = LazyLock::new(|| {
        let mut rules = Builder::default();
        rules.rm_tags(["img", "map", "area"]).url_schemes(HashSet::from(["https", "http", "mailto"]));
        rules
    });
    RULES.clean(html).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// extensions.md #26 (as architecture.md has it): the script is gone, the text stays.
    #[test]
    fn nothing_of_a_panel_acts() {
        let html = "<b>3</b> <a href=\"https://x.test/\">notes</a><script>alert(1)</script>\
            <img src=x onerror=alert(1)><a href=\"javascript:alert(1)\" onclick=\"x()\">y</a><style>*{}</style>\
            <iframe src=\"//evil\"></iframe><form action=\"/api/stop\"><input></form>";
        insta::assert_snapshot!(sanitise(html), @r#"<b>3</b> <a href="https://x.test/" rel="noopener noreferrer">notes</a><a rel="noopener noreferrer">y</a>"#);
    }

    /// A few kilobytes that a parser makes gigabytes of.
    #[test]
    fn a_bomb_is_not_opened() {
        let bombs = [
            ("formatting", format!("{}{}", "<b id=1>".repeat(2_000), "<p></p>".repeat(2_000))),
            ("attributes", format!("<b {}>{}", "a ".repeat(20_000), "<p></p>".repeat(2_000))),
            (
                "attributes behind a quoted sign",
                format!("<b x=\"<>\" {}>{}", "a ".repeat(9_000), "<p></p>".repeat(900)),
            ),
            (
                "attributes behind a quoted tag",
                format!("<b x=\"<p>\" {}>{}", "a ".repeat(9_000), "<p></p>".repeat(900)),
            ),
            ("depth", "<div>".repeat(40_000)),
            ("hidden ends", format!("<!--{}-->{}", "</b>".repeat(900), "<b id=1><p></p>".repeat(900))),
        ];
        for (what, html) in bombs {
            assert!(html.len() <= MOST_HTML && !is_modest(&html), "{what}");
        }
        let row = "<tr><td><b>1</b></td><td><a href=\"https://x.test/a/b\">a link</a></td><td>3 &lt; 4</td></tr>";
        let table = format!("<table>{}</table>", row.repeat(120));
        assert!(is_modest(&table));
        assert!(sanitise(&table).len() > table.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is opened stays small enough to be held, and shown.
        #[test]
        fn what_is_opened_stays_small(
            parts in prop::collection::vec((prop::sample::select(vec![
                "<b>", "<b id=1>", "<a href=x>", "<i a b c d>", "</b>", "<p>", "</p>", "<div>", "</div>", "<table>", "<td>", "<li>",
                "<!--", "-->", "<svg>", "<style>", "</style>", "<select>", "<template>", "x", "<b x=\"<", "<>\" ", ">",
            ]), 1..120_usize), 0..12),
        ) {
            let html: String = parts.iter().map(|(part, times)| part.repeat(*times)).collect();
            if is_modest(&html) {
                prop_assert!(sanitise(&html).len() <= 64 * MOST_HTML, "{} of {html}", sanitise(&html).len());
            }
        }

        #[test]
        fn no_html_brings_a_script(html in "(<|>|/|script|img|on|=|\"|'|svg|a href|javascript:|x| ){0,40}") {
            let clean = sanitise(&html);
            prop_assert!(!clean.contains("<script") && !clean.contains("<img") && !clean.contains("<svg"), "{clean}");
        }
    }
}
