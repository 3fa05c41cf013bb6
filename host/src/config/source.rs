//! Where values come from: the project file, `.env` and the environment.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;

use super::{
    ConfigError, dot_env,
    keys::{FREE_SECTIONS, KEYS, SECTIONS},
};

/// The process environment with the project's `.env` laid over it, as the replaced system did:
/// a value in `.env` wins over an inherited one.
pub fn environment(project: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let path = project.join(".env");
    if !path.is_file() {
        return environment_with(project, "");
    }
    let content =
        std::fs::read_to_string(&path).map_err(|error| ConfigError::DotEnv { path, message: error.to_string() })?;
    environment_with(project, &content)
}

/// The same with `content` in the place of what the project's `.env` says.
pub fn environment_with(project: &Path, content: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    // What is no text is no setting of ours.
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let mut environment: BTreeMap<String, String> = std::env::vars_os().filter_map(text).collect();
    let path = project.join(".env");
    if let Some((line, name)) = dot_env::expanded(content) {
        let message = format!(
            "line {line}: a `$` in {name} would be taken for another variable and cut out of the value; put the value in single quotes"
        );
        return Err(ConfigError::DotEnv { path, message });
    }
    // The line may hold a secret, and so may all that follows an unclosed quote: it is not repeated.
    let prepared = dot_env::prepared(content);
    let fail = |error: dotenvy::Error| {
        let message = match error {
            dotenvy::Error::LineParse(line, _) => {
                let number = prepared.lines().position(|found| line.starts_with(found) && !found.is_empty());
                let place = number.map_or_else(String::new, |index| format!("line {}: ", index + 1));
                format!("{place}is no `NAME=value`; a value with spaces has to be quoted, and its quote closed")
            }
            other => other.to_string(),
        };
        ConfigError::DotEnv { path: path.clone(), message }
    };
    for pair in dot_env::pairs(content) {
        let (name, value) = pair.map_err(fail)?;
        // A line that was never filled in (`mercury init` writes one) is no wish to clear the variable.
        if !value.is_empty() || !environment.contains_key(&name) {
            environment.insert(name, value);
        }
    }
    Ok(environment)
}

/// The parsed project file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub path: Option<PathBuf>,
    root: serde_json::Map<String, Json>,
}

/// The names that the project file may have, the usual one first.
const NAMES: [&str; 2] = ["mercury.yaml", "mercury.yml"];
const NAMED_BY: &str = "MERCURY_CONFIG_FILE";

/// Where the project file is, or would be if there were one. `MERCURY_CONFIG_FILE` selects it: unset means
/// `mercury.yaml`, else `mercury.yml`; empty or `none` means none; anything else is a path relative to
/// `project`.
pub fn file(project: &Path, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    match environment.get(NAMED_BY).map(|name| name.trim()) {
        Some(name) if name.is_empty() || name.eq_ignore_ascii_case("none") => None,
        Some(name) => Some(project.join(name)),
        None => {
            let found = NAMES.map(|name| project.join(name)).into_iter().find(|path| path.exists());
            found.or_else(|| Some(project.join(NAMES[0])))
        }
    }
}

impl File {
    /// One that was named has to be there.
    pub(super) fn load(project: &Path, environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let path = match file(project, environment) {
            Some(path) if path.exists() || environment.contains_key(NAMED_BY) => path,
            _ => return Ok(Self::default()),
        };
        let text =
            std::fs::read_to_string(&path).map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
        Self::parse(path, &text)
    }

    pub(super) fn parse(path: PathBuf, text: &str) -> Result<Self, ConfigError> {
        // A file whose lines are all comments holds no document at all.
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self { path: Some(path), root: serde_json::Map::new() });
        }
        let root: Json = serde_saphyr::from_str(text)
            .map_err(|error| ConfigError::Syntax { path: path.clone(), message: error.to_string() })?;
        match root {
            Json::Null => Ok(Self { path: Some(path), root: serde_json::Map::new() }),
            Json::Object(root) => Ok(Self { path: Some(path), root }),
            _ => Err(ConfigError::NotAMapping { path }),
        }
    }

    pub(super) fn get(&self, dotted: &str) -> Option<&Json> {
        let mut parts = dotted.split('.');
        let mut value = self.root.get(parts.next()?)?;
        for part in parts {
            value = value.as_object()?.get(part)?;
        }
        Some(value)
    }

    /// Sections that are no mapping: what they were meant to close would stand open.
    pub(super) fn misshapen(&self) -> Vec<String> {
        let mapping = |section: &str| SECTIONS.contains(&section) && section != "model_chain";
        let found = self
            .root
            .iter()
            .filter(|(section, content)| mapping(section.as_str()) && !content.is_object() && !content.is_null());
        found.map(|(section, _)| format!("`{section}` must be a mapping of settings, one a line below it")).collect()
    }

    /// Names that nothing reads, each with the nearest name that something does.
    pub(super) fn unknown(&self) -> Vec<String> {
        let known: Vec<&str> = KEYS.iter().filter_map(|key| key.yaml).collect();
        let mut unknown = Vec::new();
        for (section, content) in &self.root {
            if !SECTIONS.contains(&section.as_str()) {
                unknown.push(with_suggestion(section, SECTIONS));
            } else if let Some(keys) = content.as_object().filter(|_| !FREE_SECTIONS.contains(&section.as_str())) {
                unknown.extend(
                    keys.keys()
                        .map(|key| format!("{section}.{key}"))
                        .filter(|name| !known.contains(&name.as_str()))
                        .map(|name| with_suggestion(&name, &known)),
                );
            }
        }
        unknown
    }
}

fn with_suggestion(name: &str, known: &[&str]) -> String {
    let nearest = known.iter().max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    match nearest.filter(|nearest| strsim::jaro_winkler(name, nearest) > 0.85) {
        Some(nearest) => format!("`{name}` (did you mean `{nearest}`?)"),
        None => format!("`{name}`"),
    }
}
