//! What two plugins cannot both have, and names that are taken for one another. Pure.

use super::manifest::{Agent, Manifest};
use crate::domain::environment::PREFIX;

/// Why `manifest` cannot be used beside `other`, which is: what is one plugin's alone would be decided by
/// the order in which they were found.
pub(super) fn conflict(manifest: &Manifest, other: &Manifest) -> Option<String> {
    let name = &other.name;
    if let (Some(ours), Some(theirs)) = (&manifest.inbox, &other.inbox)
        && ours.platform == theirs.platform
    {
        // People are known by their platform: a second adapter could speak for anybody.
        return Some(format!("the plugin `{name}` is the adapter of {} already", theirs.platform));
    }
    if let Some(program) = shared_program(&manifest.agent, &other.agent) {
        return Some(format!(
            "the plugin `{name}` has the program `{program}` as well, and one of them brings its own"
        ));
    }
    let variable = shared_variable(&manifest.agent, &other.agent)?;
    Some(format!("the plugin `{name}` gives the agent another variable as {variable} already"))
}

/// Several may want a program of the system; one that a plugin brings is its own.
fn shared_program<'a>(ours: &'a Agent, theirs: &Agent) -> Option<&'a str> {
    let clash = |program: &&super::manifest::Cli| {
        let same = theirs.clis.iter().find(|other| other.name == program.name);
        same.is_some_and(|other| other.bin.is_some() || program.bin.is_some())
    };
    ours.clis.iter().find(clash).map(|program| program.name.as_str())
}

fn shared_variable<'a>(ours: &'a Agent, theirs: &'a Agent) -> Option<&'a str> {
    let given = |agent: &'a Agent| {
        agent.env.iter().filter(|variable| !variable.host_only).map(|variable| {
            let usual = variable.name.strip_prefix(PREFIX).unwrap_or(&variable.name);
            (variable.given_as.as_deref().unwrap_or(usual), variable.name.as_str())
        })
    };
    let clash = |(inside, name): &(&str, &str)| given(theirs).any(|(other, from)| other == *inside && from != *name);
    given(ours).find(clash).map(|(inside, _)| inside)
}

/// Whether a reader may take one name for the other. Names are lower-case ASCII.
pub(super) fn resemble(one: &str, other: &str) -> bool {
    // As some fonts show them.
    let seen =
        |name: &str| name.replace('-', "").replace("rn", "m").replace("vv", "w").replace('0', "o").replace('1', "l");
    one != other
        && (seen(one) == seen(other) || (one.len().min(other.len()) >= 5 && strsim::osa_distance(one, other) <= 1))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn manifest(name: &str, more: &str) -> Manifest {
        let provides = if more.contains("[inbox]") { "chat-adapter" } else { "tool-guard" };
        let text = format!(
            "name = \"{name}\"\nversion = \"1.0.0\"\ncomponent = \"x.wasm\"\nprovides = [\"{provides}\"]\n{more}"
        );
        Manifest::parse(Path::new("plugin.toml"), &text).unwrap()
    }

    #[test]
    fn what_only_one_can_have_is_seen() {
        let chat = "[inbox]\nplatform = \"telegram\"\n";
        let brings = "[[agent.clis]]\nname = \"gws\"\nbin = \"gws\"\n";
        let wants = "[[agent.clis]]\nname = \"gws\"\ninstall = \"npm install -g gws\"\n";
        let token = "[[agent.env]]\nname = \"MERCURY_TOKEN\"\n";
        let other = "[[agent.env]]\nname = \"MERCURY_OTHER\"\nas = \"TOKEN\"\n";
        for (one, two, says) in [
            (chat, chat, "adapter of telegram"),
            (brings, wants, "program `gws`"),
            (wants, brings, "program `gws`"),
            (token, other, "as TOKEN"),
        ] {
            let found = conflict(&manifest("a", one), &manifest("b", two)).unwrap();
            assert!(found.contains(says) && found.contains("`b`"), "{found}");
        }
        for (one, two) in [(wants, wants), (token, token), (chat, brings), (brings, token)] {
            assert_eq!(conflict(&manifest("a", one), &manifest("b", two)), None);
        }
    }

    #[test]
    fn names_that_look_like_another_are_seen() {
        for name in ["permission-gaurd", "permisson-guard", "permissionguard", "perrnission-guard", "permission-guards"]
        {
            assert!(resemble(name, "permission-guard"), "{name}");
        }
        assert!(resemble("te1egram", "telegram"));
        for (one, other) in
            [("redact", "redact"), ("pdf", "pdb"), ("charts", "redact"), ("mail-guard", "permission-guard")]
        {
            assert!(!resemble(one, other), "{one} {other}");
        }
    }
}
