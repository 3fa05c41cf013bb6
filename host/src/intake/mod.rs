//! Every message's one way in: written down, decided, shown to the guards, queued.

mod lines;

use std::sync::Arc;

use crate::{
    approvals::{AnswerError, Approvals, Reading},
    callers, clock,
    config::Config,
    delivery::Delivery,
    domain::{
        decision::{self, Decision, Facts},
        ids::RunId,
        stages::Marks,
    },
    plugins::{Answer, Plugins, types::Caller},
    runs::Runs,
    store::{Accepted, Inbound, NewInbound, NewOutbound, NewRun, Problem, Store, StoreError},
};

pub use lines::Lines;

/// How long after a failed attempt to decide a message the next one is made.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

#[derive(Clone)]
pub struct Intake {
    pub store: Store,
    pub plugins: Arc<Plugins>,
    pub approvals: Arc<Approvals>,
    pub runs: Arc<Runs>,
    pub delivery: Delivery,
    pub config: Arc<Config>,
    pub waiting: Lines,
}

impl Intake {
    /// Takes a message: it is on disk when this returns, and its decision is under way. `received`
    /// is the moment of its arrival, in microseconds.
    pub async fn accept(&self, message: NewInbound, received: u64) -> Result<Accepted, StoreError> {
        let accepted = self.store.accept(message.clone()).await?;
        if let Accepted::New(id) = accepted {
            self.begin(Inbound { id, message }, received);
        }
        Ok(accepted)
    }

    /// Begins the decision about a message that is on disk. `received` as at [`Intake::accept`].
    /// What people write in one conversation of a chat is decided in the order of these calls.
    pub fn begin(&self, inbound: Inbound, received: u64) {
        let marks = Marks { received, accepted: clock::micros(), ..Marks::default() };
        metrics::counter!("mercury_messages_accepted_total", "platform" => inbound.message.platform.clone())
            .increment(1);
        let intake = self.clone();
        if inbound.message.chat.is_none() {
            tokio::spawn(async move { intake.settle(inbound, marks).await });
            return;
        }
        let conversation = inbound.message.conversation.clone();
        if self.waiting.push(&conversation, (inbound, marks)) {
            tokio::spawn(async move {
                while let Some((inbound, marks)) = intake.waiting.next(&conversation) {
                    intake.settle(inbound, marks).await;
                }
            });
        }
    }

    /// Decides the messages that a predecessor accepted and did not decide.
    pub async fn recover(&self) -> Result<usize, StoreError> {
        let undecided = self.store.undecided().await?;
        let count = undecided.len();
        for inbound in undecided {
            let marks = Marks {
                received: inbound.message.received_at.unsigned_abs() * 1000,
                accepted: clock::micros(),
                ..Marks::default()
            };
            self.settle(inbound, marks).await;
        }
        Ok(count)
    }

    async fn settle(&self, inbound: Inbound, marks: Marks) {
        while let Err(error) = self.decide(&inbound, marks).await {
            tracing::error!(inbound = inbound.id, %error, "a message could not be decided; it is kept, and tried again");
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn decide(&self, inbound: &Inbound, mut marks: Marks) -> Result<(), StoreError> {
        let message = &inbound.message;
        let role = callers::role_of(&self.config, &self.store, &message.space, &message.author).await?;
        let chat = message.chat.as_ref();
        let prompt = chat.map_or(Some(message.text.as_str()), |chat| chat.prompt(&message.text));
        if !decision::is_reserved(&message.author, &role) {
            match self.approvals.hear(inbound.id, message, &role).await? {
                Reading::Nothing => {}
                Reading::Answered => return Ok(()),
                // Words between people that happen to look like a late answer are none.
                Reading::Refused(AnswerError::Settled { .. } | AnswerError::Ambiguous) if prompt.is_none() => {}
                Reading::Refused(why) => {
                    return self.refuse(inbound.id, why.code(), why.status(), why.to_string()).await;
                }
            }
        }
        let Some(prompt) = prompt else { return self.store.overhear(inbound.id).await };
        let facts = Facts {
            caller: &message.author,
            role: &role,
            may_prompt: callers::may(&self.plugins, &self.store, &message.space, &role, "prompt").await?,
            text: prompt,
            files: message.attachments.len(),
            missing: chat.map_or(&[], |chat| &chat.missing),
        };
        let decided = decision::decide(facts);
        if let Decision::Deny { code, reason } = decided {
            return self.refuse(inbound.id, code, 403, reason).await;
        }
        let caller = Caller {
            person: message.author.clone(),
            role: role.clone(),
            space: message.space.to_string(),
            conversation: Some(message.conversation.clone()),
        };
        if let Answer::Deny(reason) = self.plugins.check_prompt(caller, prompt, Vec::new()).await {
            return self.refuse(inbound.id, "denied_by_guard", 403, reason).await;
        }
        marks.queued = clock::micros();
        let run = NewRun {
            id: RunId::from_uuid(uuid::Uuid::now_v7()),
            inbound: inbound.id,
            role,
            created_at: clock::millis(),
            marks,
        };
        self.store.queue(run).await?;
        self.runs.wake();
        self.delivery.stir();
        Ok(())
    }

    async fn refuse(&self, inbound: i64, code: &str, status: u16, reason: String) -> Result<(), StoreError> {
        tracing::info!(inbound, code, reason, "message refused");
        let problem = Problem { code: code.to_owned(), status, detail: reason.clone(), next: String::new() };
        let reply = NewOutbound {
            inbound,
            run: None,
            reply: reason,
            files: Vec::new(),
            problem: Some(problem),
            suppressed: false,
        };
        self.store.refuse(reply, clock::millis()).await?;
        self.delivery.announce(inbound);
        Ok(())
    }
}
