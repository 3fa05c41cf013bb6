//! `mercury plugins`: what is installed, what it may do, and the way in and out. A file a command.

mod add;
mod approve;
pub(super) mod consent;
mod jobs;
mod list;
mod logs;
mod new;
mod publish;
mod record;
pub(super) mod reload;
mod remove;
mod settings;
mod show;
mod sign;
mod stats;
mod stored;
mod test;
mod update;

use std::process::ExitCode;

use anyhow::{Context, Result};

use super::{Project, run};
use crate::{
    config::Config,
    plugins::packages::{Installer, Trust},
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury plugins\n  mercury plugins add ./my-plugin\n  mercury plugins add oci://ghcr.io/somebody/telegram:1.2.0\n  mercury plugins update\n  mercury plugins remove telegram --purge\n  mercury plugins stats redact\n  mercury plugins logs redact"
)]
pub(super) struct Plugins {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the plugins, those that come with the host included, and whether each can be used.
    List(list::List),
    /// Show, set and take back settings of a plugin, for one space or for all.
    Settings(settings::Settings),
    /// List the jobs of plugins: when each is due, and how its last run ended.
    Jobs(jobs::Jobs),
    /// Write the folder of a new plugin: a manifest, code that builds, and recordings that pass.
    New(new::New),
    /// Play recorded calls of a plugin in the real engine and compare what it returns.
    Test(test::Test),
    /// Write the next calls of a plugin of the running host as recordings for `test`.
    Record(record::Record),
    /// Show what a plugin is, what it may do and what it needs.
    Show(show::Show),
    /// Install a plugin: show what it asks for, ask, try it, and lock what was agreed to.
    Add(add::Add),
    /// Fetch newer versions of installed plugins. One that asks for more is held until you agree.
    Update(update::Update),
    /// Agree to all that an installed plugin asks for.
    Approve(approve::Approve),
    /// Remove an installed plugin.
    Remove(remove::Remove),
    /// Have the running host take up what was changed. It also notices by itself.
    Reload(reload::Reload),
    /// Make a key for signing plugins.
    Keygen(sign::Keygen),
    /// Sign a plugin's folder.
    Sign(sign::Sign),
    /// Send a plugin's folder to a registry, where `add` finds it.
    Publish(publish::Publish),
    /// Show what the running host has seen of each plugin: calls, time, memory, faults.
    Stats(stats::Stats),
    /// Show what a plugin logged last, and how its calls failed.
    Logs(logs::Logs),
}

impl Plugins {
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        match self.command.unwrap_or_else(|| Command::List(list::List::default())) {
            Command::List(list) => list.run(project),
            Command::Settings(settings) => settings.run(project).await,
            Command::Jobs(jobs) => jobs.run(project).await,
            Command::New(new) => new.run(),
            Command::Test(test) => test.run().await,
            Command::Record(record) => record.run(project).await,
            Command::Show(show) => show.run(project),
            Command::Add(add) => add.run(project).await,
            Command::Update(update) => update.run(project).await,
            Command::Approve(approve) => approve.run(project).await,
            Command::Remove(remove) => remove.run(project).await,
            Command::Reload(reload) => reload.run(project).await,
            Command::Keygen(keygen) => keygen.run(),
            Command::Sign(sign) => sign.run(),
            Command::Publish(publish) => publish.run(project).await,
            Command::Stats(stats) => stats.run(project).await,
            Command::Logs(logs) => logs.run(project).await,
        }
    }
}

pub(super) fn trust(config: &Config) -> Result<Trust> {
    Trust::new(config).context("plugins.trusted_keys of mercury.yaml")
}

pub(super) fn installer(project: &Project, config: &Config) -> Result<Installer> {
    crate::data_dir::make_private(&config.data_dir)?;
    let docker = project.docker_config();
    Ok(Installer::new(&config.data_dir, &config.plugins, trust(config)?, run::this_executable()?, docker))
}
