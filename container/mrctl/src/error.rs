//! Everything that can go wrong, with the text that the agent reads. The agent acts on these
//! texts, so each says what to do next where that is known.

use mercury_protocol::socket::ErrorBody;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum Error {
    #[error("No command given. Run 'mrctl help'.")]
    NoCommand,
    #[error("Unknown command '{0}'. Run 'mrctl help'.")]
    UnknownCommand(String),
    #[error("Unknown command '{0}'. Run 'mrctl help {0}'.")]
    UnknownOfGroup(String),
    #[error("Unknown option '{flag}' of '{command}'. Run 'mrctl help {command}'.")]
    UnknownFlag { command: &'static str, flag: String },
    #[error("'--{option}' of '{command}' needs a value. Run 'mrctl help {command}'.")]
    NoValue { command: &'static str, option: &'static str },
    #[error("'{0}' is no place for a file: name one inside the workspace, such as outbox/answer.mp3")]
    OutsideWorkspace(String),
    #[error("{path} cannot be read: {source}")]
    NotRead { path: String, source: std::io::Error },
    #[error("{path} cannot be written: {source}")]
    NotWritten { path: String, source: std::io::Error },
    #[error("the host made no sound file")]
    NoFile,
    #[error("'{0}' is no name of a plugin or an action. Run 'mrctl capability list'.")]
    BadName(String),
    #[error("the arguments are not JSON: {0}")]
    ArgumentsNotJson(serde_json::Error),
    #[error("standard input cannot be read: {0}")]
    Input(std::io::Error),
    #[error("Config key not set: {0}")]
    NotSet(String),
    #[error("{0}. Run 'mrctl help tasks create'.")]
    Incomplete(&'static str),
    #[error("Usage: mrctl {command} {usage}")]
    Usage { command: &'static str, usage: &'static str },
    #[error("cannot reach the host at {socket}: {source}")]
    Unreachable { socket: String, source: std::io::Error },
    #[error("the host's answer broke off: {0}")]
    Broken(std::io::Error),
    #[error("the host's answer is not HTTP: {0}")]
    NotHttp(#[from] httparse::Error),
    #[error("the host's answer is cut short")]
    Short,
    #[error("the host's answer is larger than {0} bytes")]
    TooLarge(u64),
    #[error("the host's answer is not JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("the host's answer is not UTF-8")]
    NotUtf8,
    /// The host said no.
    #[error("{status} — {}", body.error)]
    Refused { status: u16, body: Box<ErrorBody> },
}

impl Error {
    /// The words do not fit the command of this name.
    pub(crate) fn usage(command: &'static str) -> Self {
        let row = crate::commands::COMMANDS.iter().find(|row| row.name == command);
        Self::Usage { command, usage: row.map_or("", |row| row.usage) }
    }

    /// What the host's answer with an error status says: its `error` field, or all of it.
    pub(crate) fn refused(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(body) => Self::Refused { status, body: Box::new(body) },
            Err(_) => {
                let error = String::from_utf8_lossy(body).trim().to_owned();
                let body = ErrorBody { error, code: None, next: None, retryable: None, reply: None, run: None };
                Self::Refused { status, body: Box::new(body) }
            }
        }
    }

    /// The lines for stderr.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::NoCommand => crate::help::text(None).unwrap_or_default(),
            Self::Refused { body, .. } if body.next.is_some() => {
                format!("error: {self}\n{}\n", body.next.as_deref().unwrap_or_default())
            }
            _ => format!("error: {self}\n"),
        }
    }

    /// The same as one JSON object for scripts (examples.md 1.4).
    pub(crate) fn as_json(&self) -> String {
        let (error, code, retryable) = match self {
            Self::Refused { body, .. } => {
                (body.error.clone(), body.code.as_deref().unwrap_or("refused"), body.retryable.unwrap_or(false))
            }
            Self::Unreachable { .. } | Self::Broken(_) | Self::Short => (self.to_string(), "unreachable", true),
            Self::ArgumentsNotJson(_) => (self.to_string(), "invalid-json", false),
            _ => (self.to_string(), "usage", false),
        };
        format!("{}\n", serde_json::json!({ "error": error, "code": code, "retryable": retryable }))
    }
}
