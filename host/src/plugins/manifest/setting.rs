//! What an operator may set of a plugin.

use serde::Deserialize;

/// `[settings.KEY]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Setting {
    /// `${data-dir}` stands for the host's data directory.
    #[serde(default)]
    pub default: Option<String>,
    #[serde(default)]
    pub description: String,
    /// A key of the host's own configuration, such as `telegram.format_enabled`: what is said there counts
    /// where `plugins.<name>.settings` says nothing.
    #[serde(default)]
    pub config: Option<String>,
}
