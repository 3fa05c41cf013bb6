//! The set of plugins while the host runs: one snapshot, exchanged as a whole.

use std::sync::{Arc, PoisonError};

use tokio_util::sync::CancellationToken;

use super::{
    Interface, Plugins,
    load::{INACTIVE, Reloaded, Set},
    packages::{Agreed, LOCK_FILE, Origin, SourceError, folder},
    plugin::Plugin,
};

/// What became of a package that was installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    AtWork,
    /// The operator has yet to give what it lacks; then the next start takes it.
    Waits(String),
    /// It is not used, and why.
    Not(String),
}

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
        // Before adapters and timers follow, as at a start of the host.
        let new = changes.added.iter().chain(&changes.updated).map(String::as_str).collect();
        self.started_later(&new).await;
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

    /// Whether this very package is at work.
    pub fn uses(&self, name: &str, package: &Agreed) -> bool {
        let is_it = |plugin: &Arc<Plugin>| {
            let digest = matches!(&plugin.origin, Origin::Package(used) if used.digest == package.digest);
            plugin.name() == name && digest
        };
        self.now().plugins.iter().any(is_it)
    }

    /// Reloads, and says what became of the package that was installed as `name`.
    ///
    /// # Errors
    /// As [`Self::reload`].
    pub async fn take_up(&self, name: &str, package: &Agreed) -> Result<Taken, SourceError> {
        let changes = self.reload().await?;
        if self.uses(name, package) {
            return Ok(Taken::AtWork);
        }
        // Who follows the lock may have been first, and have been told.
        let disabled = self.now().disabled.iter().find(|(of, _)| of == name).map(|(_, reason)| reason.clone());
        let reason = changes.refused.get(name).cloned().or(disabled);
        Ok(match reason {
            Some(reason) => match reason.strip_prefix(INACTIVE) {
                Some(lacking) => Taken::Waits(lacking.to_owned()),
                None => Taken::Not(reason),
            },
            None if changes.refused.is_empty() => Taken::Not("it is switched off".to_owned()),
            // Another that the host needs keeps the whole set as it is.
            None => Taken::Not(changes.refusals()),
        })
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
        collections::BTreeMap,
        path::Path,
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    use mercury_bindings::exports::mercury::plugin::result_processor::RunResult;

    use super::*;
    use crate::{
        config::{Config, PluginConfig},
        plugins::{
            Compiler, Keeping, Processed, Services,
            packages::{Installer, Source, Trust},
            types::Caller,
        },
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
        plugins.process(result, Vec::new(), Keeping { folder: Path::new("unused"), is_allowed: false }).await
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

    /// A plugin that brings these programs of its own.
    fn put_bringing(data_dir: &Path, name: &str, version: &str, programs: &[&str]) {
        let place = folder(data_dir).join(name);
        std::fs::create_dir_all(&place).unwrap();
        let clis: String = programs
            .iter()
            .map(|program| format!("[[agent.clis]]\nname = \"{program}\"\nbin = \"{program}\"\n"))
            .collect();
        let manifest = format!(
            "name = \"{name}\"\nversion = \"{version}\"\ncomponent = \"x.wasm\"\nprovides = [\"result-processor\"]\n{clis}"
        );
        std::fs::write(place.join("plugin.toml"), manifest).unwrap();
        std::fs::write(place.join("x.wasm"), carried("redact")).unwrap();
        for program in programs {
            std::fs::write(place.join(program), name).unwrap();
        }
    }

    /// Those of the test's own that are loaded, with their versions.
    fn own(plugins: &Plugins) -> Vec<String> {
        let loaded = plugins.loaded();
        let own = loaded.iter().filter(|plugin| ["early", "late"].contains(&plugin.name()));
        own.map(|plugin| format!("{} {}", plugin.name(), plugin.manifest().version)).collect()
    }

    /// What only one plugin can have stays with the one that has it, whatever the other is called.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_another_plugin_has_is_not_taken() {
        let data = tempfile::tempdir().unwrap();
        let put = |name: &str| put_bringing(data.path(), name, "1.0.0", &["gws"]);
        put("late");
        let plugins = start(data.path()).await;
        put("early");
        let changes = plugins.reload().await.unwrap();
        assert!(
            changes.refused["early"].contains("`late` has the program `gws`") && changes.added.is_empty(),
            "{changes:?}"
        );
        assert_eq!(own(&plugins), ["late 1.0.0"]);
        assert!(plugins.reload().await.unwrap().is_empty(), "it is said once");
        // At a start there is none in use: one of them, and the same each time.
        let plugins = start(data.path()).await;
        assert_eq!(own(&plugins), ["early 1.0.0"]);
        assert!(
            plugins.disabled().iter().any(|(name, reason)| name == "late" && reason.contains("Switch one of them off"))
        );
    }

    /// Nor by an update of one that is in use: what it was before goes on, until the other gives it up.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_update_takes_nothing_that_another_has() {
        let data = tempfile::tempdir().unwrap();
        put_bringing(data.path(), "early", "1.0.0", &[]);
        put_bringing(data.path(), "late", "1.0.0", &["gws"]);
        let plugins = start(data.path()).await;
        put_bringing(data.path(), "early", "2.0.0", &["gws"]);
        let changes = plugins.reload().await.unwrap();
        assert!(changes.refused["early"].contains("`late` has the program `gws`"), "{changes:?}");
        assert_eq!((changes.updated.len(), changes.removed.len()), (0, 0), "{changes:?}");
        assert_eq!(own(&plugins), ["early 1.0.0", "late 1.0.0"]);
        put_bringing(data.path(), "late", "2.0.0", &[]);
        assert_eq!(plugins.reload().await.unwrap().updated, ["early", "late"]);
        assert_eq!(own(&plugins), ["early 2.0.0", "late 2.0.0"]);
        // Both at once may exchange what they have.
        put_bringing(data.path(), "early", "3.0.0", &[]);
        put_bringing(data.path(), "late", "3.0.0", &["gws"]);
        assert_eq!(plugins.reload().await.unwrap().updated, ["early", "late"]);
    }

    /// Who installs a package is told whether it is at work, also where somebody else has reloaded meanwhile.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_becomes_of_a_package_is_told() {
        let data = tempfile::tempdir().unwrap();
        let config = Config::load(data.path(), &BTreeMap::new()).unwrap();
        let services = Services::new(Store::open(&data.path().join("state.db")).unwrap());
        let services = services.with_trust(Trust::new(&config).unwrap());
        let off = PluginConfig { enabled: Some(false), ..PluginConfig::default() };
        let configured = BTreeMap::from([("off".to_owned(), off)]);
        let plugins = Plugins::load(data.path(), &configured, Compiler::InProcess, Arc::new(services)).await.unwrap();
        let trust = Trust::new(&config).unwrap();
        let installer = Installer::new(data.path(), &configured, trust, Compiler::InProcess, None);
        let offer = async |name: &str, more: &str| {
            let from = data.path().join("from").join(name);
            std::fs::create_dir_all(&from).unwrap();
            let manifest = format!(
                "name = \"{name}\"\nversion = \"1.0.0\"\ncomponent = \"x.wasm\"\nprovides = [\"result-processor\"]\n{more}"
            );
            std::fs::write(from.join("plugin.toml"), manifest).unwrap();
            std::fs::write(from.join("x.wasm"), carried("redact")).unwrap();
            installer.fetch(&Source::Folder(from)).await.unwrap()
        };
        let secret = "[[secrets]]\nname = \"token\"\nvariable = \"MERCURY_X_TOKEN\"\n";
        let needs = "it needs the plugin `nothing`";
        for (name, more, expected) in [
            ("works", "", Taken::AtWork),
            ("waits", secret, Taken::Waits("missing credential MERCURY_X_TOKEN".into())),
            ("needs", "depends = [\"nothing\"]\n", Taken::Not(needs.into())),
            ("closes", "required = true\ndepends = [\"nothing\"]\n", Taken::Not(needs.into())),
            ("off", "", Taken::Not("it is switched off".into())),
        ] {
            let offer = offer(name, more).await;
            let fits = installer.check_needs(&offer).await;
            assert_eq!(fits.is_err(), more.contains("depends"), "{name}: {fits:?}");
            let package = installer.install(offer, None).await.unwrap();
            for again in [false, true] {
                let taken = plugins.take_up(name, &package).await.unwrap();
                match (&taken, &expected) {
                    (Taken::Not(reason), Taken::Not(expected)) => {
                        assert!(reason.contains(expected), "{name}: {reason}")
                    }
                    _ => assert_eq!(taken, expected, "{name}, {again}"),
                }
            }
            assert_eq!(plugins.uses(name, &package), expected == Taken::AtWork, "{name}");
            if expected != Taken::AtWork {
                installer.remove(name).await.unwrap();
            }
        }
        // One that another needs goes after that one.
        let offer = offer("leans", "depends = [\"works\"]\n").await;
        installer.check_needs(&offer).await.unwrap();
        let package = installer.install(offer, None).await.unwrap();
        assert_eq!(plugins.take_up("leans", &package).await.unwrap(), Taken::AtWork);
        let needed = installer.check_needed("works").await.unwrap_err().to_string();
        assert!(needed.contains("`leans`"), "{needed}");
        installer.check_needed("leans").await.unwrap();
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
