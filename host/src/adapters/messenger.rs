//! What plugins say by themselves: rows that are delivered like answers.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::{
    clock,
    delivery::Delivery,
    domain::ids::SpaceId,
    plugins::messages::{Error, Grant, Messenger, Recipient},
    store::{Conversation, NewDelivery, Store, StoreError},
};

/// Messages in a minute where the manifest names no number.
const USUAL_PER_MINUTE: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

pub(super) struct PluginMessenger {
    store: Store,
    delivery: Delivery,
    /// Whether a platform has an adapter.
    reaches: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// By plugin, the moments of the last minute's messages.
    lately: Mutex<HashMap<String, VecDeque<Instant>>>,
}

impl PluginMessenger {
    pub(super) fn new(
        store: Store,
        delivery: Delivery,
        reaches: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { store, delivery, reaches: Box::new(reaches), lately: Mutex::default() }
    }

    fn allowance(&self, plugin: &str, grant: &Grant) -> Result<(), Error> {
        let most = grant.per_minute.unwrap_or(USUAL_PER_MINUTE) as usize;
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        let moments = lately.entry(plugin.to_owned()).or_default();
        while moments.front().is_some_and(|moment| moment.elapsed() >= MINUTE) {
            moments.pop_front();
        }
        if moments.len() >= most {
            return Err(Error::Other(format!(
                "{most} messages in a minute are allowed; wait, or raise [messenger] per-minute"
            )));
        }
        moments.push_back(Instant::now());
        Ok(())
    }

    /// Where it goes: conversations of spaces that the grant names.
    async fn resolve(&self, grant: &Grant, to: Recipient) -> Result<Vec<Conversation>, Error> {
        let granted =
            |conversation: &Conversation| conversation.space.as_deref().is_some_and(|space| grant.reaches(space));
        let found = match to {
            Recipient::Conversation(id) => {
                let known = self.store.conversation(&id).await.map_err(storage)?;
                let known = known.filter(|known| known.space.is_some()).ok_or(Error::UnknownRecipient)?;
                vec![known]
            }
            Recipient::Space(id) => {
                let space = SpaceId::try_from(id).map_err(|_| Error::UnknownRecipient)?;
                if !grant.reaches(space.as_str()) {
                    return Err(denied(space.as_str()));
                }
                self.store.conversations_of(&space).await.map_err(storage)?
            }
            Recipient::Person(id) => {
                let direct = self.store.direct_conversation(&id).await.map_err(storage)?;
                direct.into_iter().filter(|known| known.space.is_some()).collect()
            }
        };
        // Whose space it is stays untold: a plugin could ask for every person whom it knows by name.
        if !found.iter().all(granted) {
            let message = "the recipient's space is not granted; it belongs into [messenger] spaces in plugin.toml";
            return Err(Error::Denied(message.into()));
        }
        if found.is_empty() {
            return Err(Error::UnknownRecipient);
        }
        // Without its adapter nothing could carry it.
        let reached: Vec<_> = found.into_iter().filter(|it| (self.reaches)(&it.platform)).collect();
        if reached.is_empty() { Err(Error::NotReady) } else { Ok(reached) }
    }

    async fn write(&self, plugin: &str, grant: &Grant, to: Recipient, text: String) -> Result<String, Error> {
        let conversations = self.resolve(grant, to).await?;
        self.allowance(plugin, grant)?;
        let id = format!("plugin-{plugin}-{}", uuid::Uuid::now_v7().simple());
        let now = clock::millis();
        let all = conversations.into_iter().enumerate().map(|(index, conversation)| NewDelivery {
            message: if index == 0 { id.clone() } else { format!("{id}-{index}") },
            platform: conversation.platform,
            conversation: conversation.id,
            thread: None,
            reply_to: None,
            text: text.clone(),
            choices: Vec::new(),
        });
        self.store.send_all(all.collect(), now).await.map_err(storage)?;
        self.delivery.stir();
        Ok(id)
    }
}

impl Messenger for PluginMessenger {
    fn send<'a>(
        &'a self,
        plugin: &'a str,
        grant: &'a Grant,
        to: Recipient,
        text: String,
    ) -> BoxFuture<'a, Result<String, Error>> {
        Box::pin(self.write(plugin, grant, to, text))
    }
}

fn denied(space: &str) -> Error {
    Error::Denied(format!("the space {space} is not granted; add it to [messenger] spaces in plugin.toml"))
}

fn storage(error: StoreError) -> Error {
    tracing::error!(%error, "a plugin's message could not be written");
    Error::Other("the host's database does not answer".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Batch, Happening, NewHappening, NewMessage, Room, Seen};

    async fn messenger() -> (tempfile::TempDir, PluginMessenger) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let main = SpaceId::try_from("main".to_owned()).unwrap();
        let all = [("p:1", "p:ada", true), ("p:g", "p:ada", false), ("q:1", "q:eve", true)];
        // Seen, linked, and written to once more.
        for (id, author, direct) in all.into_iter().chain(all) {
            let message = NewMessage {
                conversation: Seen { id: id.into(), direct, title: None, address: None },
                author: author.into(),
                author_name: None,
                text: "hi".into(),
                attachments: Vec::new(),
                mentions_bot: false,
                chat: crate::domain::chat::Chat { message_id: "1".into(), direct, ..Default::default() },
                received_at: 1,
            };
            let happening = Happening::Message(Box::new(message));
            let platform = id.split(':').next().unwrap();
            store
                .take(
                    "x",
                    platform,
                    Batch {
                        happenings: vec![NewHappening { event: id.into(), happening }],
                        cursor: None,
                        auto: None,
                        trigger: Default::default(),
                        room: Room { most: 9, share: 9, one: 9 },
                    },
                    1,
                )
                .await
                .unwrap()
                .unwrap();
            store.link(id, Some(&main)).await.unwrap();
        }
        let delivery = Delivery::new(store.clone());
        (folder, PluginMessenger::new(store, delivery, |platform| platform == "p"))
    }

    fn grant(space: &str) -> Grant {
        Grant { spaces: vec![space.into()], per_minute: Some(2) }
    }

    /// extensions.md #23
    #[tokio::test]
    async fn who_may_be_written_to() {
        let (_folder, messenger) = messenger().await;
        let send = |space: &str, to| {
            let (messenger, grant) = (&messenger, grant(space));
            async move { messenger.write("x", &grant, to, "hello".into()).await }
        };
        assert_eq!(send("*", Recipient::Conversation("p:9".into())).await, Err(Error::UnknownRecipient));
        assert_eq!(send("*", Recipient::Space("nowhere".into())).await, Err(Error::UnknownRecipient));
        assert_eq!(send("*", Recipient::Person("p:nobody".into())).await, Err(Error::UnknownRecipient));
        assert_eq!(send("*", Recipient::Conversation("q:1".into())).await, Err(Error::NotReady), "no adapter");
        for to in [Recipient::Conversation("p:1".into()), Recipient::Person("p:ada".into())] {
            let Err(Error::Denied(why)) = send("other", to).await else { panic!("sent") };
            assert!(!why.contains("main"), "{why}");
        }
        assert!(matches!(send("other", Recipient::Space("main".into())).await, Err(Error::Denied(_))));
        let one = send("main", Recipient::Person("p:ada".into())).await.unwrap();
        let both = send("main", Recipient::Space("main".into())).await.unwrap();
        assert!(matches!(send("main", Recipient::Person("p:ada".into())).await, Err(Error::Other(_))), "too many");
        let waiting = messenger.store.undelivered(10).await.unwrap();
        let places: Vec<_> = waiting.iter().rev().map(|row| row.conversation.as_str()).collect();
        assert_eq!(places.len(), 3, "{places:?}");
        assert_eq!(places[0], "p:1");
        assert_ne!(one, both);
    }
}
