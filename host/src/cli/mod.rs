//! The operator's commands: arguments, output, exit codes.

mod adapters;
mod approvals;
mod auth;
mod backup;
mod chat;
mod client;
mod conversations;
mod deliveries;
mod demo;
mod doctor;
mod import;
mod init;
mod interrupt;
mod plugins;
mod profiles;
mod restore;
mod run;
mod spaces;
mod status;
mod stop;
mod tasks;
mod terminal;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

use crate::{
    backup::Places,
    config::{self, Config},
    plugins::{CHILD_COMMAND, compile_child},
};

/// A self-hosted assistant that lives in chat.
#[derive(Debug, Parser)]
#[command(name = "mercury", version = crate::VERSION, after_help = "Examples:\n  mercury demo                      see the whole path work, without a key\n  mercury init && mercury doctor    set up a project, then check the machine\n  mercury run                       start the host\n  mercury chat \"What is in this folder?\"")]
struct Arguments {
    /// The project folder, with `.env` and `mercury.yaml`.
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    project: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up a project: `.env`, an example configuration, the data directory.
    Init,
    /// Start the host and stay in the foreground. Ctrl-C stops it; running agents go on.
    Run,
    /// Send a message to the running host and print the answer.
    Chat(chat::Chat),
    /// List tool calls that wait for somebody's approval, and answer them as the operator.
    Approvals(approvals::Approvals),
    /// Show the project, the host and what it is doing.
    Status(status::Status),
    /// Check Docker, the runtimes, the image, credentials and disk, and say how to mend them.
    Doctor(doctor::Doctor),
    /// Ask one question with the real agent in a container; without a key, a demo model answers.
    Demo(demo::Demo),
    /// End the host, or only what one space is doing.
    Stop(stop::Stop),
    /// List and create spaces.
    Spaces(spaces::Spaces),
    /// See what plugins there are and what they may do; install, update and remove them.
    Plugins(plugins::Plugins),
    /// See what kinds of assistant there are; make this project one of them, or others one like it.
    Profiles(profiles::Profiles),
    /// Show how the chat platforms' adapters stand, and start one anew.
    Adapters(adapters::Adapters),
    /// List the conversations that chat platforms have told of, and link them to spaces.
    Conversations(conversations::Conversations),
    /// List the tasks that people have scheduled; pause, resume and delete them.
    Tasks(tasks::Tasks),
    /// List messages that are not sent yet or were given up, and try one again.
    Deliveries(deliveries::Deliveries),
    /// Write a backup of the project to one file. The host may run meanwhile.
    Backup(backup::Backup),
    /// Bring a backup back.
    Restore(restore::Restore),
    /// Bring a project of the system over that Mercury replaces.
    Import(import::Import),
    /// Sign in to model providers with an account in place of a key.
    Auth(auth::Auth),
    /// Compile a component. The host starts itself with it.
    #[command(name = CHILD_COMMAND, hide = true)]
    CompileComponent { input: PathBuf, output: PathBuf },
}

/// The project folder with its configuration.
struct Project {
    folder: PathBuf,
    environment: BTreeMap<String, String>,
}

impl Project {
    fn open(folder: PathBuf) -> Result<Self> {
        let environment = config::environment(&folder)?;
        Ok(Self { folder, environment })
    }

    fn config(&self) -> Result<Config> {
        Ok(Config::load(&self.folder, &self.environment)?)
    }

    /// Where `docker login` keeps the registries' credentials, as Docker's own client finds it.
    fn docker_config(&self) -> Option<PathBuf> {
        let named = self.environment.get("DOCKER_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = named.or_else(|| Some(std::env::home_dir()?.join(".docker")));
        folder.map(|folder| folder.join("config.json"))
    }

    /// Where its parts are, for what copies them.
    fn places(&self) -> Result<Places> {
        let config = self.config()?;
        let project = std::path::absolute(&self.folder).context("the project folder has no path")?;
        Ok(Places { project, data_dir: config.data_dir, auth_path: config.auth_path })
    }
}

/// Runs the command line. Errors go to standard error, in one line each and with their causes.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(arguments) {
        Ok(code) => code,
        Err(error) => {
            terminal::error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Threads for work on files, which wait for the disk. More do not make it faster; with tokio's 512, one moment in which
/// the disk stood still brought forty threads, each with a hundred kilobytes that it never gave back. Fourteen
/// of them may be held by lookups of names (`resolve.rs`).
const MOST_BLOCKING: usize = 20;

fn dispatch(arguments: Arguments) -> Result<ExitCode> {
    // Without a runtime and a configuration: it handles foreign code and should hold nothing else.
    if let Command::CompileComponent { input, output } = &arguments.command {
        compile_child(input, output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(MOST_BLOCKING)
        .build()
        .context("the async runtime does not start")?;
    let makes_it = matches!(arguments.command, Command::Init | Command::Restore(_) | Command::Import(_));
    if !makes_it && !arguments.project.is_dir() {
        // A mistyped name would else become a project of its own.
        let folder = arguments.project.display();
        bail!("there is no folder {folder}. `mercury --project {folder} init` makes one");
    }
    let project = Project::open(arguments.project)?;
    let outcome = runtime.block_on(async {
        match arguments.command {
            Command::Init => init::init(&project),
            Command::Run => run::run(&project).await,
            Command::Chat(chat) => chat.run(&project).await,
            Command::Approvals(approvals) => approvals.run(&project).await,
            Command::Status(status) => status.run(&project).await,
            Command::Doctor(doctor) => doctor.run(&project).await,
            Command::Demo(demo) => demo.run(&project).await,
            Command::Stop(stop) => stop.run(&project).await,
            Command::Spaces(spaces) => spaces.run(&project).await,
            Command::Plugins(plugins) => plugins.run(&project).await,
            Command::Profiles(profiles) => profiles.run(&project).await,
            Command::Adapters(adapters) => adapters.run(&project).await,
            Command::Conversations(conversations) => conversations.run(&project).await,
            Command::Tasks(tasks) => tasks.run(&project).await,
            Command::Deliveries(deliveries) => deliveries.run(&project).await,
            Command::Backup(backup) => backup.run(&project).await,
            Command::Restore(restore) => restore.run(&project).await,
            Command::Import(import) => import.run(&project).await,
            Command::Auth(auth) => auth.run(&project).await,
            Command::CompileComponent { .. } => Ok(ExitCode::SUCCESS),
        }
    });
    // A thread that waits for another host's lock would else be waited for.
    runtime.shutdown_background();
    outcome
}
