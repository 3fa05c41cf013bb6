//! One adapter's life: describe, start, poll, and again after whatever ended it.

use std::{sync::Arc, time::Duration};

use super::{Adapters, Condition, Line, backoff::Backoff};
use crate::plugins::{
    CallError, Interface,
    adapter::{SocketEvent, SocketEvents, trouble::Trouble},
};

/// Between two attempts to hand over an event of a socket that its plugin was too busy for, or rested from.
const UNTRIED_PAUSE: Duration = Duration::from_secs(1);
/// The shortest pause between two rounds of a long poll whose adapter asks for none: a platform that
/// answers at once must not be asked in a loop without end.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// What an adapter may ask for between two starts, in its platform's name: not so little that it never
/// rests, and not so much that a wrong number keeps it away for weeks.
const SHORTEST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60 * 60);

/// Why an adapter ended.
enum Ended {
    Stopped,
    /// The platform, or the adapter, failed.
    Failed(String),
    /// It says when to come back.
    Later(Duration, String),
    /// Only the operator can mend it.
    Broken(String),
    Silent(Duration),
    /// Somebody asked for it.
    Asked,
}

impl Adapters {
    /// Keeps an adapter at work until the host stops.
    pub(super) async fn supervise(self: Arc<Self>, line: Arc<Line>) {
        let (platform, plugin) = (line.adapter.platform(), line.adapter.plugin());
        let mut backoff = Backoff::new();
        loop {
            line.watched.set(Condition::Starting, None);
            let before = line.watched.standing(&line.adapter).last_sign_of_life;
            let ended = tokio::select! {
                () = line.stop.cancelled() => Ended::Stopped,
                () = line.watched.restart.notified() => Ended::Asked,
                ended = self.live(&line) => ended,
            };
            if line.watched.standing(&line.adapter).last_sign_of_life > before {
                backoff.reset();
            }
            // Nobody hears what is said on them until it is started again, which may be never. One that is
            // stopped may say goodbye first.
            if !matches!(ended, Ended::Stopped) && !line.stop.is_cancelled() {
                line.adapter.close_sockets();
            }
            let (wait, reason) = match ended {
                Ended::Stopped => break,
                Ended::Asked => (Duration::ZERO, None),
                Ended::Failed(reason) => (backoff.next(), Some(reason)),
                Ended::Later(wait, reason) => (wait.clamp(SHORTEST_REST, LONGEST_REST), Some(reason)),
                Ended::Silent(limit) => {
                    (Duration::ZERO, Some(format!("nothing was heard of the platform for {} ms", limit.as_millis())))
                }
                Ended::Broken(reason) => {
                    tracing::error!(
                        platform,
                        plugin,
                        "the adapter stands still until the operator acts: {reason}. Mend it, then start the host \
                         again, or the adapter with `mercury adapters restart {platform}`"
                    );
                    line.watched.set(Condition::NeedsOperator, Some(reason));
                    tokio::select! {
                        () = line.stop.cancelled() => break,
                        () = line.watched.restart.notified() => {}
                    }
                    line.watched.count_restart();
                    continue;
                }
            };
            line.watched.count_restart();
            metrics::counter!("mercury_adapter_restarts_total", "platform" => platform.to_owned()).increment(1);
            if let Some(reason) = reason {
                tracing::error!(platform, plugin, "the adapter is started again in {} ms: {reason}", wait.as_millis());
                line.watched.set(Condition::Waiting, Some(reason));
            }
            tokio::select! {
                () = line.stop.cancelled() => break,
                () = line.watched.restart.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        let stopped = line.adapter.stop().await;
        // Where another has taken its place, that one has opened its own by now, or will.
        if self.stop.is_cancelled() || self.line(platform).is_none() {
            line.adapter.close_sockets();
        }
        match stopped {
            Ok(Ok(())) => {}
            Ok(Err(said)) => tracing::warn!(platform, plugin, "the adapter could not stop cleanly: {said}"),
            Err(error) => tracing::warn!(platform, plugin, %error, "the adapter could not stop cleanly"),
        }
        line.watched.set(Condition::Stopped, None);
    }

    /// From the start to whatever ends it.
    async fn live(&self, line: &Line) -> Ended {
        let platform = line.adapter.platform();
        let described = match line.adapter.describe().await {
            Ok(described) => described,
            Err(error) => return Ended::Failed(error.to_string()),
        };
        if described.name != platform {
            return Ended::Broken(format!(
                "it says that its platform is `{}`, but [inbox] of its manifest says `{platform}`; both must be the same",
                described.name
            ));
        }
        line.watched.described(described);
        // Before the start, which may open sockets. They stay open while instances come and go, until this ends.
        let events = line.adapter.provides(Interface::SocketClient).then(|| line.adapter.take_socket_events());
        match line.adapter.start().await {
            Ok(Ok(())) => {}
            Ok(Err(trouble)) => return trouble.into(),
            Err(error) => return Ended::Failed(error.to_string()),
        }
        line.watched.set(Condition::Running, None);
        tracing::info!(platform, plugin = line.adapter.plugin(), "adapter running");
        self.delivery.stir();
        tokio::select! {
            ended = poll(line) => ended,
            ended = watch_silence(line) => ended,
            ended = listen(line, events) => ended,
        }
    }
}

/// Hands the events of sockets over, one after the other.
async fn listen(line: &Line, events: Option<SocketEvents>) -> Ended {
    let Some(mut events) = events else { return std::future::pending().await };
    let platform = line.adapter.platform();
    while let Some((socket, event)) = events.recv().await {
        if matches!(event, SocketEvent::Text(_) | SocketEvent::Binary(_)) {
            line.watched.sign_of_life();
        }
        loop {
            match line.adapter.socket_event(socket.clone(), event.clone()).await {
                Ok(Ok(())) => {}
                Ok(Err(said)) => tracing::warn!(platform, "the adapter could not take a socket's event: {said}"),
                // It was not even tried. What comes meanwhile waits, and then the peer.
                Err(CallError::Busy { .. } | CallError::Broken { .. }) => {
                    tokio::time::sleep(UNTRIED_PAUSE).await;
                    continue;
                }
                // The instance is made anew for the next event; the socket stays.
                Err(error) => tracing::warn!(platform, %error, "the adapter failed at a socket's event"),
            }
            break;
        }
    }
    std::future::pending().await
}

async fn poll(line: &Line) -> Ended {
    if !line.adapter.provides(Interface::Poller) {
        return std::future::pending().await;
    }
    loop {
        match line.adapter.poll().await {
            Ok(Ok(pause)) => {
                line.watched.sign_of_life();
                let Some(pause) = pause else { return std::future::pending().await };
                tokio::time::sleep(Duration::from_millis(pause.into()).max(SHORTEST_PAUSE)).await;
            }
            Ok(Err(trouble)) => return trouble.into(),
            Err(error) => return Ended::Failed(error.to_string()),
        }
    }
}

/// Ends when the platform was silent for too long.
async fn watch_silence(line: &Line) -> Ended {
    let Some(limit) = line.watched.silence_limit() else { return std::future::pending().await };
    loop {
        let silent = line.watched.silent_for();
        if silent >= limit {
            return Ended::Silent(limit);
        }
        tokio::time::sleep(limit - silent).await;
    }
}

impl From<Trouble> for Ended {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Transient(reason) => Self::Failed(reason),
            Trouble::After((wait, reason)) => Self::Later(Duration::from_millis(wait.into()), reason),
            Trouble::Operator(reason) => Self::Broken(reason),
        }
    }
}
