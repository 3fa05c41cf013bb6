//! Text made safe to stand between our tags. Whatever a person or another system wrote goes
//! through here, so that nobody can write a tag of ours.

/// Between tags.
pub fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + text.len() / 16);
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Inside a quoted attribute. Line breaks and other control characters become spaces: an
/// attribute is one line.
pub fn attribute(value: &str) -> String {
    let one_line: String = value.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    text(&one_line).replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_ours_can_be_written() {
        assert_eq!(text("a & b < c \"d\""), "a &amp; b &lt; c \"d\"");
        assert_eq!(attribute("x\" role=\"admin\n<"), "x&quot; role=&quot;admin &lt;");
    }
}
