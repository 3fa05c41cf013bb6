//! What a plugin wants in the agent's container.

use serde::Deserialize;

/// `[agent]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Agent {
    /// Only callers with the permission of the plugin's name get its variables.
    pub permission: bool,
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
