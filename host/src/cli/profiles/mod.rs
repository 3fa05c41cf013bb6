//! `mercury profiles`: what kinds of assistant there are, and this project made one of them. A file a command.

mod apply;
mod clear;
mod export;
mod list;
mod show;

use std::process::ExitCode;

use anyhow::Result;

use super::Project;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury profiles\n  mercury profiles show research\n  mercury profiles apply research\n  mercury profiles apply ./clinic --allow-unsigned\n  mercury profiles apply https://example.com/clinic.tar.gz\n  mercury profiles export ./ours\n  mercury profiles clear"
)]
pub(super) struct Profiles {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the profiles that come along, and which one is active.
    List(list::List),
    /// Show what a profile brings and what it would change.
    Show(show::Show),
    /// Make a profile the active one: show what it changes, ask, and do it as a whole or not at all.
    Apply(apply::Apply),
    /// Write this project's persona and installed plugins as a profile for others.
    Export(export::Export),
    /// Go on without a profile. Members then hold what they hold by default.
    Clear(clear::Clear),
}

impl Profiles {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        match self.command.unwrap_or_else(|| Command::List(list::List::default())) {
            Command::List(list) => list.run(project),
            Command::Show(show) => show.run(project).await,
            Command::Apply(apply) => apply.run(project).await,
            Command::Export(export) => export.run(project).await,
            Command::Clear(clear) => clear.run(project),
        }
    }
}

/// The record is read once, at the start.
fn next_step(data_dir: &std::path::Path) -> &'static str {
    match crate::data_dir::holder(data_dir) {
        Ok(None) => "The next start of the host takes it up.",
        _ => "A host runs here and goes on as before; start it anew: `mercury stop`, then `mercury run`.",
    }
}
