//! The component's exports. Times come from WASI's clock, files from the folder that was granted.

mod files;
mod memory;
mod panel;
mod rounds;

use jiff::Timestamp;
use mercury_plugin::{
    job, lifecycle, log,
    result_processor::{self, Delivery, Outcome, RunResult},
    run_hook::{self, Additions, Decision, Run},
    task_listener::{self, Ending},
    types::Caller,
    widget,
};

use crate::prompts;

struct Napkin;

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Who asks for this plugin's runs.
const SELF: &str = "plugin:napkin";

/// Whether a run is the one that this plugin asked for, and waits for. A person's message is never
/// `scheduled`, whatever it says, and another plugin's task is another's.
fn running(scheduled: bool, caller: &Caller, prompt: &str) -> Option<crate::plan::Running> {
    let running = memory::load(&caller.space).ok()?.running?;
    (scheduled && caller.person == SELF && prompt.lines().next() == Some(prompts::mark(&running.id).as_str()))
        .then_some(running)
}

impl run_hook::Guest for Napkin {
    /// Lays the vault out, and keeps a copy of it where the run is one of ours: no other run of the
    /// space is at work now, nor will be before its result is processed. A run of ours without a copy
    /// does not begin: what it did could not be undone.
    fn before_run(run: Run) -> Result<Decision, String> {
        let space = &run.caller.space;
        if let Some(running) = running(run.scheduled, &run.caller, &run.prompt) {
            if let Err(problem) = rounds::prepare(space, &running) {
                return Ok(Decision::Block(format!("the vault cannot be copied: {problem}")));
            }
        }
        files::lay_out(space)?;
        let environment = vec![("NAPKIN_VAULT".to_owned(), files::root(space))];
        Ok(Decision::Proceed(Additions { system_prompt: None, prompt: None, environment }))
    }
}

impl result_processor::Guest for Napkin {
    /// Checks what our run made of the vault, while its space still waits for it.
    fn process(result: RunResult) -> Result<Outcome, String> {
        if let Some(running) = running(result.scheduled, &result.caller, &result.prompt) {
            let failure = result.failure.as_ref().map(|failure| failure.reason.clone());
            rounds::inspect(&result.caller.space, &running, failure)?;
        }
        Ok(Outcome::Deliver(Delivery { reply: result.reply, attachments: result.attachments }))
    }
}

impl task_listener::Guest for Napkin {
    fn ended(id: String, space: String, ending: Ending) -> Result<(), String> {
        let failure = match ending {
            Ending::Finished(_) => None,
            Ending::Failed(why) => Some(why),
        };
        rounds::ended(&id, &space, failure, now())
    }
}

impl job::Guest for Napkin {
    fn run(name: String) -> Result<(), String> {
        match name.as_str() {
            "distill" => rounds::each_space(|space, options| rounds::distill(space, options, now())),
            "consolidate" => rounds::each_space(|space, options| rounds::consolidate(space, options, now())),
            other => Err(format!("there is no job `{other}`")),
        }
    }
}

impl lifecycle::Guest for Napkin {
    fn on_startup() -> Result<(), String> {
        Ok(())
    }

    fn on_space_created(space: String) -> Result<(), String> {
        files::lay_out(&space)
    }

    fn on_shutdown() -> Result<(), String> {
        Ok(())
    }
}

impl widget::Guest for Napkin {
    fn render(name: String, space: Option<String>) -> Result<String, String> {
        if name != "vault" {
            return Err(format!("there is no panel `{name}`"));
        }
        panel::draw(space.as_deref())
    }
}

/// A failure that only one space has, for the log.
fn report(space: &str, what: &str, error: &str) {
    log::error(&format!("{space}: {what}: {error}"));
}

run_hook::export!(Napkin);
result_processor::export!(Napkin);
task_listener::export!(Napkin);
job::export!(Napkin);
lifecycle::export!(Napkin);
widget::export!(Napkin);
