//! Spaces that direct conversations get by themselves.

use super::{admins::Admins, chat, identity::Identity, ids::SpaceId};

/// Who wrote what such a space begins with.
pub const WRITER: &str = "dm-auto-space";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AutoSpace {
    /// Whose direct conversations are linked to `main`.
    pub admins: Admins,
    /// What members of a new one may do; `None`: what they may everywhere.
    pub member_permissions: Option<Vec<String>>,
    /// What the agent is told in each run of a new one.
    pub system_prompt: Option<String>,
}

impl AutoSpace {
    /// The space of a direct conversation that has none.
    pub fn space_for(&self, platform: &str, conversation: &str, author: &Identity) -> Option<SpaceId> {
        let id =
            if self.admins.names(author) { SpaceId::MAIN.to_owned() } else { chat::own_space(platform, conversation) };
        SpaceId::try_from(id).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(id: &str, alias: Option<&str>) -> Identity {
        Identity::new(id, None, alias.map(str::to_owned))
    }

    /// pipeline.md #8 in its derivation.
    #[test]
    fn whose_conversation_is_whose_space() {
        let auto = AutoSpace { admins: Admins::new(["+972501111111", "telegram:7"]), ..AutoSpace::default() };
        for (platform, conversation, author, space) in [
            ("whatsapp", "whatsapp:972501111111@s.whatsapp.net", "whatsapp:972501111111@s.whatsapp.net", "main"),
            ("telegram", "telegram:7", "telegram:7", "main"),
            ("telegram", "telegram:12345678", "telegram:12345678", "dm-telegram-12345678"),
            // A number is nobody's id on a platform without numbers.
            ("telegram", "telegram:972501111111", "telegram:972501111111", "dm-telegram-972501111111"),
        ] {
            assert_eq!(auto.space_for(platform, conversation, &known(author, None)).unwrap().as_str(), space);
        }
        let bare = AutoSpace { admins: Admins::new(["972501111111"]), ..AutoSpace::default() };
        let number = "whatsapp:972501111111@s.whatsapp.net";
        assert_eq!(bare.space_for("whatsapp", number, &known(number, None)).unwrap().as_str(), SpaceId::MAIN);
    }

    /// pipeline.md 4.3: the alias counts, too, and names no space.
    #[test]
    fn an_alias_is_tried_against_the_admins() {
        let auto = AutoSpace { admins: Admins::new(["whatsapp:24417056866472@lid"]), ..AutoSpace::default() };
        let number = "whatsapp:972501111111@s.whatsapp.net";
        for (alias, space) in [
            (None, "dm-972501111111"),
            (Some("whatsapp:1@lid"), "dm-972501111111"),
            (Some("whatsapp:24417056866472@lid"), SpaceId::MAIN),
        ] {
            assert_eq!(auto.space_for("whatsapp", number, &known(number, alias)).unwrap().as_str(), space, "{alias:?}");
        }
    }
}
