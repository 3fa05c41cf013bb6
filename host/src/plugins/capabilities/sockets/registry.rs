//! Which sockets are open, under the names that plugins gave them. They outlive the plugin's instances.
//!
//! What waits, in either direction, is bounded in bytes over all sockets of a plugin: a peer of its
//! author's, or the plugin itself, fills no more of the host's memory than that.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::DropGuard;

use crate::domain::outbound::{Bucket, Target};
use crate::plugins::adapter::SocketEvent;

/// The largest message in either direction: 16 MiB.
pub(super) const MOST_MESSAGE: usize = 16 << 20;
/// Frames that wait to be sent on one socket.
pub(super) const MOST_FRAMES: usize = 256;
/// Bytes of frames that wait to be sent, over all sockets of a plugin.
pub(super) const MOST_TO_SEND: usize = 2 * MOST_MESSAGE;
/// Events of one plugin that wait to be taken; then its sockets are not read any further.
const MOST_EVENTS: usize = 1_000;
/// Bytes of such events, over all sockets of a plugin.
const MOST_TO_TAKE: usize = 2 * MOST_MESSAGE;
/// Sockets of one plugin. Each can hold one message that is not whole yet.
const MOST_SOCKETS: usize = 16;
/// Sockets that one plugin may open in a minute; the host's own reconnecting is not counted.
const MOST_OPENED: u32 = 60;

/// An event, and the name of its socket.
type Named = (String, SocketEvent);

/// A place for some bytes among those that wait. It is free again once this is dropped.
pub(super) type Room = OwnedSemaphorePermit;

/// A frame on its way to the peer.
pub(super) struct Outgoing {
    pub(super) message: Message,
    _room: Room,
}

/// The host's end of a socket. Its connection ends, in good order, once this is dropped.
pub(super) struct Line {
    pub(super) frames: mpsc::Sender<Outgoing>,
    /// Where it goes, for the secrets of its frames.
    pub(super) target: Arc<Target>,
    pub(super) protected: bool,
    /// Ends the connection when this is dropped.
    pub(super) _held: DropGuard,
}

/// What a frame needs of its socket.
pub(super) struct Open {
    frames: mpsc::Sender<Outgoing>,
    room: Arc<Semaphore>,
    pub(super) target: Arc<Target>,
    pub(super) protected: bool,
}

/// Why a frame is not sent.
pub(super) enum Unsent {
    /// There is no such socket any more.
    Closed,
    /// Too much waits already.
    Full,
}

impl Open {
    pub(super) fn send(&self, message: Message) -> Result<(), Unsent> {
        let _room = room_for(&self.room, message.len()).ok_or(Unsent::Full)?;
        self.frames.try_send(Outgoing { message, _room }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unsent::Full,
            mpsc::error::TrySendError::Closed(_) => Unsent::Closed,
        })
    }
}

fn room_for(room: &Arc<Semaphore>, bytes: usize) -> Option<Room> {
    room.clone().try_acquire_many_owned(permits(bytes)).ok()
}

/// At least one, so that empty messages count as well.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.max(1)).unwrap_or(u32::MAX)
}

/// Where the events of a plugin's sockets go.
#[derive(Clone)]
pub(super) struct Taker {
    events: mpsc::Sender<(Named, Room)>,
    room: Arc<Semaphore>,
}

impl Taker {
    /// Waits until there is room. `false` where nobody takes events any more.
    pub(super) async fn tell(&self, socket: &str, event: SocketEvent) -> bool {
        let bytes = match &event {
            SocketEvent::Text(text) => text.len(),
            SocketEvent::Binary(bytes) => bytes.len(),
            SocketEvent::Closed((_, reason)) => reason.len(),
            SocketEvent::Opened => 0,
        };
        let Ok(room) = self.room.clone().acquire_many_owned(permits(bytes)).await else { return false };
        self.events.send(((socket.to_owned(), event), room)).await.is_ok()
    }
}

/// The events of a plugin's sockets, in order.
pub struct SocketEvents(mpsc::Receiver<(Named, Room)>);

impl SocketEvents {
    /// The next one, with the name of its socket. `None` where somebody else takes them.
    pub async fn recv(&mut self) -> Option<Named> {
        self.0.recv().await.map(|(event, _)| event)
    }
}

/// What belongs to one plugin.
struct Account {
    lines: HashMap<String, Line>,
    taker: Option<Taker>,
    to_send: Arc<Semaphore>,
    opened: Bucket,
    began: Instant,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            lines: HashMap::new(),
            taker: None,
            to_send: Arc::new(Semaphore::new(MOST_TO_SEND)),
            opened: Bucket::new(MOST_OPENED, 0),
            began: Instant::now(),
        }
    }
}

/// Why a socket is not opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    TooMany,
    /// Milliseconds until one may be opened again.
    TooOften(u32),
}

/// All sockets of all plugins.
#[derive(Default)]
pub(in crate::plugins) struct Sockets(Mutex<HashMap<String, Account>>);

impl Sockets {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the events of a plugin's sockets arrive, in order. Sockets that told an earlier taker end: what
    /// their peers still say would reach nobody.
    pub(in crate::plugins) fn take_events(&self, plugin: &str) -> SocketEvents {
        let (events, receiver) = mpsc::channel(MOST_EVENTS);
        let taker = Taker { events, room: Arc::new(Semaphore::new(MOST_TO_TAKE)) };
        let mut accounts = self.lock();
        let account = accounts.entry(plugin.to_owned()).or_default();
        account.lines.clear();
        account.taker = Some(taker);
        SocketEvents(receiver)
    }

    pub(super) fn taker(&self, plugin: &str) -> Option<Taker> {
        self.lock().get(plugin)?.taker.clone()
    }

    /// Keeps a socket in the place of an open one of that name, which ends.
    pub(super) fn put(&self, plugin: &str, name: &str, line: Line) -> Result<(), Refused> {
        let mut accounts = self.lock();
        let account = accounts.entry(plugin.to_owned()).or_default();
        if account.lines.len() >= MOST_SOCKETS && !account.lines.contains_key(name) {
            return Err(Refused::TooMany);
        }
        let now = account.began.elapsed().as_millis() as u64;
        account.opened.take(now).map_err(Refused::TooOften)?;
        account.lines.insert(name.to_owned(), line);
        Ok(())
    }

    pub(super) fn find(&self, plugin: &str, name: &str) -> Option<Open> {
        let accounts = self.lock();
        let account = accounts.get(plugin)?;
        let Line { frames, target, protected, .. } = account.lines.get(name)?;
        let (frames, room) = (frames.clone(), account.to_send.clone());
        Some(Open { frames, room, target: target.clone(), protected: *protected })
    }

    /// Ends a socket; the peer is told.
    pub(super) fn close(&self, plugin: &str, name: &str) {
        if let Some(account) = self.lock().get_mut(plugin) {
            account.lines.remove(name);
        }
    }

    /// Ends all sockets of a plugin.
    pub(in crate::plugins) fn close_all(&self, plugin: &str) {
        if let Some(account) = self.lock().get_mut(plugin) {
            account.lines.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn line() -> (Line, mpsc::Receiver<Outgoing>, CancellationToken) {
        let (frames, receiver) = mpsc::channel(MOST_FRAMES);
        let token = CancellationToken::new();
        let target = Arc::new(Target::parse("https://chat.test/").unwrap());
        (Line { frames, target, protected: true, _held: token.clone().drop_guard() }, receiver, token)
    }

    /// A peer that reads nothing, and a plugin that says much: over all its sockets little waits.
    #[test]
    fn what_waits_to_be_sent_is_bounded_over_all_sockets() {
        let sockets = Sockets::default();
        let mut receivers = Vec::new();
        let mut waiting = 0;
        for name in ["a", "b", "c"] {
            let (line, receiver, _) = line();
            sockets.put("p", name, line).unwrap();
            receivers.push(receiver);
            let open = sockets.find("p", name).unwrap();
            while open.send(Message::binary(vec![0; 1 << 20])).is_ok() {
                waiting += 1 << 20;
            }
        }
        assert_eq!(waiting, MOST_TO_SEND);
        let (other, mut kept, _) = line();
        sockets.put("q", "a", other).unwrap();
        assert!(sockets.find("q", "a").unwrap().send(Message::text("x")).is_ok(), "another plugin has its own");
        assert!(kept.try_recv().is_ok());
        drop(receivers.remove(0).try_recv().unwrap());
        assert!(
            sockets.find("p", "b").unwrap().send(Message::binary(vec![0; 1 << 20])).is_ok(),
            "what went makes room"
        );
    }

    #[tokio::test]
    async fn what_waits_to_be_taken_is_bounded_in_bytes() {
        let sockets = Sockets::default();
        let mut events = sockets.take_events("p");
        let taker = sockets.taker("p").unwrap();
        let tell = |bytes: usize| {
            let taker = taker.clone();
            async move { taker.tell("a", SocketEvent::Binary(vec![0; bytes])).await }
        };
        assert!(tell(MOST_MESSAGE).await && tell(MOST_MESSAGE).await);
        let mut third = Box::pin(tell(1));
        assert!(futures_util::poll!(&mut third).is_pending());
        assert!(events.recv().await.is_some());
        assert!(third.await);
        drop(events);
        assert!(!tell(1).await, "nobody takes them any more");
    }

    /// An adapter's next life opens its own; one that it does not open would swallow what is said on it.
    #[test]
    fn sockets_end_with_who_took_their_events() {
        let sockets = Sockets::default();
        let before = sockets.take_events("p");
        let ((ours, _receiver, ended), (others, _kept, stands)) = (line(), line());
        sockets.put("p", "a", ours).unwrap();
        sockets.put("q", "a", others).unwrap();
        let _after = sockets.take_events("p");
        assert!(ended.is_cancelled() && sockets.find("p", "a").is_none(), "nothing is sent on it either");
        assert!(!stands.is_cancelled(), "another plugin's");
        drop(before);
        let (line, _receiver, new) = line();
        sockets.put("p", "a", line).unwrap();
        assert!(!new.is_cancelled() && sockets.find("p", "a").is_some());
    }

    #[test]
    fn a_plugin_opens_few_and_not_often() {
        let sockets = Sockets::default();
        let mut kept = Vec::new();
        for number in 0..MOST_SOCKETS {
            let (line, receiver, token) = line();
            sockets.put("p", &number.to_string(), line).unwrap();
            kept.push((receiver, token));
        }
        assert_eq!(sockets.put("p", "more", line().0), Err(Refused::TooMany));
        let mut refused = None;
        for _ in 0..MOST_OPENED {
            refused = refused.or(sockets.put("p", "0", line().0).err());
        }
        assert!(matches!(refused, Some(Refused::TooOften(wait)) if wait > 0), "{refused:?}");
        assert!(kept[0].1.is_cancelled(), "the one in whose place another was opened has ended");
        sockets.close("p", "1");
        assert!(kept[1].1.is_cancelled() && !kept[2].1.is_cancelled());
        sockets.close_all("p");
        assert!(kept.iter().all(|(_, token)| token.is_cancelled()));
    }
}
