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
    #[error("Unknown option '{flag}' of '{command}'. Run 'mrctl help {command}'.")]
    UnknownFlag { command: &'static str, flag: String },
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
    #[error("{status} — {reason}")]
    Refused { status: u16, reason: String, next: Option<String> },
}

impl Error {
    /// What the host's answer with an error status says: its `error` field, or all of it.
    pub(crate) fn refused(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(body) => Self::Refused { status, reason: body.error, next: body.next },
            Err(_) => {
                let reason = String::from_utf8_lossy(body).trim().to_owned();
                Self::Refused { status, reason, next: None }
            }
        }
    }

    /// The lines for stderr.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::NoCommand => crate::help::text(None).unwrap_or_default(),
            Self::Refused { next: Some(next), .. } => format!("error: {self}\n{next}\n"),
            _ => format!("error: {self}\n"),
        }
    }
}
