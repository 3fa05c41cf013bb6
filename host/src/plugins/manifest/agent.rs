//! What a plugin wants in the agent's container.

use serde::Deserialize;

use crate::domain::{capabilities::Requirement, roles};

/// `[agent]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Agent {
    /// There is a permission of the plugin's name: only callers who hold it get its variables, programs,
    /// skill and actions, and only their runs are shown to its hook.
    pub permission: bool,
    /// Roles that hold the permission. `admin` always does.
    pub default_roles: Vec<String>,
    /// A folder of the plugin with a `SKILL.md`, for the agent to read.
    pub skill: Option<String>,
    /// What a model must be able to do for the skill to be of use.
    pub requires: Vec<Requirement>,
    /// Programs in the agent's image.
    pub clis: Vec<Cli>,
    /// Variables of the host's environment.
    pub env: Vec<Variable>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cli {
    /// Its name below `/usr/local/bin`.
    pub name: String,
    /// A shell line that installs it, as root, while the image is built.
    #[serde(default)]
    pub install: String,
    /// A program in the plugin's folder, copied into the image.
    #[serde(default)]
    pub bin: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Variable {
    /// As the host has it: `MERCURY_…`.
    pub name: String,
    /// As the agent gets it; else without `MERCURY_`.
    #[serde(default, rename = "as")]
    pub given_as: Option<String>,
    /// Kept from the agent.
    #[serde(default)]
    pub host_only: bool,
}

impl Agent {
    /// `plugin` is the plugin's name.
    pub(super) fn check(&self, plugin: &str) -> Result<(), String> {
        if self.permission && roles::is_built_in(plugin) {
            return Err(format!(
                "agent.permission: `{plugin}` is a permission of the host; give the plugin another name"
            ));
        }
        if !self.permission && !self.default_roles.is_empty() {
            return Err("agent.default-roles: there is no permission to give; add `permission = true`".into());
        }
        let plain = |role: &String| {
            role.starts_with(|first: char| first.is_ascii_lowercase())
                && role.len() <= 32
                && role.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
        };
        if let Some(role) = self.default_roles.iter().find(|role| !plain(role)) {
            return Err(format!(
                "agent.default-roles `{role}`: use lower-case letters, digits, dashes and underscores"
            ));
        }
        match &self.skill {
            Some(skill) if skill.is_empty() || skill.starts_with('.') || skill.contains(['/', '\\']) => {
                Err(format!("agent.skill `{skill}`: must be a folder in the plugin's own folder"))
            }
            None if !self.requires.is_empty() => Err("agent.requires: there is no skill that it could be for".into()),
            _ => Ok(()),
        }
    }
}
