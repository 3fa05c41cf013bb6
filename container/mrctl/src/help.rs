//! The help text, made from the table. Needs no host.

use crate::commands::COMMANDS;
use crate::error::Error;

/// Help on everything, or on the one command named `topic`.
pub(crate) fn text(topic: Option<&str>) -> Result<String, Error> {
    if let Some(topic) = topic {
        let command = COMMANDS
            .iter()
            .find(|command| command.name == topic || command.name.split(' ').next() == Some(topic))
            .ok_or_else(|| Error::UnknownCommand(topic.into()))?;
        return Ok(format!("Usage: mrctl {} {}\n\n{}\n", command.name, command.usage, command.about));
    }
    let mut text = String::from("Ask the host for something, as this run.\n\nUsage: mrctl <command>\n\nCommands:\n");
    for command in COMMANDS {
        text.push_str(&format!("  {:<24} {}\n", format!("{} {}", command.name, command.usage), command.about));
    }
    text.push_str("  help [command]           Show this help, or that of one command.\n\n");
    text.push_str("Options:\n  -h, --help     Show help.\n  -V, --version  Show the version.\n");
    Ok(text)
}
