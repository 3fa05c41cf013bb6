//! `mercury plugins`: what is installed, what it may do, and the way in and out. A file a command.

mod list;
mod new;
mod record;
mod test;

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
    /// Write the folder of a new plugin: a manifest, code that builds, and recordings that pass.
    New(new::New),
    /// Play recorded calls of a plugin in the real engine and compare what it returns.
    Test(test::Test),
    /// Write the next calls of a plugin of the running host as recordings for `test`.
    Record(record::Record),
}

impl Plugins {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        match self.command.unwrap_or_else(|| Command::List(list::List::default())) {
            Command::List(list) => list.run(project),
            Command::New(new) => new.run(),
            Command::Test(test) => test.run().await,
            Command::Record(record) => record.run(project).await,
        }
    }
}
