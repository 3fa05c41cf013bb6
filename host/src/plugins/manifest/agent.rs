//! What a plugin wants in the agent's container.

use serde::Deserialize;

use crate::domain::capabilities::Requirement;

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

/// One `[[agent.clis]]`
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

/// One `[[agent.env]]`
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
