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

/// Permissions without which an admin could not give the others back.
pub const ADMIN_KEEPS: [&str; 4] = ["permissions.get", "permissions.set", "roles.list", "roles.grant"];

/// Why roles or their permissions are not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    #[error("`{0}` is no name of a role: a lower-case letter, then letters, digits, `_` and `-`, 32 in all")]
    BadName(String),
    #[error("the role `{SYSTEM_ROLE}` is the host's own: nobody can be given it, and it cannot be changed")]
    Reserved,
    #[error("invalid permissions: {}", .0.join(", "))]
    Unknown(Vec<String>),
    #[error("you do not hold `{0}` yourself, so you can neither give nor take it")]
    Beyond(String),
    #[error("admins keep `{0}`: without it nobody in the space could give the others back")]
    AdminKeeps(&'static str),
    #[error("this is the last admin of the space")]
    LastAdmin,
    #[error("the configuration names this person as an admin")]
    Configured,
}

/// Whether somebody can have the role: `^[a-z][a-z0-9_-]{0,31}$`, and not `system`.
pub fn check_name(role: &str) -> Result<(), RoleError> {
    let mut bytes = role.bytes();
    let fits = bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
        && role.len() <= 32;
    match role {
        SYSTEM_ROLE => Err(RoleError::Reserved),
        _ if fits => Ok(()),
        _ => Err(RoleError::BadName(role.chars().take(64).collect())),
    }
}

/// Nobody gives or takes what they do not hold themselves: else a single permission, such as `roles.grant`,
/// would be worth all of them. `held` is `None` for the operator, who holds everything.
pub fn within<'a>(held: Option<&[String]>, changed: impl IntoIterator<Item = &'a String>) -> Result<(), RoleError> {
    let Some(held) = held else { return Ok(()) };
    match changed.into_iter().find(|permission| !held.contains(permission)) {
        Some(beyond) => Err(RoleError::Beyond(beyond.clone())),
        None => Ok(()),
    }
}

/// What somebody may give and take of a role's: no more than is held, but for the operator's admins; and
/// an admin gives the admins back what their list had lost, or nobody could.
pub fn bounds<'a>(held: &'a [String], giver: &str, operator: bool, changed: &str) -> Option<&'a [String]> {
    let free = operator || (giver == ADMIN_ROLE && changed == ADMIN_ROLE);
    (!free).then_some(held)
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

    /// Everything that can be held: the built-in ones first, then those of plugins by name.
    pub fn all(&self) -> Vec<&str> {
        ALL.iter().copied().chain(self.plugins.keys().map(String::as_str)).collect()
    }

    /// What a role holds in a space that says `stated` of it: exactly that, as far as it is known, or the
    /// defaults where it says nothing. The host's own roles hold what they hold.
    pub fn held(&self, role: &str, stated: Option<&[String]>) -> Vec<String> {
        let fixed = role == SYSTEM_ROLE || role.starts_with(PLUGIN_PREFIX);
        match stated.filter(|_| !fixed) {
            Some(stated) => {
                let known = self.all().into_iter().filter(|name| stated.iter().any(|stated| stated == name));
                known.map(str::to_owned).collect()
            }
            None => self.permissions(role).into_iter().map(str::to_owned).collect(),
        }
    }

    /// Whether a space may say this of a role.
    pub fn check_list(&self, role: &str, list: &[String]) -> Result<(), RoleError> {
        check_name(role)?;
        let unknown: Vec<_> = list.iter().filter(|name| !self.knows(name)).cloned().collect();
        if !unknown.is_empty() {
            return Err(RoleError::Unknown(unknown));
        }
        let lost = ADMIN_KEEPS.into_iter().find(|kept| role == ADMIN_ROLE && !list.iter().any(|name| name == kept));
        lost.map_or(Ok(()), |kept| Err(RoleError::AdminKeeps(kept)))
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

    fn names(text: &str) -> Vec<String> {
        text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    fn registry() -> Registry {
        Registry::new([("napkin".into(), ["member".into()].into()), ("gws".into(), ["admin".into()].into())])
    }

    /// permissions.md #3 #4 #5 #6: a space's own list replaces the defaults, and never adds to them.
    #[test]
    fn a_spaces_own_list() {
        let held = |role: &str, stated: Option<&str>| registry().held(role, stated.map(names).as_deref()).join(",");
        assert_eq!(held("member", None), "prompt,prefs.get,media.receive,media.send,napkin");
        assert_eq!(held("member", Some("compact,stop,prompt")), "prompt,stop,compact");
        assert_eq!(held("member", Some("prompt,invalid,stop")), "prompt,stop");
        assert_eq!(held("member", Some("")), "");
        assert_eq!(held("member", Some("gws")), "gws");
        assert_eq!((held("guest", None), held("guest", Some("prompt"))), (String::new(), "prompt".into()));
        assert_eq!(held("system", Some("")), held("admin", None), "the host is not held back");
        assert_eq!(held("plugin:gws", Some("prompt")), "gws");
    }

    /// permissions.md #27 #28 #33, http-api.md #14 #15 #16.
    #[test]
    fn what_a_space_may_say() {
        let check = |role: &str, list: &str| registry().check_list(role, &names(list));
        assert_eq!(check("member", "prompt,stop,napkin"), Ok(()));
        assert_eq!(check("member", "prompt,x,y"), Err(RoleError::Unknown(names("x,y"))));
        assert_eq!(check("system", "prompt"), Err(RoleError::Reserved));
        assert_eq!(check("admin", "prompt"), Err(RoleError::AdminKeeps("permissions.get")));
        assert_eq!(check("admin", "permissions.get,permissions.set,roles.list,roles.grant"), Ok(()));
        for bad in ["", "Admin", "1a", "a b", "plugin:napkin", "ä", &"a".repeat(33)] {
            assert!(matches!(check(bad, "prompt"), Err(RoleError::BadName(_))), "{bad}");
        }
    }

    use proptest::prelude::*;

    fn some_names() -> impl Strategy<Value = Vec<String>> {
        let all: Vec<String> = registry().all().into_iter().map(str::to_owned).chain(["nobodys".into()]).collect();
        prop::sample::subsequence(all.clone(), 0..all.len())
    }

    proptest! {
        /// Whatever a space says, a role holds nothing unknown and nothing unsaid, and no name leads to `system`.
        #[test]
        fn lists_are_exact(role in "[a-z]{1,8}", stated in some_names()) {
            let held = registry().held(&role, Some(&stated));
            if role != SYSTEM_ROLE {
                prop_assert!(held.iter().all(|name| stated.contains(name) && registry().knows(name)));
                prop_assert!(stated.iter().filter(|name| registry().knows(name)).all(|name| held.contains(name)));
            }
        }

        /// Nobody reaches by giving what they did not hold before, in any number of steps.
        #[test]
        fn nobody_raises_themselves(held in some_names(), wanted in some_names()) {
            match within(Some(&held), &wanted) {
                Ok(()) => prop_assert!(wanted.iter().all(|name| held.contains(name))),
                Err(RoleError::Beyond(name)) => prop_assert!(wanted.contains(&name) && !held.contains(&name)),
                Err(other) => prop_assert!(false, "{other}"),
            }
            prop_assert_eq!(within(None, &wanted), Ok(()));
        }

        #[test]
        fn system_is_no_name(role in "[sS][yY][sS][tT][eE][mM]") {
            prop_assert!(check_name(&role).is_err());
        }
    }
}
