//! Why something is refused, in the words that the agent (or the person) reads.

use thiserror::Error;

/// One reason to deny. Its text goes to the agent, so it says what to do next: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A CLI of the denied list would run.
    #[error(
        "The caller may not use `{cli}`. This is a hard boundary: do not try to work around it \
         with another tool, another path, a script or a direct API call. Tell the user that \
         they lack the permission for `{cli}`."
    )]
    DeniedCli {
        /// The name on the list.
        cli: String,
    },
    /// What would run is only known when it runs.
    #[error(
        "This caller may not use some CLIs, and what this command would run cannot be told \
         beforehand ({what}). Write the program's name out plainly. If it is one that the \
         caller may not use, that is a hard boundary: do not work around it, tell the user."
    )]
    Dynamic {
        /// The part that could not be resolved.
        what: String,
    },
    /// The shell text could not be parsed, so nobody knows what it runs.
    #[error(
        "This caller may not use some CLIs, and this command could not be read as shell text. \
         Write it in simpler form. Do not try to work around the caller's permissions."
    )]
    Unreadable,
    /// More text or nesting than is looked at.
    #[error(
        "This caller may not use some CLIs, and this command is too long or too deeply nested \
         to be checked. Split it into smaller ones."
    )]
    TooComplex,
    /// A protected path was named.
    #[error(
        "`{path}` belongs to the system that runs this assistant and is closed to every tool. \
         This is a hard boundary: do not look for another way to it. Tell the user."
    )]
    ProtectedPath {
        /// The path as it was understood.
        path: String,
    },
    /// A write outside the places that belong to the agent.
    #[error("`{path}` is outside the workspace. Files are written in the workspace or in /tmp.")]
    OutsideWorkspace {
        /// The path as it was understood.
        path: String,
    },
    /// The tool's arguments are not the JSON object that a tool call carries.
    #[error("The arguments of this tool call are not a JSON object.")]
    MalformedArguments,
    /// The prompt contains a blocked phrase; which one is not for the sender.
    #[error("This message contains a phrase that is not allowed here.")]
    BlockedPhrase,
    /// The prompt is longer than the setting allows.
    #[error("This message is longer than {limit} characters.")]
    PromptTooLong {
        /// Characters.
        limit: usize,
    },
}

impl Refusal {
    /// A word for the log, free of what the caller wrote.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::DeniedCli { .. } => "denied CLI",
            Self::Dynamic { .. } => "dynamic command",
            Self::Unreadable => "unreadable command",
            Self::TooComplex => "too complex",
            Self::ProtectedPath { .. } => "protected path",
            Self::OutsideWorkspace { .. } => "outside the workspace",
            Self::MalformedArguments => "malformed arguments",
            Self::BlockedPhrase => "blocked phrase",
            Self::PromptTooLong { .. } => "prompt too long",
        }
    }

    /// What could not be resolved, cut to a length that fits a message.
    pub(crate) fn dynamic(what: &str) -> Self {
        Self::Dynamic { what: what.chars().take(120).collect() }
    }
}
