//! A very long reply as a file: decides when, and what remains of the message.

use mercury_text::{excerpt, speech::Language};

#[cfg(target_family = "wasm")]
mod component;

pub const FILE_NAME: &str = "answer.md";

/// The message that goes with the file, or none where the reply is short enough. Sizes in characters.
pub fn beginning(reply: &str, max_chars: usize, keep_chars: usize) -> Option<String> {
    if reply.chars().count() <= max_chars {
        return None;
    }
    let note = match Language::of(reply) {
        Language::English => format!("The whole answer is in {FILE_NAME}."),
        Language::Hebrew => format!("התשובה המלאה בקובץ {FILE_NAME}."),
    };
    Some(format!("{}\n\n{note}", excerpt::blocks(reply.trim_start(), keep_chars.min(max_chars))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_reply_stays() {
        assert_eq!(beginning(&"a".repeat(100), 100, 50), None);
        assert_eq!(beginning(&"א".repeat(100), 100, 50), None);
    }

    #[test]
    fn a_long_reply_keeps_its_first_paragraphs() {
        let reply = format!("First.\n\nSecond.\n\n{}", "word ".repeat(50));
        assert_eq!(beginning(&reply, 100, 30).unwrap(), "First.\n\nSecond.\n\nThe whole answer is in answer.md.");
        let reply = "שלום. ".repeat(30);
        assert!(beginning(&reply, 100, 12).unwrap().starts_with("שלום. שלום.\n\nהתשובה"));
    }
}
