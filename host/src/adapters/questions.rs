//! Questions about tool calls, put to the conversation whose run asks.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::Adapters;
use crate::{
    approvals, clock,
    store::{NewDelivery, QUESTION_DELIVERY, Question, StoreError},
};

/// How long the loop rests after the database failed it.
const REST: Duration = Duration::from_secs(1);

/// What people say to each other answers nothing.
const IN_A_GROUP: &str = "\n\nPress a button, or reply to this message.";

impl Adapters {
    /// Asks every open question once, until the host stops. Which were asked is on disk.
    pub(super) async fn ask_questions(self: Arc<Self>) {
        let mut changes = self.delivery.changes();
        let mut asked = HashSet::new();
        loop {
            changes.borrow_and_update();
            if let Err(error) = self.ask_open(&mut asked).await {
                tracing::error!(%error, "open questions cannot be put to their conversations; trying again");
                tokio::time::sleep(REST).await;
                continue;
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn ask_open(&self, asked: &mut HashSet<i64>) -> Result<(), StoreError> {
        for question in self.store.open_questions().await? {
            if asked.contains(&question.id) {
                continue;
            }
            if let Some((platform, chat)) = self.store.chat_of(question.inbound).await?
                && self.line(&platform).is_some()
            {
                let reply_to = (!chat.direct).then_some(chat.message_id);
                if self.store.send(delivery(&question, platform, chat.thread, reply_to), clock::millis()).await? {
                    self.delivery.stir();
                }
            }
            asked.insert(question.id);
        }
        Ok(())
    }
}

fn delivery(question: &Question, platform: String, thread: Option<String>, reply_to: Option<String>) -> NewDelivery {
    let view = approvals::view(question);
    // What a press says is what a person would write: the question's number and the answer.
    let choice = |word: &str, label: &str| (format!("#{} {word}", question.id), label.to_owned());
    let [allow, deny] = &view.choices;
    let mut text = view.text;
    if reply_to.is_some() {
        text.push_str(IN_A_GROUP);
    }
    NewDelivery {
        message: format!("{QUESTION_DELIVERY}{}", question.id),
        platform,
        conversation: question.conversation.clone(),
        thread,
        reply_to,
        choices: vec![choice("allow", allow.label), choice("deny", deny.label)],
        text,
    }
}
