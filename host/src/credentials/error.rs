use std::path::PathBuf;

use crate::domain::failure::Failure;

/// Why there is no token to try. Each text names the provider, the place that was looked at, and
/// the remedies; none holds a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    #[error(
        "no credential for the model provider `{provider}` is configured{}",
        auth_path.as_ref().map(|path| format!(" (looked in the environment and in {})", path.display())).unwrap_or_default()
    )]
    Missing { provider: String, variable: Option<String>, auth_path: Option<PathBuf> },
    #[error(
        "{variable} holds a corrupt credential (JSON without a usable access token), so there is none for `{provider}`"
    )]
    Corrupt { provider: String, variable: String },
    /// Only signing in again helps.
    #[error("the sign-in for `{provider}` in {place} is no longer valid: {detail}")]
    Reconnect { provider: String, place: String, detail: String },
    /// It has ended and could not be renewed just now.
    #[error("the sign-in for `{provider}` in {place} has ended and could not be renewed: {detail}")]
    RefreshFailed { provider: String, place: String, detail: String },
    /// `pi` reads no variable for it.
    #[error("the sign-in for `{provider}` cannot be passed into a container: pi reads no variable for it")]
    NotPassable { provider: String },
}

impl CredentialError {
    /// What to do about it. `console` is where a person can reconnect by themselves.
    pub fn into_failure(self, console: Option<&str>) -> Failure {
        let detail = self.to_string();
        match self {
            Self::Missing { provider, variable, .. } => Failure::NoCredentials { provider, detail, variable },
            Self::Corrupt { provider, variable } => {
                Failure::NoCredentials { provider, detail, variable: Some(variable) }
            }
            Self::NotPassable { provider } => Failure::NoCredentials { provider, detail, variable: None },
            Self::Reconnect { provider, .. } => Failure::Reconnect {
                provider,
                detail,
                link: console.map(|url| format!("{}/dashboard/model", url.trim_end_matches('/'))),
            },
            Self::RefreshFailed { provider, .. } => Failure::RefreshFailed { provider, detail },
        }
    }
}
