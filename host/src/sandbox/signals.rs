//! Wakes a waiting run when its result appears or its container ends.
//!
//! Both are hints: whoever is woken looks for itself, and a slow poll covers a hint that never came.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::StreamExt;
use notify::{RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::daemon::Daemon;

/// How long after a broken stream of events the next one is tried.
const RECONNECT: Duration = Duration::from_secs(5);

/// What one run waits on.
#[derive(Debug, Default)]
pub(super) struct Signal {
    pub(super) result: Notify,
    pub(super) exit: Notify,
}

type Waiting = Arc<Mutex<HashMap<String, Arc<Signal>>>>;

#[derive(Debug)]
pub(super) struct Signals {
    /// Container name, which is also the IO directory's name → who waits.
    waiting: Waiting,
    /// `None` where the kernel gives no watch: then the poll alone notices.
    watcher: Option<Mutex<notify::RecommendedWatcher>>,
}

impl Signals {
    pub(super) fn new() -> Self {
        let waiting: Waiting = Arc::default();
        let for_events = waiting.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            // The rename is what counts: under gVisor no close comes before it.
            for path in event
                .paths
                .iter()
                .filter(|path| path.file_name().is_some_and(|name| name == mercury_protocol::paths::RESULT))
            {
                let name = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
                if let Some(signal) = name.and_then(|name| lock(&for_events).get(&name).cloned()) {
                    signal.result.notify_one();
                }
            }
        });
        let watcher = match watcher {
            Ok(watcher) => Some(Mutex::new(watcher)),
            Err(error) => {
                tracing::warn!(%error, "files cannot be watched; results are noticed by polling, up to a second later");
                None
            }
        };
        Self { waiting, watcher }
    }

    /// Watches `io_dir` until the guard is dropped. To be called before the container starts.
    pub(super) fn watch(&self, name: &str, io_dir: &Path) -> Watch<'_> {
        let signal = Arc::new(Signal::default());
        lock(&self.waiting).insert(name.to_owned(), signal.clone());
        if let Some(watcher) = &self.watcher
            && let Err(error) =
                watcher.lock().unwrap_or_else(PoisonError::into_inner).watch(io_dir, RecursiveMode::NonRecursive)
        {
            tracing::warn!(folder = %io_dir.display(), %error, "the folder cannot be watched; its result is noticed by polling");
        }
        Watch { signals: self, name: name.to_owned(), io_dir: io_dir.to_owned(), signal }
    }

    /// Follows the daemon's events until `stop`.
    pub(super) async fn follow_exits(&self, daemon: &Daemon, instance: &str, stop: CancellationToken) {
        let follow = async {
            loop {
                match daemon.exits(instance).await {
                    Ok(stream) => {
                        let mut stream = std::pin::pin!(stream);
                        while let Some(Ok(name)) = stream.next().await {
                            if let Some(signal) = lock(&self.waiting).get(&name).cloned() {
                                signal.exit.notify_one();
                            }
                        }
                    }
                    Err(error) => tracing::debug!(%error, "no stream of Docker events; exits are noticed by polling"),
                }
                // What ended meanwhile was not announced: everybody looks.
                for signal in lock(&self.waiting).values() {
                    signal.exit.notify_one();
                }
                tokio::time::sleep(RECONNECT).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = follow => {}
        }
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Signal>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Watch<'a> {
    signals: &'a Signals,
    name: String,
    io_dir: PathBuf,
    pub(super) signal: Arc<Signal>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        lock(&self.signals.waiting).remove(&self.name);
        if let Some(watcher) = &self.signals.watcher {
            // The folder may be gone already.
            let _ = watcher.lock().unwrap_or_else(PoisonError::into_inner).unwatch(&self.io_dir);
        }
    }
}
