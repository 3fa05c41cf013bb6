//! One message in pi's stream: its text, its failure, and what it cost. A tool's result costs
//! something where the tool asked a model itself, as a sub-agent does.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Lenient: a field of another type than pi's counts as absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(default)]
    content: Value,
    #[serde(default)]
    stop_reason: Value,
    #[serde(default)]
    error_message: Value,
    #[serde(default)]
    pub(crate) usage: Value,
    #[serde(default)]
    model: Value,
    #[serde(default)]
    provider: Value,
}

impl<'a> Message<'a> {
    pub(crate) fn read(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    pub(crate) fn of_assistant(&self) -> bool {
        self.role == "assistant"
    }

    /// All text parts that are not empty, a line each.
    pub(crate) fn text(&self) -> String {
        if let Some(text) = self.content.as_str() {
            return text.into();
        }
        let parts = self.content.as_array().map(Vec::as_slice).unwrap_or_default();
        let texts = parts.iter().filter(|part| part["type"] == "text").filter_map(|part| part["text"].as_str());
        texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// A message that stopped for an error failed even if half of an answer is in it. An error
    /// text without such a reason counts only if there is no answer.
    pub(crate) fn failure(&self) -> Option<String> {
        let told = self.error_message.as_str().map(str::trim).filter(|it| !it.is_empty());
        match self.stop_reason.as_str() {
            Some(reason @ ("error" | "aborted")) => {
                Some(told.map_or_else(|| format!("the model stopped with reason '{reason}'"), Into::into))
            }
            _ if self.text().trim().is_empty() => told.map(Into::into),
            _ => None,
        }
    }

    pub(crate) fn model(&self) -> Option<String> {
        named(&self.model)
    }

    pub(crate) fn provider(&self) -> Option<String> {
        named(&self.provider)
    }
}

fn named(value: &Value) -> Option<String> {
    value.as_str().filter(|it| !it.is_empty()).map(Into::into)
}
