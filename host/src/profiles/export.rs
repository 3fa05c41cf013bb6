//! A project's own persona and plugins as a profile for others.

use std::path::{Path, PathBuf};

use super::ProfilesError;
use crate::{
    config::{self, Config},
    domain::profile::{Defaults, Extension, MANIFEST, Profile, kebab},
    plugins::packages::{self, Listed},
};

/// Where the plugins of an exported profile lie, as in the replaced system.
const PLUGINS: &str = "extensions";
const PERSONA: &str = "AGENTS.md";

#[derive(Clone, Debug)]
pub struct Exported {
    pub profile: Profile,
    pub folder: PathBuf,
}

/// Writes the folder `to`, which is new or empty, whole or not at all. Of plugins those that were installed come
/// along; what is set of them, and every secret, does not. Blocks.
///
/// # Errors
/// Where there is something already, or a plugin cannot be read.
pub fn export(config: &Config, listed: &[Listed], to: &Path) -> Result<Exported, ProfilesError> {
    let to = std::path::absolute(to).map_err(ProfilesError::unwritable(to))?;
    if std::fs::read_dir(&to).map_or(to.symlink_metadata().is_ok(), |mut there| there.next().is_some()) {
        return Err(ProfilesError::Occupied { path: to });
    }
    let parent = to.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent).map_err(ProfilesError::unwritable(parent))?;
    let scratch = tempfile::Builder::new().prefix(".exporting-").tempdir_in(parent);
    let scratch = scratch.map_err(ProfilesError::unwritable(parent))?;
    let folder = scratch.path().join("profile");
    std::fs::create_dir(&folder).map_err(ProfilesError::unwritable(&folder))?;

    let persona = config.global_dir().join(PERSONA);
    let has_persona = match std::fs::read(&persona) {
        Ok(text) => {
            let copy = folder.join(PERSONA);
            std::fs::write(&copy, text).map_err(ProfilesError::unwritable(&copy))?;
            true
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(source) => return Err(ProfilesError::Unreadable { path: persona, source }),
    };
    let installed: Vec<&Listed> = listed.iter().filter(|plugin| plugin.agreed().is_some()).collect();
    for plugin in &installed {
        packages::copy(&plugin.path, &folder.join(PLUGINS).join(&plugin.name))?;
    }
    let profile = profile(config, &to, has_persona, &installed);
    let manifest = folder.join(MANIFEST);
    let text = serde_saphyr::to_string(&profile).map_err(std::io::Error::other);
    text.and_then(|text| std::fs::write(&manifest, text)).map_err(ProfilesError::unwritable(&manifest))?;
    // An empty folder gives way.
    std::fs::rename(&folder, &to).map_err(ProfilesError::unwritable(&to))?;
    Ok(Exported { profile, folder: to })
}

fn profile(config: &Config, to: &Path, has_persona: bool, plugins: &[&Listed]) -> Profile {
    let folder = to.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let project = config.data_dir.parent().and_then(Path::file_name).map(|name| kebab(&name.to_string_lossy()));
    let first = config.model_chain.first();
    let active = config.profile.as_ref();
    // What was said, and not what holds without a word.
    let said = |key: &str| {
        let value = config.dotted.get(key).filter(|value| config::default_of(key) != Some(value.as_str()));
        value.cloned()
    };
    Profile {
        name: kebab(&folder),
        description: format!("Exported from {}", project.unwrap_or_else(|| "a project".into())),
        version: "0.1.0".into(),
        agents_md: has_persona.then(|| format!("./{PERSONA}")),
        extensions: plugins
            .iter()
            .map(|plugin| Extension { name: plugin.name.clone(), source: format!("./{PLUGINS}/{}", plugin.name) })
            .collect(),
        env: Vec::new(),
        defaults: Defaults {
            model_provider: first.map(|leg| leg.provider.clone()),
            model: first.map(|leg| leg.model.clone()),
            trigger_patterns: said("trigger.patterns"),
            bot_username: said("server.bot_username"),
        },
        capabilities: Vec::new(),
        member_permissions: active.and_then(|active| active.members.clone()),
        profile_prompt: active.and_then(|active| active.prompt.clone()),
    }
}
