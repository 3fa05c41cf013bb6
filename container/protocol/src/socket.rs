//! HTTP on the run's socket. Who calls is known by the socket itself: no request carries an
//! identity, and none would be believed.

use serde::{Deserialize, Serialize};

/// `GET`: answers [`WhoAmI`].
pub const WHOAMI: &str = "/api/whoami";
/// `POST` [`ToolCall`]: answers [`ToolVerdict`]. `GET` with a question's id behind it
/// (`/agent/tool-calls/12`) is held for some seconds and answers what has become of it.
pub const TOOL_CALLS: &str = "/agent/tool-calls";
/// `GET`: answers [`CapabilityList`]. `POST` of JSON to `/api/capability/<plugin>/<action>` answers
/// [`CapabilityAnswer`].
pub const CAPABILITIES: &str = "/api/capability";
/// `POST` [`Probe`]: what `mercury doctor`'s probe container reports.
pub const PROBE: &str = "/agent/probe";
/// Prefix: `/model/<provider>/<path of the provider's API>`, passed on with the answer streamed.
pub const MODEL: &str = "/model";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WhoAmI {
    pub caller_id: String,
    pub space_id: String,
    pub role: String,
    pub permissions: Vec<String>,
}

/// Proof that a container reaches the host, and of which kernel it sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// `/proc/version` of the container: under gVisor not the host's.
    pub kernel: String,
    pub uid: u32,
}

/// What the caller may use of plugins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CapabilityList {
    pub capabilities: Vec<serde_json::Value>,
}

/// What a plugin answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CapabilityAnswer {
    pub output: serde_json::Value,
    /// Paths of files that were put into the workspace's outbox: `outbox/chart.svg`.
    #[serde(default)]
    pub files: Vec<String>,
}

/// A tool call that the agent is about to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCall {
    /// The call's own id, at most 128 bytes, made by whoever asks: asked again under it, the same
    /// call gets the same answer. Without one, a call that needs a person's answer is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub tool: String,
    /// The tool's own arguments.
    pub arguments: serde_json::Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "verdict")]
pub enum ToolVerdict {
    Allow,
    /// Allowed with these arguments instead of the tool's own.
    Edit {
        arguments: serde_json::Value,
    },
    /// The reason is shown to the agent.
    Deny {
        reason: String,
    },
    /// A person is asked. `GET` the question until it is another verdict.
    Wait {
        question: i64,
        /// Milliseconds until it counts as denied.
        remaining_ms: u64,
    },
}

/// The one shape of every error, on every listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// One sentence for people: the thing and the reason.
    pub error: String,
    /// Stable, for programs: `image_missing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Whether the same request may succeed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// What a person in a chat would read instead, where the two differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// The run that the error belongs to, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}
