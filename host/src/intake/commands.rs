//! Carrying out what people order in a chat. Each can be carried out twice without harm, since a host that
//! ends in between decides the message again.

mod models;
mod spaces;

use super::Intake;
use crate::{
    clock,
    domain::{
        command::Command,
        pause::{self, Pause},
        space_settings::SpaceSettings,
    },
    store::{Inbound, StoreError},
};

impl Intake {
    /// Does it, and says what came of it.
    pub(super) async fn execute(
        &self,
        inbound: &Inbound,
        command: Command,
        settings: &SpaceSettings,
    ) -> Result<String, StoreError> {
        let message = &inbound.message;
        let (space, conversation) = (&message.space, message.conversation.as_str());
        tracing::info!(inbound = inbound.id, %space, person = message.author, command = command.name(), "command");
        Ok(match command {
            Command::Stop => {
                let found = self.stop(space).await?;
                stopped(found.stopped, found.dropped)
            }
            Command::Compact => {
                self.store.compact(space, conversation).await?;
                "Done. What was said here so far is no longer part of what I am given.".into()
            }
            Command::Clear => {
                self.store.clear(space, conversation).await?;
                "Done. Your next message starts without what was said before.".into()
            }
            Command::Help(category) => help(category.as_deref()),
            Command::Pause(time) => self.pause(inbound, time, settings.pause()).await?,
            Command::Resume => {
                let paused = settings.pause().is_some_and(|pause| pause.holds(clock::millis()));
                self.store.resume(space, &message.author, clock::millis()).await?;
                if paused { "I answer again.".into() } else { "There is no pause here.".into() }
            }
            Command::Model(command) => self.model(inbound, command, settings).await?,
            Command::Spaces(command) => self.spaces(inbound, command).await?,
        })
    }

    async fn pause(
        &self,
        inbound: &Inbound,
        time: Option<String>,
        before: Option<Pause>,
    ) -> Result<String, StoreError> {
        let message = &inbound.message;
        let now = clock::millis();
        let before = before.filter(|pause| pause.holds(now));
        let (pause, said) = match time {
            None if before == Some(Pause { until: None }) => {
                return Ok("I am paused already, until `/resume`.".into());
            }
            None => (Pause { until: None }, "I am paused, until `/resume`.".to_owned()),
            Some(text) => match pause::duration(&text) {
                Ok(time) => (
                    Pause { until: Some(now + time) },
                    format!("I am paused for {} min, or until `/resume`.", time / 60_000),
                ),
                Err(error) => return Ok(error.to_string()),
            },
        };
        self.store.pause(&message.space, pause, &message.conversation, &message.author, now).await?;
        Ok(said)
    }
}

fn stopped(stopped: bool, dropped: usize) -> String {
    let dropped = match dropped {
        0 => None,
        1 => Some("1 waiting message was dropped.".to_owned()),
        many => Some(format!("{many} waiting messages were dropped.")),
    };
    match (stopped, dropped) {
        (true, None) => "Stopped.".into(),
        (true, Some(dropped)) => format!("Stopped. {dropped}"),
        (false, Some(dropped)) => dropped,
        (false, None) => "Nothing is active here.".into(),
    }
}

const HELP: &str = "\
stop: end what I am doing, and drop what waits
clear: start the next message without what was said before
compact: forget for good what was said before
/pause [30m or 2h], /resume: be silent, and answer again
/model list, active, switch: the language model
/spaces list, create, switch, delete, unlink: for the operator's admins
/help COMMAND: more about one of them";

fn help(category: Option<&str>) -> String {
    match category.map(|name| name.trim_start_matches('/')) {
        None => HELP.into(),
        Some("model") => models::HELP.into(),
        Some("spaces") => spaces::HELP.into(),
        Some("pause") => "/pause: be silent until /resume\n/pause 30m or 2h: from 1 minute to 24 hours".into(),
        Some(name) if HELP.lines().any(|line| line.trim_start_matches('/').starts_with(name)) => {
            let line = HELP.lines().find(|line| line.trim_start_matches('/').starts_with(name));
            line.unwrap_or(HELP).into()
        }
        Some(other) => format!("There is no help about `{other}`. `/help` lists what there is."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stop_found() {
        assert_eq!(stopped(true, 0), "Stopped.");
        assert_eq!(stopped(true, 2), "Stopped. 2 waiting messages were dropped.");
        assert_eq!(stopped(false, 1), "1 waiting message was dropped.");
        assert_eq!(stopped(false, 0), "Nothing is active here.");
    }

    #[test]
    fn every_command_is_helped() {
        for name in ["stop", "compact", "clear", "help", "pause", "resume", "model", "spaces", "/model"] {
            assert!(help(None).contains(name.trim_start_matches('/')), "{name}");
        }
        assert!(help(Some("stop")).starts_with("stop: "));
        assert!(help(Some("model")).contains("switch"));
        assert!(help(Some("teapot")).contains("no help about `teapot`"));
    }
}
