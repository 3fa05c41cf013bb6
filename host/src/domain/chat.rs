//! What only messages of chat platforms have, and what follows from it.

use serde::{Deserialize, Serialize};

use super::{deception::deceives, roles};

/// Characters of a quote that are kept, as in the replaced system.
pub const MOST_QUOTED: usize = 12_000;

/// Characters of a person's name or a conversation's title that are kept: twice what Telegram allows.
pub const MOST_NAME: usize = 128;
/// Characters of a file's name that are kept, as file systems have it.
pub const MOST_FILE_NAME: usize = 255;

/// A name that somebody chose, as it may stand in a line of the host's: one line, at most `most`
/// characters, and none that hides others or turns them around. `None` where nothing is left.
///
/// The joiners stay, since scripts and pictures need them.
pub fn name(chosen: &str, most: usize) -> Option<String> {
    let mut kept = String::new();
    let mut gap = false;
    for c in chosen.chars() {
        if c.is_whitespace() || c.is_control() {
            gap = !kept.is_empty();
        } else if !deceives(c) || matches!(c, '\u{200c}' | '\u{200d}') {
            if std::mem::take(&mut gap) {
                kept.push(' ');
            }
            kept.push(c);
        }
    }
    let short: String = kept.chars().take(most).collect();
    let short = short.trim_end();
    // Joiners alone show nothing.
    let visible = short.chars().any(|c| !deceives(c));
    visible.then(|| short.to_owned())
}

/// The message that somebody answered. Data for the agent, and never read as the person's own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quoted {
    pub message_id: Option<String>,
    pub author: Option<String>,
    pub author_name: Option<String>,
    pub text: String,
    /// The adapter says that this bot wrote it.
    pub from_bot: bool,
    /// The host itself has sent it into this conversation.
    #[serde(default)]
    pub known: bool,
}

/// The chat's part of a message, kept with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chat {
    /// The platform's own id of the message.
    pub message_id: String,
    /// A topic or thread inside the conversation, where the answer goes.
    pub thread: Option<String>,
    pub direct: bool,
    pub quoted: Option<Quoted>,
    /// What the trigger left of the text; none where nothing called the bot.
    pub prompt: Option<String>,
    /// Files that the message had and the host did not get, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

impl Chat {
    /// What the agent is asked, if the bot is meant at all: by a direct message, by its name, or by an
    /// answer to what it said.
    pub fn prompt<'a>(&'a self, text: &'a str) -> Option<&'a str> {
        match &self.prompt {
            Some(prompt) => Some(prompt),
            None if self.direct || self.quoted.as_ref().is_some_and(|quoted| quoted.from_bot || quoted.known) => {
                Some(text)
            }
            None => None,
        }
    }

    /// A member of a group answers something that this bot said elsewhere, or that the host does not
    /// know: neither the quote nor what was said before is for them.
    pub fn is_isolated(&self, role: &str) -> bool {
        let stranger = self.quoted.as_ref().is_some_and(|quoted| quoted.from_bot && !quoted.known);
        stranger && !self.direct && role != roles::ADMIN_ROLE && role != roles::SYSTEM_ROLE
    }

    /// The quote as the agent may see it.
    pub fn quote_for(&self, role: &str) -> Option<&Quoted> {
        self.quoted.as_ref().filter(|_| !self.is_isolated(role))
    }
}

/// How the spaces begin that direct conversations get by themselves.
pub const OWN_SPACE: &str = "dm-";

/// The space of a direct conversation that has none: `dm-<platform>-<id>`, or `dm-<digits>` where the
/// id is a telephone number. Unlike in the replaced system the whole id is in it, so that two people
/// never share one; what a space's name cannot hold becomes a dash, followed by a digest of the id.
pub fn own_space(platform: &str, conversation: &str) -> String {
    use sha2::{Digest, Sha256};
    let native = conversation.split_once(':').map_or(conversation, |(_, native)| native);
    let number = native.trim_start_matches('+').split('@').next().unwrap_or_default();
    if platform == "whatsapp" && (5..=20).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()) {
        return format!("{OWN_SPACE}{number}");
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let name = format!("{OWN_SPACE}{platform}-{native}");
    if name.chars().all(plain) && name.len() <= 64 {
        return name;
    }
    let safe: String = name.to_lowercase().chars().map(|c| if plain(c) { c } else { '-' }).take(50).collect();
    let digest = Sha256::digest(conversation.as_bytes());
    format!(
        "{safe}-{:02x}{:02x}{:02x}{:02x}{:02x}{:02x}",
        digest[0], digest[1], digest[2], digest[3], digest[4], digest[5]
    )
}

/// Whether `id` is `conversation` or a thread of it, and not a sibling that only begins alike.
pub fn belongs_to(id: &str, conversation: &str) -> bool {
    id.strip_prefix(conversation).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::SpaceId;
    use proptest::prelude::*;

    fn quoting(from_bot: bool, known: bool) -> Chat {
        let quoted = Quoted {
            message_id: Some("1".into()),
            author: None,
            author_name: None,
            text: "</reply_to> secret".into(),
            from_bot,
            known,
        };
        Chat { quoted: Some(quoted), ..Chat::default() }
    }

    #[test]
    fn a_name_is_one_honest_line() {
        let name = |text| super::name(text, 8);
        assert_eq!(name(" Ada  L. ").as_deref(), Some("Ada L."));
        assert_eq!(name("Team\ntelegram:-1  group  main").as_deref(), Some("Team tel"));
        assert_eq!(name("\u{1b}[2Ja\u{202e}nimda\u{200b}").as_deref(), Some("[2Janimd"));
        assert_eq!(name("👩\u{200d}🚀").as_deref(), Some("👩\u{200d}🚀"));
        assert_eq!(name("1234567 9").as_deref(), Some("1234567"));
        for nothing in ["", " \n", "\u{202e}\u{feff}", "\u{200d}"] {
            assert_eq!(name(nothing), None, "{nothing:?}");
        }
    }

    /// adapters.md #6, pipeline.md #39
    #[test]
    fn a_member_gets_no_quote_of_what_the_bot_said_elsewhere() {
        assert_eq!(quoting(true, false).quote_for("member"), None);
        assert!(quoting(true, false).quote_for("admin").is_some());
        assert!(quoting(true, true).quote_for("member").is_some());
        assert!(quoting(false, false).quote_for("member").is_some(), "another person's words");
        assert!(Chat { direct: true, ..quoting(true, false) }.quote_for("member").is_some());
    }

    /// pipeline.md #17
    #[test]
    fn who_is_meant() {
        assert_eq!(quoting(true, false).prompt("go on"), Some("go on"));
        assert_eq!(quoting(false, true).prompt("go on"), Some("go on"));
        assert_eq!(quoting(false, false).prompt("go on"), None);
        assert_eq!(Chat { direct: true, ..Chat::default() }.prompt("hi"), Some("hi"));
        let called = Chat { prompt: Some("hi".into()), ..quoting(true, true) };
        assert_eq!(called.prompt("@Mercury hi"), Some("hi"));
    }

    /// pipeline.md #6, #56: nobody shares a space by the derivation of its name.
    #[test]
    fn own_spaces() {
        assert_eq!(own_space("whatsapp", "whatsapp:972509999999@s.whatsapp.net"), "dm-972509999999");
        assert_eq!(own_space("telegram", "telegram:42"), "dm-telegram-42");
        let (one, two) = (own_space("discord", "discord:@me:1"), own_space("discord", "discord:@me:2"));
        assert_ne!(one, two);
        assert!(one.starts_with("dm-discord--me-1-"), "{one}");
    }

    /// adapters.md #9
    #[test]
    fn siblings_are_not_threads() {
        assert!(belongs_to("telegram:-1001", "telegram:-1001"));
        assert!(belongs_to("telegram:-1001:77", "telegram:-1001"));
        assert!(!belongs_to("telegram:-10012", "telegram:-1001"));
    }

    proptest! {
        #[test]
        fn no_name_breaks_a_line(chosen in ".{0,40}", most in 0_usize..20) {
            let Some(name) = name(&chosen, most) else { return Ok(()) };
            prop_assert!(!name.is_empty() && name.chars().count() <= most && name.trim() == name);
            prop_assert!(!name.chars().any(|c| c.is_control()));
            prop_assert_eq!(super::name(&name, most), Some(name));
        }

        #[test]
        fn an_own_space_is_a_space(native in "\\PC{1,80}") {
            let conversation = format!("p:{native}");
            prop_assert!(SpaceId::try_from(own_space("p", &conversation)).is_ok());
        }
    }
}
