//! `mercury plugins`: what is installed, what it may do, and the way in and out. A file a command.

mod list;

use std::process::ExitCode;

use anyhow::Result;

use super::Project;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mercury plugins\n  mercury plugins list --json")]
pub(super) struct Plugins {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the plugins, those that come with the host included, and whether each can be used.
    List(list::List),
}

impl Plugins {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        match self.command.unwrap_or_else(|| Command::List(list::List::default())) {
            Command::List(list) => list.run(project),
        }
    }
}
