use std::process::ExitCode;

use anyhow::Result;

use super::{Project, terminal};
use crate::{
    domain::ids::SpaceId,
    store::{Conversation, Store},
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury conversations list\n  mercury conversations link telegram:-1001 main\n  mercury conversations unlink telegram:-1001"
)]
pub(super) struct Conversations {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show every conversation, the one with the latest message first, and its space.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let the assistant answer in a conversation, out of a space.
    Link { id: String, space: String },
    /// Let it answer there no longer.
    Unlink { id: String },
}

impl Conversations {
    /// Reads and writes the database itself, whether a host runs or not.
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        crate::data_dir::make_private(&config.data_dir)?;
        let store = Store::open(&config.database_path())?;
        match self.command {
            Command::List { json } => list(&store.conversations().await?, json)?,
            Command::Link { id, space } => {
                let space = SpaceId::try_from(space)?;
                if !store.space_exists(&space).await? {
                    anyhow::bail!("there is no space {space}; create it with `mercury spaces create {space}`");
                }
                known(store.link(&id, Some(&space)).await?, &id)?;
                terminal::line(format!("Linked {id} to the space {space}"));
            }
            Command::Unlink { id } => {
                let others = store.unlink(&id).await?;
                known(others.is_some(), &id)?;
                terminal::line(format!("Unlinked {id}"));
                for other in others.iter().flatten() {
                    terminal::line(format!(
                        "Unlinked {}, the same person under another id",
                        terminal::printable(other)
                    ));
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn known(known: bool, id: &str) -> Result<()> {
    if !known {
        anyhow::bail!(
            "no message of the conversation {id} has arrived yet; write to the bot there once, then `mercury conversations list` shows it"
        );
    }
    Ok(())
}

fn list(conversations: &[Conversation], json: bool) -> Result<()> {
    if json {
        terminal::line(serde_json::to_string_pretty(conversations)?);
        return Ok(());
    }
    if conversations.is_empty() {
        terminal::line("No chat platform has told of a conversation yet.");
    }
    for conversation in conversations {
        let kind = if conversation.direct { "direct" } else { "group" };
        let title = conversation.title.as_deref().map(|title| format!("  {}", terminal::printable(title)));
        let space = conversation.space.as_deref().unwrap_or("(not linked)");
        let gone = if conversation.removed_at.is_some() { "  the bot was removed" } else { "" };
        let id = terminal::printable(&conversation.id);
        terminal::line(format!("{id:<32} {kind:<7} {space}{}{gone}", title.unwrap_or_default()));
    }
    Ok(())
}
