//! The help text, made from the table. Needs no host.

use crate::commands::{COMMANDS, Command};
use crate::error::Error;

/// Help on everything, or on the one command named `topic`.
pub(crate) fn text(topic: Option<&str>) -> Result<String, Error> {
    if let Some(topic) = topic {
        let exact = COMMANDS.iter().filter(|command| command.name == topic);
        let group = COMMANDS.iter().filter(|command| command.name.split(' ').next() == Some(topic));
        let named: Vec<_> = if exact.clone().next().is_some() { exact.collect() } else { group.collect() };
        if named.is_empty() {
            return Err(Error::UnknownCommand(topic.into()));
        }
        let one =
            |command: &&Command| format!("Usage: mrctl {} {}\n\n{}\n", command.name, command.usage, command.about);
        return Ok(named.iter().map(one).collect::<Vec<_>>().join("\n"));
    }
    let mut text = String::from("Ask the host for something, as this run.\n\nUsage: mrctl <command>\n\nCommands:\n");
    for command in COMMANDS {
        text.push_str(&format!("  {:<40} {}\n", format!("{} {}", command.name, command.usage), command.about));
    }
    text.push_str("  help [command]                           Show this help, or that of one command.\n\n");
    text.push_str("Options:\n  -h, --help     Show help.\n  -V, --version  Show the version.\n");
    Ok(text)
}
