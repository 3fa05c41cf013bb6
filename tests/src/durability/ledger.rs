//! A fake chat platform, `ledger`: it hands messages out by webhook or long poll until they are confirmed, and
//! writes down all that it is sent. Its adapter is `components/fixtures/ledger`. It knows idempotency: a message
//! that it is sent again under the same id is one message. Each arrival is counted, too, since that is what a
//! platform without idempotency would show.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{ConnectInfo, State, connect_info::Connected},
    routing::post,
    serve::{IncomingStream, Listener},
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, watch},
};

use crate::points::{Point, Trap};

/// How long a round of the long poll waits for a message.
const ROUND: Duration = Duration::from_millis(300);
/// Messages of one round.
const MOST_OF_A_ROUND: usize = 20;
/// How long after an answer has left it counts as arrived, give or take.
const ON_ITS_WAY: Duration = Duration::from_micros(700);

/// How the ids of answers begin. There are others: a host says how long a queue is.
const ANSWER: &str = "answer-";

/// A host, counted from 0: whoever opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life(u32);

/// A message of the assistant, under one id.
#[derive(Clone, Debug)]
pub struct Sent {
    pub id: String,
    pub conversation: String,
    pub text: String,
    pub files: Vec<(String, String)>,
    /// The host, counted from 0, that brought each of its arrivals.
    pub arrivals: Vec<u32>,
}

impl Sent {
    pub fn is_answer(&self) -> bool {
        self.id.starts_with(ANSWER)
    }

    /// Whether one host brought it more than once.
    pub fn is_needless(&self) -> bool {
        self.arrivals.windows(2).any(|two| two[0] == two[1])
    }

    /// The marks of the messages that it answers.
    pub fn marks(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter(|line| is_mark(line))
    }
}

/// What a message asks to have in its answer.
pub fn mark(number: usize) -> String {
    format!("m{number:06}")
}

fn is_mark(line: &str) -> bool {
    line.len() == 7 && line.starts_with('m') && line[1..].bytes().all(|byte| byte.is_ascii_digit())
}

#[derive(Default)]
struct World {
    /// Messages that are not confirmed, under their numbers.
    queue: VecDeque<(u64, Value)>,
    last: u64,
    sent: BTreeMap<String, Sent>,
    /// Ids in the order of their first arrival.
    order: Vec<String>,
    /// The rooms of the messages that are not answered.
    waiting: HashMap<String, OwnedSemaphorePermit>,
    life: u32,
}

#[derive(Clone)]
struct Shared {
    world: Arc<Mutex<World>>,
    news: Arc<Notify>,
    answered: Arc<watch::Sender<usize>>,
    trap: Trap,
}

pub struct Ledger {
    address: SocketAddr,
    shared: Shared,
}

impl Ledger {
    pub async fn start(trap: Trap) -> Self {
        let shared =
            Shared { world: Arc::default(), news: Arc::default(), answered: Arc::new(watch::Sender::new(0)), trap };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/poll", post(poll)).route("/send", post(send)).with_state(shared.clone());
        let lives = Lives { listener, world: shared.world.clone() };
        let service = router.into_make_service_with_connect_info::<Life>();
        tokio::spawn(async move { axum::serve(lives, service).await.unwrap() });
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A message with this mark is about to be written. The permit is given back when it is answered.
    pub fn expect(&self, mark: String, room: OwnedSemaphorePermit) {
        self.shared.world.lock().unwrap().waiting.insert(mark, room);
    }

    /// Hands a message out by the long poll, until a greater cursor confirms it.
    pub fn queue(&self, event: Value) {
        let mut world = self.shared.world.lock().unwrap();
        world.last += 1;
        let number = world.last;
        world.queue.push_back((number, event));
        drop(world);
        self.shared.news.notify_waiters();
    }

    /// Another host is there from now on.
    pub fn next_life(&self) {
        self.shared.world.lock().unwrap().life += 1;
    }

    /// How many messages have their answer.
    pub fn answered(&self) -> watch::Receiver<usize> {
        self.shared.answered.subscribe()
    }

    /// All that it was sent, in the order of the first arrivals.
    pub fn sent(&self) -> Vec<Sent> {
        let world = self.shared.world.lock().unwrap();
        world.order.iter().map(|id| world.sent[id].clone()).collect()
    }
}

/// Accepts connections and knows which host makes them: one that is answered late is not the next host's.
struct Lives {
    listener: TcpListener,
    world: Arc<Mutex<World>>,
}

impl Listener for Lives {
    type Io = TcpStream;
    type Addr = Life;

    async fn accept(&mut self) -> (TcpStream, Life) {
        let (stream, _) = Listener::accept(&mut self.listener).await;
        (stream, Life(self.world.lock().unwrap().life))
    }

    fn local_addr(&self) -> std::io::Result<Life> {
        Ok(Life(0))
    }
}

impl Connected<IncomingStream<'_, Lives>> for Life {
    fn connect_info(stream: IncomingStream<'_, Lives>) -> Self {
        *stream.remote_addr()
    }
}

async fn poll(State(shared): State<Shared>, Json(asked): Json<Value>) -> Json<Value> {
    let cursor: u64 = asked["cursor"].as_str().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let waiting = || -> Vec<(u64, Value)> {
        let mut world = shared.world.lock().unwrap();
        // What is confirmed is forgotten: a cursor that went back would lose it.
        world.queue.retain(|(number, _)| *number > cursor);
        world.queue.iter().take(MOST_OF_A_ROUND).cloned().collect()
    };
    let until = tokio::time::Instant::now() + ROUND;
    loop {
        let mut news = std::pin::pin!(shared.news.notified());
        news.as_mut().enable();
        let events = waiting();
        if let Some((last, _)) = events.last() {
            let answer = json!({ "cursor": last.to_string(), "events": events.iter().map(|(_, event)| event).collect::<Vec<_>>() });
            later(&shared, Point::PollAnswered);
            return Json(answer);
        }
        if tokio::time::timeout_at(until, news).await.is_err() {
            return Json(json!({ "cursor": cursor.to_string(), "events": [] }));
        }
    }
}

async fn send(
    State(shared): State<Shared>,
    ConnectInfo(life): ConnectInfo<Life>,
    Json(message): Json<Value>,
) -> Json<Value> {
    shared.trap.reached(Point::SendAsked).await;
    let id = message["id"].as_str().unwrap_or_default().to_owned();
    let number = write_down(&shared, life, &id, &message);
    shared.trap.reached(Point::SendTaken).await;
    later(&shared, Point::SendAnswered);
    Json(json!({ "message": format!("s{number}") }))
}

fn write_down(shared: &Shared, Life(life): Life, id: &str, message: &Value) -> usize {
    let mut world = shared.world.lock().unwrap();
    if let Some(known) = world.sent.get_mut(id) {
        known.arrivals.push(life);
        return world.order.iter().position(|other| other == id).unwrap_or_default();
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let files =
        message["files"].as_array().into_iter().flatten().map(|file| (text(&file["name"]), text(&file["text"])));
    let sent = Sent {
        id: id.to_owned(),
        conversation: text(&message["conversation"]),
        text: text(&message["text"]),
        files: files.collect(),
        arrivals: vec![life],
    };
    let rooms = sent.marks().filter_map(|mark| world.waiting.remove(mark)).count();
    world.sent.insert(id.to_owned(), sent);
    world.order.push(id.to_owned());
    shared.answered.send_modify(|answered| *answered += rooms);
    world.order.len() - 1
}

/// The answer leaves when this is over; a moment later it is read.
fn later(shared: &Shared, point: Point) {
    let trap = shared.trap.clone();
    tokio::spawn(async move {
        tokio::time::sleep(ON_ITS_WAY).await;
        trap.reached(point).await;
    });
}
