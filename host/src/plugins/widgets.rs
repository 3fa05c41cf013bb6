//! Panels of the dashboard. A component makes HTML, and the host takes out all that could act.

use std::{collections::HashSet, sync::LazyLock, time::Duration};

use ammonia::Builder;

use super::{Interface, Plugins, exports::recorded, missing};

/// For one panel.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a panel's HTML, before it is sanitised.
const MOST_HTML: usize = 256 << 10;

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
                Ok(Ok(html)) if html.len() > MOST_HTML => (None, Some("This panel is too large to be shown.")),
                Ok(Ok(html)) => (Some(sanitise(&html)), None),
                Ok(Err(error)) => {
                    tracing::warn!(plugin = plugin.name(), widget = widget.name, error, "a panel was not rendered");
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

    proptest! {
        #[test]
        fn no_html_brings_a_script(html in "(<|>|/|script|img|on|=|\"|'|svg|a href|javascript:|x| ){0,40}") {
            let clean = sanitise(&html);
            prop_assert!(!clean.contains("<script") && !clean.contains("<img") && !clean.contains("<svg"), "{clean}");
        }
    }
}
