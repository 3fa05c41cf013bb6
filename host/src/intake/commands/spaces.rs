//! `/spaces`: what the operator's admins do with spaces from a chat.

use super::super::Intake;
use crate::{
    clock,
    domain::{
        command::{self, Assent, SpacesCommand},
        ids::SpaceId,
        words::Locale,
    },
    removal::RemovalError,
    store::{Confirmation, Inbound, StoreError},
};

pub(super) const HELP: &str = "\
/spaces list: the spaces, and how many conversations each has
/spaces create ID NAME: a new one
/spaces switch ID: link this conversation to another one
/spaces unlink: link this conversation to none
/spaces delete ID: delete one with all that was said in it; I ask first";

/// How long a question about a deletion is open: 60 s, in milliseconds.
const CONFIRM_WITHIN: i64 = 60_000;

impl Intake {
    pub(super) async fn spaces(&self, inbound: &Inbound, command: SpacesCommand) -> Result<String, StoreError> {
        Ok(match command {
            SpacesCommand::Help => HELP.into(),
            SpacesCommand::List => {
                let line = |(id, name, links): (String, String, u32)| {
                    let name = if name == id { String::new() } else { format!(" ({name})") };
                    format!("{id}{name}: {links} conversation{}", if links == 1 { "" } else { "s" })
                };
                self.store.spaces_with_links().await?.into_iter().map(line).collect::<Vec<_>>().join("\n")
            }
            SpacesCommand::Create(None) => {
                "Write `/spaces create ID NAME`, for example `/spaces create team Our team`.".into()
            }
            SpacesCommand::Create(Some((id, name))) => self.create_space(id, &name).await?,
            SpacesCommand::Switch(None) => "Write `/spaces switch ID`; `/spaces list` shows the ids.".into(),
            SpacesCommand::Switch(Some(id)) => self.switch_space(inbound, id).await?,
            SpacesCommand::Delete(None) => "Write `/spaces delete ID`; `/spaces list` shows the ids.".into(),
            SpacesCommand::Delete(Some(id)) => self.ask_to_delete(inbound, id).await?,
            SpacesCommand::Unlink => match self.store.unlink(&inbound.message.conversation).await? {
                Some(others) => unlinked(&others),
                None => not_a_conversation(),
            },
            SpacesCommand::Unknown(verb) => format!("I do not know `/spaces {verb}`.\n{HELP}"),
        })
    }

    async fn create_space(&self, id: String, name: &str) -> Result<String, StoreError> {
        let space = match SpaceId::try_from(id) {
            Ok(space) => space,
            Err(error) => return Ok(format!("{error}.")),
        };
        if !self.store.create_named_space(&space, name, clock::millis()).await? {
            return Ok(format!("The space {space} exists already."));
        }
        self.runs.announce_spaces().await;
        Ok(format!("Created the space {space} ({name}). `/spaces switch {space}` links this conversation to it."))
    }

    async fn switch_space(&self, inbound: &Inbound, id: String) -> Result<String, StoreError> {
        let message = &inbound.message;
        let Some(space) = self.known(&id).await? else { return Ok(unknown(&id)) };
        let linked = self.store.conversation(&message.conversation).await?.map(|known| known.space);
        Ok(match linked {
            None => not_a_conversation(),
            Some(current) if current.as_deref() == Some(space.as_str()) => {
                format!("This conversation belongs to {space} already.")
            }
            Some(_) => {
                self.store.link(&message.conversation, Some(&space)).await?;
                format!("This conversation belongs to {space} now.")
            }
        })
    }

    async fn known(&self, id: &str) -> Result<Option<SpaceId>, StoreError> {
        let Ok(space) = SpaceId::try_from(id.to_owned()) else { return Ok(None) };
        Ok(self.store.space_exists(&space).await?.then_some(space))
    }

    async fn ask_to_delete(&self, inbound: &Inbound, id: String) -> Result<String, StoreError> {
        let message = &inbound.message;
        if id == SpaceId::MAIN {
            return Ok("The space main cannot be deleted.".into());
        }
        let Some(space) = self.known(&id).await? else { return Ok(unknown(&id)) };
        if space == message.space {
            return Ok(format!("You are in {space}. `/spaces switch main` first, then delete it from there."));
        }
        let asked = Confirmation { subject: space.to_string(), expires_at: clock::millis() + CONFIRM_WITHIN };
        self.store.ask_confirmation(&message.space, &message.conversation, &message.author, asked).await?;
        Ok(format!(
            "Delete the space {space} with its files and all that was said in it? Its conversations are linked to none \
             then. Answer yes or no within a minute."
        ))
    }

    /// Reads a message as the answer to the question whether to delete a space. Only who was asked answers,
    /// and whatever else he says takes the question away. What to reply; none where it was no answer.
    pub(in super::super) async fn confirm(
        &self,
        inbound: &Inbound,
        asked: &Confirmation,
        text: &str,
        locale: Locale,
    ) -> Result<Option<String>, StoreError> {
        let in_time = asked.expires_at > clock::millis();
        Ok(match command::assent(text, locale) {
            Some(Assent::Yes) if in_time => Some(self.delete_space(&asked.subject).await?),
            Some(Assent::Yes) => Some("That took too long; nothing was deleted. Give the command again.".into()),
            Some(Assent::No) if in_time => Some(format!("The space {} is kept.", asked.subject)),
            _ => {
                let message = &inbound.message;
                self.store.forget_confirmation(&message.conversation, &message.author).await?;
                None
            }
        })
    }

    async fn delete_space(&self, id: &str) -> Result<String, StoreError> {
        let Ok(space) = SpaceId::try_from(id.to_owned()) else { return Ok(unknown(id)) };
        match self.runs.removals.remove(&space).await {
            Ok(removed) => {
                tracing::warn!(%space, "a space was removed from a chat");
                Ok(format!(
                    "Deleted the space {space}: {} messages; {} conversations are linked to none now.",
                    removed.messages, removed.conversations_unlinked
                ))
            }
            Err(RemovalError::Unknown(_)) => Ok(unknown(id)),
            Err(RemovalError::Busy(_)) => Ok(format!(
                "Something is at work in {space}, so nothing was deleted. Say stop there, then give the command again."
            )),
            Err(error @ RemovalError::NotMoved { .. }) => {
                tracing::error!(%space, %error, "a space is not removed");
                Ok(format!(
                    "The files of {space} could not be taken away, so nothing was deleted. The operator finds the reason in the log."
                ))
            }
            Err(RemovalError::Main) => Ok("The space main cannot be deleted.".into()),
            Err(RemovalError::Store(error)) => Err(error),
        }
    }
}

fn unknown(id: &str) -> String {
    format!("There is no space {id}. `/spaces list` shows those that there are.")
}

/// With the conversations that the same person has under other ids.
fn unlinked(others: &[String]) -> String {
    let others = match others {
        [] => String::new(),
        others => format!(" The same goes for {}, which is you under another id.", others.join(", ")),
    };
    format!("This conversation belongs to no space now.{others} I no longer answer here.")
}

fn not_a_conversation() -> String {
    "This is no conversation of a chat platform, so it cannot be linked.".into()
}
