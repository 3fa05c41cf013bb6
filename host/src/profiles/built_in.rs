//! The profiles that the host carries.

use crate::domain::profile::{Profile, ProfileError};

/// A folder of a profile, as it is in the binary.
#[derive(Debug, PartialEq, Eq)]
pub struct BuiltIn {
    pub name: &'static str,
    manifest: &'static str,
    pub persona: &'static str,
}

macro_rules! carried {
    ($name:literal) => {
        BuiltIn {
            name: $name,
            manifest: include_str!(concat!("carried/", $name, "/mercury-profile.yaml")),
            persona: include_str!(concat!("carried/", $name, "/AGENTS.md")),
        }
    };
}

/// By name, as they are listed.
pub const ALL: &[BuiltIn] = &[carried!("coding"), carried!("general"), carried!("research")];

impl BuiltIn {
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|profile| profile.name == name)
    }

    pub fn profile(&self) -> Result<Profile, ProfileError> {
        Profile::parse(self.manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_carried_is_whole() {
        for built_in in ALL {
            let profile = built_in.profile().unwrap();
            assert_eq!(profile.name, built_in.name);
            assert_eq!(profile.agents_md.as_deref(), Some("./AGENTS.md"));
            assert!(!profile.description.is_empty() && built_in.persona.starts_with("# Who you are\n"));
            assert_eq!(profile.member_permissions, None, "what members may is the operator's to say");
        }
        assert!(ALL.is_sorted_by_key(|profile| profile.name) && BuiltIn::named("nope").is_none());
    }
}
