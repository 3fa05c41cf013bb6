//! A person's answer: whether it may be given, and what follows from it.

use mercury_protocol::socket::ToolVerdict;

use super::{
    Approvals,
    judge::{self, Next, Subject},
};
use crate::{
    clock::millis,
    domain::{
        approval::{self, Candidate, EditError, Event, Heard, Said, State},
        roles,
    },
    plugins::{Consultation, types::Caller},
    store::{NewInbound, NewOutbound, Question, Settlement, StoreError},
};

/// Who answers.
#[derive(Clone, Debug)]
pub struct Person {
    pub name: String,
    pub role: String,
}

impl Person {
    /// Whoever holds the host's own secret, or sits at its machine.
    pub fn operator() -> Self {
        Self { name: "the operator".into(), role: roles::SYSTEM_ROLE.into() }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    #[error("There is no question {0}. `mercury approvals` lists those that are open.")]
    Unknown(i64),
    #[error("Question {id} is {} already{}. Nothing was changed.", .state.as_str(), .by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default())]
    Settled { id: i64, state: State, by: Option<String> },
    #[error(
        "Question {id} is for somebody with the role {approver}; your role here is {role}. Ask one of them to answer."
    )]
    NotApprover { id: i64, approver: String, role: String },
    #[error("{0}. The question is still open.")]
    Edit(#[from] EditError),
    #[error("The edited call is not allowed: {reason} The question is still open.")]
    EditDenied { reason: String },
    #[error("Several questions are open. Answer with the number of a choice.")]
    Ambiguous,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AnswerError {
    /// Stable, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "question_unknown",
            Self::Settled { .. } => "question_settled",
            Self::NotApprover { .. } => "not_approver",
            Self::Edit(_) => "bad_edit",
            Self::EditDenied { .. } => "edit_denied",
            Self::Ambiguous => "ambiguous_answer",
            Self::Store(_) => "database_failed",
        }
    }

    /// As an HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Unknown(_) => 404,
            Self::Settled { .. } | Self::Ambiguous => 409,
            Self::NotApprover { .. } => 403,
            Self::Edit(_) => 400,
            Self::EditDenied { .. } => 422,
            Self::Store(_) => 500,
        }
    }
}

/// What a message was to the open questions.
#[derive(Debug)]
pub enum Reading {
    /// No answer to anything.
    Nothing,
    /// The answer counts, and the message is answered.
    Answered,
    /// It was meant as an answer, and does not count: the person is told why.
    Refused(AnswerError),
}

impl Approvals {
    /// Reads a message as the answer to a question: of its own conversation, or of its space where
    /// it names the question (`#12 allow`). In a group only what is said to the bot is an answer: a
    /// "yes" between people allows nothing. Answer and reply are written in one transaction, so a
    /// host that ends in between reads the message again and finds nothing done.
    pub async fn hear(&self, inbound: i64, message: &NewInbound, role: &str) -> Result<Reading, StoreError> {
        let answer = match self.meant(message).await? {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(Reading::Nothing),
            Err(refused) => return Ok(Reading::Refused(refused)),
        };
        let person = Person { name: message.author.clone(), role: role.to_owned() };
        match self.answer(answer.0, &person, answer.1, Some(inbound)).await {
            Ok(_) => Ok(Reading::Answered),
            Err(AnswerError::Store(error)) => Err(error),
            Err(refused) => Ok(Reading::Refused(refused)),
        }
    }

    async fn meant(&self, message: &NewInbound) -> Result<Result<Option<(i64, Said)>, AnswerError>, StoreError> {
        let spoken = spoken(message);
        if let Some((id, rest)) = approval::addressed(spoken.unwrap_or(&message.text)) {
            let known = self.store.question(id).await?.filter(|question| question.space == message.space);
            return Ok(match known {
                Some(question) => Ok(approval::answer(rest, question.ordinal).map(|said| (id, said))),
                // A button outlives its question; the agent is not to puzzle over what it says.
                None if spoken.is_some_and(|text| approval::pressed(text).is_some()) => Err(AnswerError::Unknown(id)),
                None => Ok(None),
            });
        }
        let Some(text) = spoken else { return Ok(Ok(None)) };
        let mut all = self.store.questions_in(&message.space, &message.conversation).await?;
        let replied = message.chat.as_ref().and_then(|chat| chat.quoted.as_ref()?.message_id.as_deref());
        let pointed_at = match replied.filter(|_| !all.is_empty()) {
            Some(replied) => self.store.question_put_by(&message.conversation, replied).await?,
            None => None,
        };
        all.retain(|question| pointed_at.is_none_or(|meant| question.id == meant));
        let now = millis();
        let (open, settled): (Vec<&Question>, Vec<_>) =
            all.iter().partition(|question| question.state == State::Open && question.asked.expires_at > now);
        let candidates = |questions: &[&Question]| -> Vec<Candidate> {
            questions.iter().map(|question| Candidate { id: question.id, ordinal: question.ordinal }).collect()
        };
        match approval::hear(text, &candidates(&open)) {
            Heard::Answer { question, said } => return Ok(Ok(Some((question, said)))),
            Heard::Ambiguous => return Ok(Err(AnswerError::Ambiguous)),
            Heard::Nothing => {}
        }
        // What comes too late and can mean nothing else is no message for the agent either.
        if (pointed_at.is_some() || text.starts_with(|c: char| c.is_ascii_digit()))
            && let Heard::Answer { question, said } = approval::hear(text, &candidates(&settled))
        {
            return Ok(Ok(Some((question, said))));
        }
        Ok(Ok(None))
    }

    /// Answers a question. The text says what that led to, for whoever answered; as the reply to the
    /// message `reply_to` it is written together with the answer.
    ///
    /// An edited call is shown to all guards first: what one of them denies, nobody edits in.
    pub async fn answer(
        &self,
        id: i64,
        person: &Person,
        said: Said,
        reply_to: Option<i64>,
    ) -> Result<String, AnswerError> {
        let question = self.store.question(id).await?.ok_or(AnswerError::Unknown(id))?;
        let asked = &question.asked;
        if !approval::may_answer(&asked.approver, &person.role) {
            return Err(AnswerError::NotApprover { id, approver: asked.approver.clone(), role: person.role.clone() });
        }
        self.expire().await?;
        let settled = |question: Question| AnswerError::Settled { id, state: question.state, by: question.answered_by };
        if question.state != State::Open {
            return Err(settled(question));
        }

        let mut decisions = vec![crate::store::NewDecision {
            person: Some(person.name.clone()),
            ..judge::decision_on(&question, State::Denied)
        }];
        let next = match &said {
            Said::Deny(reason) => {
                decisions[0].reason = reason.as_deref().map(crate::domain::excerpt::excerpt);
                Next::Verdict(ToolVerdict::Deny { reason: approval::denied(&person.name, reason.as_deref()) })
            }
            Said::Allow | Said::Edit(_) => {
                let (arguments, edited) = match &said {
                    Said::Edit(text) => (approval::edited(&asked.arguments, text)?, true),
                    _ => (asked.arguments.clone(), asked.edited),
                };
                let consultation = match &said {
                    Said::Edit(_) => {
                        Consultation { after: None, approved: Some((asked.plugin.clone(), person.role.clone())) }
                    }
                    _ => Consultation { after: Some(asked.plugin.clone()), approved: None },
                };
                let subject = Subject {
                    run: &asked.run,
                    call: &asked.call,
                    digest: &asked.digest,
                    tool: &asked.tool,
                    arguments: &arguments,
                    edited,
                };
                let opinions =
                    self.plugins.consult(&caller(&question), &asked.tool, &arguments.to_string(), &consultation).await;
                let guards = judge::decisions(&subject, &opinions);
                let next = self.next(&subject, opinions).await?;
                if let (Said::Edit(_), Next::Verdict(ToolVerdict::Deny { reason })) = (&said, &next) {
                    self.store.record_decisions(guards).await?;
                    return Err(AnswerError::EditDenied { reason: reason.clone() });
                }
                decisions[0].verdict =
                    if matches!(said, Said::Edit(_)) { State::Edited } else { State::Allowed }.as_str();
                decisions[0].digest = judge::digest(&asked.tool, &arguments);
                decisions[0].excerpt = crate::domain::excerpt::excerpt(&arguments.to_string());
                decisions.extend(guards);
                next
            }
        };

        let note = note(&said, &next);
        let (verdict, next) = match next {
            Next::Verdict(verdict) => (Some(verdict), None),
            Next::Ask(question) => (None, Some(*question)),
        };
        let asks_on = next.is_some();
        let settlement = Settlement {
            question: id,
            event: Event::Answered(said),
            by: person.name.clone(),
            at: millis(),
            verdict,
            next,
            decisions,
            reply: reply_to.map(|inbound| NewOutbound {
                inbound,
                run: None,
                reply: note.clone(),
                files: Vec::new(),
                problem: None,
                suppressed: false,
            }),
        };
        let question = self.store.settle(settlement).await?.map_err(settled)?;
        if asks_on && let Some(next) = self.store.question_about(&question.asked.run, &question.asked.call).await? {
            // Opened before the other is settled, so that the run's clock does not move in between.
            self.before(&next);
        }
        self.after(std::slice::from_ref(&question));
        if let Some(inbound) = reply_to {
            self.delivery.announce(inbound);
        }
        Ok(note)
    }
}

/// What a message says to the bot, without its name; none where people of a group talk to each other.
fn spoken(message: &NewInbound) -> Option<&str> {
    message.chat.as_ref().map_or(Some(message.text.as_str()), |chat| chat.prompt(&message.text))
}

/// For whom the guards decide: whoever the run works for, not whoever answers.
fn caller(question: &Question) -> Caller {
    Caller {
        person: question.caller.clone(),
        role: question.role.clone(),
        space: question.space.to_string(),
        conversation: Some(question.conversation.clone()),
    }
}

fn note(said: &Said, next: &Next) -> String {
    let done = match said {
        Said::Deny(_) => return "Denied. The assistant is told.".into(),
        Said::Allow => "Allowed once",
        Said::Edit(_) => "Allowed once with your arguments",
    };
    match next {
        Next::Verdict(ToolVerdict::Deny { reason }) => format!("{done}, but it is denied all the same: {reason}"),
        Next::Verdict(_) => format!("{done}. The assistant goes on."),
        Next::Ask(question) => {
            format!("{done}. Another approval is needed, from somebody with the role {}.", question.approver)
        }
    }
}
