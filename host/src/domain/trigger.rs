//! Whether a message calls the bot, and what it then asks. Pure, over the person's own text: a quote is
//! not part of it, so quoting somebody who called the bot calls nobody.

/// How a pattern must stand in the text of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As a word of its own, anywhere.
    Mention,
    /// At the beginning.
    Prefix,
    /// Every message is meant.
    Always,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub mode: Mode,
    /// Compared without regard to case.
    patterns: Vec<String>,
}

/// What is known of a message.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    pub direct: bool,
    pub text: &'a str,
    pub has_media: bool,
    /// The platform itself says that the bot is addressed.
    pub mentions_bot: bool,
}

impl Rules {
    /// `@<bot name>` is always one of the patterns.
    pub fn new(mode: Mode, patterns: Vec<String>, bot_name: &str) -> Self {
        let mut patterns: Vec<String> = patterns.into_iter().map(|pattern| pattern.trim().to_lowercase()).collect();
        patterns.push(format!("@{}", bot_name.to_lowercase()));
        patterns.retain(|pattern| !pattern.is_empty() && pattern != "@");
        patterns.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        patterns.dedup();
        Self { mode, patterns }
    }

    /// What the agent is asked; `None` where the bot is not called. May be empty where a file says it all.
    pub fn prompt(&self, heard: Heard<'_>) -> Option<String> {
        let text = heard.text.trim();
        if text.is_empty() && !heard.has_media {
            return None;
        }
        if self.mode == Mode::Always {
            return Some(text.to_owned());
        }
        let matched = match self.mode {
            Mode::Prefix => self.after_prefix(text),
            _ => self.without_mention(text),
        };
        match matched {
            Some(prompt) => Some(prompt),
            None if heard.direct || heard.mentions_bot => Some(text.to_owned()),
            None => None,
        }
    }

    fn without_mention(&self, text: &str) -> Option<String> {
        let (start, end) = self.patterns.iter().find_map(|pattern| mention(text, pattern))?;
        let before = text[..start].trim_end();
        let after = text[end..].trim_start_matches(|c: char| c.is_whitespace() || is_punctuation(c));
        let joined = [before, after].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ");
        Some(if joined.is_empty() { text.to_owned() } else { joined })
    }

    fn after_prefix(&self, text: &str) -> Option<String> {
        self.patterns.iter().find_map(|pattern| {
            let end = starts_with(text, pattern)?;
            let rest = &text[end..];
            (rest.is_empty() || rest.starts_with(' ')).then(|| rest.trim().to_owned())
        })
    }
}

fn is_punctuation(c: char) -> bool {
    ",;:.!?".contains(c)
}

/// Where the first mention of `pattern` begins and ends.
fn mention(text: &str, pattern: &str) -> Option<(usize, usize)> {
    text.char_indices().map(|(at, _)| at).find_map(|at| {
        if !text[..at].chars().next_back().is_none_or(char::is_whitespace) {
            return None;
        }
        let end = at + starts_with(&text[at..], pattern)?;
        let next = text[end..].chars().next();
        next.is_none_or(|c| c.is_whitespace() || is_punctuation(c)).then_some((at, end))
    })
}

/// The length in `text` of `pattern`, which is in lower case, if it stands at the beginning. A letter
/// may have another length in its other case, so both are walked together.
fn starts_with(text: &str, pattern: &str) -> Option<usize> {
    let mut wanted = pattern.chars().peekable();
    for (at, c) in text.char_indices() {
        if wanted.peek().is_none() {
            return Some(at);
        }
        for lower in c.to_lowercase() {
            if wanted.next() != Some(lower) {
                return None;
            }
        }
    }
    wanted.peek().is_none().then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(mode: Mode) -> Rules {
        Rules::new(mode, vec!["@Mercury".into(), "Mercury".into()], "real_bot")
    }

    fn group(mode: Mode, text: &str) -> Option<String> {
        rules(mode).prompt(Heard { direct: false, text, has_media: false, mentions_bot: false })
    }

    /// pipeline.md 5
    #[test]
    fn a_mention_is_a_word() {
        let said = |text| group(Mode::Mention, text);
        assert_eq!(said("@Mercury hi").as_deref(), Some("hi"));
        assert_eq!(said("hi mercury, how are you").as_deref(), Some("hi how are you"));
        assert_eq!(said("hi MERCURY!").as_deref(), Some("hi"));
        assert_eq!(said("Mercury").as_deref(), Some("Mercury"));
        assert_eq!(said("mercurys"), None);
        assert_eq!(said("a@mercury hi"), None);
        assert_eq!(said("nothing"), None);
        assert_eq!(said(" "), None);
        // pipeline.md #18: the bot's own name is a pattern whatever is configured.
        assert_eq!(said("@Real_Bot hi").as_deref(), Some("hi"));
    }

    #[test]
    fn a_prefix_is_followed_by_a_space() {
        let said = |text| group(Mode::Prefix, text);
        assert_eq!(said("Mercury hi").as_deref(), Some("hi"));
        assert_eq!(said("mercury").as_deref(), Some(""));
        assert_eq!(said("Mercury, hi"), None);
        assert_eq!(said("hi Mercury"), None);
    }

    /// pipeline.md #13, #14, #15
    #[test]
    fn always_direct_and_media() {
        assert_eq!(group(Mode::Always, " Mercury hi ").as_deref(), Some("Mercury hi"));
        let direct =
            |mode, text, has_media| rules(mode).prompt(Heard { direct: true, text, has_media, mentions_bot: false });
        assert_eq!(direct(Mode::Mention, "hi", false).as_deref(), Some("hi"));
        assert_eq!(direct(Mode::Prefix, "Mercury hi", false).as_deref(), Some("hi"));
        assert_eq!(direct(Mode::Mention, "", true).as_deref(), Some(""));
        assert_eq!(direct(Mode::Mention, "", false), None);
        let in_group =
            |mode| rules(mode).prompt(Heard { direct: false, text: "", has_media: true, mentions_bot: false });
        assert_eq!(in_group(Mode::Mention), None);
        assert_eq!(in_group(Mode::Always).as_deref(), Some(""));
    }

    #[test]
    fn the_platform_may_say_that_the_bot_is_meant() {
        let heard = Heard { direct: false, text: "you there", has_media: false, mentions_bot: true };
        assert_eq!(rules(Mode::Mention).prompt(heard).as_deref(), Some("you there"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC*", pattern in "\\PC{0,6}", direct: bool) {
            for mode in [Mode::Mention, Mode::Prefix, Mode::Always] {
                let rules = Rules::new(mode, vec![pattern.clone()], "İbot");
                let prompt = rules.prompt(Heard { direct, text: &text, has_media: false, mentions_bot: false });
                prop_assert!(prompt.is_none_or(|prompt| prompt.len() <= text.len()));
            }
        }

        /// A direct message with words always asks something.
        #[test]
        fn a_direct_message_is_meant(text in "\\PC*[a-z]\\PC*") {
            let heard = Heard { direct: true, text: &text, has_media: false, mentions_bot: false };
            prop_assert!(rules(Mode::Mention).prompt(heard).is_some_and(|prompt| !prompt.is_empty()));
        }

        /// A group is left alone by words that are not the bot's.
        #[test]
        fn other_words_call_nobody(words in proptest::collection::vec("[a-lno-z]{1,8}", 0..12)) {
            prop_assert_eq!(group(Mode::Mention, &words.join(" ")), None);
        }
    }
}
