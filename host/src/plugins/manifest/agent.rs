//! What a plugin wants in the agent's container.

use serde::Deserialize;

use super::{
    check::{OWN_FILE, host_variable, is_own_file, is_variable, unique},
    problems::{At, Problems},
};
use crate::domain::{capabilities::Requirement, environment};

/// Programs that the host or the agent itself starts, or that a shell is made of: whoever took the name
/// would be started in their place.
const OWN_PROGRAMS: &[&str] = &["bash", "dash", "entry", "env", "mercury", "mrctl", "node", "pi", "sh"];
/// Programs of the image that others rely on: they may be installed, but none brings its own.
const USUAL_PROGRAMS: &[&str] = &[
    "apt", "apt-get", "awk", "bun", "cat", "chmod", "chown", "cp", "curl", "dpkg", "find", "git", "grep", "id", "ls",
    "mv", "npm", "npx", "perl", "pip", "pip3", "python", "python3", "rm", "sed", "ssh", "su", "sudo", "tar", "tee",
    "wget", "which", "xargs",
];
/// The longest install line, in characters.
const MOST_INSTALL: usize = 1_000;

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

impl Agent {
    pub(super) fn check(&self, problems: &mut Problems) {
        let agent = At::root().field("agent");
        self.check_roles(&agent, problems);
        problems.unless(self.skill.as_deref().is_none_or(is_own_file), &agent.field("skill"), OWN_FILE);
        problems.unless(
            self.skill.is_some() || self.requires.is_empty(),
            &agent.field("requires"),
            "there is no skill that it could be for",
        );
        let at = agent.field("clis");
        unique(self.clis.iter().map(|cli| cli.name.as_str()), &at, problems);
        for (index, cli) in self.clis.iter().enumerate() {
            cli.check(&at.item(index), problems);
        }
        let at = agent.field("env");
        unique(self.env.iter().map(|variable| variable.name.as_str()), &at, problems);
        for (index, variable) in self.env.iter().enumerate() {
            let place = at.item(index);
            host_variable(&variable.name, &place.field("name"), problems);
            let inside = variable.name.strip_prefix(environment::PREFIX).unwrap_or_default();
            problems.unless(
                variable.host_only || variable.given_as.is_some() || !environment::is_the_hosts(inside),
                &place.field("name"),
                format!("`{inside}` is the host's own in the container: name another with `as`"),
            );
            problems.unless(
                variable.host_only || !environment::is_model_credential(inside),
                &place.field("name"),
                format!("`{}` opens a model: it passes to no agent this way", variable.name),
            );
            if let Some(name) = &variable.given_as {
                problems.unless(
                    is_variable(name) && !environment::is_the_hosts(name),
                    &place.field("as"),
                    format!("`{name}` cannot be set: it is no name of a variable, or the host's own"),
                );
            }
        }
    }

    fn check_roles(&self, agent: &At, problems: &mut Problems) {
        problems.unless(
            self.permission || self.default_roles.is_empty(),
            &agent.field("default-roles"),
            "there is no permission to give: add `permission = true`",
        );
        for (index, role) in self.default_roles.iter().enumerate() {
            let plain = role.starts_with(|first: char| first.is_ascii_lowercase())
                && role.len() <= 32
                && role.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
            let place = agent.field("default-roles").item(index);
            problems.unless(plain, &place, format!("`{role}` is no role: use lower-case letters, digits, `_` and `-`"));
        }
    }
}

impl Cli {
    fn check(&self, at: &At, problems: &mut Problems) {
        let name = self.name.as_str();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        problems.unless(
            !name.is_empty() && name.len() <= 64 && !name.starts_with(['.', '-']) && name.bytes().all(plain),
            &at.field("name"),
            format!("`{name}`: use letters, digits, dots, dashes and underscores, 64 at most"),
        );
        let taken = OWN_PROGRAMS.contains(&name) || (self.bin.is_some() && USUAL_PROGRAMS.contains(&name));
        problems.unless(!taken, &at.field("name"), format!("`{name}` is a program of the agent itself"));
        problems.unless(self.bin.as_deref().is_none_or(is_own_file), &at.field("bin"), OWN_FILE);
        let install = self.install.trim();
        problems.unless(!install.is_empty() || self.bin.is_some(), at, "name an `install` line, a `bin`, or both");
        // It is shown as one line to who agrees to it: what it runs must be what is read.
        problems.unless(
            install.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()),
            &at.field("install"),
            "must be one line of ASCII characters: join commands with `&&`",
        );
        problems.unless(
            install.chars().count() <= MOST_INSTALL,
            &at.field("install"),
            format!("longer than {MOST_INSTALL} characters; put the steps into a package of the system"),
        );
    }
}
