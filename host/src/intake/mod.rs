//! Every message's one way in: written down, decided, shown to the guards, queued.

mod asking;
mod commands;
mod held;
mod lines;
mod overrides;
mod pauses;
mod sensitive;
mod tasks;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::{
    approvals::{AnswerError, Approvals, Reading},
    callers::{self, Stopped, Stops},
    clock,
    config::Config,
    delivery::Delivery,
    domain::{
        batch,
        decision::{self, Decision, Facts},
        ids::SpaceId,
        stages::Marks,
    },
    media::Quota,
    plugins::Plugins,
    runs::Runs,
    store::{Accepted, Inbound, NewInbound, NewOutbound, Problem, Standing, Store, StoreError},
};

pub use held::Held;
pub use lines::Lines;
pub use overrides::Overrides;
use sensitive::Consent;

/// How long after a failed attempt to decide a message the next one is made.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// How long a stop from outside waits for messages that are being decided. A guard has 2 s for each.
const DECIDED_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

type Waiting = (Inbound, Marks);

#[derive(Clone)]
pub struct Intake {
    pub store: Store,
    pub plugins: Arc<Plugins>,
    pub approvals: Arc<Approvals>,
    pub runs: Arc<Runs>,
    pub delivery: Delivery,
    pub config: Arc<Config>,
    pub waiting: Lines,
    /// Messages that wait for the next of the same person.
    pub held: Held,
    /// Whose stored role the configuration overrides, as far as it was told.
    pub overrides: Overrides,
    /// What the files of all spaces may take together, whoever brings them.
    pub quota: Arc<Quota>,
}

impl Intake {
    /// Takes a message: it is on disk when this returns, and its decision is under way. `received`
    /// is the moment of its arrival, in microseconds. To be called in a task that nobody gives up: what is on
    /// disk by then would be decided by nobody until the next start.
    pub async fn accept(&self, message: NewInbound, received: u64) -> Result<Accepted, StoreError> {
        let accepted = self.store.accept(message.clone()).await?;
        if let Accepted::New(id) = accepted {
            self.begin(Inbound { id, message, occasion: None, consented: None }, received);
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

    async fn decide(&self, inbound: &Inbound, marks: Marks) -> Result<(), StoreError> {
        let message = &inbound.message;
        if let Some(occasion) = &inbound.occasion {
            return self.decide_task(inbound, occasion, marks).await;
        }
        let operator = callers::is_named(&self.config.admins, &self.store, &message.author).await?;
        let role = callers::role_of(&self.config, &self.store, &message.space, &message.author).await?;
        let now = clock::millis();
        let standing = self.store.standing(&message.space, &message.conversation, &message.author, now).await?;
        if operator {
            self.overrides.tell(&message.space, &message.author, standing.given_role.as_deref());
        }
        if decision::is_silenced(&message.author, &role, standing.muted) {
            return self.ignore(inbound.id).await;
        }
        let chat = message.chat.as_ref();
        let prompt = chat.map_or(Some(message.text.as_str()), |chat| chat.prompt(&message.text));
        // A yes that a predecessor has heard is what was asked.
        if inbound.consented.is_some() || decision::is_reserved(&message.author, &role) {
            return self.judge(inbound, marks, operator, &role, &standing).await;
        }
        // Before the questions of others' runs: a yes to one's own request is not to allow somebody's tool call.
        if !self.points_at_question(message).await? {
            let locale = standing.settings.locale(self.config.voice.locale);
            match self.hear_consent(inbound, prompt, locale).await? {
                Consent::None => {}
                Consent::Given(whole) => return self.judge(&whole, marks, operator, &role, &standing).await,
                Consent::Withdrawn => return Ok(()),
            }
        }
        if self.is_answer(inbound, operator, &role, prompt, &standing).await? {
            return Ok(());
        }
        self.judge(inbound, marks, operator, &role, &standing).await
    }

    /// Whether a message is a reply to a question about a tool call.
    async fn points_at_question(&self, message: &NewInbound) -> Result<bool, StoreError> {
        let quoted = message.chat.as_ref().and_then(|chat| chat.quoted.as_ref()?.message_id.as_deref());
        let Some(quoted) = quoted else { return Ok(false) };
        Ok(self.store.question_put_by(&message.conversation, quoted).await?.is_some())
    }

    /// What becomes of a message that is no answer to a question.
    async fn judge(
        &self,
        inbound: &Inbound,
        marks: Marks,
        operator: bool,
        role: &str,
        standing: &Standing,
    ) -> Result<(), StoreError> {
        let (message, now) = (&inbound.message, clock::millis());
        let chat = message.chat.as_ref();
        let prompt = chat.map_or(Some(message.text.as_str()), |chat| chat.prompt(&message.text));
        let held = self.plugins.held(&message.space, role).await?;
        let facts = Facts {
            caller: &message.author,
            role,
            held: &held,
            operator,
            direct: chat.is_none_or(|chat| chat.direct),
            prompt,
            files: message.attachments.len(),
            missing: chat.map_or(&[], |chat| &chat.missing),
            paused: standing.settings.pause().is_some_and(|pause| pause.holds(now)),
            ambient: standing.settings.keeps_ambient(),
            locale: standing.settings.locale(self.config.voice.locale),
        };
        match decision::decide(facts) {
            Decision::Run => self.hold(inbound, marks, standing).await,
            Decision::Overhear => self.store.overhear(inbound.id).await,
            Decision::Ignore => self.ignore(inbound.id).await,
            Decision::Deny { code, reason } => self.refuse(inbound.id, code, 403, reason).await,
            Decision::Command(command) => {
                // What the person said before the command was said before it.
                if let Some(chat) = chat {
                    self.put(self.held.take(&held::Key::of(message, chat))).await;
                }
                let reply = self.execute(inbound, command, &standing.settings).await?;
                self.reply(inbound.id, reply, None).await
            }
        }
    }

    /// Reads a message as the answer to a question: of the host itself, or about a tool call.
    async fn is_answer(
        &self,
        inbound: &Inbound,
        operator: bool,
        role: &str,
        prompt: Option<&str>,
        standing: &Standing,
    ) -> Result<bool, StoreError> {
        let message = &inbound.message;
        if let Some(asked) = standing.confirmation.as_ref().filter(|_| operator) {
            // In a group the answer needs no mention of the bot.
            let text = prompt.unwrap_or(&message.text);
            let locale = standing.settings.locale(self.config.voice.locale);
            if let Some(reply) = self.confirm(inbound, asked, text, locale).await? {
                self.reply(inbound.id, reply, None).await?;
                self.store.forget_confirmation(&message.conversation, &message.author).await?;
                return Ok(true);
            }
        }
        match self.approvals.hear(inbound.id, message, role).await? {
            Reading::Nothing => Ok(false),
            Reading::Answered => Ok(true),
            // Words between people that happen to look like a late answer are none.
            Reading::Refused(AnswerError::Settled { .. } | AnswerError::Ambiguous) if prompt.is_none() => Ok(false),
            Reading::Refused(why) => {
                self.refuse(inbound.id, why.code(), why.status(), why.to_string()).await?;
                Ok(true)
            }
        }
    }

    /// Asks the agent, at once or together with what the person writes next.
    async fn hold(&self, inbound: &Inbound, marks: Marks, standing: &Standing) -> Result<(), StoreError> {
        let message = &inbound.message;
        let set = standing.settings.number("debounce.idle_timeout_ms");
        let idle = batch::idle(&message.platform, set, self.config.debounce);
        let waiting = (inbound.clone(), marks);
        // A program waits for the answer to each of its messages; and a yes is to what was asked, not to more.
        let Some(chat) = message.chat.as_ref().filter(|_| !idle.is_zero() && inbound.consented.is_none()) else {
            return self.ask(&[waiting]).await;
        };
        let key = held::Key::of(message, chat);
        match self.held.push(&key, waiting, idle) {
            held::Pushed::First => {
                tokio::spawn(self.clone().complete(key));
            }
            held::Pushed::Joined => {}
            held::Pushed::Full(batch) => self.put(batch).await,
        }
        Ok(())
    }

    /// Ends what a space is doing, and what waits there for more of the same person is answered with it.
    pub async fn stop(&self, space: &SpaceId) -> Result<Stopped, StoreError> {
        for batch in self.held.take_of(space) {
            self.put(batch).await;
        }
        self.runs.abort(space).await
    }

    /// Neither kept nor answered; a program gets an empty reply.
    async fn ignore(&self, inbound: i64) -> Result<(), StoreError> {
        self.store.ignore(inbound, clock::millis()).await?;
        self.delivery.announce(inbound);
        Ok(())
    }

    async fn refuse(&self, inbound: i64, code: &str, status: u16, reason: String) -> Result<(), StoreError> {
        tracing::info!(inbound, code, reason, "message refused");
        let problem =
            Problem { code: code.to_owned(), status, detail: reason.clone(), next: String::new(), again_at: None };
        self.reply(inbound, reason, Some(problem)).await
    }

    async fn reply(&self, inbound: i64, reply: String, problem: Option<Problem>) -> Result<(), StoreError> {
        let reply = NewOutbound { inbound, run: None, reply, files: Vec::new(), problem, suppressed: false };
        self.store.refuse(reply, clock::millis()).await?;
        self.delivery.announce(inbound);
        Ok(())
    }
}

impl Stops for Intake {
    /// From outside of a conversation: what was written there before the stop and is still being decided is
    /// stopped, too. In a conversation that order comes by itself.
    fn stop<'a>(&'a self, space: &'a SpaceId) -> BoxFuture<'a, Result<Stopped, StoreError>> {
        Box::pin(async move {
            // Looked at first: what is decided during the first stop waits behind it.
            let before = self.waiting.of(space);
            let mut found = Self::stop(self, space).await?;
            if !before.is_empty() {
                self.waiting.passed(&before, space, DECIDED_WITHIN).await;
                let later = Self::stop(self, space).await?;
                found.stopped |= later.stopped;
                found.dropped += later.dropped;
            }
            Ok(found)
        })
    }
}
