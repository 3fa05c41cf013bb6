use std::process::ExitCode;

use anyhow::Result;

use super::{Project, terminal};
use crate::{
    clock,
    domain::{chat, ids::SpaceId, page},
    store::{Store, Task},
};

/// Characters of what a task asks.
const MOST_SHOWN: usize = 60;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury tasks list\n  mercury tasks list --space team --json\n  mercury tasks pause 3\n\nPeople ask the assistant for tasks; it makes them with `mrctl tasks create`."
)]
pub(super) struct Tasks {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show every scheduled task, the oldest first.
    List {
        /// Only those of this space.
        #[arg(long)]
        space: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let a task rest.
    Pause { id: i64 },
    /// Let a task go on, from now.
    Resume { id: i64 },
    /// Delete a task.
    Delete { id: i64 },
}

impl Tasks {
    /// Reads and writes the database itself, whether a host runs or not. One that runs notices within a minute.
    pub(super) async fn run(self, project: &Project) -> Result<ExitCode> {
        let config = project.config()?;
        crate::data_dir::make_private(&config.data_dir)?;
        let store = Store::open(&config.database_path())?;
        match self.command {
            Command::List { space, json } => {
                let space = space.map(SpaceId::try_from).transpose()?;
                list(&all(&store, space.as_ref()).await?, json)?;
            }
            Command::Pause { id } => {
                known(store.set_task_active(None, id, false, clock::millis()).await?.is_some(), id)?;
                terminal::line(format!("Task #{id} rests"));
            }
            Command::Resume { id } => {
                let task = store.set_task_active(None, id, true, clock::millis()).await?;
                known(task.is_some(), id)?;
                let next = task.map(|task| moment(&task)).unwrap_or_default();
                terminal::line(format!("Task #{id} goes on: {next}"));
            }
            Command::Delete { id } => {
                known(store.remove_task(None, id).await?, id)?;
                terminal::line(format!("Task #{id} is deleted"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn known(known: bool, id: i64) -> Result<()> {
    if !known {
        anyhow::bail!("there is no task #{id}; `mercury tasks list` shows those that there are");
    }
    Ok(())
}

async fn all(store: &Store, space: Option<&SpaceId>) -> Result<Vec<Task>> {
    let mut all: Vec<Task> = Vec::new();
    loop {
        let after = all.last().map(|task| (task.id, String::new()));
        let page = page::Page { limit: page::MOST, after };
        let (mut more, next) = page.cut(store.tasks(space, &page).await?, |task| (task.id, String::new()));
        all.append(&mut more);
        if next.is_none() {
            return Ok(all);
        }
    }
}

/// When it is due next, on its own clock.
fn moment(task: &Task) -> String {
    let zone = task.timezone.as_deref().unwrap_or("UTC");
    let due = jiff::Timestamp::from_millisecond(task.next_run_at).and_then(|due| due.in_tz(zone));
    due.map_or_else(|_| task.next_run_at.to_string(), |due| due.strftime("%Y-%m-%d %H:%M %Q").to_string())
}

fn list(tasks: &[Task], json: bool) -> Result<()> {
    if json {
        terminal::line(serde_json::to_string_pretty(tasks)?);
        return Ok(());
    }
    if tasks.is_empty() {
        terminal::line("Nobody has scheduled a task.");
    }
    for task in tasks {
        let schedule = task.cron.as_deref().unwrap_or("once");
        let next = if task.active == 1 { moment(task) } else { "rests".to_owned() };
        let what = task.name.as_deref().unwrap_or(&task.prompt);
        let what = chat::name(what, MOST_SHOWN).unwrap_or_default();
        let silent = if task.silent == 1 { "  silent" } else { "" };
        terminal::line(format!(
            "#{:<5} {:<16} {schedule:<16} {next:<34} {what}{silent}  ({}, to {})",
            task.id,
            task.space_id,
            terminal::printable(&task.created_by),
            terminal::printable(&task.conversation)
        ));
        if let Some(note) = &task.note {
            terminal::line(format!("       it rests because {}", terminal::printable(note)));
        }
    }
    Ok(())
}
