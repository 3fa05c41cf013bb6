//! Settings: what a manifest declares, what was set of it, and which value is in force.
//!
//! A value of the space comes before one for all spaces, which comes before the configuration's, which
//! comes before the manifest's default.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{PoisonError, RwLock},
};

use futures_util::future::BoxFuture;

use super::{Plugins, manifest::Manifest, services::Services};
use crate::{
    clock,
    config::PluginConfig,
    domain::{ids::SpaceId, space_settings},
    removal::Forgets,
    store::{PluginData, Store, StoreError},
};

/// The name of "all spaces" in the API and on the command line.
pub const EVERYWHERE: &str = "@global";
/// Stands in a default for the host's data directory.
const DATA_DIR: &str = "${data-dir}";

#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error("there is no setting `{key}`{}", nearest.as_ref().map(|near| format!("; the nearest is `{near}`")).unwrap_or_default())]
    Unknown { key: String, nearest: Option<String> },
    #[error("{key}: {reason}")]
    Invalid { key: String, reason: String },
    #[error("there is no space `{space}`")]
    UnknownSpace { space: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One setting, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// `plugin.key`
    pub key: String,
    pub description: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    pub default: Option<String>,
    /// The value in force. Of a secret only whether there is one.
    pub value: Option<String>,
    /// Where it comes from: `space`, `global`, `configuration` or `default`.
    pub source: Option<&'static str>,
    pub secret: bool,
}

/// Space (`None`: all of them) → value.
type BySpace = HashMap<Option<String>, String>;

/// Values that were set, in memory as they are in the database. The host alone writes them.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// By plugin and key.
    set: RwLock<HashMap<(String, String), BySpace>>,
    /// Held while a value is written, so that memory and database see changes in one order.
    changing: tokio::sync::Mutex<()>,
}

impl Values {
    pub(super) async fn load(&self, store: &Store) -> Result<(), StoreError> {
        let stored = store.plugin_settings().await?;
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        set.clear();
        for setting in stored {
            set.entry((setting.plugin, setting.key)).or_default().insert(setting.space, setting.value);
        }
        Ok(())
    }

    /// The value of the space, else the one for all; and whether it is the space's own.
    pub(super) fn get(&self, plugin: &str, key: &str, space: Option<&str>) -> Option<(String, bool)> {
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        let values = set.get(&(plugin.to_owned(), key.to_owned()))?;
        let own = space.and_then(|space| values.get(&Some(space.to_owned()))).map(|value| (value.clone(), true));
        own.or_else(|| values.get(&None).map(|value| (value.clone(), false)))
    }

    fn forget(&self, plugin: &str) {
        self.set.write().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), _| of != plugin);
    }

    fn forget_space(&self, space: &str) {
        let space = Some(space.to_owned());
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        set.values_mut().for_each(|values| drop(values.remove(&space)));
    }

    fn put(&self, plugin: &str, key: &str, space: Option<&str>, value: Option<&str>) {
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        let values = set.entry((plugin.to_owned(), key.to_owned())).or_default();
        match value {
            Some(value) => drop(values.insert(space.map(str::to_owned), value.to_owned())),
            None => drop(values.remove(&space.map(str::to_owned))),
        }
    }
}

/// The configuration's values over those of the host's keys that settings name, over the manifest's defaults.
///
/// # Errors
/// A configured value that the manifest does not allow, with its key.
pub(super) fn resolve(
    manifest: &Manifest,
    config: Option<&PluginConfig>,
    dotted: &BTreeMap<&'static str, String>,
    data_dir: &str,
) -> Result<BTreeMap<String, String>, String> {
    let mut settings: BTreeMap<String, String> = manifest
        .settings
        .iter()
        .filter_map(|(key, setting)| {
            let said = setting.config.as_deref().and_then(|key| dotted.get(key)).cloned();
            let default = || Some(setting.default.as_ref()?.replace(DATA_DIR, data_dir));
            Some((key.clone(), said.or_else(default)?))
        })
        .collect();
    for (key, value) in config.into_iter().flat_map(|config| &config.settings) {
        match manifest.settings.get(key) {
            Some(setting) => {
                setting.check(value).map_err(|reason| format!("plugins.{}.settings.{key}: {reason}", manifest.name))?
            }
            None => {
                tracing::warn!(plugin = manifest.name, key, "the plugin declares no such setting; it will not read it");
            }
        }
        settings.insert(key.clone(), value.clone());
    }
    Ok(settings)
}

/// What was set of a setting, in force for the space. A value that an update of the plugin no longer
/// allows does not count.
pub(super) fn set_value(services: &Services, manifest: &Manifest, key: &str, space: Option<&str>) -> Option<String> {
    let setting = manifest.settings.get(key)?;
    services.values.get(&manifest.name, key, space).map(|(value, _)| value).filter(|value| setting.check(value).is_ok())
}

/// What was deleted of a plugin that is not loaded any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Purged {
    #[serde(flatten)]
    pub data: PluginData,
    pub files: usize,
}

/// A later space of that name begins without settings of its own.
impl Forgets for Plugins {
    fn forget_space<'a>(&'a self, space: &'a SpaceId) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let _changing = self.services.values.changing.lock().await;
            self.services.values.forget_space(space.as_str());
        })
    }
}

impl Plugins {
    /// Deletes all that is kept of a plugin, in the database, in memory and as files. None where it is
    /// loaded: it would write again.
    ///
    /// # Errors
    /// Where the database fails; then everything is there still.
    pub async fn purge(&self, name: &str) -> Result<Option<Purged>, StoreError> {
        // So that none of the name comes up meanwhile.
        let _loader = self.loader.lock().await;
        if self.loaded().iter().any(|plugin| plugin.name() == name) {
            return Ok(None);
        }
        let _changing = self.services.values.changing.lock().await;
        let data = self.services.store.purge_plugin(name).await?;
        self.services.values.forget(name);
        let files = match &self.services.media {
            Some(media) => media.purge(name).await,
            None => 0,
        };
        tracing::info!(plugin = name, ?data, files, "what was kept of a plugin was deleted");
        Ok(Some(Purged { data, files }))
    }

    /// The settings of all plugins, or of one, with the values in force for the space.
    pub fn settings(&self, plugin: Option<&str>, space: Option<&str>) -> Vec<View> {
        let now = self.now();
        let wanted = now.plugins.iter().filter(|candidate| plugin.is_none_or(|name| candidate.name() == name));
        wanted
            .flat_map(|plugin| {
                plugin.manifest.settings.iter().map(move |(key, setting)| {
                    let set = self.services.values.get(plugin.name(), key, space);
                    let base = plugin.settings.get(key).cloned();
                    let (value, source) = match (set, base) {
                        (Some((value, true)), _) => (Some(value), Some("space")),
                        (Some((value, false)), _) => (Some(value), Some("global")),
                        (None, Some(value)) if plugin.configured.contains(key) => (Some(value), Some("configuration")),
                        (None, value) => {
                            let source = value.is_some().then_some("default");
                            (value, source)
                        }
                    };
                    let hidden = |value: String| if setting.secret { "(set)".to_owned() } else { value };
                    View {
                        key: format!("{}.{key}", plugin.name()),
                        description: setting.description.clone(),
                        kind: setting.kind.name(),
                        choices: setting.choices.clone(),
                        default: setting.default.clone().map(hidden),
                        value: value.map(hidden),
                        source,
                        secret: setting.secret,
                    }
                })
            })
            .collect()
    }

    /// Whether `key` (`plugin.key`) is of a guard, or of a processor that no answer goes around.
    pub fn is_guarding(&self, key: &str) -> bool {
        let plugin = key.split_once('.').and_then(|(name, _)| self.named(name));
        plugin.is_some_and(|plugin| plugin.manifest.is_guarding())
    }

    /// Sets `key` (`plugin.key`) for one space or for all; `None` takes the value back.
    ///
    /// # Errors
    /// [`SettingError`]: nothing was changed.
    pub async fn set_setting(
        &self,
        key: &str,
        space: Option<&SpaceId>,
        value: Option<&str>,
    ) -> Result<(), SettingError> {
        let unknown = || {
            let of_host = space_settings::offered(true).map(|(key, _)| key.to_owned());
            let keys = self.settings(None, None).into_iter().map(|view| view.key).chain(of_host);
            let nearest = keys.max_by(|a, b| strsim::jaro_winkler(key, a).total_cmp(&strsim::jaro_winkler(key, b)));
            SettingError::Unknown { key: key.to_owned(), nearest }
        };
        let (name, short) = key.split_once('.').ok_or_else(unknown)?;
        let plugin = self.named(name).ok_or_else(unknown)?;
        let setting = plugin.manifest.settings.get(short).ok_or_else(unknown)?;
        if let Some(value) = value {
            setting.check(value).map_err(|reason| SettingError::Invalid { key: key.to_owned(), reason })?;
        }
        let store = &self.services.store;
        if let Some(space) = space
            && !store.space_exists(space).await?
        {
            return Err(SettingError::UnknownSpace { space: space.to_string() });
        }
        let space = space.map(SpaceId::as_str);
        let _changing = self.services.values.changing.lock().await;
        store.set_plugin_setting(name, short, space, value, clock::millis()).await?;
        self.services.values.put(name, short, space, value);
        tracing::info!(
            key,
            space = space.unwrap_or(EVERYWHERE),
            set = value.is_some(),
            "a plugin's setting was changed"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_setting_can_follow_a_key_of_the_host() {
        let manifest = "name = \"t\"\nversion = \"1.0.0\"\ncomponent = \"t.wasm\"\nprovides = [\"tool-guard\"]\n\
            [settings.format]\ndefault = \"true\"\nconfig = \"telegram.format_enabled\"\n[settings.mode]\ndefault = \"auto\"\n";
        let manifest = Manifest::parse(Path::new("plugin.toml"), manifest).unwrap();
        let format = |said: Option<&str>, host: &[(&'static str, &str)]| {
            let settings = said.map(|said| ("format".to_owned(), said.to_owned())).into_iter().collect();
            let config = PluginConfig { settings, ..PluginConfig::default() };
            let dotted = host.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
            let settings = resolve(&manifest, Some(&config), &dotted, "/d").unwrap();
            (settings["format"].clone(), settings["mode"].clone())
        };
        let host = [("telegram.format_enabled", "false"), ("mode", "other")];
        assert_eq!(format(None, &[]), ("true".into(), "auto".into()));
        assert_eq!(format(None, &host), ("false".into(), "auto".into()));
        assert_eq!(format(Some("yes"), &host), ("yes".into(), "auto".into()));
    }
}
