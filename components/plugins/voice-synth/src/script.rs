//! What the voice reads.

use mercury_text::{
    excerpt,
    speech::{Language, spoken},
};

/// The words for the voice, and the language they are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    pub text: String,
    pub language: Language,
}

/// Bounds of one request.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub characters: usize,
    /// In UTF-8, where the provider counts them.
    pub bytes: Option<usize>,
}

/// None where nothing remains to be said. Too long a text ends with the last whole sentence that
/// fits and a remark.
pub fn write(markdown: &str, language: Option<Language>, bounds: Bounds) -> Option<Script> {
    let language = language.unwrap_or_else(|| Language::of(markdown));
    let text = spoken(markdown, language);
    if text.is_empty() {
        return None;
    }
    let fits = |text: &str, characters: usize, bytes: Option<usize>| {
        text.chars().count() <= characters && bytes.is_none_or(|most| text.len() <= most)
    };
    if fits(&text, bounds.characters, bounds.bytes) {
        return Some(Script { text, language });
    }
    let remark = language.more_in_text();
    let mut room = bounds.characters.saturating_sub(remark.chars().count() + 1);
    let room_bytes = bounds.bytes.map(|most| most.saturating_sub(remark.len() + 1));
    let mut excerpt = excerpt::sentences(&text, room);
    while !fits(excerpt, room, room_bytes) {
        // The letters differ in size, so the characters that fit are found by going down.
        room = room.min(excerpt.chars().count()) * 9 / 10;
        excerpt = excerpt::sentences(&text, room);
    }
    Some(Script { text: format!("{excerpt} {remark}"), language })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { characters: 60, bytes: None };

    /// examples.md #49
    #[test]
    fn words_without_markup() {
        let script = write("**Hi** [docs](https://x.y)", None, BOUNDS).unwrap();
        assert_eq!(script, Script { text: "Hi docs".into(), language: Language::English });
        assert_eq!(write("🎉", None, BOUNDS), None);
    }

    #[test]
    fn too_long_a_text_ends_with_a_sentence_and_a_remark() {
        let text = "One two three. ".repeat(10);
        let script = write(&text, None, BOUNDS).unwrap();
        assert_eq!(script.text, "One two three. One two three. The rest is in the text.");
        let hebrew = "אחת שתיים שלוש. ".repeat(10);
        let script = write(&hebrew, None, Bounds { characters: 500, bytes: Some(100) }).unwrap();
        assert!(script.text.len() <= 100 && script.text.ends_with("בטקסט."), "{}", script.text);
    }

    #[test]
    fn nothing_fits_but_the_bounds_hold() {
        let script = write(&"א".repeat(400), None, Bounds { characters: 60, bytes: Some(60) }).unwrap();
        assert!(script.text.len() <= 60, "{}", script.text);
    }
}
