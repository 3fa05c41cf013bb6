//! How the assistant is everywhere, as its owner has written it.

/// Characters of it, as in the replaced system.
pub const MOST: usize = 4000;
/// Its place among the settings for all spaces.
pub const KEY: &str = "character";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CharacterError {
    #[error("Missing or empty 'text' field")]
    Empty,
    #[error("Text exceeds {MOST} character limit")]
    TooLong,
}

/// The text without the blanks around it.
pub fn check(text: &str) -> Result<&str, CharacterError> {
    match text.trim() {
        "" => Err(CharacterError::Empty),
        text if text.chars().count() > MOST => Err(CharacterError::TooLong),
        text => Ok(text),
    }
}

/// Its part of an agent's system prompt.
pub fn prompt(text: &str) -> String {
    format!("## Character\n\nThe owner of this assistant has written how you are. It holds in every space:\n\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// http-api.md #24 in part: characters are counted, not bytes, and without the blanks around them.
    #[test]
    fn how_long_it_may_be() {
        assert_eq!(check(&format!(" {} ", "ä".repeat(MOST))).map(|text| text.chars().count()), Ok(MOST));
        assert_eq!(check(&"ä".repeat(MOST + 1)), Err(CharacterError::TooLong));
        assert_eq!(check(" \n"), Err(CharacterError::Empty));
    }
}
