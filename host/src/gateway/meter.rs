//! Follows one call to its end, whichever it is, and writes down what it came to. It runs beside the
//! answer and never holds it up: it gets a copy of each piece that goes to the client, and when
//! no more can come it settles the call.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Bytes;
use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Upstream,
    api::Api,
    count::{Count, Counted},
};
use crate::{
    clock,
    domain::price::{Price, Tokens},
    store::{CallEnd, CallState, Store},
};

/// A whole answer up to this size is looked into: 32 MiB.
const MOST_BODY: usize = 32 << 20;
/// How long the meter rests after the database failed it, and how often it tries.
const REST: Duration = Duration::from_secs(1);
const TRIES: u32 = 5;

/// A call that was let through.
pub(super) struct Call {
    /// In the ledger.
    pub row: i64,
    pub api: Api,
    pub upstream: Upstream,
    /// The model that was asked for.
    pub model: String,
    /// Estimate of the request's tokens.
    pub asked: u64,
    /// The most tokens that its answer may have.
    pub most: u64,
}

impl Call {
    /// Providers answer with another model's name, too: a dated one, or a fallback.
    fn price(&self, answered: Option<&str>) -> Option<Price> {
        answered.and_then(|model| self.upstream.price(model)).or_else(|| self.upstream.price(&self.model))
    }
}

/// How the answer is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Events,
    Json,
    /// An error of the provider, or none reached: nothing is charged.
    Failure,
}

/// Dropped without a word it means that the call broke off before an answer began: its task settles
/// it all the same, and for the most that it may cost if the request was sent.
pub(super) struct Meter {
    sent: Arc<AtomicBool>,
    begun: oneshot::Sender<Form>,
    pieces: mpsc::UnboundedSender<Bytes>,
}

impl Meter {
    /// `permit` is the call's place among those of its run; it is free when the call is settled.
    pub(super) fn start(
        call: Call,
        store: Store,
        permit: OwnedSemaphorePermit,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (begun, form) = oneshot::channel();
        let (pieces, received) = mpsc::unbounded_channel();
        let sent = Arc::new(AtomicBool::new(false));
        let reached = sent.clone();
        tasks.spawn(async move {
            let mut count = Count::new(call.api);
            let failed = tokio::select! {
                failed = follow(&mut count, form, received) => failed,
                // The host ends: what is known by now is all that will be.
                () = stop.cancelled() => false,
            };
            let charged = !failed && reached.load(Ordering::Acquire);
            settle(&call, charged.then(|| count.finish(call.asked, call.most)), &store).await;
            drop(permit);
        });
        Self { sent, begun, pieces }
    }

    /// The request goes out.
    pub(super) fn sent(&self) {
        self.sent.store(true, Ordering::Release);
    }

    /// The call came to nothing.
    pub(super) fn failed(self) {
        let _ = self.begun.send(Form::Failure);
    }

    /// An answer begins; a copy of it is to be sent to what is returned.
    pub(super) fn begin(self, form: Form) -> mpsc::UnboundedSender<Bytes> {
        let _ = self.begun.send(form);
        self.pieces
    }
}

/// Returns whether the call failed.
async fn follow(count: &mut Count, form: oneshot::Receiver<Form>, pieces: mpsc::UnboundedReceiver<Bytes>) -> bool {
    let mut pieces = UnboundedReceiverStream::new(pieces);
    match form.await {
        Ok(Form::Failure) => return true,
        Ok(Form::Events) => {
            let mut events = pieces.map(Ok::<_, Infallible>).eventsource();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => count.event(&event.data),
                    Err(error) => tracing::debug!(%error, "a model's stream holds something that is no event"),
                }
            }
        }
        Ok(Form::Json) => {
            let mut body = Vec::new();
            while let Some(piece) = pieces.next().await {
                if body.len() + piece.len() <= MOST_BODY {
                    body.extend_from_slice(&piece);
                }
            }
            count.body(&body);
        }
        Err(_) => {}
    }
    false
}

async fn settle(call: &Call, counted: Option<Counted>, store: &Store) {
    let settlement = match &counted {
        None => CallEnd {
            state: CallState::Failed,
            tokens: Tokens::default(),
            micro_usd: Some(0),
            model: None,
            ended_at: clock::millis(),
        },
        Some(counted) => CallEnd {
            state: if counted.exact { CallState::Complete } else { CallState::Estimated },
            tokens: counted.tokens,
            micro_usd: call
                .price(counted.model.as_deref())
                .map(|price| price.micro_usd(counted.tokens, counted.factor)),
            model: counted.model.clone(),
            ended_at: clock::millis(),
        },
    };
    let state = settlement.state.as_str();
    let provider = &call.upstream.provider;
    metrics::counter!("mercury_model_calls_total", "provider" => provider.clone(), "state" => state).increment(1);
    metrics::counter!("mercury_model_micro_usd_total", "provider" => provider.clone())
        .increment(settlement.micro_usd.unwrap_or(0));
    tracing::debug!(
        provider,
        model = call.model,
        state,
        input = settlement.tokens.input,
        output = settlement.tokens.output,
        micro_usd = settlement.micro_usd,
        "model call settled"
    );
    for _ in 0..TRIES {
        match store.end_call(call.row, settlement.clone()).await {
            Ok(()) => return,
            Err(error) => tracing::error!(%error, "what a model call cost cannot be written; trying again"),
        }
        tokio::time::sleep(REST).await;
    }
    tracing::error!(row = call.row, "what a model call cost stays an estimate");
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::{super::registry, *};
    use crate::{
        domain::{budget::Budgets, ids::RunId, price::Rates},
        store::NewCall,
    };

    struct Stage {
        _folder: tempfile::TempDir,
        store: Store,
        permits: Arc<Semaphore>,
        tasks: TaskTracker,
        stop: CancellationToken,
    }

    impl Stage {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("state.db")).unwrap();
            let permits = Arc::new(Semaphore::new(1));
            Self { _folder: folder, store, permits, tasks: TaskTracker::new(), stop: CancellationToken::new() }
        }

        async fn meter(&self) -> Meter {
            let call = NewCall {
                run: RunId::from_stored("r".into()),
                space: "s".into(),
                person: "p".into(),
                provider: "groq".into(),
                model: "m".into(),
                began_at: 1,
                asked_tokens: 8,
                asked_micro_usd: Some(8),
            };
            let row = self.store.admit(call, Budgets::default()).await.unwrap().unwrap();
            let rates = Rates { input: 1.0, output: 10.0, cache_read: 0.0, cache_write: 0.0 };
            let upstream = Upstream {
                provider: "groq".into(),
                known: registry::provider("groq").unwrap(),
                base: None,
                ours: false,
                prices: Arc::new([("groq/m".into(), Price { base: rates, tiers: Vec::new() })].into()),
            };
            let call = Call { row, api: Api::Chat, upstream, model: "m".into(), asked: 8, most: 100 };
            let permit = self.permits.clone().acquire_owned().await.unwrap();
            let meter = Meter::start(call, self.store.clone(), permit, &self.tasks, self.stop.clone());
            meter.sent();
            meter
        }

        /// State and cost, once the call's place is free again.
        async fn settled(&self) -> (String, i64) {
            let _permit = self.permits.acquire().await.unwrap();
            let read = self.store.read(|db| {
                db.query_row("SELECT state, micro_usd FROM spending", [], |row| Ok((row.get(0)?, row.get(1)?)))
            });
            read.await.unwrap()
        }
    }

    const LAST: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n";

    #[tokio::test]
    async fn every_ending_is_settled_as_what_it_was() {
        let stage = Stage::new();
        let pieces = stage.meter().await.begin(Form::Events);
        // Cut anywhere, also within a line.
        for piece in [&LAST[..9], &LAST[9..]] {
            pieces.send(Bytes::copy_from_slice(piece.as_bytes())).unwrap();
        }
        drop(pieces);
        assert_eq!(stage.settled().await, ("complete".into(), 25));

        let stage = Stage::new();
        let pieces = stage.meter().await.begin(Form::Events);
        pieces.send(Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"content\":\"12345678\"}}]}\n\n")).unwrap();
        drop(pieces);
        assert_eq!(stage.settled().await, ("estimated".into(), 8 + 20), "the client went away");

        let stage = Stage::new();
        drop(stage.meter().await);
        assert_eq!(stage.settled().await, ("estimated".into(), 8 + 1000), "it went away before an answer began");

        let stage = Stage::new();
        let meter = stage.meter().await;
        meter.sent.store(false, Ordering::Release);
        drop(meter);
        assert_eq!(stage.settled().await, ("failed".into(), 0), "the request was never sent");

        let stage = Stage::new();
        let meter = stage.meter().await;
        let waiting = tokio::spawn(async move {
            let _meter = meter;
            std::future::pending::<()>().await;
        });
        waiting.abort();
        assert_eq!(stage.settled().await, ("estimated".into(), 8 + 1000), "what waited for the answer was dropped");

        let stage = Stage::new();
        let pieces = stage.meter().await.begin(Form::Json);
        pieces.send(Bytes::from_static(b"{\"usage\":{\"prompt_to")).unwrap();
        drop(pieces);
        assert_eq!(stage.settled().await, ("estimated".into(), 8 + 1000), "it went away within a whole answer");

        let stage = Stage::new();
        stage.meter().await.failed();
        assert_eq!(stage.settled().await, ("failed".into(), 0));

        let stage = Stage::new();
        let pieces = stage.meter().await.begin(Form::Json);
        pieces.send(Bytes::from_static(b"{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}")).unwrap();
        drop(pieces);
        assert_eq!(stage.settled().await, ("complete".into(), 11));

        let stage = Stage::new();
        let _pieces = stage.meter().await.begin(Form::Events);
        stage.stop.cancel();
        assert_eq!(stage.settled().await, ("estimated".into(), 8 + 1000), "the host ends");
    }
}
