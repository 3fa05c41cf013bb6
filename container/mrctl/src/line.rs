//! From words to a row of the table and its arguments. Flags may stand anywhere after the
//! command's name; an unknown one is an error, never ignored.

use crate::commands::{COMMANDS, Command};
use crate::error::Error;

/// The arguments of one command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) switches: Vec<&'static str>,
    /// Flags with their values.
    pub(crate) options: Vec<(&'static str, String)>,
    pub(crate) positionals: Vec<String>,
    pub(crate) help: bool,
}

impl Line {
    pub(crate) fn has(&self, switch: &str) -> bool {
        self.switches.contains(&switch)
    }

    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(option, _)| *option == name).map(|(_, value)| value.as_str())
    }

    /// The positional at `index`, or nothing.
    pub(crate) fn word(&self, index: usize) -> &str {
        self.positionals.get(index).map(String::as_str).unwrap_or_default()
    }

    /// All positionals from `index` on, as one text.
    pub(crate) fn words(&self, index: usize) -> String {
        self.positionals.get(index..).unwrap_or_default().join(" ")
    }
}

pub(crate) fn parse(arguments: &[String]) -> Result<(&'static Command, Line), Error> {
    let command = find(arguments)?;
    let mut line = Line::default();
    let mut flags_end = false;
    let mut words = arguments[command.name.split(' ').count()..].iter();
    while let Some(word) = words.next() {
        match word.strip_prefix("--") {
            Some("") if !flags_end => flags_end = true,
            Some("help") if !flags_end => line.help = true,
            Some(flag) if !flags_end => take_flag(command, flag, &mut words, &mut line)?,
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

/// `--json`, `--role admin` or `--role=admin`.
fn take_flag(
    command: &'static Command,
    flag: &str,
    words: &mut std::slice::Iter<'_, String>,
    line: &mut Line,
) -> Result<(), Error> {
    let (name, joined) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value.to_owned())));
    if let Some(option) = command.options.iter().find(|it| **it == name) {
        let missing = || Error::NoValue { command: command.name, option };
        let value = joined.or_else(|| words.next().cloned()).ok_or_else(missing)?;
        line.options.push((option, value));
        return Ok(());
    }
    match command.switches.iter().find(|it| **it == flag) {
        Some(switch) => line.switches.push(switch),
        None => return Err(Error::UnknownFlag { command: command.name, flag: format!("--{flag}") }),
    }
    Ok(())
}

/// The row whose name is the longest run of leading words.
pub(crate) fn find(arguments: &[String]) -> Result<&'static Command, Error> {
    let matches = |command: &&Command| {
        let mut words = arguments.iter();
        command.name.split(' ').all(|part| words.next().is_some_and(|word| word == part))
    };
    COMMANDS.iter().filter(matches).max_by_key(|command| command.name.len()).ok_or_else(|| {
        let word = arguments.first().cloned().unwrap_or_default();
        match COMMANDS.iter().any(|command| command.name.split(' ').next() == Some(&word)) {
            true => Error::UnknownOfGroup(word),
            false => Error::UnknownCommand(word),
        }
    })
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
    fn an_option_takes_its_value() {
        let parsed = |text: &str| parse(&words(text)).map(|(_, line)| line);
        let line = parsed("tts synthesize --text --json --out=outbox/a=b.mp3").unwrap();
        assert_eq!((line.option("text"), line.option("out")), (Some("--json"), Some("outbox/a=b.mp3")));
        assert_eq!((line.option("language"), line.switches.len()), (None, 0));
        assert!(matches!(parsed("tts synthesize --text"), Err(Error::NoValue { option: "text", .. })));
        assert!(matches!(parsed("tts synthesize --voice x"), Err(Error::UnknownFlag { .. })));
        assert!(matches!(parsed("whoami --text x"), Err(Error::UnknownFlag { .. })));
    }

    #[test]
    fn the_longest_name_is_the_command() {
        assert_eq!(parse(&words("capability list --json")).unwrap().0.name, "capability list");
        let (command, line) = parse(&words("capability gws mail {\"to\":1}")).unwrap();
        assert_eq!((command.name, line.positionals.len()), ("capability", 3));
        assert!(matches!(parse(&words("capability gws")), Err(Error::Usage { .. })));
    }

    /// cli.md #37: a flag with a value may stand anywhere, in either spelling.
    #[test]
    fn options_stand_anywhere() {
        for text in ["recall --limit 5 some words", "recall some --limit=5 words", "recall some words --limit 5"] {
            let (_, line) = parse(&words(text)).unwrap();
            assert_eq!((line.option("limit"), line.words(0).as_str()), (Some("5"), "some words"), "{text}");
        }
        assert!(matches!(parse(&words("recall x --limit")), Err(Error::NoValue { .. })));
        assert!(matches!(parse(&words("roles grant u --rule admin")), Err(Error::UnknownFlag { .. })));
        assert_eq!(parse(&words("prefs set key -- --value")).unwrap().1.words(1), "--value");
    }
}
