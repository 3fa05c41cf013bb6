//! Characters that make a text look like another one: what people decide by must be what is there.

/// Whether the character steers a terminal, turns the direction of text (UAX #9), shows nothing, or
/// shows a blank that is no space, with which lines can be faked where a terminal breaks them. Of
/// Unicode's `Default_Ignorable_Code_Point` all but the variation selectors, which emoji need.
pub fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_is_let_through() {
        for c in "aZ9 -_äж漢🙂\u{fe0f}".chars() {
            assert!(!deceives(c), "{c:?}");
        }
        for c in "\u{1b}\u{7f}\u{9b}\u{200b}\u{200f}\u{202e}\u{2066}\u{2800}\u{3164}\u{e0041}\r\n".chars() {
            assert!(deceives(c), "{c:?}");
        }
    }
}
