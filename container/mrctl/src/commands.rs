//! The table of commands. A further command is a further row; parsing, help and errors follow
//! from it. Rows make a request and show an answer: what a command does is the host's business.

use mercury_protocol::socket;

use crate::client::{Request, Response};
use crate::error::Error;
use crate::line::Line;

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
    /// Positional arguments: fewest and most.
    pub(crate) positionals: (usize, usize),
    pub(crate) request: fn(&Line) -> Result<Request, Error>,
    pub(crate) show: fn(&Response) -> Result<String, Error>,
}

pub(crate) const COMMANDS: &[Command] = &[Command {
    name: "whoami",
    usage: "[--json]",
    about: "Show who this run acts for: caller, space, role and permissions.",
    // The answer is JSON anyway; the switch is there for scripts that ask for it.
    switches: &["json"],
    positionals: (0, 0),
    request: |_| Ok(Request::get(socket::WHOAMI)),
    show: pretty,
}];

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
