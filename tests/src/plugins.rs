//! Components that are built for the suites, installed as an operator installs them.

use std::path::{Path, PathBuf};

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
