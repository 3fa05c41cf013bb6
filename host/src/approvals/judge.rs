//! From a tool call to its verdict, or to the question that must be answered first.

use std::time::Duration;

use mercury_protocol::socket::{ToolCall, ToolVerdict};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Approvals;
use crate::{
    clock::millis,
    domain::{
        approval::{self, LONGEST, State},
        excerpt::excerpt,
        ids::RunId,
    },
    plugins::{Consultation, Opinion, types::Caller, verdicts},
    store::{NewDecision, NewQuestion, Opened, Question, StoreError, TOO_MANY},
};

/// How long the tool guard's look at an open question is held, at most: it learns of the answer at
/// once, and no connection has to live long.
const HELD: Duration = Duration::from_secs(5);
/// Bytes of a call's id.
const MOST_ID: usize = 128;

/// The run that a tool call comes from.
#[derive(Clone, Debug)]
pub struct Asker {
    pub run: RunId,
    pub caller: Caller,
}

/// A call as it would be made, and the way it came to be so.
pub(super) struct Subject<'a> {
    pub run: &'a RunId,
    pub call: &'a str,
    /// Of the call as the agent made it.
    pub digest: &'a str,
    pub tool: &'a str,
    pub arguments: &'a Value,
    pub edited: bool,
}

/// What follows from the guards' opinions.
pub(super) enum Next {
    Verdict(ToolVerdict),
    Ask(Box<NewQuestion>),
}

impl Approvals {
    /// Decides about a call, or asks somebody. The same call under the same id gets the question that
    /// was asked before, or its answer.
    pub async fn judge(&self, asker: &Asker, call: ToolCall) -> Result<ToolVerdict, StoreError> {
        let digest = digest(&call.tool, &call.arguments);
        let id = call.id.as_deref().filter(|id| !id.is_empty() && id.len() <= MOST_ID);
        if let Some(id) = id
            && let Some(known) = self.store.question_about(&asker.run, id).await?
        {
            return if known.asked.digest == digest {
                self.standing(known).await
            } else {
                Ok(ToolVerdict::Deny { reason: "another call was asked about under this id".into() })
            };
        }
        let subject = Subject {
            run: &asker.run,
            call: id.unwrap_or_default(),
            digest: &digest,
            tool: &call.tool,
            arguments: &call.arguments,
            edited: false,
        };
        let arguments = call.arguments.to_string();
        let opinions = self.plugins.consult(&asker.caller, &call.tool, &arguments, &Consultation::default()).await;
        let decisions = decisions(&subject, &opinions);
        match self.next(&subject, opinions).await? {
            // Who names no call cannot come back for its answer; and of a run that answers to nobody, nobody
            // would see the question.
            Next::Ask(question) if id.is_none() || asker.caller.conversation.is_none() => {
                self.store.record_decisions(decisions).await?;
                let reason =
                    format!("This call needs somebody's approval ({}), which cannot be asked for here.", question.text);
                Ok(ToolVerdict::Deny { reason })
            }
            Next::Verdict(verdict) => {
                self.store.record_decisions(decisions).await?;
                Ok(verdict)
            }
            Next::Ask(question) => match self.store.ask(*question, decisions).await? {
                Opened::Open(question) => {
                    self.before(&question);
                    self.standing(*question).await
                }
                Opened::TooMany => Ok(ToolVerdict::Deny { reason: TOO_MANY.into() }),
            },
        }
    }

    /// Waits some seconds for what becomes of a question. `None` where the run has none of this id.
    pub async fn look(&self, run: &RunId, question: i64) -> Result<Option<ToolVerdict>, StoreError> {
        let until = tokio::time::Instant::now() + HELD;
        loop {
            // Before the look, so an answer in between is not missed.
            let mut settled = self.settled.subscribe();
            let Some(found) = self.store.question(question).await?.filter(|found| found.asked.run == *run) else {
                return Ok(None);
            };
            let verdict = self.standing(found).await?;
            let ToolVerdict::Wait { remaining_ms, .. } = &verdict else { return Ok(Some(verdict)) };
            let due = tokio::time::Instant::now() + Duration::from_millis(*remaining_ms);
            tokio::select! {
                _ = settled.changed() => {}
                () = tokio::time::sleep_until(due.min(until)) => {
                    if due > until {
                        return Ok(Some(verdict));
                    }
                }
            }
        }
    }

    /// What the tool guard is told of a question as it stands.
    async fn standing(&self, question: Question) -> Result<ToolVerdict, StoreError> {
        let mut question = question;
        loop {
            if let Some(verdict) = question.verdict {
                return Ok(verdict);
            }
            if question.state == State::Open {
                if millis() < question.asked.expires_at {
                    let remaining_ms = remaining(&question).as_millis() as u64;
                    return Ok(ToolVerdict::Wait { question: question.id, remaining_ms });
                }
                self.expire().await?;
            }
            // It was settled without a verdict, so another was asked behind it; or it just expired.
            let about = self.store.question_about(&question.asked.run, &question.asked.call).await?;
            question = match about {
                Some(later) if later.id > question.id || later.verdict.is_some() => later,
                _ => return Ok(ToolVerdict::Deny { reason: "the question is gone, so the call is not made".into() }),
            };
        }
    }

    /// Reads the last opinion: the others allow.
    pub(super) async fn next(&self, subject: &Subject<'_>, mut opinions: Vec<Opinion>) -> Result<Next, StoreError> {
        let deny = |reason: String| Ok(Next::Verdict(ToolVerdict::Deny { reason }));
        let (plugin, question) = match opinions.pop() {
            Some(Opinion { verdict: verdicts::Verdict::Deny(reason), .. }) => {
                metrics::counter!("mercury_tool_calls_denied_total").increment(1);
                return deny(reason);
            }
            Some(Opinion { plugin, verdict: verdicts::Verdict::Ask(question) }) => (plugin, question),
            _ if subject.edited => {
                return Ok(Next::Verdict(ToolVerdict::Edit { arguments: subject.arguments.clone() }));
            }
            _ => return Ok(Next::Verdict(ToolVerdict::Allow)),
        };
        if approval::shown(subject.tool, subject.arguments).is_none() {
            return deny(format!(
                "This call needs somebody's approval and is too long for a person to read: more than {} characters. \
                 Split it into smaller ones.",
                approval::MOST_SHOWN
            ));
        }
        let now = millis();
        let waited = Duration::from_millis(self.store.waited(subject.run, now).await?.unsigned_abs());
        let Some(time) = approval::lasts(question.timeout_ms, LONGEST.saturating_sub(waited)) else {
            return deny(TOO_MANY.into());
        };
        Ok(Next::Ask(Box::new(NewQuestion {
            run: subject.run.clone(),
            call: subject.call.to_owned(),
            digest: subject.digest.to_owned(),
            plugin,
            tool: subject.tool.to_owned(),
            arguments: subject.arguments.clone(),
            edited: subject.edited,
            text: approval::question_text(&question.text),
            approver: approval::approver(&question.approver).to_owned(),
            asked_at: now,
            expires_at: now + time.as_millis() as i64,
        })))
    }
}

/// SHA-256 over tool and arguments, in hexadecimal.
pub(super) fn digest(tool: &str, arguments: &Value) -> String {
    let mut hash = Sha256::new();
    hash.update(tool.as_bytes());
    hash.update([0]);
    hash.update(arguments.to_string().as_bytes());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Until a question's time is up.
pub(super) fn remaining(question: &Question) -> Duration {
    Duration::from_millis((question.asked.expires_at - millis()).max(0).unsigned_abs())
}

/// Each opinion for the record, and in the log.
pub(super) fn decisions(subject: &Subject<'_>, opinions: &[Opinion]) -> Vec<NewDecision> {
    let at = millis();
    let digest = digest(subject.tool, subject.arguments);
    let excerpt = excerpt(&subject.arguments.to_string());
    let mut decisions = Vec::with_capacity(opinions.len());
    for opinion in opinions {
        let (verdict, reason) = match &opinion.verdict {
            verdicts::Verdict::Allow => ("allow", None),
            verdicts::Verdict::Deny(reason) => ("deny", Some(reason)),
            verdicts::Verdict::Ask(question) => ("ask", Some(&question.text)),
        };
        let reason = reason.map(|reason| self::excerpt(reason));
        tracing::info!(
            run = subject.run.as_str(),
            tool = subject.tool,
            plugin = opinion.plugin,
            verdict,
            reason,
            "tool call decided"
        );
        metrics::counter!("mercury_tool_decisions_total", "plugin" => opinion.plugin.clone(), "verdict" => verdict)
            .increment(1);
        decisions.push(NewDecision {
            run: subject.run.clone(),
            call: subject.call.to_owned(),
            tool: subject.tool.to_owned(),
            digest: digest.clone(),
            excerpt: excerpt.clone(),
            plugin: opinion.plugin.clone(),
            verdict,
            reason,
            person: None,
            at,
        });
    }
    decisions
}

/// A question that came to `state`, for the record.
pub(super) fn decision_on(question: &Question, state: State) -> NewDecision {
    let asked = &question.asked;
    NewDecision {
        run: asked.run.clone(),
        call: asked.call.clone(),
        tool: asked.tool.clone(),
        digest: digest(&asked.tool, &asked.arguments),
        excerpt: excerpt(&asked.arguments.to_string()),
        plugin: asked.plugin.clone(),
        verdict: state.as_str(),
        reason: None,
        person: None,
        at: millis(),
    }
}
