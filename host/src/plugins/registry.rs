//! What the loaded plugins bring that decides about callers: permissions, and programs that need one.

use super::manifest::Manifest;
use crate::domain::roles;

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

    /// The programs that a caller of this role may not run, sorted.
    pub fn denied_programs(&self, role: &str) -> Vec<String> {
        let denied = self.programs.iter().filter(|(_, permission)| !self.roles.may(role, permission));
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
        assert_eq!(registry.denied_programs("member"), ["gws"]);
        assert!(registry.denied_programs("admin").is_empty());
        assert_eq!(registry.denied_programs("plugin:gws"), ["qpdf"]);
        assert_eq!(registry.denied_programs("guest"), ["gws", "qpdf"]);
    }
}
