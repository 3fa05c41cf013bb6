//! What was said before, as a run is told it.

use mercury_protocol::io as protocol;

use super::Runs;
use crate::{
    domain::{context::Wanted, run::Run},
    store::{Chain, HistoryMessage, MessageRole, StoreError},
};

/// Messages, oldest first.
#[derive(Debug, Default)]
pub(super) struct Context {
    pub messages: Vec<protocol::StoredMessage>,
    /// Those that lead to the one that is answered.
    pub anchors: Vec<protocol::StoredMessage>,
}

impl Runs {
    pub(super) async fn context(&self, run: &Run) -> Result<Context, StoreError> {
        let settings = self.store.space_settings(&run.space).await?;
        let chat = run.chat.as_ref();
        let answered = chat.and_then(|chat| chat.quoted.as_ref()).and_then(|quoted| quoted.message_id.as_deref());
        let mut wanted = Wanted {
            enabled: settings.context_enabled(self.config.context_enabled),
            window: settings.context_window(self.config.context_window),
            depth: settings.chain_depth(self.config.reply_chain_depth),
            isolated: chat.is_some_and(|chat| chat.is_isolated(&run.role)),
            follows: answered.is_some(),
        };
        let chain = match (answered, wanted.plan().chain) {
            (Some(answered), most @ 1..) => {
                self.store.reply_chain(&run.space, &run.conversation, answered, most).await?
            }
            _ => Chain::default(),
        };
        // What the host does not know is no reason to tell less of the rest.
        wanted.follows = !chain.ids.is_empty();
        let plan = wanted.plan();
        let recent = match plan.turns {
            0 => Vec::new(),
            turns => {
                let (space, conversation) = (&run.space, &run.conversation);
                self.store.history_without(space, conversation, run.id.as_str(), turns, &chain.ids).await?
            }
        };
        let told = |messages: Vec<HistoryMessage>| messages.into_iter().map(stored).collect();
        Ok(match plan.anchored {
            true => Context { messages: told(recent), anchors: told(chain.messages) },
            false => Context { messages: told(chain.messages), anchors: Vec::new() },
        })
    }
}

fn stored(message: HistoryMessage) -> protocol::StoredMessage {
    protocol::StoredMessage {
        role: match message.role {
            MessageRole::Person => protocol::Role::User,
            MessageRole::Assistant => protocol::Role::Assistant,
            MessageRole::Ambient => protocol::Role::Ambient,
        },
        content: message.content,
        created_at: message.created_at.unsigned_abs(),
    }
}
