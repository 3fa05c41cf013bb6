//! The files of the IO directory.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// `input.json`: everything that belongs to one message. Nothing of it is needed to create the
/// container, so a container may one day be created ahead of its message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub run_id: String,
    pub space_id: String,
    /// The workspace as the container sees it: `/spaces/<space>`.
    pub space_workspace: String,
    /// History, oldest first.
    #[serde(default)]
    pub messages: Vec<StoredMessage>,
    /// The messages that the person replied to, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anchor_messages: Vec<StoredMessage>,
    pub prompt: String,
    pub caller_id: String,
    #[serde(default = "member")]
    pub caller_role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// What the message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Quote>,
    /// Files that the message had and that could not be given, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_files: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preferences: Vec<Preference>,
    /// 16 hex digits; only entry programs of the old system use it.
    #[serde(default)]
    pub nonce: String,
    /// What the result is sealed with. `entry` deletes the request once it has read it.
    #[serde(default)]
    pub seal: Seal,
    #[serde(default)]
    pub bot_username: String,
    /// Appended to the system prompt after a blank line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    #[serde(default)]
    pub model: ModelSettings,
    /// Environment of the agent beside what the container was created with. Never a credential.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Folders of [`crate::paths::SKILLS_DIR`] that this caller is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// The only tools that the agent is shown. The host refuses any other, too. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// The host is the agent's way out: `entry` points the usual proxy variables at it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub egress_proxy: bool,
}

/// The key that a result is sealed with: known to the host and to `entry`, and to nothing else in the
/// container. The agent has the same user as `entry` and can read and write the result's file as well.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seal(pub String);

/// Not to be read in a log.
impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

fn member() -> String {
    "member".into()
}

/// Which models to ask, in which order, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelSettings {
    /// Tried in order. Empty means that the host resolved none, which is an error.
    pub chain: Vec<Leg>,
    /// Providers whose requests go to the host, over the run's socket at `/model/<provider>`:
    /// `entry` listens on the container's loopback and forwards. Works without any network.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hosted: BTreeMap<String, Hosted>,
    /// Extra attempts per leg: 0 to 5.
    pub max_retries_per_leg: u32,
    /// Wall-clock budget over all attempts, in milliseconds.
    pub budget_ms: u64,
    /// Replace pi's own system prompt rather than add to it.
    pub override_system_prompt: bool,
    /// Models that a sub-agent may ask for beside its caller's, as `provider/model`; a `*` at the end
    /// stands for any rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subagent_models: Vec<String>,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            chain: Vec::new(),
            hosted: BTreeMap::new(),
            max_retries_per_leg: 2,
            budget_ms: 120_000,
            override_system_prompt: false,
            subagent_models: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leg {
    pub provider: String,
    pub model: String,
    /// Where the provider's API is, if not at its usual place: a URL that the container reaches by
    /// its own network. Not for a hosted provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    #[serde(default)]
    pub capabilities: Capabilities,
}

/// What a model can do, as far as it is known. Names are those of the replaced system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    pub tools: bool,
    pub vision: bool,
    pub audio_input: bool,
    pub audio_output: bool,
    pub extended_thinking: bool,
    pub source: CapabilitySource,
}

/// A model of which nothing is known is taken to have tools.
impl Default for Capabilities {
    fn default() -> Self {
        Self {
            tools: true,
            vision: false,
            audio_input: false,
            audio_output: false,
            extended_thinking: false,
            source: CapabilitySource::Default,
        }
    }
}

/// Where the knowledge comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CapabilitySource {
    /// `MERCURY_MODEL_CAPABILITIES` or `model.capabilities`.
    Env,
    /// `model-capabilities.yaml` in the data directory.
    Yaml,
    /// The registry of models that the agent program brings along.
    Builtin,
    /// Nowhere: a guess.
    #[default]
    Default,
}

/// A provider that the host asks on the container's behalf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hosted {
    /// What `pi` takes for the provider's key. It opens nothing: the host puts the real one in. Its
    /// form may tell `pi` which kind of credential the host holds.
    pub key: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredMessage {
    pub role: Role,
    pub content: String,
    /// Milliseconds since the Unix epoch.
    pub created_at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    User,
    Assistant,
    Tool,
    Ambient,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// As the container sees it, below `/spaces/<space>/inbox/`.
    pub path: String,
    /// `image`, `video`, `audio`, `voice` or `document`.
    #[serde(rename = "type")]
    pub kind: String,
    pub mime_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
}

/// A message of the platform that the person answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quote {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The assistant wrote it.
    #[serde(default)]
    pub from_bot: bool,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preference {
    pub key: String,
    pub value: String,
}

/// `credentials.json`. Mode 0600, owned by the agent's user, deleted by `entry` once read.
///
/// No `Debug`: a credential must not reach a log by accident.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Credentials {
    /// Given to `pi` as its environment, and to nothing else (`ANTHROPIC_API_KEY` and the like).
    pub environment: BTreeMap<String, String>,
}

/// `result.json`: a result and the proof that `entry` wrote it, of no use for any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// A [`RunResult`] as JSON. A text, so that both sides mean the same bytes.
    pub sealed: String,
    /// HMAC-SHA-256 of that text by the request's [`Seal`] (the bytes of its digits): 64 hexadecimal
    /// digits, lower case.
    pub mac: String,
}

/// What became of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunResult {
    /// Absent counts as success, as in the replaced system.
    #[serde(default = "yes")]
    pub ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Names below `outbox/` that this run wrote, in the order of writing. `None` where the entry
    /// program does not keep a manifest: the host then compares before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<AgentTimings>,
    /// The kind of failure, where it is known better than by its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The kernel ended the agent, or what it had started, at the container's memory limit.
    OutOfMemory,
    /// The run was told to stop; what the agent had said so far is the reply.
    Stopped,
}

fn yes() -> bool {
    true
}

/// Tokens and cost of the run as the providers reported them. Absent means not reported.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// Microseconds since the Unix epoch, by the container's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentTimings {
    /// `entry` began.
    pub entry_started: u64,
    /// The last `pi` process was started.
    pub agent_spawned: u64,
    /// `pi` printed its first line.
    pub agent_ready: u64,
    /// `pi` ended.
    pub agent_ended: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// container.md #24: the fields that an entry program of the old system reads.
    #[test]
    fn an_old_request_is_understood() {
        let request: Request = serde_json::from_str(
            r#"{"runId":"r","spaceId":"main","spaceWorkspace":"/spaces/main","messages":[],"prompt":"hi",
               "callerId":"api:x","nonce":"0011223344556677","unknown":1}"#,
        )
        .unwrap();
        assert_eq!(request.caller_role, "member");
        assert_eq!(request.model, ModelSettings::default());
    }

    /// container.md #27: a missing `ok` counts as success.
    #[test]
    fn a_result_without_ok_is_a_success() {
        let result: RunResult = serde_json::from_str(r#"{"reply":"x"}"#).unwrap();
        assert!(result.ok);
        assert_eq!(result.reply.as_deref(), Some("x"));
    }
}
