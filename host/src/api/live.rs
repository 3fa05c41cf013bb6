//! Live state as server-sent events: one reader of the database for all who watch, and a bounded queue for
//! each of them. Whoever reads too slowly loses events, is told how many, and goes on with the newest.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::State,
    http::StatusCode,
    response::{
        Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use super::Api;
use crate::{adapters::Condition, app::Rooms, http::ApiError};

/// Events that wait for one reader.
const QUEUE: usize = 64;
/// Streams at once: each holds a connection.
const MOST_STREAMS: usize = 32;
/// Changes within this time are one event: 100 ms, at the limit of what an eye tells apart.
const TOGETHER: Duration = Duration::from_millis(100);
/// The slow fallback, for what nobody announces.
const AT_LEAST_EVERY: Duration = Duration::from_secs(5);
/// A stream ends after 10 min, and a browser comes back by itself: by then a session may be over.
const LONGEST: Duration = Duration::from_secs(600);

/// Named as in the replaced system.
#[derive(Clone, Debug, PartialEq)]
enum News {
    Health(Value),
    ActiveCount(Value),
}

impl News {
    fn event(&self) -> Event {
        let (name, data) = match self {
            Self::Health(data) => ("health", data),
            Self::ActiveCount(data) => ("active-count", data),
        };
        Event::default().event(name).data(data.to_string())
    }
}

#[derive(Clone, Debug)]
pub struct Live {
    news: broadcast::Sender<News>,
    places: Arc<Semaphore>,
    /// How many readers there were so far.
    joined: Arc<AtomicU64>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            news: broadcast::Sender::new(QUEUE),
            places: Arc::new(Semaphore::new(MOST_STREAMS)),
            joined: Arc::default(),
        }
    }
}

impl Live {
    /// Tells of changes, until it is dropped. While nobody watches nothing is read.
    pub async fn follow(self, rooms: Rooms) {
        let mut changes = rooms.delivery.changes();
        let (mut last, mut readers) = ((Value::Null, Value::Null), 0);
        loop {
            let _ = tokio::time::timeout(AT_LEAST_EVERY, changes.changed()).await;
            tokio::time::sleep(TOGETHER).await;
            changes.mark_unchanged();
            if self.news.receiver_count() == 0 {
                continue;
            }
            // A new reader was told what was so then, which may not be what was told last.
            let joined = self.joined.load(Ordering::Relaxed);
            if std::mem::replace(&mut readers, joined) != joined {
                last = (Value::Null, Value::Null);
            }
            let (health, active) = state(&rooms).await;
            if health != last.0 {
                let _ = self.news.send(News::Health(health.clone()));
            }
            if active != last.1 {
                let _ = self.news.send(News::ActiveCount(active.clone()));
            }
            last = (health, active);
        }
    }

    fn watch(&self) -> Result<(broadcast::Receiver<News>, OwnedSemaphorePermit), ApiError> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            let error = format!("{MOST_STREAMS} streams of events are open, and no more are served");
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", error, "Close one").retry_after(30)
        })?;
        self.joined.fetch_add(1, Ordering::Relaxed);
        Ok((self.news.subscribe(), place))
    }
}

/// What an operator's page shows at its head, without anything that grows by itself.
async fn state(rooms: &Rooms) -> (Value, Value) {
    let standings = rooms.adapters.standings();
    let down: Vec<_> =
        standings.iter().filter(|one| one.condition != Condition::Running).map(|one| one.platform.clone()).collect();
    let (activity, active) = match (rooms.store.activity().await, rooms.store.active_runs().await) {
        (Ok(activity), Ok(active)) => (activity, active),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(%error, "the live state cannot be read");
            return (
                json!({ "status": "critical", "message": "The database does not answer" }),
                json!({ "active": null }),
            );
        }
    };
    let docker = rooms.sandbox.daemon_answers().unwrap_or(true);
    let (status, message) = health(docker, standings.len(), &down, activity.queued);
    (
        json!({ "status": status, "message": message }),
        json!({ "active": activity.active, "pending": activity.queued, "runs": active }),
    )
}

/// dashboard.md 3.1, and without Docker nobody is answered.
fn health(docker: bool, adapters: usize, down: &[String], pending: i64) -> (&'static str, String) {
    match () {
        () if !docker => ("critical", "Docker does not answer: no agent can start".into()),
        () if adapters > 0 && down.len() == adapters => ("critical", "All adapters disconnected".into()),
        () if pending > 10 => ("critical", format!("Queue backing up ({pending} pending)")),
        () if !down.is_empty() => ("degraded", format!("{} disconnected", down.join(", "))),
        () => ("healthy", "All systems operational".into()),
    }
}

/// `GET /api/events`
pub(super) async fn events(
    State(api): State<Api>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let rooms = api.rooms()?;
    let (receiver, place) = api.live.watch()?;
    // Watched before it is read, so nothing in between is missed.
    let (health, active) = state(rooms).await;
    let first = stream::iter([News::Health(health), News::ActiveCount(active)]).map(|news| news.event());
    let events = first.chain(events_of(receiver)).map(move |event| {
        let _ = &place;
        Ok(event)
    });
    let stopping = api.stopping.clone();
    let over = async move {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(LONGEST) => {}
        }
    };
    Ok(Sse::new(events.take_until(Box::pin(over))).keep_alive(KeepAlive::default()))
}

fn events_of(receiver: broadcast::Receiver<News>) -> impl Stream<Item = Event> {
    BroadcastStream::new(receiver).map(|news| match news {
        Ok(news) => news.event(),
        Err(BroadcastStreamRecvError::Lagged(lost)) => {
            Event::default().event("lost").data(json!({ "events": lost }).to_string())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// dashboard.md 3.1, in its order.
    #[test]
    fn how_the_host_is() {
        let down = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (docker, adapters, names, pending, expected) in [
            (true, 0, &[][..], 0, "healthy"),
            (true, 2, &[], 10, "healthy"),
            (true, 2, &["a"], 10, "degraded"),
            (true, 2, &["a"], 11, "critical"),
            (true, 2, &["a", "b"], 0, "critical"),
            (false, 2, &[], 0, "critical"),
        ] {
            assert_eq!(health(docker, adapters, &down(names), pending).0, expected, "{names:?} {pending}");
        }
    }

    /// Whoever does not read keeps nobody waiting, and learns what was lost.
    #[tokio::test]
    async fn a_slow_reader_is_told() {
        let live = Live::default();
        let (receiver, _place) = live.watch().unwrap();
        let sent = QUEUE + 5;
        for n in 0..sent {
            live.news.send(News::ActiveCount(json!({ "active": n }))).unwrap();
        }
        let mut events = Box::pin(events_of(receiver));
        let told = format!("{:?}", events.next().await.unwrap());
        assert!(told.contains("lost") && told.contains("\\\"events\\\":5"), "{told}");
        let next = format!("{:?}", events.next().await.unwrap());
        assert!(next.contains("\\\"active\\\":5"), "it goes on with the oldest that is left: {next}");
    }

    #[test]
    fn streams_are_bounded() {
        let live = Live::default();
        let mut open: Vec<_> = (0..MOST_STREAMS).map(|_| live.watch().unwrap()).collect();
        assert_eq!(live.watch().unwrap_err().status, StatusCode::SERVICE_UNAVAILABLE);
        open.pop();
        assert!(live.watch().is_ok());
    }
}
