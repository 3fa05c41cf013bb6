//! Marks right-to-left replies for chat apps, as the last of all processors. The marking itself is
//! [`mercury_text::rtl`]; this decides whether and how.

use mercury_text::rtl;

#[cfg(target_family = "wasm")]
mod component;

/// What an operator set.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Names separated by commas, or `*`.
    pub platforms: &'a str,
    /// `markdown` or `lines`.
    pub style: &'a str,
}

/// The reply as `platform` gets it.
///
/// # Errors
/// A style that does not exist.
pub fn mark(reply: &str, platform: &str, settings: Settings<'_>) -> Result<String, String> {
    let wanted = settings.platforms.split(',').map(str::trim).any(|name| name == "*" || name == platform);
    match settings.style.trim() {
        _ if !wanted => Ok(reply.to_owned()),
        "markdown" => Ok(rtl::mark_markdown(reply)),
        "lines" => Ok(rtl::mark_lines(reply)),
        other => Err(format!("the setting style is `{other}`; use markdown or lines")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_platforms_that_want_it() {
        let settings = Settings { platforms: "telegram, whatsapp", style: "markdown" };
        assert_eq!(mark("- שלום", "telegram", settings).unwrap(), "- \u{200F}שלום");
        assert_eq!(mark("- שלום", "whatsapp", settings).unwrap(), "- \u{200F}שלום");
        assert_eq!(mark("- שלום", "api", settings).unwrap(), "- שלום");
        assert_eq!(mark("- hi", "telegram", settings).unwrap(), "- hi");
        let settings = Settings { platforms: "*", style: "lines" };
        assert_eq!(mark("- שלום\n", "api", settings).unwrap(), "\u{200F}- שלום\n\u{200F}");
    }

    #[test]
    fn an_unknown_style_is_named() {
        let refused = mark("x", "api", Settings { platforms: "*", style: "html" }).unwrap_err();
        assert!(refused.contains("`html`"));
    }
}
