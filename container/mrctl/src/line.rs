//! From words to a row of the table and its arguments. Flags may stand anywhere after the
//! command's name; an unknown one is an error, never ignored.

use crate::commands::{COMMANDS, Command};
use crate::error::Error;

/// The arguments of one command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) switches: Vec<&'static str>,
    pub(crate) positionals: Vec<String>,
    pub(crate) help: bool,
}

pub(crate) fn parse(arguments: &[String]) -> Result<(&'static Command, Line), Error> {
    let command = find(arguments)?;
    let mut line = Line::default();
    let mut flags_end = false;
    for word in &arguments[command.name.split(' ').count()..] {
        match word.strip_prefix("--") {
            Some("") if !flags_end => flags_end = true,
            Some("help") if !flags_end => line.help = true,
            Some(flag) if !flags_end => match command.switches.iter().find(|it| **it == flag) {
                Some(switch) => line.switches.push(switch),
                None => {
                    return Err(Error::UnknownFlag { command: command.name, flag: word.clone() });
                }
            },
            _ if word == "-h" && !flags_end => line.help = true,
            _ => line.positionals.push(word.clone()),
        }
    }
    let (fewest, most) = command.positionals;
    if !line.help && !(fewest..=most).contains(&line.positionals.len()) {
        return Err(Error::Usage { command: command.name, usage: command.usage });
    }
    Ok((command, line))
}

/// The row whose name is the longest run of leading words.
pub(crate) fn find(arguments: &[String]) -> Result<&'static Command, Error> {
    let matches = |command: &&Command| {
        let mut words = arguments.iter();
        command.name.split(' ').all(|part| words.next().is_some_and(|word| word == part))
    };
    COMMANDS
        .iter()
        .filter(matches)
        .max_by_key(|command| command.name.len())
        .ok_or_else(|| Error::UnknownCommand(arguments.first().cloned().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(Into::into).collect()
    }

    #[test]
    fn a_switch_is_taken_and_an_unknown_one_refused() {
        let (command, line) = parse(&words("whoami --json")).unwrap();
        assert_eq!((command.name, line.switches), ("whoami", vec!["json"]));
        assert!(matches!(parse(&words("whoami --jso")), Err(Error::UnknownFlag { .. })));
        assert!(matches!(parse(&words("whoami me")), Err(Error::Usage { .. })));
    }

    #[test]
    fn the_longest_name_is_the_command() {
        assert_eq!(parse(&words("capability list --json")).unwrap().0.name, "capability list");
        let (command, line) = parse(&words("capability gws mail {\"to\":1}")).unwrap();
        assert_eq!((command.name, line.positionals.len()), ("capability", 3));
        assert!(matches!(parse(&words("capability gws")), Err(Error::Usage { .. })));
    }
}
