//! A fake of Telegram's Bot API (core.telegram.org/bots/api): it keeps updates until they are confirmed,
//! lets one poller in at a time, takes only markup that Telegram would take, and remembers every call.

mod api;
mod form;
pub mod hosted;
mod markup;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

/// The token that opens it, of the form that BotFather gives out.
pub const TOKEN: &str = "4242:AAFakeTokenOfTheSuites_0123456789abc";
/// The bot behind the token.
pub const BOT_ID: i64 = 4242;
pub const BOT: &str = "mercury_real_bot";

/// What a test waits for must come within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The status of a call that has no answer yet.
const HELD: u16 = 0;

/// A call as the fake took it, refused ones included.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub fields: Value,
    pub files: Vec<Uploaded>,
    /// What it answered: 200, or the error's code. 0 while it is held.
    pub status: u16,
    pub at: Instant,
}

/// A file of a multipart form.
#[derive(Clone, Debug)]
pub struct Uploaded {
    pub field: String,
    pub name: String,
    pub mime_type: String,
    pub content: Bytes,
}

/// An answer that the next call of a method gets instead of its own.
struct Refusal {
    code: u16,
    description: String,
    parameters: Value,
}

#[derive(Default)]
struct World {
    updates: VecDeque<Value>,
    next_update: i64,
    next_message: i64,
    /// Texts of the messages that the bot sent, by chat and id.
    messages: BTreeMap<(i64, i64), String>,
    files: BTreeMap<String, Bytes>,
    /// Sizes that `getFile` names instead of the true ones.
    announced: BTreeMap<String, u64>,
    /// Where the file server sends whoever asks for a file.
    redirected: BTreeMap<String, String>,
    refusals: BTreeMap<String, VecDeque<Refusal>>,
    webhook: Option<String>,
    webhook_error: Option<String>,
    calls: Vec<Call>,
    /// Methods whose calls wait.
    held: BTreeSet<String>,
}

#[derive(Clone)]
struct Shared {
    world: Arc<Mutex<World>>,
    /// Something new: an update, or a call.
    news: Arc<Notify>,
    /// Counts the pollers: an older one is sent away.
    poller: Arc<watch::Sender<u64>>,
}

/// The running fake.
pub struct Telegram {
    address: SocketAddr,
    shared: Shared,
}

impl Telegram {
    pub async fn start() -> Self {
        let world = World { next_update: 100, next_message: 1000, ..World::default() };
        let shared = Shared {
            world: Arc::new(Mutex::new(world)),
            news: Arc::default(),
            poller: Arc::new(watch::Sender::new(0)),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = api::router(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn with<R>(&self, change: impl FnOnce(&mut World) -> R) -> R {
        let result = change(&mut self.shared.world.lock().unwrap());
        self.shared.news.notify_waiters();
        result
    }

    /// Something happened: an update without its id, which it gets.
    pub fn push(&self, update: Value) -> i64 {
        self.with(|world| {
            let update = number(world, update);
            let id = update["update_id"].as_i64().unwrap();
            world.updates.push_back(update);
            id
        })
    }

    /// The same for several that a poller must get in one answer.
    pub fn push_all(&self, updates: impl IntoIterator<Item = Value>) {
        self.with(|world| {
            for update in updates {
                let update = number(world, update);
                world.updates.push_back(update);
            }
        });
    }

    /// An update as a webhook would bring it.
    pub fn numbered(&self, update: Value) -> Value {
        self.with(|world| number(world, update))
    }

    /// Answers the next call of the method like this, once.
    pub fn refuse(&self, method: &str, code: u16, description: &str, parameters: Value) {
        let refusal = Refusal { code, description: description.to_owned(), parameters };
        self.with(|world| world.refusals.entry(method.to_owned()).or_default().push_back(refusal));
    }

    /// A file that `getFile` knows.
    pub fn file(&self, file_id: &str, content: &[u8]) {
        self.with(|world| world.files.insert(file_id.to_owned(), Bytes::copy_from_slice(content)));
    }

    /// `getFile` says that the file has this size, whatever it has; and the file server sends it again and
    /// again, without end.
    pub fn announce(&self, file_id: &str, size: u64) {
        self.with(|world| world.announced.insert(file_id.to_owned(), size));
    }

    /// The file server says that the file lies elsewhere.
    pub fn redirect(&self, file_id: &str, to: &str) {
        self.with(|world| world.redirected.insert(file_id.to_owned(), to.to_owned()));
    }

    /// The next update gets this id, as after a week without any.
    pub fn renumber(&self, next: i64) {
        self.with(|world| world.next_update = next);
    }

    /// As if somebody had called `setWebhook`, or `deleteWebhook`.
    pub fn webhook(&self, url: Option<&str>) {
        self.with(|world| world.webhook = url.map(str::to_owned));
    }

    /// From now on calls of the method wait for [`Telegram::release`]. They are remembered when they begin.
    pub fn hold(&self, method: &str) {
        self.with(|world| world.held.insert(method.to_owned()));
    }

    pub fn release(&self, method: &str) {
        self.with(|world| world.held.remove(method));
    }

    /// Waits until a call of the method is held.
    ///
    /// # Panics
    /// After a minute.
    pub async fn held(&self, method: &str) {
        let held = self.until(|fake| fake.calls_of(method).iter().any(|call| call.status == HELD).then_some(())).await;
        assert!(held.is_some(), "nobody called {method}");
    }

    pub fn calls(&self) -> Vec<Call> {
        self.shared.world.lock().unwrap().calls.clone()
    }

    /// Calls of the method, in order, without the messages that show a long run's progress: how long a run takes is the
    /// machine's affair.
    pub fn calls_of(&self, method: &str) -> Vec<Call> {
        let is_progress = |call: &Call| call.fields["text"].as_str().is_some_and(|it| it.starts_with("⏳ Processing"));
        self.calls().into_iter().filter(|call| call.method == method && !is_progress(call)).collect()
    }

    /// Updates that nobody has confirmed.
    pub fn unconfirmed(&self) -> usize {
        self.shared.world.lock().unwrap().updates.len()
    }

    /// Waits until the method was called that often with success, and hands these calls out.
    ///
    /// # Panics
    /// After a minute.
    pub async fn sent(&self, method: &str, count: usize) -> Vec<Call> {
        let taken = |calls: Vec<Call>| calls.into_iter().filter(|call| call.status == 200).collect::<Vec<_>>();
        let found = self.until(|fake| {
            let calls = taken(fake.calls_of(method));
            (calls.len() >= count).then_some(calls)
        });
        found.await.unwrap_or_else(|| {
            panic!(
                "{method} was not called {count} times, but: {:#?}",
                self.calls().iter().rev().take(20).collect::<Vec<_>>()
            )
        })
    }

    /// Waits until every update was confirmed.
    ///
    /// # Panics
    /// After a minute.
    pub async fn all_confirmed(&self) {
        let done = self.until(|fake| (fake.unconfirmed() == 0).then_some(())).await;
        assert!(done.is_some(), "{} updates were not confirmed", self.unconfirmed());
    }

    async fn until<R>(&self, found: impl Fn(&Self) -> Option<R>) -> Option<R> {
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        loop {
            let news = self.shared.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if let Some(found) = found(self) {
                return Some(found);
            }
            tokio::select! {
                () = news => {}
                () = &mut patience => return None,
            }
        }
    }
}

fn number(world: &mut World, mut update: Value) -> Value {
    update["update_id"] = json!(world.next_update);
    world.next_update += 1;
    update
}

/// A message of Dana's to the bot alone.
pub fn direct(message_id: i64, fields: Value) -> Value {
    with(
        json!({
            "message_id": message_id, "date": 1_700_000_000,
            "chat": { "id": 42, "type": "private", "first_name": "Dana", "username": "dana" },
            "from": { "id": 42, "is_bot": false, "first_name": "Dana", "username": "dana" },
        }),
        fields,
    )
}

/// A message of Dana's in the supergroup -1001.
pub fn group(message_id: i64, fields: Value) -> Value {
    with(
        json!({
            "message_id": message_id, "date": 1_700_000_000,
            "chat": { "id": -1001, "type": "supergroup", "title": "Team" },
            "from": { "id": 42, "is_bot": false, "first_name": "Dana", "username": "dana" },
        }),
        fields,
    )
}

fn with(mut message: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        message[name] = value.clone();
    }
    json!({ "message": message })
}
