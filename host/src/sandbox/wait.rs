//! Waits for whichever comes first: result, exit, time-out or stop.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    daemon::{Daemon, Liveness},
    directories::Directories,
    signals::{Signal, Watch},
};
use crate::domain::{
    failure::Failure,
    outcome::{Ending, Exit, Seen, ending},
};

/// The slow poll behind the file watch.
const POLL: Duration = Duration::from_secs(1);
/// The slow poll behind the daemon's events.
const PROBE: Duration = Duration::from_secs(2);
/// As in the replaced system.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Watches one run from before its start to its end.
pub struct Waiter<'a> {
    daemon: Arc<Daemon>,
    watch: Watch<'a>,
    name: String,
    directories: &'a Directories,
}

impl<'a> Waiter<'a> {
    pub(super) fn new(daemon: Arc<Daemon>, watch: Watch<'a>, name: String, directories: &'a Directories) -> Self {
        Self { daemon, watch, name, directories }
    }

    /// Has the container started by `start`, and waits until the run is over. The daemon's answer to
    /// the start is one event among the others: a slow one delays neither result nor stop. A container
    /// whose time is up, that is stopped, or whose start failed, was told to end when this returns. The
    /// deadline may move meanwhile.
    pub async fn wait(
        self,
        start: impl Future<Output = Result<(), Failure>>,
        mut deadline: watch::Receiver<Instant>,
        limit: Duration,
        stop: &CancellationToken,
    ) -> Ending {
        let (exited, mut exit) = oneshot::channel();
        let prober =
            tokio::spawn(probe_until_exit(self.daemon.clone(), self.name.clone(), self.watch.signal.clone(), exited));
        let _abort_on_return = AbortOnDrop(prober.abort_handle());
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut start = std::pin::pin!(start);
        let mut starting = true;
        let mut seen = Seen::default();
        let ending = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => seen.stopped = true,
                () = self.watch.signal.result.notified() => {}
                _ = poll.tick() => {}
                Ok(exit) = &mut exit, if seen.exit.is_none() => seen.exit = Some(exit),
                started = &mut start, if starting => match started {
                    Ok(()) => starting = false,
                    Err(failure) => break Ending::NotStarted(failure),
                },
                () = passed(&mut deadline) => seen.overdue = true,
            }
            // A link to nowhere is something too: whoever reads it says so.
            seen.result = tokio::fs::symlink_metadata(self.directories.result()).await.is_ok();
            if let Some(ending) = ending(seen, limit.as_secs()) {
                break ending;
            }
        };
        if !matches!(ending, Ending::Result | Ending::Exit(_)) {
            self.kill().await;
        }
        ending
    }

    /// Once, and not for long: the person waits. The removal that follows does not give up.
    async fn kill(&self) {
        match tokio::time::timeout(KILL_PATIENCE, self.daemon.kill(&self.name)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(container = self.name, %error, "the container could not be killed; its removal is tried until it works")
            }
            Err(_) => {
                tracing::warn!(
                    container = self.name,
                    "Docker does not answer; the container's removal is tried until it works"
                )
            }
        }
    }
}

/// Waits until the deadline lies in the past, wherever it moves.
async fn passed(deadline: &mut watch::Receiver<Instant>) {
    loop {
        let until = *deadline.borrow_and_update();
        tokio::select! {
            () = tokio::time::sleep_until(until) => return,
            // Whoever could move it is gone: it stands.
            changed = deadline.changed() => if changed.is_err() {
                return tokio::time::sleep_until(until).await;
            },
        }
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks the daemon whenever an exit is announced, and now and then. An error is no exit: the
/// daemon may be restarting while the container runs on.
async fn probe_until_exit(daemon: Arc<Daemon>, name: String, signal: Arc<Signal>, exited: oneshot::Sender<Exit>) {
    loop {
        let _ = tokio::time::timeout(PROBE, signal.exit.notified()).await;
        match daemon.inspect(&name).await {
            Ok(Liveness::Exited(exit)) => {
                let _ = exited.send(exit);
                return;
            }
            Ok(Liveness::Gone) => {
                let _ = exited.send(Exit { code: None, oom_killed: false });
                return;
            }
            // Between create and start it is neither alive nor over.
            Ok(Liveness::Alive | Liveness::Created) => {}
            Err(error) => {
                tracing::warn!(container = name, %error, "the container's state could not be read; trying again")
            }
        }
    }
}
