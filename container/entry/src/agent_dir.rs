//! pi's agent directory, made new in the tmpfs for every run: settings, where the providers are,
//! and links to the operator's resources. Holds no credential.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;

use mercury_protocol::io::{Credentials, Endpoint, Leg};
use mercury_protocol::socket;
use serde_json::{Value, json};
use thiserror::Error;

use crate::place::Place;

/// What of the operator's global directory pi gets to see, as in the replaced system. Everything
/// else in there stays out of its sight.
const RESOURCES: &[&str] = &[".pi", "AGENTS.md", "skills", "agents", "commands", "prompts", "extensions"];

#[derive(Debug, Error)]
#[error("could not prepare pi's agent directory: {path}: {source}")]
pub struct AgentDirError {
    path: String,
    source: io::Error,
}

/// `gateway_port` is where this container's loopback leads to the host, if a leg needs that.
pub fn prepare(
    place: &Place,
    legs: &[Leg],
    credentials: &Credentials,
    gateway_port: Option<u16>,
) -> Result<(), AgentDirError> {
    let dir = &place.agent_dir;
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
    write(&dir.join("settings.json"), &settings())?;
    write(&dir.join("models.json"), &models(legs, credentials, gateway_port))?;
    for name in RESOURCES {
        let target = place.global_dir.join(name);
        let link = dir.join(name);
        if target.exists() {
            symlink(&target, &link).or_else(already_there).map_err(at(&link))?;
        }
    }
    Ok(())
}

/// pi repeats a failed model call by itself. Before the first tool call the chain takes over
/// (see [`crate::events::Stream::retrying_from_scratch`]); later nothing but pi can go on, so it
/// gets time for a provider's hiccup: 1, 2 and 4 seconds.
fn settings() -> Value {
    json!({
        "retry": { "enabled": true, "maxRetries": 3, "baseDelayMs": 1000, "maxAgentDelayMs": 10000, "provider": { "maxRetries": 0 } },
        "enableInstallTelemetry": false,
        "enableAnalytics": false,
        "cacheWarming": "off",
        "quietStartup": true,
    })
}

/// pi's `models.json`: for each provider whose leg says where it is, that place. One provider
/// has one place: the first leg that names one decides.
fn models(legs: &[Leg], credentials: &Credentials, gateway_port: Option<u16>) -> Value {
    let mut providers = BTreeMap::new();
    for leg in legs {
        let provider = match (&leg.endpoint, gateway_port) {
            (Some(Endpoint::Url { url }), _) => json!({ "baseUrl": url }),
            (Some(Endpoint::Host), Some(port)) => {
                let url = format!("http://127.0.0.1:{port}{}/{}", socket::MODEL, leg.provider);
                if has_credential(&leg.provider, credentials) {
                    json!({ "baseUrl": url })
                } else {
                    // pi refuses to start without a key; the host puts the real one in.
                    json!({ "baseUrl": url, "apiKey": "held-by-the-host" })
                }
            }
            _ => continue,
        };
        providers.entry(leg.provider.clone()).or_insert(provider);
    }
    json!({ "providers": providers })
}

/// Whether the environment brings something for this provider: pi's variables begin with the
/// provider's name (`ANTHROPIC_API_KEY`, `ANTHROPIC_OAUTH_TOKEN`).
fn has_credential(provider: &str, credentials: &Credentials) -> bool {
    let prefix = format!("{}_", provider.to_uppercase().replace('-', "_"));
    credentials.environment.keys().any(|name| name.starts_with(&prefix))
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

    fn leg(provider: &str, endpoint: Option<Endpoint>) -> Leg {
        Leg { provider: provider.into(), model: "m".into(), endpoint, ..Leg::default() }
    }

    #[test]
    fn providers_lead_where_their_legs_say() {
        let legs = [
            leg("anthropic", Some(Endpoint::Host)),
            leg("openai", Some(Endpoint::Url { url: "http://proxy/v1".into() })),
            leg("google", None),
            leg("mistral", Some(Endpoint::Host)),
        ];
        let credentials = Credentials { environment: [("ANTHROPIC_OAUTH_TOKEN".into(), "t".into())].into() };
        assert_eq!(
            models(&legs, &credentials, Some(4000)),
            json!({"providers": {
                "anthropic": {"baseUrl": "http://127.0.0.1:4000/model/anthropic"},
                "openai": {"baseUrl": "http://proxy/v1"},
                "mistral": {"baseUrl": "http://127.0.0.1:4000/model/mistral", "apiKey": "held-by-the-host"},
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
        prepare(&place, &[], &Credentials::default(), None).unwrap();
        assert_eq!(fs::read_to_string(place.agent_dir.join("AGENTS.md")).unwrap(), "be kind");
        assert!(place.agent_dir.join("skills/x").is_dir());
        assert!(!place.agent_dir.join("auth.json").exists());
    }
}
