//! The table of commands. A further command is a further row; parsing, help and errors follow
//! from it. Rows make a request and show an answer: what a command does is the host's business.

use mercury_protocol::socket;

use crate::{
    ask,
    client::{Request, Response},
    error::Error,
    line::Line,
    show::{self, Shown},
    tts,
};

/// How an answer is shown.
pub(crate) enum Show {
    /// For people; with `--json` the host's answer as it is.
    Host(fn(&Line, &Response) -> Result<Shown, Error>),
    /// A plugin's answer, `--json` or not.
    Plugin(fn(&Line, &Response) -> Result<Shown, Error>),
}

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
    /// Flags with a value.
    pub(crate) options: &'static [&'static str],
    /// Positional arguments: fewest and most.
    pub(crate) positionals: (usize, usize),
    pub(crate) request: fn(&Line) -> Result<Request, Error>,
    pub(crate) show: Show,
    /// Errors are JSON on stderr, for scripts, rather than sentences.
    pub(crate) json_errors: bool,
}

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "whoami",
        usage: "[--json]",
        about: "Show who this run acts for: caller, space, role and permissions.",
        switches: &["json"],
        options: &[],
        positionals: (0, 0),
        request: |_| Ok(Request::get(socket::WHOAMI)),
        show: Show::Host(show::whole),
        json_errors: false,
    },
    Command {
        name: "stop",
        usage: "",
        about: "Stop what this space is doing, this run included.",
        switches: &["json"],
        options: &[],
        positionals: (0, 0),
        request: ask::stop,
        show: Show::Host(show::whole),
        json_errors: false,
    },
    Command {
        name: "config get",
        usage: "[key]",
        about: "Show the settings of this space's plugins, or the value of one.",
        switches: &["json"],
        options: &[],
        positionals: (0, 1),
        request: |_| Ok(Request::get("/api/config")),
        show: Show::Host(show::setting),
        json_errors: false,
    },
    Command {
        name: "config set",
        usage: "<key> <value>",
        about: "Set a setting of a plugin for this space.",
        switches: &["json"],
        options: &[],
        positionals: (2, usize::MAX),
        request: ask::set_setting,
        show: Show::Host(show::whole),
        json_errors: false,
    },
    Command {
        name: "prefs list",
        usage: "[--json]",
        about: "List what people want you to know in each run of this space.",
        switches: &["json"],
        options: &[],
        positionals: (0, 0),
        request: |_| Ok(Request::get("/api/prefs")),
        show: Show::Host(show::whole),
        json_errors: false,
    },
    Command {
        name: "prefs get",
        usage: "<key>",
        about: "Show one preference.",
        switches: &["json"],
        options: &[],
        positionals: (1, 1),
        request: ask::preference,
        show: Show::Host(show::value),
        json_errors: false,
    },
    Command {
        name: "prefs set",
        usage: "<key> <value>",
        about: "Keep a preference for this space.",
        switches: &["json"],
        options: &[],
        positionals: (2, usize::MAX),
        request: ask::set_preference,
        show: Show::Host(show::whole),
        json_errors: false,
    },
    Command {
        name: "prefs delete",
        usage: "<key>",
        about: "Remove a preference.",
        switches: &["json"],
        options: &[],
        positionals: (1, 1),
        request: ask::delete_preference,
        show: Show::Host(show::whole),
        json_errors: false,
    },
    Command {
        name: "roles list",
        usage: "[--json]",
        about: "List who has which role in this space.",
        switches: &["json"],
        options: &[],
        positionals: (0, 0),
        request: |_| Ok(Request::get("/api/roles")),
        show: Show::Host(show::whole),
        json_errors: false,
    },
    Command {
        name: "roles grant",
        usage: "<person> [--role admin]",
        about: "Give somebody a role; `admin` where none is named.",
        switches: &["json"],
        options: &["role"],
        positionals: (1, 1),
        request: ask::grant,
        show: Show::Host(show::whole),
        json_errors: false,
    },
    Command {
        name: "roles revoke",
        usage: "<person>",
        about: "Make a member of somebody.",
        switches: &["json"],
        options: &[],
        positionals: (1, 1),
        request: ask::revoke,
        show: Show::Host(show::whole),
        json_errors: false,
    },
    Command {
        name: "permissions show",
        usage: "[--role member]",
        about: "Show what roles may do in this space.",
        switches: &["json"],
        options: &["role"],
        positionals: (0, 0),
        request: ask::permissions,
        show: Show::Host(show::whole),
        json_errors: false,
    },
    Command {
        name: "permissions set",
        usage: "<role> <a,b,…>",
        about: "Say what a role may do here: exactly that.",
        switches: &["json"],
        options: &[],
        positionals: (2, usize::MAX),
        request: ask::set_permissions,
        show: Show::Host(show::whole),
        json_errors: false,
    },
    Command {
        name: "permissions reset",
        usage: "<role>",
        about: "Bring a role's defaults back.",
        switches: &["json"],
        options: &[],
        positionals: (1, 1),
        request: ask::reset_permissions,
        show: Show::Host(show::whole),
        json_errors: false,
    },
    Command {
        name: "spaces list",
        usage: "[--json]",
        about: "List the spaces that this caller may see.",
        switches: &["json"],
        options: &[],
        positionals: (0, 0),
        request: |_| Ok(Request::get("/api/spaces")),
        show: Show::Host(show::spaces),
        json_errors: false,
    },
    Command {
        name: "spaces name",
        usage: "[new name]",
        about: "Show the name of this space, or change it.",
        switches: &["json"],
        options: &[],
        positionals: (0, usize::MAX),
        request: ask::space_name,
        show: Show::Host(show::name),
        json_errors: false,
    },
    Command {
        name: "conversations",
        usage: "[--unlinked]",
        about: "List the conversations of this space.",
        switches: &["json", "unlinked"],
        options: &[],
        positionals: (0, 0),
        request: ask::conversations,
        show: Show::Host(show::conversations),
        json_errors: false,
    },
    Command {
        name: "conversations list",
        usage: "[--unlinked]",
        about: "The same.",
        switches: &["json", "unlinked"],
        options: &[],
        positionals: (0, 0),
        request: ask::conversations,
        show: Show::Host(show::conversations),
        json_errors: false,
    },
    Command {
        name: "recall",
        usage: "<words> [--limit 20]",
        about: "Find what was said in this space, the newest first.",
        switches: &["json"],
        options: &["limit"],
        positionals: (1, usize::MAX),
        request: ask::recall,
        show: Show::Host(show::messages),
        json_errors: false,
    },
    Command {
        name: "capability",
        usage: "<plugin> <action> [json|-]",
        about: "Call a plugin's action with JSON arguments; '-' reads them from standard input.",
        switches: &["json"],
        options: &[],
        positionals: (2, 3),
        request: ask::invocation,
        show: Show::Plugin(show::invoked),
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
        show: Show::Host(show::whole),
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
        show: Show::Plugin(tts::show),
        json_errors: false,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own() {
        for (index, command) in COMMANDS.iter().enumerate() {
            assert!(COMMANDS.iter().skip(index + 1).all(|other| other.name != command.name), "{}", command.name);
        }
    }
}
