use std::sync::Arc;

use mercury_bindings::mercury::plugin::{
    inbox::{Error, Event, Happening, Host, Message, Outcome, Refusal},
    types::ConversationKind,
};

use super::{Inbox, Offer};
use crate::{
    domain::guest_text::bounded,
    plugins::{Interface, capabilities::not_granted, state::State},
};

/// Events that one call may bring.
const MOST_EVENTS: usize = 1_000;
/// Characters of an identifier.
const MOST_ID: usize = 512;
/// Bytes of a name, title or reason: what is longer is cut.
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
        mut events: Vec<Event>,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<Vec<Outcome>, Error>> {
        self.count_call()?;
        let (platform, inbox) = match self.inbox() {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        events.iter_mut().for_each(cut);
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
pub(in super::super) fn own(platform: &str, what: &str, id: &str) -> Result<(), String> {
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

/// Cuts what people chose and nobody looks up: a long name is no reason to lose what its bearer said.
fn cut(event: &mut Event) {
    let (Happening::Message(message) | Happening::Edited(message)) = &mut event.happening else { return };
    let quoted = message.quoted.as_mut().and_then(|quoted| quoted.author.as_mut());
    let names = [&mut message.conversation.title, &mut message.author.display_name].into_iter();
    let names = names.chain(quoted.map(|author| &mut author.display_name)).flatten();
    let missing = message.missing.iter_mut().flat_map(|file| [Some(&mut file.reason), file.file_name.as_mut()]);
    let files = message.attachments.iter_mut().flat_map(|file| [Some(&mut file.mime_type), file.file_name.as_mut()]);
    for name in names.chain(missing.flatten()).chain(files.flatten()) {
        *name = bounded(std::mem::take(name), MOST_NAME);
    }
}

/// What is kept as it is: no more of it than a platform could mean. Texts are cut by who keeps them.
fn sizes(message: &Message) -> Result<(), String> {
    let conversation = &message.conversation;
    if let Some(thread) = conversation.thread.as_deref().filter(|thread| !thread.is_empty()) {
        native("the conversation's thread", thread)?;
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
        type Change<'a> = dyn Fn(&mut Message) + 'a;
        let changes: [(&str, &Change<'_>); 4] = [
            ("thread", &|m| m.conversation.thread = Some("x".repeat(MOST_ID + 1))),
            ("the quoted author `slack:1`", &|m| {
                m.quoted.as_mut().unwrap().author = Some(Person { id: "slack:1".into(), display_name: None });
            }),
            ("address", &|m| m.conversation.address = Some("x".repeat(MOST_KEPT + 1))),
            ("100 files", &|m| m.missing.push(m.missing[0].clone())),
        ];
        for (says, change) in changes {
            let why = checked(change).unwrap_err();
            assert!(why.contains(says), "{says}: {why}");
        }
        assert!(kept("the cursor", Some(&"x".repeat(MOST_KEPT + 1))).is_err() && kept("", None).is_ok());
    }

    /// A message is not lost for what its author or a chat is called.
    #[test]
    fn long_names_are_cut() {
        let long = || Some("é".repeat(MOST_NAME));
        let mut message = message();
        message.conversation.title = long();
        message.author.display_name = long();
        message.quoted.as_mut().unwrap().author.as_mut().unwrap().display_name = long();
        message.missing[0].reason = long().unwrap();
        message.missing[99].file_name = long();
        let mut event = Event { id: "1".into(), happening: Happening::Message(message) };
        cut(&mut event);
        let Happening::Message(message) = &event.happening else { panic!("{event:?}") };
        let quoted = message.quoted.as_ref().unwrap().author.as_ref().unwrap();
        let (title, names) = (&message.conversation.title, [&message.author.display_name, &quoted.display_name]);
        for name in
            [title, &Some(message.missing[0].reason.clone()), &message.missing[99].file_name].into_iter().chain(names)
        {
            assert_eq!(name.as_deref(), Some(&*format!("{}…", "é".repeat(MOST_NAME / 2))));
        }
        assert_eq!((message.text.len(), check("telegram", &[event.clone()])), (2 << 20, Ok(())));
    }
}
