//! The variables by which the replaced system set up its voice, as settings of the plugin `voice-synth`.

use std::collections::BTreeMap;

use super::{PluginConfig, settings::Settings, value::Value};

const PLUGIN: &str = "voice-synth";

impl Settings {
    /// Like every variable they win over the file. In the replaced system the voice was there as soon as it
    /// had a key; so it is here, unless the plugin is switched off.
    pub(super) fn speech(&self, plugins: &mut BTreeMap<String, PluginConfig>) {
        let most = match self.values.get("tts_max_chars") {
            Some(Value::Int(most)) => Some(most.to_string()),
            _ => None,
        };
        let given = [
            ("provider", self.text("tts_provider")),
            ("azure-region", self.text("azure_speech_region")),
            ("max-chars", most),
        ];
        let given: Vec<_> = given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        let has_key = self.text("azure_speech_key").is_some();
        if given.is_empty() && !has_key {
            return;
        }
        let plugin = plugins.entry(PLUGIN.to_owned()).or_default();
        plugin.settings.extend(given);
        if has_key {
            plugin.enabled.get_or_insert(true);
        }
    }
}
