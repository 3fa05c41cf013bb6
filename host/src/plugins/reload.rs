//! The set of plugins while the host runs: one snapshot, exchanged as a whole.

use std::sync::{Arc, PoisonError};

use tokio_util::sync::CancellationToken;

use super::{
    Interface, Plugins,
    load::{Reloaded, Set},
    packages::{LOCK_FILE, SourceError, folder},
    plugin::Plugin,
};

impl Plugins {
    pub(super) fn now(&self) -> Arc<Set> {
        self.set.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The plugins of this moment, sorted by name.
    pub fn loaded(&self) -> Vec<Arc<Plugin>> {
        self.now().plugins.clone()
    }

    /// Plugins that are there and not used, with the reason, for status and health.
    pub fn disabled(&self) -> Vec<(String, String)> {
        self.now().disabled.clone()
    }

    /// Those that provide `interface` at this moment. Who goes through them goes on with these, whatever
    /// is exchanged meanwhile.
    pub(super) fn providing(&self, interface: Interface) -> Vec<Arc<Plugin>> {
        self.now().plugins.iter().filter(|plugin| plugin.manifest.provides(interface)).cloned().collect()
    }

    /// Counts the exchanges: who holds something of a plugin learns here that it may be another one.
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Takes up what was installed, updated and removed. New calls go to the new ones; calls under way
    /// end where they began, and with the last of them the old one is dropped.
    ///
    /// # Errors
    /// Where what is there cannot be read: then everything stays as it is.
    pub async fn reload(&self) -> Result<Reloaded, SourceError> {
        let loader = self.loader.lock().await;
        let Some(guests) = self.guests.as_ref() else { return Ok(Reloaded::default()) };
        let (set, changes) = loader.next(&self.now(), guests.handle()).await?;
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
        if !changes.is_empty() {
            self.generation.send_modify(|generation| *generation += 1);
        }
        for (what, names) in [("added", &changes.added), ("updated", &changes.updated), ("removed", &changes.removed)] {
            for name in names {
                tracing::info!(plugin = name, "plugin {what}");
            }
        }
        for (name, reason) in &changes.refused {
            tracing::error!(
                plugin = name,
                reason,
                "the plugin that is installed now cannot be used; what was loaded before goes on"
            );
        }
        Ok(changes)
    }

    /// Reloads whenever the lock is written, until `until`.
    pub async fn follow(&self, data_dir: &std::path::Path, until: CancellationToken) {
        let plugins = folder(data_dir);
        let written = Arc::new(tokio::sync::Notify::new());
        let signal = written.clone();
        let watcher = std::fs::create_dir_all(&plugins).map_err(notify::Error::io).and_then(|()| {
            let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // An event that was lost may have been ours.
                let ours = event.map_or(true, |event| {
                    event.need_rescan() || event.paths.iter().any(|path| path.ends_with(LOCK_FILE))
                });
                if ours {
                    signal.notify_one();
                }
            })?;
            notify::Watcher::watch(&mut watcher, &plugins, notify::RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "installed plugins are not noticed by themselves; use `mercury plugins reload`");
        }
        // What was written between the load and the watch.
        written.notify_one();
        loop {
            tokio::select! {
                () = until.cancelled() => return,
                () = written.notified() => {}
            }
            if let Err(error) = self.reload().await {
                tracing::error!(%error, "the plugins stay as they are");
            }
        }
    }
}
