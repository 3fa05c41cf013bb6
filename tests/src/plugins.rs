//! Components that are built for the suites, installed as an operator installs them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use mercury::{
    config::PluginConfig,
    plugins::{Answer, Compiler, Consultation, LoadError, Plugins, Seen, Services, types::Caller, verdicts::Verdict},
    store::Store,
};

use crate::{host::Host, required};

/// A fixture of `components/fixtures`, which are built with the other components.
pub fn fixture(library: &str) -> PathBuf {
    let binary = PathBuf::from(required("MERCURY_BIN"));
    binary.ancestors().nth(2).unwrap().join(format!("carried/wasm32-wasip2/release/{library}.wasm"))
}

/// Puts a plugin into the project whose manifest ends in `more`: grants, as TOML.
pub fn install_with(host: &Host, name: &str, provides: &str, more: &str, wasm: &Path) {
    install(host, name, provides, &[], wasm);
    let manifest = host.data_dir().join("plugins").join(name).join("plugin.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(manifest, text + more).unwrap();
}

/// Puts a plugin into the project. `provides` is TOML, `settings` are the names of its settings.
pub fn install(host: &Host, name: &str, provides: &str, settings: &[&str], wasm: &Path) {
    let folder = host.data_dir().join("plugins").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let mut manifest =
        format!("name = \"{name}\"\nversion = \"0.1.0\"\ncomponent = \"plugin.wasm\"\nprovides = [{provides}]\n");
    for setting in settings {
        manifest.push_str(&format!("[settings.{setting}]\ndescription = \"for the suites\"\n"));
    }
    std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
    std::fs::copy(wasm, folder.join("plugin.wasm")).unwrap();
}

/// Plugins in the real engine within this process, for what a whole host would only slow down.
pub struct Engine {
    pub plugins: Plugins,
    _folder: tempfile::TempDir,
}

/// A plugin to be loaded. `manifest` is the rest of its manifest, behind name, version and component.
pub struct Installed<'a> {
    pub name: &'a str,
    pub provides: &'a str,
    pub manifest: &'a str,
    pub wasm: Vec<u8>,
}

impl Engine {
    /// With the components that come with the host, and further ones.
    ///
    /// # Panics
    /// Where one that the host cannot do without is refused.
    pub async fn start(installed: &[Installed<'_>]) -> Self {
        Self::try_start(installed, true).await.unwrap()
    }

    /// Only with these.
    pub async fn bare(installed: &[Installed<'_>]) -> Self {
        Self::try_start(installed, false).await.unwrap()
    }

    pub async fn try_start(installed: &[Installed<'_>], built_in: bool) -> Result<Self, LoadError> {
        // What one engine of this process compiled, the next one finds.
        static CACHE: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
        let folder = tempfile::tempdir().unwrap();
        for plugin in installed {
            let place = folder.path().join("plugins").join(plugin.name);
            std::fs::create_dir_all(&place).unwrap();
            let manifest = format!(
                "name = \"{}\"\nversion = \"0.1.0\"\ncomponent = \"plugin.wasm\"\nprovides = [{}]\n{}",
                plugin.name, plugin.provides, plugin.manifest
            );
            std::fs::write(place.join("plugin.toml"), manifest).unwrap();
            std::fs::write(place.join("plugin.wasm"), &plugin.wasm).unwrap();
        }
        std::os::unix::fs::symlink(CACHE.path(), folder.path().join("cache")).unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let services = Arc::new(Services::new(store));
        let off = PluginConfig { enabled: Some(false), ..PluginConfig::default() };
        let configured: BTreeMap<String, PluginConfig> = mercury::plugins::built_in()
            .filter(|name| !built_in && !installed.iter().any(|plugin| plugin.name == *name))
            .map(|name| (name.to_owned(), off.clone()))
            .collect();
        let plugins = Plugins::load(folder.path(), &configured, Compiler::InProcess, services).await?;
        Ok(Self { plugins, _folder: folder })
    }

    /// Why a plugin that the host can do without was left out.
    pub fn refusal(&self, name: &str) -> String {
        let refused = self.plugins.disabled().into_iter().find(|(plugin, _)| plugin == name);
        refused.unwrap_or_else(|| panic!("{name} was loaded")).1
    }

    pub fn seen(&self, name: &str) -> Seen {
        self.plugins.loaded().iter().find(|plugin| plugin.name() == name).unwrap().seen()
    }

    pub async fn prompt(&self, text: &str) -> Answer {
        self.plugins.check_prompt(caller(), text, Vec::new()).await
    }

    /// What the last guard that was asked says to a tool call.
    pub async fn tool(&self, tool: &str, arguments: &str) -> Verdict {
        let mut opinions = self.plugins.consult(&caller(), tool, arguments, &Consultation::default()).await;
        opinions.pop().unwrap().verdict
    }
}

pub fn caller() -> Caller {
    Caller { person: "api:ada".into(), role: "member".into(), space: "main".into(), conversation: None }
}
