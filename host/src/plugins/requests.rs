//! What plugins want of the agent's container: variables and programs.

use std::collections::BTreeSet;

use super::Plugins;
use crate::domain::{environment::Claim, install::Program};

impl Plugins {
    /// The host's variables that plugins declare. One that is bound as a secret is kept from agents,
    /// also where another plugin wants it for them.
    pub fn claims(&self) -> Vec<Claim> {
        let manifests = || self.plugins.iter().map(|plugin| plugin.manifest());
        let secrets: BTreeSet<&str> =
            manifests().flat_map(|manifest| &manifest.secrets).map(|secret| secret.variable.as_str()).collect();
        let declared = manifests().flat_map(|manifest| {
            manifest.agent.env.iter().map(|variable| Claim {
                name: variable.name.clone(),
                given_as: variable.given_as.clone(),
                host_only: variable.host_only || secrets.contains(variable.name.as_str()),
                permission: manifest.agent.permission.then(|| manifest.name.clone()),
            })
        });
        let bound = secrets.iter().map(|name| Claim {
            name: (*name).to_owned(),
            given_as: None,
            host_only: true,
            permission: None,
        });
        declared.chain(bound).collect()
    }

    /// The programs that plugins want in the agent's image. Reads files: not for the async runtime.
    /// A program that cannot be read is left out, and said to be.
    pub fn programs(&self) -> Vec<Program> {
        let mut programs: Vec<Program> = Vec::new();
        for plugin in &self.plugins {
            for cli in &plugin.manifest().agent.clis {
                let file = cli.bin.as_ref().and_then(|bin| Some(plugin.folder.as_ref()?.join(bin)));
                let bin = match file.as_ref().map(std::fs::read).transpose() {
                    Ok(bin) => bin,
                    Err(error) => {
                        tracing::error!(plugin = plugin.name(), cli = cli.name, %error, "the program cannot be read and is left out of the agent's image");
                        continue;
                    }
                };
                if programs.iter().any(|known| known.name == cli.name) {
                    tracing::warn!(
                        plugin = plugin.name(),
                        cli = cli.name,
                        "another plugin brings a program of that name; this one is left out"
                    );
                    continue;
                }
                programs.push(Program { name: cli.name.clone(), install: cli.install.clone(), bin });
            }
        }
        programs
    }
}
