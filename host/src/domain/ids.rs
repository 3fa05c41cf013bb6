//! Identifiers that cannot be mixed up or malformed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A space's name: `^[a-z0-9][a-z0-9-]*$`, at most 64 characters. It is also a folder name, so
/// nothing else can be made of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpaceId(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a space id: use lower-case letters, digits and dashes, beginning with a letter or digit, 64 at most"
)]
pub struct InvalidSpaceId(String);

impl SpaceId {
    pub const MAIN: &str = "main";

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SpaceId {
    type Error = InvalidSpaceId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut bytes = text.bytes();
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits =
            bytes.next().is_some_and(alphanumeric) && bytes.all(|b| alphanumeric(b) || b == b'-') && text.len() <= 64;
        if fits { Ok(Self(text)) } else { Err(InvalidSpaceId(text.chars().take(80).collect())) }
    }
}

impl From<SpaceId> for String {
    fn from(id: SpaceId) -> Self {
        id.0
    }
}

impl fmt::Display for SpaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A run's identity: a UUID of version 7 in simple form, so that runs sort by their beginning.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId(String);

impl RunId {
    pub fn from_uuid(uuid: uuid::Uuid) -> Self {
        Self(uuid.simple().to_string())
    }

    /// From the database, where only [`RunId::from_uuid`] put it.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `mercury-<agent id>-<run>`, or `mercury-<run>`. Unlike the old system's clock and counter it
    /// is unique over all hosts of a daemon.
    pub fn container_name(&self, agent_id: Option<&str>) -> String {
        match agent_id {
            Some(agent) => format!("mercury-{agent}-{}", self.0),
            None => format!("mercury-{}", self.0),
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn space_ids() {
        for good in ["main", "a", "team-7", "0x"] {
            assert!(SpaceId::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a b", "../x", "ä", &"a".repeat(65)] {
            assert!(SpaceId::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    /// container.md #2: the agent id is part of the name.
    #[test]
    fn container_names() {
        let run = RunId::from_stored("01".into());
        assert_eq!(run.container_name(Some("a1")), "mercury-a1-01");
        assert_eq!(run.container_name(None), "mercury-01");
    }

    proptest! {
        #[test]
        fn a_space_id_is_one_folder_name(text in ".*") {
            if let Ok(id) = SpaceId::try_from(text) {
                prop_assert!(!id.as_str().contains(['/', '\0', '.']) && !id.as_str().is_empty());
            }
        }
    }
}
