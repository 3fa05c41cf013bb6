use std::sync::Arc;

use mercury_bindings::mercury::plugin::{
    inbox::{Error, Event, Happening, Host, Outcome, Refusal},
    types::ConversationKind,
};

use super::{Inbox, Offer};
use crate::plugins::{Interface, capabilities::not_granted, state::State};

/// Events that one call may bring.
const MOST_EVENTS: usize = 1_000;
/// Characters of an identifier.
const MOST_ID: usize = 512;
/// Milliseconds that an adapter waits for a host that is still starting.
const STARTING: u32 = 1_000;

impl State {
    /// The platform, and who takes its events.
    fn inbox(&self) -> Result<(String, Arc<dyn Inbox>), Error> {
        if self.interface == Interface::ResultProcessor {
            return Err(Error::Denied("a result processor may bring no messages".into()));
        }
        let grant = self.manifest.inbox.as_ref();
        let grant = grant.ok_or_else(|| Error::Denied(not_granted("inbox", "[inbox] platform = …")))?;
        let inbox = self.services.inbox.get().cloned().ok_or(Error::Busy(STARTING))?;
        Ok((grant.platform.clone(), inbox))
    }
}

impl Host for State {
    async fn accept(
        &mut self,
        events: Vec<Event>,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<Vec<Outcome>, Error>> {
        self.count_call()?;
        let (platform, inbox) = match self.inbox() {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(why) = check(&platform, &events) {
            return Ok(Err(Error::Invalid(why)));
        }
        Ok(inbox.accept(&self.manifest.name, &platform, events, cursor).await)
    }

    async fn cursor(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        match self.inbox() {
            Ok((_, inbox)) => Ok(inbox.cursor(&self.manifest.name).await),
            Err(_) => Ok(None),
        }
    }

    async fn admits_file(
        &mut self,
        conversation: String,
        kind: ConversationKind,
        author: String,
        size_bytes: Option<u64>,
    ) -> wasmtime::Result<Result<u64, Refusal>> {
        self.count_call()?;
        let Ok((platform, inbox)) = self.inbox() else { return Ok(Err(Refusal::NotLinked)) };
        let direct = kind == ConversationKind::Direct;
        let offer = Offer { conversation: &conversation, direct, author: &author, size_bytes };
        Ok(inbox.admits_file(&platform, offer).await)
    }

    async fn bot_name(&mut self) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(self.inbox().map(|(_, inbox)| inbox.bot_name()).unwrap_or_default())
    }
}

/// An adapter speaks for its own platform only.
fn check(platform: &str, events: &[Event]) -> Result<(), String> {
    if events.len() > MOST_EVENTS {
        return Err(format!("{} events in one call; at most {MOST_EVENTS}", events.len()));
    }
    let own = |what: &str, id: &str| {
        let native = id.strip_prefix(platform).and_then(|rest| rest.strip_prefix(':'));
        match native {
            Some(native) if !native.is_empty() && id.chars().count() <= MOST_ID => Ok(()),
            Some(_) => Err(format!("{what} `{}` is empty or longer than {MOST_ID} characters", shown(id))),
            None => Err(format!("{what} `{}` does not begin with `{platform}:`", shown(id))),
        }
    };
    let native = |what: &str, id: &str| match id.chars().count() {
        1..=MOST_ID => Ok(()),
        _ => Err(format!("{what} `{}` is empty or longer than {MOST_ID} characters", shown(id))),
    };
    for event in events {
        native("the event's id", &event.id)?;
        match &event.happening {
            Happening::Message(message) | Happening::Edited(message) => {
                own("the conversation", &message.conversation.id)?;
                own("the author", &message.author.id)?;
                native("the message's id", &message.message_id)?;
                if let Some(author) = message.quoted.as_ref().and_then(|quoted| quoted.author.as_ref()) {
                    own("the quoted author", &author.id)?;
                }
            }
            Happening::Deleted((conversation, message)) => {
                own("the conversation", conversation)?;
                native("the message's id", message)?;
            }
            Happening::Removed(conversation) => own("the conversation", conversation)?,
            Happening::Moved((from, to)) => {
                own("the old conversation", from)?;
                own("the new conversation", to)?;
            }
            Happening::Other(_) => {}
        }
    }
    Ok(())
}

fn shown(id: &str) -> String {
    id.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_speaks_for_its_own_platform() {
        let removed = |id: &str| Event { id: "1".into(), happening: Happening::Removed(id.into()) };
        assert_eq!(check("telegram", &[removed("telegram:-1001")]), Ok(()));
        for foreign in ["slack:C1", "telegramx:1", "telegram", "telegram:", "", "-1001"] {
            assert!(check("telegram", &[removed(foreign)]).is_err(), "{foreign}");
        }
        assert!(check("telegram", &[removed(&format!("telegram:{}", "x".repeat(600)))]).is_err());
        let moved = Event { id: "1".into(), happening: Happening::Moved(("telegram:1".into(), "slack:1".into())) };
        assert!(check("telegram", &[moved]).unwrap_err().contains("new conversation"));
        assert!(check("telegram", &vec![removed("telegram:1"); 1_001]).is_err());
    }
}
