//! What the loaded plugins bring that decides about callers: permissions, and programs that need one.

use super::manifest::Manifest;
use crate::domain::roles::{self, Held};

#[derive(Clone, Debug, Default)]
pub struct Registry {
    pub roles: roles::Registry,
    /// A program's name, and the permission without which it may not be run.
    programs: Vec<(String, String)>,
}

impl Registry {
    /// Of the plugins that are active: one that is not registers nothing.
    pub(super) fn of<'a>(manifests: impl Iterator<Item = &'a Manifest>) -> Self {
        let guarded: Vec<&Manifest> = manifests.filter(|manifest| manifest.agent.permission).collect();
        let permission =
            |manifest: &&Manifest| (manifest.name.clone(), manifest.agent.default_roles.iter().cloned().collect());
        let programs = |manifest: &&Manifest| {
            let name = manifest.name.clone();
            manifest.agent.clis.iter().map(move |cli| (cli.name.clone(), name.clone())).collect::<Vec<_>>()
        };
        Self {
            roles: roles::Registry::new(guarded.iter().map(permission)),
            programs: guarded.iter().flat_map(programs).collect(),
        }
    }

    /// With the active profile's list of what members may do.
    pub(super) fn with_members(self, members: Option<Vec<String>>) -> Self {
        Self { roles: self.roles.with_members(members), ..self }
    }

    /// The programs that somebody who holds this may not run, sorted.
    pub fn denied_programs(&self, held: &Held) -> Vec<String> {
        let denied = self.programs.iter().filter(|(_, permission)| !held.may(permission));
        let mut names: Vec<String> = denied.map(|(program, _)| program.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn manifest(name: &str, agent: &str) -> Manifest {
        let text = format!(
            "name = \"{name}\"\nversion = \"1.0.0\"\ncomponent = \"c.wasm\"\nprovides = [\"job\"]\n[agent]\n{agent}\n"
        );
        Manifest::parse(Path::new("plugin.toml"), &text).unwrap()
    }

    #[test]
    fn programs_follow_the_permission_of_their_plugin() {
        let gws = manifest("gws", "permission = true\nclis = [{ name = \"gws\", install = \"true\" }]");
        let open = manifest("open", "clis = [{ name = \"jq\", install = \"true\" }]");
        let pdf = manifest(
            "pdf",
            "permission = true\ndefault-roles = [\"member\"]\nclis = [{ name = \"qpdf\", install = \"true\" }]",
        );
        let registry = Registry::of([&gws, &open, &pdf].into_iter());
        let denied = |role: &str, stated: Option<&[&str]>| {
            let stated: Option<Vec<String>> = stated.map(|list| list.iter().map(|name| (*name).to_owned()).collect());
            registry.denied_programs(&registry.roles.held(role, stated.as_deref()))
        };
        assert_eq!(denied("member", None), ["gws"]);
        assert!(denied("admin", None).is_empty());
        assert_eq!(denied("plugin:gws", None), ["qpdf"]);
        assert_eq!(denied("guest", None), ["gws", "qpdf"]);
        // What a space says of a role counts here as everywhere.
        assert_eq!(denied("member", Some(&["prompt", "gws"])), ["qpdf"]);
        assert_eq!(denied("admin", Some(&["prompt"])), ["gws", "qpdf"]);
        assert_eq!(registry.denied_programs(&Held::nothing("admin")), ["gws", "qpdf"]);
    }
}
