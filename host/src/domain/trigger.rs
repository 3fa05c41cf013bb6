//! Whether a message calls the bot, and what it then asks. Pure, over the person's own text: a quote is
//! not part of it, so quoting somebody who called the bot calls nobody.

use std::borrow::Cow;

/// How a pattern must stand in the text of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As a word of its own, anywhere.
    #[default]
    Mention,
    /// At the beginning.
    Prefix,
    /// Every message is meant.
    Always,
}

impl Mode {
    /// Their names in settings.
    pub const NAMES: &[&str] = &["mention", "prefix", "always"];

    pub fn named(name: &str) -> Option<Self> {
        match name {
            "mention" => Some(Self::Mention),
            "prefix" => Some(Self::Prefix),
            "always" => Some(Self::Always),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub mode: Mode,
    /// The longest first.
    patterns: Vec<String>,
    case_sensitive: bool,
    /// A file without a word calls the bot in a group, too.
    media_in_groups: bool,
}

/// What a space says of its own; what it does not say is as everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    pub mode: Option<Mode>,
    /// In the place of all that is configured, the bot's name among them. None of them is not said.
    pub patterns: Vec<String>,
    pub case_sensitive: bool,
    pub media_in_groups: bool,
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
    pub fn new(mode: Mode, mut patterns: Vec<String>, bot_name: &str) -> Self {
        let own = format!("@{}", bot_name.trim());
        if own.len() > 1 && !patterns.iter().any(|pattern| same_but_for_case(pattern.trim(), &own)) {
            patterns.push(own);
        }
        Self { mode, patterns: longest_first(patterns), case_sensitive: false, media_in_groups: false }
    }

    /// Those of a space that says something of its own.
    pub fn in_space(&self, own: Own) -> Cow<'_, Self> {
        if own == Own::default() {
            return Cow::Borrowed(self);
        }
        let patterns = longest_first(own.patterns);
        Cow::Owned(Self {
            mode: own.mode.unwrap_or(self.mode),
            patterns: if patterns.is_empty() { self.patterns.clone() } else { patterns },
            case_sensitive: own.case_sensitive,
            media_in_groups: own.media_in_groups,
        })
    }

    /// What the agent is asked; `None` where the bot is not called. May be empty where a file says it all.
    pub fn prompt(&self, heard: Heard<'_>) -> Option<String> {
        let text = heard.text.trim();
        if text.is_empty() {
            let meant = heard.direct || heard.mentions_bot || self.media_in_groups || self.mode == Mode::Always;
            return (heard.has_media && meant).then(String::new);
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
        let (start, end) = self.patterns.iter().find_map(|pattern| self.mention(text, pattern))?;
        let before = text[..start].trim_end();
        let after = text[end..].trim_start_matches(|c: char| c.is_whitespace() || is_punctuation(c));
        let joined = [before, after].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ");
        Some(if joined.is_empty() { text.to_owned() } else { joined })
    }

    fn after_prefix(&self, text: &str) -> Option<String> {
        self.patterns.iter().find_map(|pattern| {
            let end = self.starts_with(text, pattern)?;
            let rest = &text[end..];
            (rest.is_empty() || rest.starts_with(' ')).then(|| rest.trim().to_owned())
        })
    }

    /// Where the first mention of `pattern` begins and ends.
    fn mention(&self, text: &str, pattern: &str) -> Option<(usize, usize)> {
        text.char_indices().map(|(at, _)| at).find_map(|at| {
            if !text[..at].chars().next_back().is_none_or(char::is_whitespace) {
                return None;
            }
            let end = at + self.starts_with(&text[at..], pattern)?;
            let next = text[end..].chars().next();
            next.is_none_or(|c| c.is_whitespace() || is_punctuation(c)).then_some((at, end))
        })
    }

    /// The length in `text` of `pattern`, if it stands at the beginning.
    fn starts_with(&self, text: &str, pattern: &str) -> Option<usize> {
        match self.case_sensitive {
            true => text.starts_with(pattern).then_some(pattern.len()),
            false => starts_with_any_case(text, pattern),
        }
    }
}

fn longest_first(patterns: Vec<String>) -> Vec<String> {
    let patterns = patterns.into_iter().map(|pattern| pattern.trim().to_owned());
    let mut patterns: Vec<String> = patterns.filter(|pattern| !pattern.is_empty()).collect();
    patterns.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    patterns.dedup();
    patterns
}

fn lower(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

fn same_but_for_case(one: &str, other: &str) -> bool {
    lower(one).eq(lower(other))
}

fn is_punctuation(c: char) -> bool {
    ",;:.!?".contains(c)
}

/// A letter may have another length in its other case, so both are walked together.
fn starts_with_any_case(text: &str, pattern: &str) -> Option<usize> {
    let mut wanted = lower(pattern).peekable();
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
mod tests;
