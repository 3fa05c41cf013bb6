//! What a role may do.

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
}
