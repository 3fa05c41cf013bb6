//! The table of commands. A further command is a further row; parsing, help and errors follow
//! from it. Rows make a request and show an answer: what a command does is the host's business.

use std::io::Read;

use mercury_protocol::socket;

use crate::client::{Request, Response};
use crate::error::Error;
use crate::line::Line;
use crate::tts;

/// One row.
pub(crate) struct Command {
    /// The words that select it: `tasks list`.
    pub(crate) name: &'static str,
    /// What follows the name, as shown in the help.
    pub(crate) usage: &'static str,
    /// One sentence.
    pub(crate) about: &'static str,
    /// Flags without a value that it accepts, beside `--help`.
    pub(crate) switches: &'static [&'static str],
    /// Flags with a value, each at most once.
    pub(crate) options: &'static [&'static str],
    /// Positional arguments: fewest and most.
    pub(crate) positionals: (usize, usize),
    pub(crate) request: fn(&Line) -> Result<Request, Error>,
    pub(crate) show: fn(&Line, &Response) -> Result<Shown, Error>,
    /// Errors are JSON on stderr, for scripts, rather than sentences.
    pub(crate) json_errors: bool,
}

/// What a command prints.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "whoami",
        usage: "[--json]",
        about: "Show who this run acts for: caller, space, role and permissions.",
        // The answer is JSON anyway; the switch is there for scripts that ask for it.
        switches: &["json"],
        options: &[],
        positionals: (0, 0),
        request: |_| Ok(Request::get(socket::WHOAMI)),
        show: |_, response| Ok(Shown { out: pretty(response)?, err: String::new() }),
        json_errors: false,
    },
    Command {
        name: "capability",
        usage: "<plugin> <action> [json|-]",
        about: "Call a plugin's action with JSON arguments; '-' reads them from standard input.",
        switches: &["json"],
        options: &[],
        positionals: (2, 3),
        request: invocation,
        show: |_, response| invoked(response),
        json_errors: true,
    },
    Command {
        name: "capability list",
        usage: "[--json]",
        about: "List the actions that this caller may use, with the schema of their arguments.",
        switches: &["json"],
        options: &[],
        positionals: (0, 0),
        request: |_| Ok(Request::get(socket::CAPABILITIES)),
        show: |_, response| Ok(Shown { out: pretty(response)?, err: String::new() }),
        json_errors: true,
    },
    Command {
        name: "tts synthesize",
        usage: "--text <text> --out <file> [--language auto|he-IL|en-US] [--provider auto|google|azure]",
        about: "Read a text aloud into a sound file; one in outbox/ is sent with the answer.",
        switches: &["json"],
        options: &["text", "out", "language", "provider"],
        positionals: (0, 0),
        request: tts::request,
        show: tts::show,
        json_errors: false,
    },
];

/// Bytes of arguments that are read from standard input: the host takes no more.
const MAX_ARGUMENTS: u64 = 1 << 20;

fn invocation(line: &Line) -> Result<Request, Error> {
    let word = |index: usize| line.positionals.get(index).map(String::as_str).unwrap_or_default();
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if let Some(name) = [word(0), word(1)].into_iter().find(|name| name.is_empty() || !plain(name)) {
        return Err(Error::BadName(name.to_owned()));
    }
    let mut arguments = word(2).to_owned();
    if arguments == "-" {
        arguments.clear();
        std::io::stdin().lock().take(MAX_ARGUMENTS + 1).read_to_string(&mut arguments).map_err(Error::Input)?;
    }
    // Told here, where the words are: the host would say the same of what it cannot read.
    if !arguments.trim().is_empty() {
        serde_json::from_str::<serde::de::IgnoredAny>(&arguments).map_err(Error::ArgumentsNotJson)?;
    }
    let path = format!("{}/{}/{}", socket::CAPABILITIES, word(0), word(1));
    Ok(Request::post(&path, arguments.into_bytes()))
}

/// The plugin's own document on stdout; where files were attached, their names on stderr.
fn invoked(response: &Response) -> Result<Shown, Error> {
    let answer: socket::CapabilityAnswer = serde_json::from_slice(&response.body).map_err(Error::NotJson)?;
    let mut out = serde_json::to_string_pretty(&answer.output).map_err(Error::NotJson)?;
    out.push('\n');
    let err = answer.files.iter().map(|file| format!("attached: {file}\n")).collect();
    Ok(Shown { out, err })
}

/// The answer as JSON with two spaces of indent, its keys in the host's order.
fn pretty(response: &Response) -> Result<String, Error> {
    let mut text = Vec::with_capacity(response.body.len() * 2);
    let mut from = serde_json::Deserializer::from_slice(&response.body);
    serde_transcode::transcode(&mut from, &mut serde_json::Serializer::pretty(&mut text))
        .and_then(|()| from.end())
        .map_err(Error::NotJson)?;
    text.push(b'\n');
    String::from_utf8(text).map_err(|_| Error::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_the_hosts_order_and_gets_two_spaces() {
        let response =
            Response { status: 200, body: br#"{"spaceId":"main","callerId":"a","permissions":["x"]}"#.to_vec() };
        let shown = pretty(&response).unwrap();
        assert_eq!(
            shown,
            "{\n  \"spaceId\": \"main\",\n  \"callerId\": \"a\",\n  \"permissions\": [\n    \"x\"\n  ]\n}\n"
        );
    }

    #[test]
    fn every_row_has_a_name_of_its_own() {
        for (index, command) in COMMANDS.iter().enumerate() {
            assert!(COMMANDS.iter().skip(index + 1).all(|other| other.name != command.name), "{}", command.name);
        }
    }
}
