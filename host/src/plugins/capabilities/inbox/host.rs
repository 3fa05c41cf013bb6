use std::sync::Arc;

use mercury_bindings::mercury::plugin::{
    inbox::{Error, Event, Happening, Host, Message, Outcome, Refusal},
    types::ConversationKind,
};

use super::{Inbox, Offer};
use crate::plugins::{Interface, capabilities::not_granted, state::State};

/// Events that one call may bring.
const MOST_EVENTS: usize = 1_000;
/// Characters of an identifier.
const MOST_ID: usize = 512;
/// Characters of a name or title.
const MOST_NAME: usize = 512;
/// Bytes of what the host keeps for the adapter with a conversation, and of its cursor.
const MOST_KEPT: usize = 16 << 10;
/// Files of one message, those that did not come included.
const MOST_FILES: usize = 100;
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
        if let Err(why) = check(&platform, &events).and_then(|()| kept("the cursor", cursor.as_deref())) {
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
        // What other platforms' people may do is not an adapter's to ask.
        if own(&platform, "", &conversation).and_then(|()| own(&platform, "", &author)).is_err() {
            return Ok(Err(Refusal::NotLinked));
        }
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
    let own = |what: &str, id: &str| own(platform, what, id);
    for event in events {
        native("the event's id", &event.id)?;
        match &event.happening {
            Happening::Message(message) | Happening::Edited(message) => {
                own("the conversation", &message.conversation.id)?;
                own("the author", &message.author.id)?;
                native("the message's id", &message.message_id)?;
                sizes(message)?;
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

/// An identifier of the platform's, with its prefix.
fn own(platform: &str, what: &str, id: &str) -> Result<(), String> {
    match id.strip_prefix(platform).and_then(|rest| rest.strip_prefix(':')) {
        Some(rest) if !rest.is_empty() => native(what, id),
        Some(_) => Err(format!("{what} `{}` is empty or longer than {MOST_ID} characters", shown(id))),
        None => Err(format!("{what} `{}` does not begin with `{platform}:`", shown(id))),
    }
}

/// Identifiers stand in lines of the log and in commands of the operator.
fn native(what: &str, id: &str) -> Result<(), String> {
    if id.chars().any(char::is_control) {
        return Err(format!("{what} `{}` holds a control character", shown(id)));
    }
    match id.chars().count() {
        1..=MOST_ID => Ok(()),
        _ => Err(format!("{what} `{}` is empty or longer than {MOST_ID} characters", shown(id))),
    }
}

/// What is kept as it is: no more of it than a platform could mean. Texts are cut by who keeps them.
fn sizes(message: &Message) -> Result<(), String> {
    let conversation = &message.conversation;
    let quoted = message.quoted.as_ref().and_then(|quoted| quoted.author.as_ref());
    for (what, name) in [
        ("the conversation's title", &conversation.title),
        ("the conversation's thread", &conversation.thread),
        ("the author's name", &message.author.display_name),
        ("the quoted author's name", &quoted.and_then(|author| author.display_name.clone())),
    ] {
        if name.as_ref().is_some_and(|name| name.chars().count() > MOST_NAME) {
            return Err(format!("{what} is longer than {MOST_NAME} characters"));
        }
    }
    let named = message.missing.iter().flat_map(|file| [Some(&file.reason), file.file_name.as_ref()]).flatten();
    let files = message.attachments.iter().flat_map(|file| [Some(&file.mime_type), file.file_name.as_ref()]).flatten();
    if named.chain(files).any(|name| name.chars().count() > MOST_NAME) {
        return Err(format!("a file's name, type or reason is longer than {MOST_NAME} characters"));
    }
    if message.attachments.len() + message.missing.len() > MOST_FILES {
        return Err(format!("a message has more than {MOST_FILES} files"));
    }
    kept("the conversation's address", conversation.address.as_deref())
}

fn kept(what: &str, text: Option<&str>) -> Result<(), String> {
    match text {
        Some(text) if text.len() > MOST_KEPT => Err(format!("{what} is longer than {MOST_KEPT} bytes")),
        _ => Ok(()),
    }
}

fn shown(id: &str) -> String {
    id.chars().take(80).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use mercury_bindings::mercury::plugin::{
        inbox::{Conversation, MissingFile, Quoted},
        types::{MediaKind, Person},
    };

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
        for forged in ["telegram:1\n2026-01-01 ERROR", "telegram:\u{1b}[2J", "telegram:\0"] {
            let why = check("telegram", &[removed(forged)]).unwrap_err();
            assert!(why.contains("control character") && !why.contains(char::is_control), "{why}");
        }
    }

    fn message() -> Message {
        let person = Person { id: "telegram:7".into(), display_name: Some("Ada".into()) };
        Message {
            message_id: "1".into(),
            conversation: Conversation {
                id: "telegram:1".into(),
                kind: ConversationKind::Group,
                title: Some("t".into()),
                thread: Some("2".into()),
                address: Some("a".into()),
            },
            author: person.clone(),
            from_bot: false,
            text: "x".repeat(2 << 20),
            mentions_bot: true,
            quoted: Some(Quoted { message_id: None, author: Some(person), text: String::new(), from_bot: false }),
            attachments: Vec::new(),
            missing: vec![MissingFile { kind: MediaKind::Image, file_name: None, reason: "too large".into() }; 100],
            answer: None,
            sent_at: u64::MAX,
        }
    }

    /// What is kept of a message without being cut is no way to fill the host's disk.
    #[test]
    fn what_is_kept_as_it_is_is_bounded() {
        let checked = |change: &dyn Fn(&mut Message)| {
            let mut message = message();
            change(&mut message);
            check("telegram", &[Event { id: "1".into(), happening: Happening::Message(message) }])
        };
        assert_eq!(checked(&|_| {}), Ok(()));
        let long = || Some("x".repeat(MOST_NAME + 1));
        type Change<'a> = dyn Fn(&mut Message) + 'a;
        let changes: [(&str, &Change<'_>); 9] = [
            ("title", &|m| m.conversation.title = long()),
            ("thread", &|m| m.conversation.thread = long()),
            ("author's name", &|m| m.author.display_name = long()),
            ("quoted author", &|m| {
                m.quoted.as_mut().unwrap().author = Some(Person { id: "telegram:1".into(), display_name: long() });
            }),
            ("the quoted author `slack:1`", &|m| {
                m.quoted.as_mut().unwrap().author = Some(Person { id: "slack:1".into(), display_name: None });
            }),
            ("address", &|m| m.conversation.address = Some("x".repeat(MOST_KEPT + 1))),
            ("reason", &|m| m.missing[0].reason = long().unwrap()),
            ("name", &|m| m.missing[99].file_name = long()),
            ("100 files", &|m| m.missing.push(m.missing[0].clone())),
        ];
        for (says, change) in changes {
            let why = checked(change).unwrap_err();
            assert!(why.contains(says), "{says}: {why}");
        }
        assert!(kept("the cursor", Some(&"x".repeat(MOST_KEPT + 1))).is_err() && kept("", None).is_ok());
    }
}
