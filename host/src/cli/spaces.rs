use std::process::ExitCode;

use anyhow::Result;

use super::{Project, terminal};
use crate::{clock, domain::ids::SpaceId, store::Store};

#[derive(Debug, clap::Args)]
pub(super) struct Spaces {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the ids of all spaces.
    List,
    /// Create a space: lower-case letters, digits and dashes.
    Create { id: String },
}

impl Spaces {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        crate::data_dir::make_private(&config.data_dir)?;
        let store = Store::open(&config.database_path())?;
        match self.command {
            Command::List => {
                for space in store.spaces().await? {
                    terminal::line(space);
                }
            }
            Command::Create { id } => {
                let space = SpaceId::try_from(id)?;
                if store.space_exists(&space).await? {
                    anyhow::bail!("the space {space} exists already");
                }
                store.create_space(&space, clock::millis()).await?;
                terminal::line(format!("Created space '{space}'"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
