//! From a question to a queued run: limits, guards, the queue, and a word to whoever has to wait.

use std::time::Duration;

use super::{Intake, RETRY, Waiting};
use crate::{
    callers, clock,
    domain::{
        ids::RunId,
        limits::{Exceeded, Reach},
        notices::Notice,
        queue::minutes,
        words::Locale,
    },
    plugins::{Answer, types::Caller},
    store::{Admission, Admitted, Inbound, NewOutbound, NewRun, Problem, StoreError},
};

/// How long somebody is not told again that there is too much waiting.
const TOLD_FULL: Duration = Duration::from_secs(60);

impl Intake {
    /// Asks what the messages say together, however often the database fails.
    pub(super) async fn put(&self, batch: Vec<Waiting>) {
        while let Err(error) = self.ask(&batch).await {
            tracing::error!(%error, "a message could not be queued; it is kept, and tried again");
            tokio::time::sleep(RETRY).await;
        }
    }

    pub(super) async fn ask(&self, batch: &[Waiting]) -> Result<(), StoreError> {
        let Some(((last, marks), before)) = batch.split_last() else { return Ok(()) };
        let whole = match before {
            [] => last.clone(),
            before => {
                let parts = before.iter().map(|(part, _)| part.id).collect();
                let Some(whole) = self.store.merge(last.id, parts).await? else { return Ok(()) };
                whole
            }
        };
        let message = &whole.message;
        if let Some(occasion) = &whole.occasion {
            return self.ask_for_task(&whole, occasion, *marks).await;
        }
        let role = callers::role_of(&self.config, &self.store, &message.space, &message.author).await?;
        let settings = self.store.space_settings(&message.space).await?;
        let locale = settings.locale(self.config.voice.locale);
        let admission = Admission {
            limits: self.config.rate_limits.of(&role, &settings),
            most_queued: self.config.most_queued,
            most_queued_in_space: self.config.most_queued_in_space,
        };
        // Before the guards, whose work somebody who asks too often must not cause.
        let admits = self.store.admits(message.space.as_str(), &message.author, admission, clock::millis()).await?;
        if admits != Admitted::Queued {
            return self.turn_away(&whole, admits, locale).await;
        }
        if !self.passes_sensitive(&whole, &settings, locale).await? {
            return Ok(());
        }
        let caller = Caller {
            person: message.author.clone(),
            role: role.clone(),
            space: message.space.to_string(),
            conversation: Some(message.conversation.clone()),
        };
        let chat = message.chat.as_ref();
        let prompt = chat.and_then(|chat| chat.prompt(&message.text)).unwrap_or(&message.text);
        let files = self.runs.lent_files(&message.space, &message.attachments).await;
        if let Answer::Deny(reason) = self.plugins.check_prompt(caller, prompt, files).await {
            return self.refuse(whole.id, "denied_by_guard", 403, reason).await;
        }
        let mut marks = *marks;
        marks.queued = clock::micros();
        let id = RunId::from_uuid(uuid::Uuid::now_v7());
        let run = NewRun { id: id.clone(), inbound: whole.id, role, created_at: clock::millis(), marks };
        match self.store.admit_run(run, admission).await? {
            Admitted::Queued => {}
            refused => return self.turn_away(&whole, refused, locale).await,
        }
        self.runs.wake();
        self.delivery.stir();
        if whole.message.chat.is_some() {
            self.tell_place(&whole, &id, locale).await;
        }
        Ok(())
    }

    async fn turn_away(&self, whole: &Inbound, refused: Admitted, locale: Locale) -> Result<(), StoreError> {
        let now = clock::millis();
        let (code, status, reason, until) = match refused {
            Admitted::Queued => return Ok(()),
            Admitted::Limited(exceeded) => {
                let reason = Notice::Limited { exceeded, now }.say(locale);
                (code_of(exceeded), 429, reason, exceeded.again_at)
            }
            Admitted::Full => {
                let snapshot = self.store.queue_snapshot(now).await?;
                let wait = snapshot.wait(whole.message.space.as_str(), self.config.max_concurrency);
                let reason = Notice::QueueFull { minutes: minutes(wait) }.say(locale);
                ("queue_full", 503, reason, now + TOLD_FULL.as_millis() as i64)
            }
        };
        tracing::info!(inbound = whole.id, code, "message turned away");
        metrics::counter!("mercury_messages_turned_away_total", "code" => code).increment(1);
        let problem = Problem {
            code: code.to_owned(),
            status,
            detail: reason.clone(),
            next: String::new(),
            again_at: Some(until),
        };
        let reply = NewOutbound {
            inbound: whole.id,
            run: None,
            reply: reason,
            files: Vec::new(),
            problem: Some(problem),
            suppressed: false,
        };
        self.store.refuse_once(reply, until, now).await?;
        self.delivery.announce(whole.id);
        Ok(())
    }

    /// A place that cannot be told is no reason not to work.
    async fn tell_place(&self, whole: &Inbound, run: &RunId, locale: Locale) {
        let now = clock::millis();
        let told = async {
            let snapshot = self.store.queue_snapshot(now).await?;
            let Some(place) = snapshot.place(run.as_str(), self.config.max_concurrency) else { return Ok(false) };
            if !place.is_worth_a_word() {
                return Ok(false);
            }
            let text = Notice::Place { ahead: place.ahead, minutes: place.minutes() }.say(locale);
            self.store.tell_place(whole.id, text, now + place.wait.as_millis() as i64, now).await
        };
        match told.await {
            Ok(true) => self.delivery.stir(),
            Ok(false) => {}
            Err(StoreError::Closed { .. }) => {}
            Err(error) => tracing::warn!(inbound = whole.id, %error, "somebody could not be told his place"),
        }
    }
}

fn code_of(exceeded: Exceeded) -> &'static str {
    match exceeded.reach {
        Reach::Person => "rate_limit_burst",
        Reach::Day => "rate_limit_daily",
        Reach::Space => "rate_limit_space",
        Reach::Host => "rate_limit_host",
    }
}
