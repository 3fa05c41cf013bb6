//! What a role may do.

use std::collections::{BTreeMap, BTreeSet};

use super::auto_space;

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

/// A list of the time when files needed no permission, as it is meant today: with both of theirs. One that names
/// either of them knows of them, and is meant as it stands.
pub fn with_media(mut list: Vec<String>) -> Vec<String> {
    let media = ["media.receive", "media.send"];
    if !list.iter().any(|name| media.contains(&name.as_str())) {
        list.extend(media.map(str::to_owned));
    }
    list
}

/// The stored role, or that of a member where it is one that nobody can be given: the host's own, or a plugin's.
pub fn stored(role: Option<String>) -> String {
    role.filter(|role| check_name(role).is_ok()).unwrap_or_else(|| MEMBER_ROLE.to_owned())
}

/// Permissions without which an admin could not give the others back.
pub const ADMIN_KEEPS: [&str; 4] = ["permissions.get", "permissions.set", "roles.list", "roles.grant"];

fn lost(list: &[String]) -> Option<&'static str> {
    ADMIN_KEEPS.into_iter().find(|kept| !list.iter().any(|name| name == kept))
}

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
pub fn bounds<'a>(held: &'a Held, operator: bool, changed: &str) -> Option<&'a [String]> {
    let free = operator || (held.role() == ADMIN_ROLE && changed == ADMIN_ROLE);
    (!free).then_some(held.names())
}

/// Before a plugin's name: the role, and the person, of the runs that it asks for.
pub const PLUGIN_PREFIX: &str = "plugin:";

/// The role of runs that the plugin asks for. It holds the plugin's own permission and nothing else, so
/// that no plugin reaches by an agent what its manifest was not granted.
pub fn of_plugin(plugin: &str) -> String {
    format!("{PLUGIN_PREFIX}{plugin}")
}

/// What somebody of a role may do in one space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    role: String,
    names: Vec<String>,
}

impl Held {
    /// Nothing.
    pub fn nothing(role: &str) -> Self {
        Self { role: role.to_owned(), names: Vec::new() }
    }

    pub fn role(&self) -> &str {
        &self.role
    }

    /// The built-in ones first, then those of plugins by name.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub fn may(&self, permission: &str) -> bool {
        self.names.iter().any(|name| name == permission)
    }

    /// Whether files of theirs reach the agent. Admins are never held up, whatever a list of theirs leaves out.
    pub fn may_receive(&self) -> bool {
        self.is_exempt() || self.may("media.receive")
    }

    /// The same of files that the agent made for them.
    pub fn may_send(&self) -> bool {
        self.is_exempt() || self.may("media.send")
    }

    fn is_exempt(&self) -> bool {
        [ADMIN_ROLE, SYSTEM_ROLE].contains(&self.role.as_str())
    }
}

/// What a space says of a role in the place of the defaults, and who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    pub list: Vec<String>,
    pub by: String,
}

/// The permissions that plugins bring, each with the roles that hold it by default, and what the active profile
/// lets members do. Those of plugins that are not active are not in here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    plugins: BTreeMap<String, BTreeSet<String>>,
    /// All that members hold by default; without it, what is built in and what plugins give them.
    members: Option<Vec<String>>,
}

impl Registry {
    /// Of pairs of a permission and its default roles.
    pub fn new(permissions: impl IntoIterator<Item = (String, BTreeSet<String>)>) -> Self {
        Self { plugins: permissions.into_iter().collect(), members: None }
    }

    /// With the active profile's list of what members may do.
    #[must_use]
    pub fn with_members(self, members: Option<Vec<String>>) -> Self {
        Self { members, ..self }
    }

    pub fn knows(&self, permission: &str) -> bool {
        is_built_in(permission) || self.plugins.contains_key(permission)
    }

    /// `admin` and `system` hold every permission that there is; one that nobody registered is held by none.
    pub fn may(&self, role: &str, permission: &str) -> bool {
        if let (MEMBER_ROLE, Some(members)) = (role, &self.members) {
            return self.knows(permission) && members.iter().any(|name| name == permission);
        }
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
    pub fn held(&self, role: &str, stated: Option<&[String]>) -> Held {
        let fixed = role == SYSTEM_ROLE || role.starts_with(PLUGIN_PREFIX);
        let names = match stated.filter(|_| !fixed) {
            Some(stated) => self.all().into_iter().filter(|name| stated.iter().any(|stated| stated == name)).collect(),
            None => self.permissions(role),
        };
        Held { role: role.to_owned(), names: names.into_iter().map(str::to_owned).collect() }
    }

    /// What a role holds in a space, by what stands there. What members of a direct conversation's own space began
    /// with yields to a profile; what somebody said of them does not.
    pub fn held_in(&self, role: &str, stated: Option<&Stated>) -> Held {
        let yields = role == MEMBER_ROLE && self.members.is_some();
        let counts = stated.filter(|stated| !(yields && stated.by == auto_space::WRITER));
        self.held(role, counts.map(|stated| stated.list.as_slice()))
    }

    /// Plugins whose permission members would hold by themselves, and which the active profile leaves out.
    pub fn left_out(&self) -> Vec<&str> {
        let Some(members) = &self.members else { return Vec::new() };
        let usual = self.plugins.iter().filter(|(_, roles)| roles.contains(MEMBER_ROLE)).map(|(name, _)| name);
        usual.filter(|name| !members.contains(name)).map(String::as_str).collect()
    }

    /// What the active profile lets members do and nobody knows.
    pub fn unknown_to_members(&self) -> Vec<&str> {
        self.members.iter().flatten().filter(|name| !self.knows(name)).map(String::as_str).collect()
    }

    /// Whether a space may say this of a role.
    pub fn check_list(&self, role: &str, list: &[String]) -> Result<(), RoleError> {
        check_name(role)?;
        let unknown: Vec<_> = list.iter().filter(|name| !self.knows(name)).cloned().collect();
        if !unknown.is_empty() {
            return Err(RoleError::Unknown(unknown));
        }
        match lost(list) {
            Some(kept) if role == ADMIN_ROLE => Err(RoleError::AdminKeeps(kept)),
            _ => Ok(()),
        }
    }

    /// The built-in ones first, then those of plugins by name.
    pub fn permissions(&self, role: &str) -> Vec<&str> {
        if role == MEMBER_ROLE && self.members.is_some() {
            return self.all().into_iter().filter(|permission| self.may(role, permission)).collect();
        }
        let plugins = self.plugins.keys().map(String::as_str).filter(|permission| self.may(role, permission));
        permissions(role).iter().copied().chain(plugins).collect()
    }
}

#[cfg(test)]
mod tests;
