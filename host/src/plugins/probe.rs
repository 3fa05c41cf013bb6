//! Whether a component works at all: before it is installed, and before it replaces another.
//!
//! It is started without any grant, and an adapter is asked what it is. Nothing else of it is called.

use std::{sync::Arc, time::Duration};

use super::{Interface, lanes::Lanes, manifest::Manifest, missing, plugin::Plugin};

/// For a start and one answer. The slowest, in Python, takes a hundredth of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same plugin with nothing granted to it.
pub(super) fn without_grants(manifest: Manifest) -> Manifest {
    Manifest {
        http: Vec::new(),
        secrets: Vec::new(),
        kv: Default::default(),
        media: Default::default(),
        sockets: Vec::new(),
        timers: Default::default(),
        messenger: Default::default(),
        inbox: None,
        history: Default::default(),
        tasks: Default::default(),
        folders: Vec::new(),
        ..manifest
    }
}

/// # Errors
/// What does not work, to stand after the plugin's name.
pub(super) async fn check(plugin: Arc<Plugin>, platform: Option<&str>, lanes: &Lanes) -> Result<(), String> {
    let Some(platform) = platform else {
        let interface = plugin.manifest().provides.first().copied().ok_or("it provides nothing")?;
        return plugin
            .call(lanes, interface, PATIENCE, |_, _, _| Box::pin(async { Ok(()) }))
            .await
            .map_err(|error| format!("it does not start: {error}"));
    };
    let said = plugin
        .call(lanes, Interface::ChatAdapter, PATIENCE, |store, instance, exports| {
            Box::pin(async move {
                let indices = exports.chat_adapter.as_ref().ok_or_else(missing)?;
                indices.load(&mut *store, instance)?.call_describe(store).await
            })
        })
        .await
        .map_err(|error| format!("it does not say what it is: {error}"))?;
    if said.name != platform {
        let name: String = said.name.chars().filter(|c| !c.is_control()).take(80).collect();
        return Err(format!("it says that its platform is `{name}`, but its manifest says `{platform}`"));
    }
    Ok(())
}
