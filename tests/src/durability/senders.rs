//! Those who write: one for each space, by webhook or by the long poll, in order and not too far ahead of the answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{
    Stage,
    ledger::{Ledger, mark},
};
use crate::points::{Point, Trap};

/// Messages of one conversation that may be without an answer.
const AHEAD: usize = 3;
/// How many times as many messages may be written as were wanted, until every point was reached.
const MOST_TIMES: usize = 4;
/// Before a webhook that found no host is sent again.
const AGAIN: Duration = Duration::from_millis(30);

struct Inner {
    wanted: usize,
    spaces: usize,
    seed: u64,
    next: AtomicUsize,
    /// Every point was reached as often as it was to be.
    satisfied: AtomicBool,
    port: u16,
    ledger: Arc<Ledger>,
    trap: Trap,
    client: Client<HttpConnector, Full<Bytes>>,
}

#[derive(Clone)]
pub(super) struct Traffic(Arc<Inner>);

/// One message.
pub(super) struct Written {
    pub(super) mark: String,
    text: String,
    /// Whether its answer comes with a file of that name and content.
    pub(super) file: bool,
}

impl Traffic {
    pub(super) fn new(stage: &Stage) -> Self {
        Self(Arc::new(Inner {
            wanted: stage.plan.messages,
            spaces: stage.plan.spaces,
            seed: stage.plan.seed,
            next: AtomicUsize::new(0),
            satisfied: AtomicBool::new(stage.plan.kills == 0),
            port: stage.host.port(),
            ledger: stage.ledger.clone(),
            trap: stage.trap.clone(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }))
    }

    /// Everybody begins to write; over when everything is written and taken.
    pub(super) fn begin(&self) -> impl Future<Output = ()> + use<> {
        let writing: Vec<_> = (0..self.0.spaces)
            .map(|conversation| {
                let this = self.clone();
                tokio::spawn(async move { this.write(conversation).await })
            })
            .collect();
        async move {
            for one in writing {
                one.await.unwrap();
            }
        }
    }

    pub(super) fn satisfied(&self) {
        self.0.satisfied.store(true, Ordering::Relaxed);
    }

    /// Messages so far.
    pub(super) fn written(&self) -> usize {
        self.0.next.load(Ordering::Relaxed)
    }

    /// Nothing more will be written.
    pub(super) fn is_over(&self) -> bool {
        self.written() >= self.most()
    }

    pub(super) fn unanswered(&self) -> usize {
        self.written().saturating_sub(*self.0.ledger.answered().borrow())
    }

    /// Waits for so many answers.
    pub(super) async fn answers(&self, wanted: usize) {
        let mut answered = self.0.ledger.answered();
        let _ = answered.wait_for(|answered| *answered >= wanted).await;
    }

    /// Waits until nothing is answered any more for that long.
    pub(super) async fn standstill(&self, time: Duration) {
        let mut answered = self.0.ledger.answered();
        while tokio::time::timeout(time, answered.changed()).await.is_ok() {}
    }

    fn most(&self) -> usize {
        match self.0.satisfied.load(Ordering::Relaxed) {
            true => self.0.wanted,
            false => self.0.wanted * MOST_TIMES,
        }
    }

    fn take_number(&self) -> Option<usize> {
        let next = |last: usize| (last < self.most()).then_some(last + 1);
        self.0.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok().map(|last| last + 1)
    }

    /// The same for the same seed.
    pub(super) fn message(&self, number: usize) -> Written {
        let mut random = StdRng::seed_from_u64(self.0.seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mark = mark(number);
        let file = random.random_bool(0.1);
        let mut text = String::new();
        if random.random_bool(0.3) {
            text.push_str(&format!("!sleep {}\n", random.random_range(1..60)));
        }
        if random.random_bool(0.1) {
            text.push_str("!tool bash ls\n");
        }
        if file {
            text.push_str(&format!("!write outbox/{mark}.txt {mark}\n"));
        }
        text.push_str(&format!("!reply {mark}"));
        Written { mark, text, file }
    }

    async fn write(&self, conversation: usize) {
        let room = Arc::new(Semaphore::new(AHEAD));
        loop {
            let place = room.clone().acquire_owned().await.unwrap();
            let Some(number) = self.take_number() else { return };
            let Written { mark, text, .. } = self.message(number);
            let event = json!({ "id": mark, "conversation": format!("c{conversation:02}"), "text": text });
            self.0.ledger.expect(mark, place);
            if conversation.is_multiple_of(2) {
                self.post(event).await;
            } else {
                self.0.ledger.queue(event);
            }
        }
    }

    /// As a platform does it: again and again, until it is told that the message was taken.
    async fn post(&self, event: Value) {
        let uri = format!("http://127.0.0.1:{}/webhooks/ledger", self.0.port);
        let body = Bytes::from(json!([event]).to_string());
        loop {
            let request = hyper::Request::post(&uri).header("content-type", "application/json");
            let answer = self.0.client.request(request.body(Full::new(body.clone())).unwrap());
            let under_way = async {
                // Until the request has left.
                tokio::time::sleep(Duration::from_millis(1)).await;
                self.0.trap.reached(Point::EventSent).await;
            };
            // Polled first, so that the one does not wait for the other.
            let (answer, ()) = tokio::join!(answer, under_way);
            if let Ok(answer) = answer
                && answer.status() == 200
                && answer.into_body().collect().await.is_ok()
            {
                self.0.trap.reached(Point::EventAcknowledged).await;
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}
