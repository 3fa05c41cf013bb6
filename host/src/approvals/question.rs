//! A question as it is shown: in a conversation, to a program, to the operator.

use serde::Serialize;
use serde_json::Value;

use super::judge;
use crate::{
    domain::approval::{self, Choice},
    store::Question,
};

/// What whoever shows a question needs to know. `text` is complete in itself; `choices` are for
/// buttons.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuestionView {
    pub id: i64,
    pub text: String,
    pub choices: [Choice; 2],
    pub tool: String,
    pub arguments: Value,
    /// The role that may answer; admins always may.
    pub approver: String,
    /// The guard that asks.
    pub plugin: String,
    pub run: String,
    pub space: String,
    pub conversation: String,
    /// Whom the run works for.
    pub caller_id: String,
    /// Milliseconds since the epoch.
    pub asked_at: i64,
    pub expires_at: i64,
}

/// Renders a question as it stands now.
pub fn view(question: &Question) -> QuestionView {
    let asked = &question.asked;
    let choices = approval::choices(question.ordinal);
    let shown = approval::shown(&asked.tool, &asked.arguments).unwrap_or_else(|| "    (too long to be shown)".into());
    let lines = choices.iter().map(|choice| format!("{}. {}", choice.number, choice.label));
    let text = format!(
        "{}\n\n{shown}\n\n{}\n\nQuestion {}, for {}. Answer with a number, or with `edit` and what to run instead. \
         Unanswered within {} it is denied.",
        asked.text,
        lines.collect::<Vec<_>>().join("\n"),
        question.id,
        asked.approver,
        approval::duration(judge::remaining(question)),
    );
    QuestionView {
        id: question.id,
        text,
        choices,
        tool: asked.tool.clone(),
        arguments: asked.arguments.clone(),
        approver: asked.approver.clone(),
        plugin: asked.plugin.clone(),
        run: asked.run.to_string(),
        space: question.space.to_string(),
        conversation: question.conversation.clone(),
        caller_id: question.caller.clone(),
        asked_at: asked.asked_at,
        expires_at: asked.expires_at,
    }
}
