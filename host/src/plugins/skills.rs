//! Skills: what plugins have for the agent to read, and what is said about programs that are missing.

use std::path::PathBuf;

use mercury_protocol::io::Capabilities;

use super::Plugins;
use crate::domain::{capabilities::satisfied, roles::Held};

/// A folder with a `SKILL.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skill {
    /// The plugin's name, which is also the skill's.
    pub name: String,
    pub folder: PathBuf,
}

impl Plugins {
    /// The skills that some model of the chain can use. What is left out, and why, is logged. Looks at
    /// files: not for the async runtime.
    pub fn skills(&self, chain: &[Capabilities]) -> Vec<Skill> {
        let mut skills = Vec::new();
        for plugin in &self.now().plugins {
            let agent = &plugin.manifest.agent;
            let Some(skill) = &agent.skill else { continue };
            let name = plugin.name().to_owned();
            if !satisfied(&agent.requires, chain) {
                let needs: Vec<_> = agent.requires.iter().map(|requirement| requirement.name()).collect();
                tracing::warn!(
                    plugin = name,
                    ?needs,
                    "the skill is left out: no model of the chain can do what it needs"
                );
                continue;
            }
            match plugin.folder.as_ref().map(|folder| folder.join(skill)) {
                Some(folder) if folder.join("SKILL.md").is_file() => skills.push(Skill { name, folder }),
                _ => tracing::error!(plugin = name, skill, "the skill is left out: it has no SKILL.md"),
            }
        }
        skills
    }

    /// Which of `installed` somebody who holds this is given.
    pub fn skills_for(&self, held: &Held, installed: &[String]) -> Vec<String> {
        let serves = |name: &&String| self.named(name).is_some_and(|plugin| plugin.manifest.serves(held));
        installed.iter().filter(serves).cloned().collect()
    }

    /// The programs that somebody who holds this would have, were they in the image.
    pub fn programs_for(&self, held: &Held) -> Vec<String> {
        let now = self.now();
        let serving = now.plugins.iter().filter(|plugin| plugin.manifest.serves(held));
        serving.flat_map(|plugin| plugin.manifest.agent.clis.iter().map(|cli| cli.name.clone())).collect()
    }
}
