//! Profiles: a persona, what members may do, and what an assistant of that kind needs.
//!
//! Unknown fields are errors: a typo in `member_permissions` must not give members what they hold by default.

use std::{collections::BTreeSet, fmt::Write as _, path::Component, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    deception::deceives,
    roles::{self, MEMBER_ROLE},
};

/// The manifest's name in a profile's folder.
pub const MANIFEST: &str = "mercury-profile.yaml";
/// Bytes of a manifest: 64 KiB.
pub const MOST_MANIFEST: u64 = 64 << 10;
/// Bytes of a persona: 256 KiB.
pub const MOST_PERSONA: u64 = 256 << 10;
/// Bytes of what an agent is told in each run, as of one run hook.
const MOST_PROMPT: usize = 16 << 10;
/// Items of each list.
const MOST_ITEMS: usize = 64;
/// Where plugins are fetched from by reference.
const REGISTRY: &str = "oci://";

/// Why something is no profile, or cannot be active here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    #[error("it is no manifest of a profile: {0}")]
    Syntax(String),
    #[error("`{0}` is no name of a profile: lower-case letters, digits and dashes, beginning with none")]
    Name(String),
    #[error("`{0}` is no name of a plugin: lower-case letters, digits and dashes, beginning with none")]
    Plugin(String),
    #[error("`{0}` is no name of a variable: upper-case letters, digits and `_`, beginning with a letter")]
    Variable(String),
    #[error("member_permissions: `{0}` is no name of a permission, such as `prompt` or `prefs.get`")]
    Permission(String),
    #[error("{list} names `{name}` twice")]
    Twice { list: &'static str, name: String },
    #[error("{list} has more than {MOST_ITEMS} items")]
    TooMany { list: &'static str },
    #[error("agents_md: `{0}` is no path of a file below the profile's folder, such as ./AGENTS.md")]
    Persona(String),
    #[error("profile_prompt has more than {MOST_PROMPT} bytes. What is longer belongs into the file of agents_md")]
    Prompt,
    #[error("description is more than one line, or has characters that show nothing")]
    Description,
    #[error("it needs what is not there:{}", lines(.0))]
    Lacking(Vec<(String, String)>),
}

fn lines(lacking: &[(String, String)]) -> String {
    lacking.iter().fold(String::new(), |mut text, (name, reason)| {
        let _ = write!(text, "\n  - the plugin `{name}`: {reason}");
        text
    })
}

/// `mercury-profile.yaml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default = "first_version")]
    pub version: String,
    /// The persona: a file below the profile's folder, which becomes the global `AGENTS.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents_md: Option<String>,
    /// Plugins, called extensions in the replaced system.
    #[serde(default)]
    pub extensions: Vec<Extension>,
    /// For people to read: what they put into `.env`.
    #[serde(default)]
    pub env: Vec<Variable>,
    /// For people to read: what they may put into `mercury.yaml`.
    #[serde(default, skip_serializing_if = "Defaults::is_empty")]
    pub defaults: Defaults,
    /// Plugins without which the profile makes no sense.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// All that members may do; `None`: what they may without a profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_permissions: Option<Vec<String>>,
    /// What agents are told in each run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_prompt: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    pub name: String,
    pub source: String,
}

/// Where a plugin that a profile names is to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// Beside the manifest.
    Along(&'a Path),
    /// `oci://…`
    Registry(&'a str),
    /// It has to be there already, as with names of the replaced system's catalogue.
    Here,
}

impl Extension {
    pub fn origin(&self) -> Origin<'_> {
        match self.source.as_str() {
            source if source.starts_with("./") || source.starts_with("../") => Origin::Along(Path::new(source)),
            source if source.starts_with(REGISTRY) => Origin::Registry(source),
            _ => Origin::Here,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    pub key: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub required: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Comma-separated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger_patterns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot_username: Option<String>,
}

impl Defaults {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Each that is said, under the key of the configuration that it is meant for.
    pub fn settings(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("model.provider", &self.model_provider),
            ("model.model", &self.model),
            ("trigger.patterns", &self.trigger_patterns),
            ("server.bot_username", &self.bot_username),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?))).collect()
    }
}

fn first_version() -> String {
    "0.1.0".to_owned()
}

impl Profile {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ProfileError`], with the field and what it may be.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let profile: Self = serde_saphyr::from_str(text).map_err(|error| ProfileError::Syntax(error.to_string()))?;
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), ProfileError> {
        if !is_kebab(&self.name) {
            return Err(ProfileError::Name(shown(&self.name)));
        }
        let described = self.env.iter().map(|variable| &variable.description);
        if described.chain([&self.description, &self.version]).any(|text| text.trim_end().chars().any(deceives)) {
            return Err(ProfileError::Description);
        }
        let extensions = self.extensions.iter().map(|extension| extension.name.as_str());
        let capabilities = self.capabilities.iter().map(String::as_str);
        if let Some(bad) = extensions.clone().chain(capabilities.clone()).find(|name| !is_kebab(name)) {
            return Err(ProfileError::Plugin(shown(bad)));
        }
        if let Some(bad) = self.env.iter().find(|variable| !is_variable(&variable.key)) {
            return Err(ProfileError::Variable(shown(&bad.key)));
        }
        let permissions = self.member_permissions.iter().flatten().map(String::as_str);
        if let Some(bad) = permissions.clone().find(|name| !is_permission(name)) {
            return Err(ProfileError::Permission(shown(bad)));
        }
        each_once("extensions", extensions)?;
        each_once("capabilities", capabilities)?;
        each_once("env", self.env.iter().map(|variable| variable.key.as_str()))?;
        each_once("member_permissions", permissions)?;
        if let Some(path) = self.agents_md.as_deref().filter(|path| !is_below(path)) {
            return Err(ProfileError::Persona(shown(path)));
        }
        if self.profile_prompt.as_ref().is_some_and(|prompt| prompt.len() > MOST_PROMPT) {
            return Err(ProfileError::Prompt);
        }
        Ok(())
    }

    /// Whether every plugin is there that the profile names. `lacks` says why one cannot be counted on.
    ///
    /// # Errors
    /// [`ProfileError::Lacking`], with all of them.
    pub fn check_plugins(&self, lacks: impl Fn(&str) -> Option<String>) -> Result<(), ProfileError> {
        let named = self.extensions.iter().map(|extension| &extension.name);
        let wanted: BTreeSet<&String> = self.capabilities.iter().chain(named).collect();
        let lacking: Vec<_> = wanted.into_iter().filter_map(|name| Some((name.clone(), lacks(name)?))).collect();
        if lacking.is_empty() { Ok(()) } else { Err(ProfileError::Lacking(lacking)) }
    }

    /// What members would hold that they do not hold without a profile, plugins' own permissions aside: for the
    /// operator's eyes, since a stranger may have written it.
    pub fn beyond_members(&self) -> Vec<&str> {
        let usual = roles::permissions(MEMBER_ROLE);
        let given = self.member_permissions.iter().flatten().map(String::as_str);
        given.filter(|name| roles::is_built_in(name) && !usual.contains(name)).collect()
    }
}

/// `^[a-z0-9][a-z0-9-]*$`, at most 64 bytes.
pub fn is_kebab(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 64 && name.bytes().next().is_some_and(plain) && name.bytes().all(|byte| plain(byte) || byte == b'-')
}

/// A name made of any text, such as that of a folder.
pub fn kebab(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let name: String = text.to_lowercase().chars().map(plain).take(64).collect();
    match name.trim_start_matches('-') {
        "" => "profile".to_owned(),
        name => name.to_owned(),
    }
}

fn is_variable(name: &str) -> bool {
    name.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn is_permission(name: &str) -> bool {
    name.len() <= 64
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte))
}

fn is_below(path: &str) -> bool {
    let mut parts = Path::new(path).components().filter(|part| *part != Component::CurDir).peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn each_once<'a>(list: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), ProfileError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(ProfileError::Twice { list, name: shown(name) });
        }
        if seen.len() > MOST_ITEMS {
            return Err(ProfileError::TooMany { list });
        }
    }
    Ok(())
}

fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: &str = "
name: clinic
description: Books rooms
version: 1.2.0
agents_md: ./AGENTS.md
extensions:
  - { name: rooms, source: ./extensions/rooms }
  - { name: pdf, source: oci://registry.example/pdf:1.0.0 }
  - { name: charts, source: charts }
env:
  - { key: ROOMS_KEY, description: from the clinic, required: true }
  - { key: LANG_OF_PATIENTS, default: he }
defaults:
  model_provider: anthropic
  model: claude-x
  trigger_patterns: '@Clinic'
  bot_username: clinic
capabilities: [rooms, napkin]
member_permissions: [prompt, rooms]
profile_prompt: Be kind.
";

    #[test]
    fn a_whole_manifest() {
        let profile = Profile::parse(WHOLE).unwrap();
        assert_eq!((profile.name.as_str(), profile.version.as_str()), ("clinic", "1.2.0"));
        let origins: Vec<_> = profile.extensions.iter().map(Extension::origin).collect();
        let along = Origin::Along(Path::new("./extensions/rooms"));
        assert_eq!(origins, [along, Origin::Registry("oci://registry.example/pdf:1.0.0"), Origin::Here]);
        assert_eq!(profile.defaults.settings()[3], ("server.bot_username", "clinic"));
        assert!(profile.env[0].required && !profile.env[1].required);
        // What is written is read again.
        let written = serde_saphyr::to_string(&profile).unwrap();
        assert_eq!(Profile::parse(&written).unwrap(), profile, "{written}");
        let least = Profile::parse("name: a").unwrap();
        assert_eq!((least.version.as_str(), least.member_permissions), ("0.1.0", None));
    }

    /// permissions.md #16 in part: what is no profile is refused, with the field.
    #[test]
    fn what_is_no_profile_is_refused() {
        let bad = |text: &str| Profile::parse(text).unwrap_err().to_string();
        for name in ["Research", "-a", "a b", "''", "a_b", "ä"] {
            assert!(bad(&format!("name: {name}")).contains("no name of a profile"), "{name}");
        }
        for (more, says) in [
            ("memberPermissions: [prompt]", "memberPermissions"),
            ("member_permissions: prompt", "member_permissions"),
            ("member_permissions: [prompt, 'a,b']", "`a,b` is no name of a permission"),
            ("member_permissions: [prompt, prompt]", "names `prompt` twice"),
            ("capabilities: [../x]", "`../x` is no name of a plugin"),
            ("extensions: [{name: A, source: ./a}]", "`A` is no name of a plugin"),
            ("extensions: [{name: a, source: ./a, yes: true}]", "yes"),
            ("env: [{key: lower}]", "`lower` is no name of a variable"),
            ("defaults: {modell: x}", "modell"),
            ("agents_md: ../AGENTS.md", "agents_md"),
            ("agents_md: /etc/passwd", "agents_md"),
            ("agents_md: .", "agents_md"),
            ("description: \"a\\u202eb\"", "description"),
        ] {
            let said = bad(&format!("name: a\n{more}\n"));
            assert!(said.contains(says), "{more}: {said}");
        }
        assert_eq!(bad("[]").split(':').next(), Some("it is no manifest of a profile"));
        let prompt = |bytes: usize| Profile::parse(&format!("name: a\nprofile_prompt: {}\n", "x".repeat(bytes)));
        assert!(prompt(MOST_PROMPT).is_ok());
        assert_eq!(prompt(MOST_PROMPT + 1), Err(ProfileError::Prompt));
        let many: Vec<_> = (0..=MOST_ITEMS).map(|index| format!("p{index}")).collect();
        let many = Profile::parse(&format!("name: a\ncapabilities: [{}]", many.join(",")));
        assert_eq!(many, Err(ProfileError::TooMany { list: "capabilities" }));
    }

    /// permissions.md #16, extensions.md #33 and cli.md #25 in their decision.
    #[test]
    fn what_is_lacking_is_named() {
        let lacks =
            |name: &str| (!["rooms", "pdf", "charts"].contains(&name)).then(|| "it is not installed".to_owned());
        let profile = Profile::parse(WHOLE).unwrap();
        let error = profile.check_plugins(lacks).unwrap_err();
        assert_eq!(error, ProfileError::Lacking(vec![("napkin".into(), "it is not installed".into())]));
        assert!(error.to_string().contains("the plugin `napkin`: it is not installed"));
        assert_eq!(profile.check_plugins(|_| None), Ok(()));
        assert_eq!(Profile::parse("name: a").unwrap().check_plugins(|_| Some(String::new())), Ok(()));
        // One that is brought, or has to be here already, is a need, whether or not it is called one.
        let error = profile.check_plugins(|_| Some("no".into())).unwrap_err().to_string();
        assert!(["rooms", "pdf", "charts", "napkin"].iter().all(|name| error.contains(name)), "{error}");
    }

    #[test]
    fn what_members_would_get() {
        let of = |list: &str| Profile::parse(&format!("name: a\nmember_permissions: [{list}]")).unwrap();
        assert_eq!(of("prompt, stop, rooms, roles.grant").beyond_members(), ["stop", "roles.grant"]);
        assert!(of("prompt").beyond_members().is_empty());
        assert!(Profile::parse("name: a").unwrap().beyond_members().is_empty());
    }

    proptest! {
        /// Whatever a folder is called, it gives a name; and one that is a name stays as it is.
        #[test]
        fn every_folder_gives_a_name(text in ".{0,80}", name in "[a-z0-9][a-z0-9-]{0,20}") {
            prop_assert!(is_kebab(&kebab(&text)), "{}", kebab(&text));
            prop_assert_eq!(kebab(&name), name);
        }

        /// A persona's path leads out of the profile's folder in no spelling.
        #[test]
        fn a_persona_stays_below(path in "/?(\\.{0,3}|[a-c]{0,2})(/(\\.{0,3}|[a-c]{1,2})){0,4}") {
            let manifest = format!("name: a\nagents_md: '{path}'\n");
            let leads_out = path.starts_with('/') || path.split('/').any(|part| part == "..");
            let names_a_file = path.split('/').any(|part| !["", ".", ".."].contains(&part));
            prop_assert_eq!(Profile::parse(&manifest).is_ok(), names_a_file && !leads_out, "{}", path);
        }
    }
}
