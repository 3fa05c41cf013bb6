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
    let held = |role: &str, stated: Option<&str>| registry().held(role, stated.map(names).as_deref()).names().join(",");
    assert_eq!(held("member", None), "prompt,prefs.get,media.receive,media.send,napkin");
    assert_eq!(held("member", Some("compact,stop,prompt")), "prompt,stop,compact");
    assert_eq!(held("member", Some("prompt,invalid,stop")), "prompt,stop");
    assert_eq!(held("member", Some("")), "");
    assert_eq!(held("member", Some("gws")), "gws");
    assert_eq!((held("guest", None), held("guest", Some("prompt"))), (String::new(), "prompt".into()));
    assert_eq!(held("system", Some("")), held("admin", None), "the host is not held back");
    assert_eq!(held("plugin:gws", Some("prompt")), "gws");
}

/// permissions.md #21 in its decision: files pass by the permission, and admins always.
#[test]
fn whose_files_pass() {
    let passes = |role: &str, stated: Option<&str>| {
        let held = registry().held(role, stated.map(names).as_deref());
        (held.may_receive(), held.may_send())
    };
    assert_eq!(passes("member", None), (true, true));
    assert_eq!(passes("member", Some("prompt,media.send")), (false, true));
    assert_eq!(passes("member", Some("prompt,media.receive")), (true, false));
    assert_eq!(passes("guest", None), (false, false));
    assert_eq!(passes("admin", Some("prompt")), (true, true));
    assert_eq!(passes("system", Some("")), (true, true));
    assert_eq!(passes("plugin:napkin", None), (false, false));
    assert!(!Held::nothing("member").may_receive());
}

/// permissions.md #18
#[test]
fn lists_without_files() {
    let with = |list: &str| with_media(names(list)).join(",");
    assert_eq!(with("prompt"), "prompt,media.receive,media.send");
    assert_eq!(with(""), "media.receive,media.send");
    assert_eq!(with("media.send,prompt"), "media.send,prompt");
    assert_eq!(with("prompt,media.receive"), "prompt,media.receive");
    assert_eq!(with("prompt,media.purge"), "prompt,media.purge,media.receive,media.send");
}

/// W5: whatever wrote it there, no row makes the host of somebody.
#[test]
fn no_row_makes_somebody_the_host() {
    for (row, role) in [
        (None, "member"),
        (Some("moderator"), "moderator"),
        (Some("system"), "member"),
        (Some("plugin:napkin"), "member"),
        (Some("System"), "member"),
        (Some(""), "member"),
    ] {
        assert_eq!(stored(row.map(str::to_owned)), role, "{row:?}");
    }
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

fn by(writer: &str, list: &str) -> Stated {
    Stated { list: names(list), by: writer.into() }
}

/// permissions.md #14 and extensions.md #33 in its second half.
#[test]
fn a_profile_says_what_members_hold() {
    let rooms = Registry::new([("napkin".into(), ["member".into()].into()), ("rooms".into(), BTreeSet::new())]);
    let profile = rooms.clone().with_members(Some(with_media(names("rooms,prompt,nobodys"))));
    let held = |registry: &Registry, role: &str, stated: Option<Stated>| {
        registry.held_in(role, stated.as_ref()).names().join(",")
    };
    let exactly = "prompt,media.receive,media.send,rooms";
    assert_eq!(held(&profile, "member", None), exactly, "neither prefs.get nor what plugins give by themselves");
    assert_eq!(held(&profile, "admin", None), held(&rooms, "admin", None));
    assert_eq!(held(&profile, "guest", None), "");
    // The five rows of permissions.md 6.
    let usual = held(&rooms, "member", None);
    assert_eq!(usual, "prompt,prefs.get,media.receive,media.send,napkin");
    let seeded = || Some(by(auto_space::WRITER, "prompt"));
    assert_eq!(
        (held(&rooms, "member", seeded()), held(&profile, "member", seeded())),
        ("prompt".into(), exactly.into())
    );
    let said = || Some(by("telegram:7", "prompt,stop"));
    assert_eq!(held(&rooms, "member", said()), "prompt,stop");
    assert_eq!(held(&profile, "member", said()), "prompt,stop", "an operator's own word counts");
    assert_eq!(held(&profile, "admin", Some(by(auto_space::WRITER, "stop"))), "stop", "only members yield");
    // Without the profile everything is as it was.
    assert_eq!(held(&profile.clone().with_members(None), "member", None), usual);
    let nothing = rooms.with_members(Some(Vec::new()));
    assert_eq!(held(&nothing, "member", None), "");
    assert!(!nothing.may("member", "prompt") && nothing.may("admin", "prompt"));
}

/// permissions.md #17 in its decision.
#[test]
fn what_a_profile_leaves_out() {
    let left_out = |members: Option<&str>| {
        let registry = registry().with_members(members.map(names));
        (registry.left_out().join(","), registry.unknown_to_members().join(","))
    };
    assert_eq!(left_out(Some("prompt,rooms")), ("napkin".into(), "rooms".into()));
    assert_eq!(left_out(Some("prompt,napkin")), (String::new(), String::new()));
    assert_eq!(left_out(None), (String::new(), String::new()));
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
        let held = registry().held(&role, Some(&stated)).names().to_vec();
        if role != SYSTEM_ROLE {
            prop_assert!(held.iter().all(|name| stated.contains(name) && registry().knows(name)));
            prop_assert!(stated.iter().filter(|name| registry().knows(name)).all(|name| held.contains(name)));
        }
    }

    /// A profile changes what members hold and nothing else, and gives them no more than it says.
    #[test]
    fn profiles_are_for_members(role in "member|admin|guest|system|plugin:gws", members in some_names(), stated in prop::option::of(some_names()), seeded: bool) {
        let writer = if seeded { auto_space::WRITER } else { "api:ada" };
        let stated = stated.map(|list| Stated { list, by: writer.into() });
        let held = registry().with_members(Some(members.clone())).held_in(&role, stated.as_ref());
        let without = registry().held_in(&role, stated.as_ref());
        if role == MEMBER_ROLE && (stated.is_none() || seeded) {
            prop_assert!(held.names().iter().all(|name| members.contains(name)));
            prop_assert!(members.iter().filter(|name| registry().knows(name)).all(|name| held.may(name)));
        } else {
            prop_assert_eq!(held, without);
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
