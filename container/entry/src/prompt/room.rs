//! How much context a prompt may carry. One budget for everything that is told beside the message
//! itself: a prompt that a model refuses for its length is worth nothing.

/// Characters in all (agent-entry.md 6.2, there of the history alone): some 100,000 tokens.
pub(super) const MAX_CHARACTERS: usize = 400_000;

/// What is left of the budget.
#[derive(Debug)]
pub(super) struct Room(usize);

impl Room {
    pub(super) fn new(characters: usize) -> Self {
        Self(characters)
    }

    /// A part of it for one section; what the section leaves comes back.
    pub(super) fn share(
        &mut self,
        numerator: usize,
        denominator: usize,
        fill: impl FnOnce(&mut Self) -> Vec<String>,
    ) -> Vec<String> {
        let mut part = Self(self.0 / denominator * numerator);
        let before = part.0;
        let lines = fill(&mut part);
        self.0 -= before - part.0;
        lines
    }

    /// The newest of `entries` that fit, oldest first. `entries` come newest first. The very newest
    /// is always in, shown by `shown` with as many characters of its text as there is room for.
    pub(super) fn newest<T>(
        &mut self,
        entries: impl Iterator<Item = T>,
        shown: impl Fn(&T, usize) -> String,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in entries {
            let line = shown(&entry, if lines.is_empty() { self.0 } else { usize::MAX });
            let length = line.chars().count();
            if length > self.0 && !lines.is_empty() {
                break;
            }
            self.0 = self.0.saturating_sub(length);
            lines.push(line);
        }
        lines.reverse();
        lines
    }

    /// One text, cut to the room.
    pub(super) fn text(&mut self, text: &str) -> String {
        let text = cut(text, self.0);
        self.0 = self.0.saturating_sub(text.chars().count());
        text
    }
}

/// `text` with at most `most` characters and a note of what is left out: its beginning and its end
/// say more than its middle.
pub(super) fn cut(text: &str, most: usize) -> String {
    // Bytes are never fewer than characters.
    if text.len() <= most {
        return text.to_owned();
    }
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let at = |characters: usize| text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
    let (head, tail) = (most / 2, most - most / 2);
    format!("{}\n[{} characters are left out here]\n{}", &text[..at(head)], length - most, &text[at(length - tail)..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_long_text_is_left_out() {
        assert_eq!(cut("שלום", 4), "שלום");
        assert_eq!(cut("abcdefgh", 4), "ab\n[4 characters are left out here]\ngh");
        assert_eq!(cut("🦀🦀🦀", 1), "\n[2 characters are left out here]\n🦀");
        assert_eq!(cut("ab", 0), "\n[2 characters are left out here]\n");
    }

    #[test]
    fn what_a_section_leaves_comes_back() {
        let mut room = Room::new(100);
        let lines =
            room.share(1, 4, |part| part.newest(["x".repeat(10), "y".repeat(20)].iter(), |it, _| (*it).clone()));
        assert_eq!((lines.len(), room.0), (1, 90));
    }
}
