//! What `parse_mode: HTML` takes (core.telegram.org/bots/api#html-style), and what is left after it.

/// The text without tags, or Telegram's complaint.
pub(super) fn parse(html: &str) -> Result<String, String> {
    let refused = |why: String| Err(format!("Bad Request: can't parse entities: {why}"));
    let mut text = String::new();
    let mut open: Vec<String> = Vec::new();
    let mut rest = html;
    while let Some(letter) = rest.chars().next() {
        match letter {
            '<' => {
                let Some((tag, behind)) = rest[1..].split_once('>') else {
                    return refused("Unclosed start tag".into());
                };
                rest = behind;
                if let Some(name) = tag.strip_prefix('/') {
                    match open.pop() {
                        Some(expected) if expected == name => {}
                        expected => {
                            return refused(format!(
                                "Unmatched end tag, expected \"</{expected:?}>\", found \"</{name}>\""
                            ));
                        }
                    }
                } else {
                    let name = tag.split(' ').next().unwrap_or_default();
                    if !allowed(tag, name, open.last().map(String::as_str)) {
                        return refused(format!("Unsupported start tag \"{tag}\""));
                    }
                    open.push(name.to_owned());
                }
            }
            '>' => return refused("a bare >".into()),
            '&' => {
                let known = [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&'), ("&quot;", '"')];
                let Some((entity, letter)) = known.iter().find(|(entity, _)| rest.starts_with(entity)) else {
                    return refused("a bare &".into());
                };
                text.push(*letter);
                rest = &rest[entity.len()..];
            }
            letter => {
                text.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
    }
    match open.pop() {
        Some(name) => refused(format!("Can't find end tag corresponding to start tag \"{name}\"")),
        None => Ok(text),
    }
}

/// Stricter than Telegram, which passes much over in silence: what we send must mean something.
fn allowed(tag: &str, name: &str, parent: Option<&str>) -> bool {
    let in_code = matches!(parent, Some("code" | "pre"));
    match name {
        "b" | "i" | "s" | "u" | "blockquote" | "pre" => tag == name && !in_code,
        "code" => {
            (tag == name && parent.is_none_or(|parent| parent != "code" && parent != "a" && parent != "pre"))
                || (parent == Some("pre") && tag.starts_with("code class=\"language-") && tag.ends_with('"'))
        }
        "a" => tag.starts_with("a href=\"") && tag.ends_with('"') && !in_code && parent != Some("a"),
        _ => false,
    }
}

pub(super) fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_telegram_takes() {
        assert_eq!(parse("a <b>b &lt;</b> <a href=\"https://e.x?a&amp;b\">l</a>").unwrap(), "a b < l");
        assert_eq!(parse("<pre><code class=\"language-rust\">x</code></pre>").unwrap(), "x");
        for wrong in
            ["<b>", "</b>", "<b><i></b></i>", "<h1>x</h1>", "a & b", "a < b", "a > b", "<code><b>x</b></code>", "<b"]
        {
            assert!(parse(wrong).unwrap_err().contains("can't parse entities"), "{wrong}");
        }
    }
}
