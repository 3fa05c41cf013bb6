//! How the credentials stand, for people: `mercury auth status`, and a word in the log in time.

use std::time::Duration;

use serde::Serialize;

use super::TokenKind;

/// One provider's credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    pub provider: String,
    /// The variable or file that it comes from.
    pub place: String,
    pub kind: TokenKind,
    /// When the present access token ends, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<i64>,
    #[serde(flatten)]
    pub condition: Condition,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "condition")]
pub enum Condition {
    Good,
    /// Ended, and renewed at its next use.
    Expired,
    /// Cannot be renewed, and ends soon or has ended.
    Ending,
    /// The last renewal failed; it is tried again.
    RenewalFails {
        detail: String,
    },
    /// Rotated, but not on disk: it is lost with this process.
    Unsaved,
    /// Only signing in again helps.
    Ended {
        detail: String,
    },
    /// The variable holds JSON without a usable access token.
    Corrupt,
}

/// How long before its end a token that nothing renews is worth a warning.
pub(super) const NOTICE: Duration = Duration::from_secs(24 * 3600);

impl Condition {
    /// What an operator reads; `None` while there is nothing to do.
    pub fn warning(&self, provider: &str, place: &str) -> Option<String> {
        let again = format!("`mercury auth login {provider}`");
        Some(match self {
            Self::Good | Self::Expired => return None,
            Self::Ending => format!(
                "the access token for {provider} in {place} ends soon or has ended, and nothing renews it: give a new one, or sign in with {again}"
            ),
            Self::RenewalFails { detail } => format!(
                "the sign-in for {provider} in {place} could not be renewed and is tried again: {detail}. If that lasts, a new sign-in will be needed: {again}"
            ),
            Self::Unsaved => format!(
                "the sign-in for {provider} could not be saved in {place}: free space there or mend its owner, else a new sign-in will be needed after the next start"
            ),
            Self::Ended { detail } => format!("{detail}. Sign in again: {again}"),
            Self::Corrupt => {
                format!("{place} holds a corrupt credential for {provider}: give a new one, or sign in with {again}")
            }
        })
    }
}

/// Whether the token kind is written `api-key` or `oauth`.
impl Serialize for TokenKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::ApiKey => "api-key",
            Self::OAuth => "oauth",
        })
    }
}
