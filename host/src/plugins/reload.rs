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
        let (set, changes) = loader.next(&self.now(), &self.guests.lanes()).await?;
        let registry = set.registry();
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
        self.services.set_registry(registry);
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
                if event.map_or(true, |event| is_about_the_lock(&event)) {
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

/// Whether the lock may be another one now. Reading it is no change: a reload reads it, and would be
/// followed by the next.
fn is_about_the_lock(event: &notify::Event) -> bool {
    let concerns = event.paths.iter().any(|path| path.ends_with(LOCK_FILE));
    event.need_rescan() || (concerns && !event.kind.is_access())
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    use mercury_bindings::exports::mercury::plugin::result_processor::RunResult;

    use super::*;
    use crate::{
        plugins::{Compiler, Processed, Services, types::Caller},
        store::Store,
    };

    #[test]
    fn reading_the_lock_changes_nothing() {
        use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
        let about = |kind, path: &str| is_about_the_lock(&notify::Event::new(kind).add_path(path.into()));
        let lock = format!("/data/plugins/{LOCK_FILE}");
        for access in [AccessKind::Open(AccessMode::Any), AccessKind::Close(AccessMode::Read), AccessKind::Read] {
            assert!(!about(notify::EventKind::Access(access), &lock), "{access:?}");
        }
        for change in [
            notify::EventKind::Create(CreateKind::File),
            notify::EventKind::Modify(ModifyKind::Name(RenameMode::To)),
            notify::EventKind::Modify(ModifyKind::Any),
        ] {
            assert!(about(change, &lock) && !about(change, "/data/plugins/other"), "{change:?}");
        }
    }

    fn put(data_dir: &Path, version: &str, wasm: &[u8]) {
        let place = folder(data_dir).join("tidy");
        std::fs::create_dir_all(&place).unwrap();
        let manifest = format!(
            "name = \"tidy\"\nversion = \"{version}\"\ncomponent = \"tidy.wasm\"\nprovides = [\"result-processor\"]\nrequired = true\n"
        );
        std::fs::write(place.join("tidy.wasm"), wasm).unwrap();
        std::fs::write(place.join("plugin.toml"), manifest).unwrap();
    }

    fn carried(name: &str) -> &'static [u8] {
        mercury_carried::COMPONENTS.iter().find(|component| component.name == name).unwrap().wasm
    }

    async fn start(data_dir: &Path) -> Plugins {
        let services = Services::new(Store::open(&data_dir.join("state.db")).unwrap());
        Plugins::load(data_dir, &Default::default(), Compiler::InProcess, Arc::new(services)).await.unwrap()
    }

    fn version(plugins: &Plugins) -> String {
        let loaded = plugins.loaded();
        loaded.iter().find(|plugin| plugin.name() == "tidy").unwrap().manifest().version.clone()
    }

    async fn process(plugins: &Plugins) -> Processed {
        let caller =
            Caller { person: "api:ada".into(), role: "member".into(), space: "main".into(), conversation: None };
        let result = RunResult {
            run: "r".into(),
            caller,
            platform: "api".into(),
            prompt: "hi".into(),
            scheduled: false,
            reply: "hello".into(),
            failure: None,
            attachments: Vec::new(),
            usage: None,
            duration_ms: 1,
        };
        plugins.process(result, Vec::new()).await
    }

    /// Calls that run during many exchanges are all answered, by one version or another, and none of the
    /// versions before lives on.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_call_is_lost_while_plugins_are_exchanged() {
        let data = tempfile::tempdir().unwrap();
        put(data.path(), "1.0.0", carried("redact"));
        let plugins = Arc::new(start(data.path()).await);
        let first = Arc::downgrade(plugins.loaded().iter().find(|plugin| plugin.name() == "tidy").unwrap());
        let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let (plugins, done, answered) = (plugins.clone(), done.clone(), answered.clone());
                tokio::spawn(async move {
                    while !done.load(Ordering::Relaxed) {
                        let Processed::Deliver { reply, .. } = process(&plugins).await else {
                            panic!("a call was lost")
                        };
                        assert_eq!(reply, "hello");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for round in 2..=20 {
            let before = answered.load(Ordering::Relaxed);
            put(data.path(), &format!("{round}.0.0"), carried("redact"));
            assert_eq!(plugins.reload().await.unwrap().updated, ["tidy"]);
            assert_eq!(version(&plugins), format!("{round}.0.0"));
            while answered.load(Ordering::Relaxed) == before {
                tokio::task::yield_now().await;
            }
        }
        done.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.await.unwrap();
        }
        assert!(first.upgrade().is_none(), "the first version is gone with its last call");
        assert!(plugins.reload().await.unwrap().is_empty(), "nothing changed, nothing is exchanged");
    }

    /// What only one plugin can have stays with the one that has it, whatever the other is called.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_another_plugin_has_is_not_taken() {
        let data = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let place = folder(data.path()).join(name);
            std::fs::create_dir_all(&place).unwrap();
            let manifest = format!(
                "name = \"{name}\"\nversion = \"1.0.0\"\ncomponent = \"x.wasm\"\nprovides = [\"result-processor\"]\n\
                 [[agent.clis]]\nname = \"gws\"\nbin = \"gws\"\n"
            );
            std::fs::write(place.join("plugin.toml"), manifest).unwrap();
            std::fs::write(place.join("x.wasm"), carried("redact")).unwrap();
            std::fs::write(place.join("gws"), name).unwrap();
        };
        let loaded = |plugins: &Plugins| -> Vec<String> {
            let names = plugins.loaded().iter().map(|plugin| plugin.name().to_owned()).collect::<Vec<_>>();
            names.into_iter().filter(|name| ["early", "late"].contains(&name.as_str())).collect()
        };
        put("late");
        let plugins = start(data.path()).await;
        put("early");
        let changes = plugins.reload().await.unwrap();
        assert!(
            changes.refused["early"].contains("`late` has the program `gws`") && changes.added.is_empty(),
            "{changes:?}"
        );
        assert_eq!(loaded(&plugins), ["late"]);
        assert!(plugins.reload().await.unwrap().is_empty(), "it is said once");
        // At a start there is none in use: one of them, and the same each time.
        let plugins = start(data.path()).await;
        assert_eq!(loaded(&plugins), ["early"]);
        assert!(
            plugins.disabled().iter().any(|(name, reason)| name == "late" && reason.contains("Switch one of them off"))
        );
    }

    /// A version that does not work never takes the place of one that does, and the next that works does.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_version_that_fails_its_check_is_not_taken() {
        let data = tempfile::tempdir().unwrap();
        put(data.path(), "1.0.0", carried("redact"));
        let plugins = start(data.path()).await;
        let mut changes = plugins.changes();
        // It exports no result-processor.
        put(data.path(), "2.0.0", carried("permission-guard"));
        let refused = plugins.reload().await.unwrap();
        assert!(refused.refused["tidy"].contains("result-processor") && refused.updated.is_empty(), "{refused:?}");
        put(data.path(), "3.0.0", b"no component");
        assert!(plugins.reload().await.unwrap().refused.contains_key("tidy"));
        assert_eq!(version(&plugins), "1.0.0");
        assert!(matches!(process(&plugins).await, Processed::Deliver { .. }));
        put(data.path(), "4.0.0", carried("redact"));
        assert_eq!(plugins.reload().await.unwrap().updated, ["tidy"]);
        assert_eq!(version(&plugins), "4.0.0");
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        std::fs::remove_dir_all(folder(data.path()).join("tidy")).unwrap();
        assert_eq!(plugins.reload().await.unwrap().removed, ["tidy"]);
        assert!(changes.has_changed().unwrap() && !plugins.loaded().iter().any(|plugin| plugin.name() == "tidy"));
    }
}
