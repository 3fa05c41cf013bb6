//! Messages that nobody has just written: the times at which people's tasks are due. No command, no answer
//! to a question and no limit of a person is looked for in them; that their makers may still do it is.

use super::Intake;
use crate::{
    callers, clock,
    domain::{
        decision,
        ids::RunId,
        notices::Notice,
        roles::SYSTEM_ROLE,
        sensitive::{Ruling, Turn},
        stages::Marks,
        task::{self, MOST_FAILURES, Occasion, Word},
    },
    plugins::{Answer, types::Caller},
    store::{Inbound, NewRun, StoreError},
};

/// What a task's maker must be allowed to do when it runs, not only when it is made.
const NEEDED: [&str; 2] = ["prompt", "tasks.create"];

impl Intake {
    pub(super) async fn decide_task(
        &self,
        inbound: &Inbound,
        occasion: &Occasion,
        marks: Marks,
    ) -> Result<(), StoreError> {
        let (message, now) = (&inbound.message, clock::millis());
        let role = callers::role_of_task(&self.config, &self.store, &message.space, &message.author).await?;
        let standing = self.store.standing(&message.space, &message.conversation, &message.author, now).await?;
        // Weakness W21: who is not heard is not heard by way of the clock either.
        if role != SYSTEM_ROLE && decision::is_silenced(&message.author, &role, standing.muted) {
            tracing::info!(task = occasion.task, person = message.author, "a task of somebody muted is left out");
            return self.ignore(inbound.id).await;
        }
        let held = self.plugins.held(&message.space, &role).await?;
        for permission in NEEDED {
            if !held.may(permission) {
                let why = format!("{} ({role}) does not hold `{permission}` any more", message.author);
                tracing::warn!(task = occasion.task, why, "a task is not run, and paused");
                self.store.stop_task(occasion.task, &why, now).await?;
                let locale = standing.settings.locale(self.config.voice.locale);
                let reply = Notice::TaskWithdrawn { task: &occasion.label() }.say(locale);
                return self.refuse(inbound.id, "not_permitted", 403, reply).await;
            }
        }
        self.ask(&[(inbound.clone(), marks)]).await
    }

    /// Queues its run, if the guards let the prompt pass.
    pub(super) async fn ask_for_task(
        &self,
        inbound: &Inbound,
        occasion: &Occasion,
        mut marks: Marks,
    ) -> Result<(), StoreError> {
        let message = &inbound.message;
        let role = callers::role_of_task(&self.config, &self.store, &message.space, &message.author).await?;
        let settings = self.store.space_settings(&message.space).await?;
        // Weakness W20: the clock is no way around the guard. What is allowed in the space is not asked about.
        let chat = message.chat.as_ref();
        let ruled = self.runs.rule_sensitive(&message.space, chat, &settings, Turn::Scheduled).await?;
        if let (Ruling::Closed, names) = ruled {
            let locale = settings.locale(self.config.voice.locale);
            let reason = Notice::SensitiveClosed { names: &names.join(", ") }.say(locale);
            return self.denied(inbound, occasion, "sensitive_disabled", reason).await;
        }
        let caller = Caller {
            person: message.author.clone(),
            role: role.clone(),
            space: message.space.to_string(),
            conversation: message.chat.is_some().then(|| message.conversation.clone()),
        };
        if let Answer::Deny(reason) = self.plugins.check_prompt(caller, &message.text, Vec::new()).await {
            return self.denied(inbound, occasion, "denied_by_guard", reason).await;
        }
        marks.queued = clock::micros();
        let id = RunId::from_uuid(uuid::Uuid::now_v7());
        let run = NewRun { id: id.clone(), inbound: inbound.id, role, created_at: clock::millis(), marks };
        self.store.queue(run).await?;
        tracing::info!(task = occasion.task, run = id.as_str(), space = %message.space, "a task is queued");
        self.runs.wake();
        self.delivery.stir();
        Ok(())
    }

    /// What a guard denies time and again is said once, like any failure.
    async fn denied(
        &self,
        inbound: &Inbound,
        occasion: &Occasion,
        code: &str,
        reason: String,
    ) -> Result<(), StoreError> {
        let why = format!("it was denied {MOST_FAILURES} times in a row: {reason}");
        let failures = self.store.task_failed(occasion.task, inbound.id, why, clock::millis()).await?;
        let settings = self.store.space_settings(&inbound.message.space).await?;
        let (label, locale) = (occasion.label(), settings.locale(self.config.voice.locale));
        let (task, reason) = (label.as_str(), reason.as_str());
        let reply = match task::word(failures) {
            Word::Unsaid => return self.ignore(inbound.id).await,
            Word::Said => Notice::TaskFailed { task, reason }.say(locale),
            Word::GivenUp => Notice::TaskGivenUp { task, reason, times: failures }.say(locale),
        };
        self.refuse(inbound.id, code, 403, reply).await
    }
}
