//! From an adapter's events to rows: checked, in one transaction, durable before the adapter is told.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use mercury_protocol::io::Attachment;
use tokio::runtime::Handle;

use crate::{
    adapters::identities::AdapterIdentities,
    callers, clock,
    domain::{
        approval,
        chat::{self as domain_chat, Chat, MOST_FILE_NAME, MOST_NAME, MOST_QUOTED, Quoted},
        ids::SpaceId,
        media::Kind,
    },
    intake::Intake,
    media::{Folder, MediaStore, Placed},
    plugins::{
        chat::{self, Error, Event, Inbox, Message, Offer, Outcome, Refusal},
        types::ConversationKind,
    },
    sandbox::Sandbox,
    store::{Batch, Happening, NewHappening, NewMessage, Room, Seen, StoreError, Taken, TakenBatch},
};

/// Messages that may wait for their decision. A decision takes milliseconds, or with a slow guard its
/// two seconds: a hundred are as many as anybody writes meanwhile.
const ROOM: Room = Room { most: 1_000, share: 100, one: 500 };
/// Milliseconds until an adapter that was told to wait may try again.
const BUSY: u32 = 2_000;
/// Bytes of a message's text: far above what any platform allows.
const MOST_TEXT: usize = 1 << 20;

#[derive(Clone)]
pub(super) struct AdapterInbox {
    intake: Intake,
    sandbox: Arc<Sandbox>,
    media: Option<MediaStore>,
    identities: AdapterIdentities,
    /// The host's own. What is accepted is decided there, and not on the threads of guests, where it would wait for
    /// whichever of them computes.
    runtime: Handle,
}

impl AdapterInbox {
    /// Within the host's runtime.
    pub(super) fn new(
        intake: Intake,
        sandbox: Arc<Sandbox>,
        media: Option<MediaStore>,
        identities: AdapterIdentities,
    ) -> Self {
        Self { intake, sandbox, media, identities, runtime: Handle::current() }
    }

    async fn take(
        &self,
        plugin: &str,
        platform: &str,
        events: Vec<Event>,
        cursor: Option<String>,
    ) -> Result<Vec<Outcome>, Error> {
        let received = clock::micros();
        let (mut happenings, mut handles) = (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()));
        for event in events {
            handles.push(handles_of(&event));
            happenings.push(self.happening(plugin, platform, event).await);
        }
        let placed: Vec<Vec<Attachment>> = happenings.iter().map(attachments_of).collect();
        let store = &self.intake.store;
        let (auto, now) = (self.intake.config.auto_space.clone(), clock::millis());
        let makes_spaces = auto.is_some();
        let trigger = self.intake.config.trigger.clone();
        let batch = Batch { happenings, cursor, auto, trigger, room: ROOM };
        let TakenBatch { taken, encounters } = match store.take(plugin, platform, batch, now).await {
            Ok(Some(taken)) => taken,
            refused => {
                // The adapter brings them again, with the files that it still has.
                self.forget(placed.into_iter().flatten()).await;
                return Err(refused.map_or_else(|error| storage(plugin, &error), |_| Error::Busy(BUSY)));
            }
        };
        for encounter in encounters {
            self.identities.tell(encounter);
        }
        let mut outcomes = Vec::with_capacity(taken.len());
        for ((taken, placed), handles) in taken.into_iter().zip(placed).zip(handles) {
            if !matches!(taken, Taken::New(_)) {
                self.forget(placed).await;
            }
            for handle in handles {
                if let Some(media) = &self.media {
                    media.release(plugin, &handle).await;
                }
            }
            outcomes.push(match taken {
                Taken::New(inbound) => {
                    let chat = inbound.message.chat.as_ref();
                    let called = chat.is_none_or(|chat| chat.prompt(&inbound.message.text).is_some());
                    self.intake.begin(*inbound, received);
                    if called { Outcome::Accepted } else { Outcome::Ignored }
                }
                Taken::Applied => Outcome::Accepted,
                Taken::Duplicate => Outcome::Duplicate,
                Taken::Ignored => Outcome::Ignored,
                Taken::Refused => {
                    metrics::counter!("mercury_messages_refused_total", "platform" => platform.to_owned()).increment(1);
                    tracing::warn!(
                        platform,
                        "a message was not taken: {} of its conversation wait for their decision already",
                        ROOM.one
                    );
                    Outcome::Ignored
                }
            });
        }
        if makes_spaces && outcomes.contains(&Outcome::Accepted) {
            let runs = self.intake.runs.clone();
            tokio::spawn(async move { runs.announce_spaces().await });
        }
        Ok(outcomes)
    }

    /// Moves a message's files into its space, where the agent finds them. Those that do not come, each
    /// with its reason.
    async fn place(&self, plugin: &str, platform: &str, message: &Message) -> (Vec<Attachment>, Vec<String>) {
        let (mut placed, mut missing) = (Vec::new(), Vec::new());
        let conversation = &message.conversation;
        for file in &message.attachments {
            let given = file.file_name.as_deref().and_then(file_name);
            let name = given.clone().unwrap_or_else(|| Kind::from(file.kind).to_string());
            let direct = conversation.kind == ConversationKind::Direct;
            let offer = Offer {
                conversation: &conversation.id,
                direct,
                author: &message.author.id,
                size_bytes: Some(file.size_bytes),
            };
            let space = match self.admits(platform, offer).await {
                Ok((space, _)) => space,
                // Nothing of the message is wanted.
                Err(Refusal::NotLinked) => return (Vec::new(), Vec::new()),
                Err(Refusal::Refused(why)) => {
                    missing.push(format!("{name}: {why}"));
                    continue;
                }
                Err(Refusal::TooLarge(most)) => {
                    missing.push(format!("{name}: larger than {} MB", most >> 20));
                    continue;
                }
            };
            let folder = self.inbox_of(space.as_str());
            let Some(media) = &self.media else { break };
            let kind = Kind::from(file.kind);
            media.describe(plugin, &file.handle, kind, file.mime_type.clone(), given);
            match media.place(plugin, &file.handle, folder, clock::millis()).await {
                Ok(Placed { name: stored, description }) => {
                    self.intake.quota.add(description.size_bytes);
                    placed.push(Attachment {
                        path: format!("/spaces/{space}/inbox/{stored}"),
                        kind: description.kind.to_string(),
                        mime_type: description.mime_type,
                        filename: description.file_name,
                        size_bytes: Some(description.size_bytes),
                    });
                }
                Err(error) => {
                    tracing::warn!(plugin, handle = file.handle, %error, "a file of a message could not be kept");
                    missing.push(format!("{name}: it could not be kept"));
                }
            }
        }
        (placed, missing)
    }

    /// Removes files that were placed for a message that is not taken.
    async fn forget(&self, placed: impl IntoIterator<Item = Attachment>) {
        let Some(media) = &self.media else { return };
        for attachment in placed {
            let below = attachment.path.strip_prefix("/spaces/").and_then(|path| path.split_once("/inbox/"));
            let Some((space, name)) = below else { continue };
            if let Err(error) = media.displace(self.inbox_of(space), name).await {
                tracing::warn!(path = attachment.path, %error, "a file of a message that was not taken stays behind");
            }
        }
    }

    fn inbox_of(&self, space: &str) -> Folder {
        let workspace = self.intake.config.spaces_dir().join(space);
        Folder { workspace, name: "inbox", user: self.sandbox.user() }
    }

    async fn happening(&self, plugin: &str, platform: &str, event: Event) -> NewHappening {
        let happening = match event.happening {
            chat::Happening::Message(message) => {
                // Two bots that answer each other never end.
                if message.from_bot || !self.is_genuine(&message).await {
                    Happening::Nothing
                } else {
                    let (placed, missing) = self.place(plugin, platform, &message).await;
                    self.message(message, placed, missing)
                }
            }
            chat::Happening::Edited(message) => Happening::Edited {
                conversation: message.conversation.id,
                message: message.message_id,
                text: cut(message.text, MOST_TEXT),
            },
            chat::Happening::Deleted((conversation, message)) => Happening::Deleted { conversation, message },
            chat::Happening::Removed(conversation) => Happening::Removed { conversation },
            chat::Happening::Moved((from, to)) => Happening::Moved { from, to },
            chat::Happening::Other(_) => Happening::Nothing,
        };
        NewHappening { event: event.id, happening }
    }

    /// Whether a press is one of a button that the pressed message has: whoever forges another would ask
    /// something that nobody sees, or have the bot complain without end.
    async fn is_genuine(&self, message: &Message) -> bool {
        let Some(answer) = message.answer.as_deref() else { return true };
        let Some(question) = approval::pressed(answer) else { return false };
        // Not every platform says which message was pressed.
        let Some(pressed) = message.quoted.as_ref().and_then(|quoted| quoted.message_id.as_deref()) else {
            return true;
        };
        let (store, conversation) = (&self.intake.store, &message.conversation.id);
        let found = async {
            // Asked first: it may be written down in between.
            let is_being_put = store.is_being_put(question, conversation).await?;
            // A quick finger is faster than our note of what the platform took.
            let put_by = store.question_put_by(conversation, pressed).await?;
            Ok::<_, StoreError>(put_by.map_or(is_being_put, |put| put == question))
        };
        match found.await {
            Ok(is_genuine) => is_genuine,
            Err(error) => {
                tracing::error!(%error, "whether a pressed button is genuine could not be found out");
                true
            }
        }
    }

    fn message(&self, message: Message, attachments: Vec<Attachment>, mut missing: Vec<String>) -> Happening {
        missing.extend(message.missing.into_iter().map(|file| {
            let name = file.file_name.as_deref().and_then(file_name);
            format!("{}: {}", name.unwrap_or_else(|| Kind::from(file.kind).to_string()), file.reason)
        }));
        // A pressed button is as if its answer had been written.
        let pressed = message.answer.is_some();
        let text = cut(message.answer.unwrap_or(message.text), MOST_TEXT);
        let has_media = !missing.is_empty() || !attachments.is_empty();
        if text.trim().is_empty() && !has_media {
            return Happening::Nothing;
        }
        let direct = message.conversation.kind == ConversationKind::Direct;
        let chat = Chat {
            message_id: message.message_id,
            thread: message.conversation.thread,
            direct,
            quoted: message.quoted.map(quoted),
            prompt: pressed.then(|| text.clone()),
            missing,
        };
        Happening::Message(Box::new(NewMessage {
            conversation: Seen {
                id: message.conversation.id,
                direct,
                title: message.conversation.title.as_deref().and_then(person_or_title),
                address: message.conversation.address,
            },
            author: message.author.id,
            author_name: message.author.display_name.as_deref().and_then(person_or_title),
            text,
            attachments,
            mentions_bot: message.mentions_bot,
            chat,
            received_at: clock::millis(),
        }))
    }

    /// The space that a message would go to.
    async fn space_of(&self, platform: &str, offer: Offer<'_>) -> Result<Option<SpaceId>, StoreError> {
        let store = &self.intake.store;
        let known = store.conversation(offer.conversation).await?;
        let linked = known.and_then(|known| known.space).and_then(|space| SpaceId::try_from(space).ok());
        if linked.is_some() || !offer.direct {
            return Ok(linked);
        }
        if let Some(space) = store.adoptable(offer.conversation).await? {
            return Ok(Some(space));
        }
        let Some(auto) = &self.intake.config.auto_space else { return Ok(None) };
        Ok(auto.space_for(platform, offer.conversation, &store.identity(offer.author).await?))
    }

    /// The space that a file would go to, and the most bytes that it may have.
    async fn admits(&self, platform: &str, offer: Offer<'_>) -> Result<(SpaceId, u64), Refusal> {
        let config = &self.intake.config;
        let failed = |error: StoreError| {
            tracing::error!(%error, "whether a file is wanted could not be found out");
            Refusal::Refused("the host's database does not answer".into())
        };
        let space = self.space_of(platform, offer).await.map_err(failed)?.ok_or(Refusal::NotLinked)?;
        let role = callers::role_of(config, &self.intake.store, &space, offer.author).await.map_err(failed)?;
        if !config.media.enabled {
            return Err(Refusal::Refused("files are switched off here".into()));
        }
        if !self.intake.plugins.held(&space, &role).await.map_err(failed)?.may_receive() {
            return Err(Refusal::Refused("you may not send files to the assistant here".into()));
        }
        let left = self.intake.quota.left().await;
        if left.is_some_and(|left| left == 0 || offer.size_bytes.is_some_and(|size| size > left)) {
            return Err(Refusal::Refused("the assistant's disk has no room for it".into()));
        }
        match offer.size_bytes {
            Some(size) if size > config.media.max_bytes => Err(Refusal::TooLarge(config.media.max_bytes)),
            _ => Ok((space, left.map_or(config.media.max_bytes, |left| left.min(config.media.max_bytes)))),
        }
    }
}

impl Inbox for AdapterInbox {
    fn accept<'a>(
        &'a self,
        plugin: &'a str,
        platform: &'a str,
        events: Vec<Event>,
        cursor: Option<String>,
    ) -> BoxFuture<'a, Result<Vec<Outcome>, Error>> {
        // A task of its own: an adapter's life may end meanwhile, and what is in the database by then would be
        // decided by nobody until the next start.
        let (inbox, of) = (self.clone(), (plugin.to_owned(), platform.to_owned()));
        let taking = self.runtime.spawn(async move { inbox.take(&of.0, &of.1, events, cursor).await });
        Box::pin(async move {
            taking.await.unwrap_or_else(|error| {
                tracing::error!(plugin, %error, "what an adapter brought was given up");
                Err(Error::Busy(BUSY))
            })
        })
    }

    fn cursor<'a>(&'a self, plugin: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move {
            self.intake.store.cursor(plugin).await.unwrap_or_else(|error| {
                tracing::error!(plugin, %error, "the adapter's cursor cannot be read");
                None
            })
        })
    }

    fn admits_file<'a>(&'a self, platform: &'a str, offer: Offer<'a>) -> BoxFuture<'a, Result<u64, Refusal>> {
        Box::pin(async move { Ok(self.admits(platform, offer).await?.1) })
    }

    fn bot_name(&self) -> String {
        self.intake.config.bot_username.clone()
    }
}

fn handles_of(event: &Event) -> Vec<String> {
    match &event.happening {
        chat::Happening::Message(message) => message.attachments.iter().map(|file| file.handle.clone()).collect(),
        _ => Vec::new(),
    }
}

fn attachments_of(new: &NewHappening) -> Vec<Attachment> {
    match &new.happening {
        Happening::Message(message) => message.attachments.clone(),
        _ => Vec::new(),
    }
}

fn person_or_title(chosen: &str) -> Option<String> {
    domain_chat::name(chosen, MOST_NAME)
}

fn file_name(chosen: &str) -> Option<String> {
    domain_chat::name(chosen, MOST_FILE_NAME)
}

fn quoted(quoted: chat::Quoted) -> Quoted {
    let (author, author_name) = match quoted.author {
        Some(author) => (Some(author.id), author.display_name.as_deref().and_then(person_or_title)),
        None => (None, None),
    };
    let mut text = quoted.text;
    if let Some((end, _)) = text.char_indices().nth(MOST_QUOTED) {
        text.truncate(end);
        text.push_str("\n… [truncated]");
    }
    Quoted { message_id: quoted.message_id, author, author_name, text, from_bot: quoted.from_bot, known: false }
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// The adapter learns that storage failed; where the database lies is the operator's business.
fn storage(plugin: &str, error: &StoreError) -> Error {
    tracing::error!(plugin, %error, "an adapter's events cannot be written; it is told to try again");
    Error::Other("the host's database does not answer".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("añb".into(), 2), "a");
        assert_eq!(cut("añb".into(), 3), "añ");
        assert_eq!(cut("añb".into(), 9), "añb");
    }
}
