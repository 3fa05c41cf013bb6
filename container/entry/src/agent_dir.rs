//! pi's agent directory, made new in the tmpfs for every run: settings, where the providers are,
//! and links to the operator's resources. Holds no credential.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use mercury_protocol::io::ModelSettings;
use mercury_protocol::socket;
use serde_json::{Value, json};
use thiserror::Error;

use crate::place::Place;

/// What of the operator's global directory pi gets to see, as in the replaced system. Everything
/// else in there stays out of its sight.
const RESOURCES: &[&str] = &[".pi", "AGENTS.md", "agents", "commands", "prompts", "extensions"];
/// The operator's own skills, in the global directory as in pi's.
const SKILLS: &str = "skills";

#[derive(Debug, Error)]
#[error("could not prepare pi's agent directory: {path}: {source}")]
pub struct AgentDirError {
    path: String,
    source: io::Error,
}

/// `skills` are those of plugins that the caller is given; `gateway_port` is where this container's loopback leads to the host, if a provider needs that.
pub fn prepare(
    place: &Place,
    settings: &ModelSettings,
    skills: &[String],
    gateway_port: Option<u16>,
) -> Result<(), AgentDirError> {
    let dir = &place.agent_dir;
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
    write(&dir.join("settings.json"), &pi_settings())?;
    write(&dir.join("models.json"), &models(settings, gateway_port))?;
    for name in RESOURCES {
        let target = place.global_dir.join(name);
        let link = dir.join(name);
        if target.exists() {
            symlink(&target, &link).or_else(already_there).map_err(at(&link))?;
        }
    }
    link_skills(place, skills)
}

/// The operator's skills and those of plugins, side by side. Of two of one name the operator's own stays.
fn link_skills(place: &Place, given: &[String]) -> Result<(), AgentDirError> {
    let dir = place.agent_dir.join(SKILLS);
    let own = place.global_dir.join(SKILLS);
    let plain = |name: &&String| !name.is_empty() && !name.starts_with('.') && !name.contains('/');
    let given = given.iter().filter(plain).map(|name| (name.into(), place.skills_dir.join(name)));
    let targets = entries(&own).into_iter().chain(given).filter(|(_, target)| target.exists());
    for (name, target) in targets {
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(at(&dir))?;
        let link = dir.join(name);
        symlink(&target, &link).or_else(already_there).map_err(at(&link))?;
    }
    Ok(())
}

/// What lies in a folder; of one that is not there nothing.
fn entries(folder: &Path) -> Vec<(OsString, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| (entry.file_name(), entry.path())).collect()
}

/// pi repeats a failed model call by itself. Before the first tool call the chain takes over
/// (see [`crate::events::Stream::retrying_from_scratch`]); later nothing but pi can go on, so it
/// gets time for a provider's hiccup: 1, 2 and 4 seconds.
fn pi_settings() -> Value {
    json!({
        "retry": { "enabled": true, "maxRetries": 3, "baseDelayMs": 1000, "maxAgentDelayMs": 10000, "provider": { "maxRetries": 0 } },
        "enableInstallTelemetry": false,
        "enableAnalytics": false,
        "cacheWarming": "off",
        "quietStartup": true,
    })
}

/// pi's `models.json`: where each provider is that is not at its usual place. A hosted provider
/// gets a key as well: pi does not start without one, and this one opens nothing.
fn models(settings: &ModelSettings, gateway_port: Option<u16>) -> Value {
    let mut providers = BTreeMap::new();
    if let Some(port) = gateway_port {
        for (provider, hosted) in &settings.hosted {
            let url = format!("http://127.0.0.1:{port}{}/{provider}", socket::MODEL);
            providers.insert(provider.clone(), json!({ "baseUrl": url, "apiKey": hosted.key }));
        }
    }
    // One provider has one place: the first leg that names one decides.
    for leg in &settings.chain {
        if let Some(url) = &leg.endpoint {
            providers.entry(leg.provider.clone()).or_insert_with(|| json!({ "baseUrl": url }));
        }
    }
    json!({ "providers": providers })
}

fn write(file: &Path, value: &Value) -> Result<(), AgentDirError> {
    fs::write(file, value.to_string()).map_err(at(file))
}

fn already_there(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> AgentDirError {
    let path = path.display().to_string();
    move |source| AgentDirError { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mercury_protocol::io::{Hosted, Leg};

    #[test]
    fn providers_lead_where_they_are_said_to_be() {
        let leg = |provider: &str, endpoint: Option<&str>| Leg {
            provider: provider.into(),
            model: "m".into(),
            endpoint: endpoint.map(Into::into),
            ..Leg::default()
        };
        let settings = ModelSettings {
            chain: vec![leg("anthropic", None), leg("openai", Some("http://proxy/v1")), leg("google", None)],
            hosted: [
                ("anthropic".into(), Hosted { key: "sk-ant-oat-stand-in".into() }),
                ("groq".into(), Hosted { key: "stand-in".into() }),
            ]
            .into(),
            ..ModelSettings::default()
        };
        assert_eq!(
            models(&settings, Some(4000)),
            json!({"providers": {
                "anthropic": {"baseUrl": "http://127.0.0.1:4000/model/anthropic", "apiKey": "sk-ant-oat-stand-in"},
                "groq": {"baseUrl": "http://127.0.0.1:4000/model/groq", "apiKey": "stand-in"},
                "openai": {"baseUrl": "http://proxy/v1"},
            }})
        );
    }

    #[test]
    fn only_the_listed_resources_are_linked() {
        let dir = tempfile::tempdir().unwrap();
        let mut place = Place::from_environment(|name| (name == "HOME").then(|| dir.path().join("home").into()));
        place.global_dir = dir.path().join("global");
        fs::create_dir_all(place.global_dir.join("skills/x")).unwrap();
        fs::write(place.global_dir.join("AGENTS.md"), "be kind").unwrap();
        fs::write(place.global_dir.join("auth.json"), "{}").unwrap();
        place.skills_dir = dir.path().join("plugins");
        for name in ["x", "napkin", "gws"] {
            fs::create_dir_all(place.skills_dir.join(name)).unwrap();
            fs::write(place.skills_dir.join(name).join("SKILL.md"), "a plugin's").unwrap();
        }
        let given = ["napkin", "x", "absent", "../global", ".."].map(str::to_owned);
        prepare(&place, &ModelSettings::default(), &given, None).unwrap();
        assert_eq!(fs::read_to_string(place.agent_dir.join("AGENTS.md")).unwrap(), "be kind");
        let skills: Vec<_> = entries(&place.agent_dir.join("skills")).into_iter().map(|(name, _)| name).collect();
        assert_eq!(skills.len(), 2, "what was not given is not there: {skills:?}");
        assert!(place.agent_dir.join("skills/napkin/SKILL.md").is_file());
        assert!(!place.agent_dir.join("skills/x/SKILL.md").exists(), "extensions.md #32: the operator's own stays");
        assert!(!place.agent_dir.join("auth.json").exists());
    }
}
