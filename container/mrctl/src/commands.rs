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

/// What follows the name of a command whose list comes in pages.
const PAGE: &str = "[--limit 100] [--after <next>] [--json]";

/// Any number of words.
const MANY: usize = usize::MAX;

/// A row that takes no words and no flag but `--json`, and shows the whole answer.
const fn command(
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    request: fn(&Line) -> Result<Request, Error>,
) -> Command {
    let show = Show::Host(show::whole);
    Command {
        name,
        usage,
        about,
        switches: &["json"],
        options: &[],
        positionals: (0, 0),
        request,
        show,
        json_errors: false,
    }
}

impl Command {
    const fn takes(self, fewest: usize, most: usize) -> Self {
        Self { positionals: (fewest, most), ..self }
    }

    const fn switches(self, switches: &'static [&'static str]) -> Self {
        Self { switches, ..self }
    }

    const fn options(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    /// Its list comes in pages.
    const fn paged(self) -> Self {
        self.options(&["limit", "after"])
    }

    const fn shown(self, show: fn(&Line, &Response) -> Result<Shown, Error>) -> Self {
        Self { show: Show::Host(show), ..self }
    }

    const fn plugin(self, show: fn(&Line, &Response) -> Result<Shown, Error>) -> Self {
        Self { show: Show::Plugin(show), ..self }
    }

    const fn json_errors(self) -> Self {
        Self { json_errors: true, ..self }
    }
}

pub(crate) const COMMANDS: &[Command] = &[
    command("whoami", "[--json]", "Show who this run acts for: caller, space, role and permissions.", |_| {
        Ok(Request::get(socket::WHOAMI))
    }),
    command("stop", "", "Stop what this space is doing, this run included.", ask::stop),
    command("compact", "", "Forget for good what was said here before.", ask::compact),
    command("clear", "", "Let the next run here start without what was said before.", ask::clear),
    command("tasks list", PAGE, "List the scheduled tasks of this space.", |line| ask::page(line, "/api/tasks"))
        .paged()
        .shown(show::page),
    command(
        "tasks create",
        "--prompt <text> (--cron <line> | --at <time>) [--timezone Europe/Berlin] [--name <name>] [--silent]",
        "Schedule a task: what you are asked then, and when. Its answer comes into this conversation; with --silent nowhere. Always name the person's time zone.",
        ask::plan,
    )
    .switches(&["json", "silent"])
    .options(&["prompt", "cron", "at", "timezone", "name"]),
    command("tasks pause", "<id>", "Let a task rest.", ask::pause_task).takes(1, 1),
    command("tasks resume", "<id>", "Let a task go on, from now.", ask::resume_task).takes(1, 1),
    command("tasks run", "<id>", "Let a task run soon, whatever its schedule says.", ask::run_task).takes(1, 1),
    command("tasks delete", "<id>", "Delete a task.", ask::delete_task).takes(1, 1),
    command("config get", "[key]", "Show the settings of this space's plugins, or the value of one.", |_| {
        Ok(Request::get("/api/config"))
    })
    .takes(0, 1)
    .shown(show::setting),
    command("config set", "<key> <value>", "Set a setting of a plugin for this space.", ask::set_setting)
        .takes(2, MANY),
    command("prefs list", "[--json]", "List what people want you to know in each run of this space.", |_| {
        Ok(Request::get("/api/prefs"))
    }),
    command("prefs get", "<key>", "Show one preference.", ask::preference).takes(1, 1).shown(show::value),
    command("prefs set", "<key> <value>", "Keep a preference for this space.", ask::set_preference).takes(2, MANY),
    command("prefs delete", "<key>", "Remove a preference.", ask::delete_preference).takes(1, 1),
    command("roles list", PAGE, "List who has which role in this space.", |line| ask::page(line, "/api/roles"))
        .paged()
        .shown(show::page),
    command("roles grant", "<person> [--role admin]", "Give somebody a role; `admin` where none is named.", ask::grant)
        .takes(1, 1)
        .options(&["role"]),
    command("roles revoke", "<person>", "Make a member of somebody.", ask::revoke).takes(1, 1),
    command("permissions show", "[--role member]", "Show what roles may do in this space.", ask::permissions)
        .options(&["role"]),
    command("permissions set", "<role> <a,b,…>", "Say what a role may do here: exactly that.", ask::set_permissions)
        .takes(2, MANY),
    command("permissions reset", "<role>", "Bring a role's defaults back.", ask::reset_permissions).takes(1, 1),
    command(
        "mute",
        "<person> <time> [--reason why] [--confirm]",
        "Stop hearing somebody here: for 10m, 2h, 7d.",
        ask::mute,
    )
    .takes(2, MANY)
    .switches(&["json", "confirm"])
    .options(&["reason"])
    .shown(show::muted),
    command("unmute", "<person>", "Hear somebody again.", ask::unmute).takes(1, 1),
    command("mutes", PAGE, "List who is not heard here.", |line| ask::page(line, "/api/mutes"))
        .paged()
        .shown(show::mutes),
    command("spaces list", PAGE, "List the spaces that this caller may see.", |line| ask::page(line, "/api/spaces"))
        .paged()
        .shown(show::spaces),
    command("spaces name", "[new name]", "Show the name of this space, or change it.", ask::space_name)
        .takes(0, MANY)
        .shown(show::name),
    command("conversations", "[--unlinked]", "List the conversations of this space.", ask::conversations)
        .switches(&["json", "unlinked"])
        .shown(show::conversations),
    command("conversations list", "[--unlinked]", "The same.", ask::conversations)
        .switches(&["json", "unlinked"])
        .shown(show::conversations),
    command("conversations link", "<conversation> <space>", "Link a conversation to a space.", ask::link).takes(2, 2),
    command("conversations unlink", "<conversation>", "Take a conversation out of its space.", ask::unlink).takes(1, 1),
    command(
        "media list",
        "[--outbox] [--limit 100] [--after <next>] [--json]",
        "List the files that this space received, or produced.",
        ask::media,
    )
    .switches(&["json", "outbox"])
    .paged()
    .shown(show::files),
    command(
        "media clear",
        "[--inbox] [--outbox]",
        "Remove received and produced files; both where none is named.",
        ask::purge,
    )
    .switches(&["json", "inbox", "outbox"]),
    command("disk", "[--json]", "Show how much room files take.", |_| Ok(Request::get("/api/storage")))
        .shown(show::disk),
    command("recall", "<words> [--limit 20]", "Find what was said in this space, the newest first.", ask::recall)
        .takes(1, MANY)
        .options(&["limit"])
        .shown(show::messages),
    command(
        "capability",
        "<plugin> <action> [json|-]",
        "Call a plugin's action with JSON arguments; '-' reads them from standard input.",
        ask::invocation,
    )
    .takes(2, 3)
    .plugin(show::invoked)
    .json_errors(),
    command(
        "capability list",
        "[--json]",
        "List the actions that this caller may use, with the schema of their arguments.",
        |_| Ok(Request::get(socket::CAPABILITIES)),
    )
    .json_errors(),
    command("ext", "[--json]", "List the plugins, and what each brings for you.", |_| Ok(Request::get("/api/ext")))
        .shown(show::plugins),
    command("connections", "[--json]", "List the services that plugins stand for, and how each stands.", |_| {
        Ok(Request::get("/api/connections"))
    })
    .shown(show::connections),
    command("character get", "", "Show what the assistant is like everywhere.", |_| Ok(Request::get("/api/character")))
        .shown(show::character),
    command(
        "character set",
        "<text> | --file <path>",
        "Say what the assistant is like everywhere.",
        ask::set_character,
    )
    .takes(0, MANY)
    .options(&["file"]),
    command("character clear", "", "Take that back.", |_| Ok(Request::delete("/api/character"))),
    command(
        "send",
        "<person or space> <text>",
        "Write to somebody, word for word: telegram:4711, +49170…, main.",
        ask::send,
    )
    .takes(2, MANY),
    command("broadcast", "<text>", "Write to everybody who has a space of his own, word for word.", ask::broadcast)
        .takes(1, MANY),
    command(
        "tts synthesize",
        "--text <text> --out <file> [--language auto|he-IL|en-US] [--provider auto|google|azure]",
        "Read a text aloud into a sound file; one in outbox/ is sent with the answer.",
        tts::request,
    )
    .options(&["text", "out", "language", "provider"])
    .plugin(tts::show),
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
