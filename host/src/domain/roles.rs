//! What a role may do.

use std::collections::{BTreeMap, BTreeSet};

/// Permissions that a member has without any override.
const MEMBER: &[&str] = &["prompt", "prefs.get", "media.receive", "media.send"];

/// Every built-in permission, in the order in which they are listed.
const ALL: &[&str] = &[
    "prompt",
    "stop",
    "compact",
    "clear",
    "tasks.list",
    "tasks.create",
    "tasks.pause",
    "tasks.resume",
    "tasks.delete",
    "config.get",
    "config.set",
    "prefs.get",
    "prefs.set",
    "roles.list",
    "roles.grant",
    "roles.revoke",
    "permissions.get",
    "permissions.set",
    "spaces.list",
    "spaces.rename",
    "spaces.delete",
    "media.purge",
    "tts.synthesize",
    "media.receive",
    "media.send",
    "mutes.list",
    "mutes.mute",
    "mutes.unmute",
];

pub const MEMBER_ROLE: &str = "member";
pub const ADMIN_ROLE: &str = "admin";
/// The host itself. Never claimed by a message.
pub const SYSTEM_ROLE: &str = "system";

/// A role that nobody defined may do nothing.
pub fn permissions(role: &str) -> &'static [&'static str] {
    match role {
        ADMIN_ROLE | SYSTEM_ROLE => ALL,
        MEMBER_ROLE => MEMBER,
        _ => &[],
    }
}

pub fn may(role: &str, permission: &str) -> bool {
    permissions(role).contains(&permission)
}

pub fn is_built_in(permission: &str) -> bool {
    ALL.contains(&permission)
}

/// Before a plugin's name: the role, and the person, of the runs that it asks for.
pub const PLUGIN_PREFIX: &str = "plugin:";

/// The role of runs that the plugin asks for. It holds the plugin's own permission and nothing else, so
/// that no plugin reaches by an agent what its manifest was not granted.
pub fn of_plugin(plugin: &str) -> String {
    format!("{PLUGIN_PREFIX}{plugin}")
}

/// The permissions that plugins bring, each with the roles that hold it by default. Those of plugins
/// that are not active are not in here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    plugins: BTreeMap<String, BTreeSet<String>>,
}

impl Registry {
    /// Of pairs of a permission and its default roles.
    pub fn new(permissions: impl IntoIterator<Item = (String, BTreeSet<String>)>) -> Self {
        Self { plugins: permissions.into_iter().collect() }
    }

    pub fn knows(&self, permission: &str) -> bool {
        is_built_in(permission) || self.plugins.contains_key(permission)
    }

    /// `admin` and `system` hold every permission that there is; one that nobody registered is held by none.
    pub fn may(&self, role: &str, permission: &str) -> bool {
        may(role, permission)
            || self.plugins.get(permission).is_some_and(|roles| {
                [ADMIN_ROLE, SYSTEM_ROLE].contains(&role)
                    || roles.contains(role)
                    || role.strip_prefix(PLUGIN_PREFIX) == Some(permission)
            })
    }

    /// The built-in ones first, then those of plugins by name.
    pub fn permissions(&self, role: &str) -> Vec<&str> {
        let plugins = self.plugins.keys().map(String::as_str).filter(|permission| self.may(role, permission));
        permissions(role).iter().copied().chain(plugins).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_may_only_what_is_listed() {
        assert!(may(MEMBER_ROLE, "prompt") && !may(MEMBER_ROLE, "stop"));
        assert!(may(ADMIN_ROLE, "stop"));
        assert!(!may("guest", "prompt"));
        assert!(MEMBER.iter().all(|permission| ALL.contains(permission)));
    }

    /// permissions.md #2 #6: a plugin's permission is held by its default roles, by admins and the host,
    /// and by the plugin's own runs; one that is not registered by nobody.
    #[test]
    fn plugins_bring_permissions() {
        let registry =
            Registry::new([("napkin".into(), ["member".into()].into()), ("gws".into(), ["moderator".into()].into())]);
        for (role, permission, expected) in [
            ("member", "napkin", true),
            ("member", "gws", false),
            ("moderator", "gws", true),
            ("moderator", "prompt", false),
            ("admin", "gws", true),
            ("system", "napkin", true),
            ("admin", "absent", false),
            ("guest", "napkin", false),
            ("plugin:napkin", "napkin", true),
            ("plugin:napkin", "gws", false),
            ("plugin:prompt", "prompt", false),
        ] {
            assert_eq!(registry.may(role, permission), expected, "{role} {permission}");
        }
        assert_eq!(registry.permissions("member").last(), Some(&"napkin"));
        assert_eq!(registry.permissions("admin").len(), ALL.len() + 2);
    }
}
