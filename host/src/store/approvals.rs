//! Questions to people about tool calls, and the record of every decision of a guard about one.

use mercury_protocol::socket::ToolVerdict;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde_json::Value;

use super::{NewOutbound, Store, StoreError, from_json, outbound, runs::space_id, to_json};
use crate::domain::{
    approval::{self, Event, State},
    ids::{RunId, SpaceId},
};

/// Decisions that are kept: the newest. At some 500 bytes each, 50 MB.
const MOST_DECISIONS: i64 = 100_000;
/// Questions that are kept: all open ones, and the newest.
const MOST_QUESTIONS: i64 = 2_000;

/// Before a question's number: the stable name of the message that puts it to its conversation.
pub const QUESTION_DELIVERY: &str = "question-";

/// A question to be asked.
#[derive(Clone, Debug)]
pub struct NewQuestion {
    pub run: RunId,
    /// The tool guard's own id of the call.
    pub call: String,
    /// Of the call as the agent made it.
    pub digest: String,
    pub plugin: String,
    pub tool: String,
    /// What is asked about.
    pub arguments: Value,
    /// They are not the agent's own: somebody edited them before.
    pub edited: bool,
    pub text: String,
    pub approver: String,
    /// Milliseconds since the epoch.
    pub asked_at: i64,
    pub expires_at: i64,
}

#[derive(Clone, Debug)]
pub struct Question {
    pub id: i64,
    /// Its place among the questions of its run, from 0.
    pub ordinal: u32,
    pub asked: NewQuestion,
    pub state: State,
    pub answered_by: Option<String>,
    /// What the tool guard is told; none while it is open, or where another question followed.
    pub verdict: Option<ToolVerdict>,
    pub space: SpaceId,
    pub conversation: String,
    /// The message whose run asks.
    pub inbound: i64,
    pub caller: String,
    pub role: String,
}

/// One decision about a tool call, of a guard or of a person.
#[derive(Clone, Debug)]
pub struct NewDecision {
    pub run: RunId,
    pub call: String,
    pub tool: String,
    /// SHA-256 of tool and arguments, in hexadecimal.
    pub digest: String,
    /// Bounded, without secrets.
    pub excerpt: String,
    pub plugin: String,
    /// `allow`, `deny`, `ask`, or the state that a question came to.
    pub verdict: &'static str,
    pub reason: Option<String>,
    /// Who answered the question.
    pub person: Option<String>,
    pub at: i64,
}

/// A kept decision, for the operator.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    pub id: i64,
    pub run: String,
    pub tool: String,
    pub digest: String,
    pub excerpt: String,
    pub plugin: String,
    pub verdict: String,
    pub reason: Option<String>,
    pub person: Option<String>,
    /// Milliseconds since the epoch.
    pub at: i64,
}

#[derive(Clone, Debug)]
pub enum Opened {
    /// It is open; or it was before, under the same call.
    Open(Box<Question>),
    /// The run has asked more than people are asked.
    TooMany,
}

/// How an open question ends.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub question: i64,
    pub event: Event,
    pub by: String,
    pub at: i64,
    /// What the tool guard is told, unless `next` is asked.
    pub verdict: Option<ToolVerdict>,
    pub next: Option<NewQuestion>,
    pub decisions: Vec<NewDecision>,
    /// The answer to the message that brought it.
    pub reply: Option<NewOutbound>,
}

const SELECT: &str = "SELECT q.id, q.ordinal, q.run, q.call, q.digest, q.plugin, q.tool, q.arguments, q.edited, q.text,
    q.approver, q.asked_at, q.expires_at, q.state, q.answered_by, q.verdict,
    i.space, i.conversation, i.id, i.author, r.role
    FROM questions q JOIN runs r ON r.id = q.run JOIN inbound i ON i.id = r.inbound";

impl Store {
    pub async fn record_decisions(&self, decisions: Vec<NewDecision>) -> Result<(), StoreError> {
        if decisions.is_empty() {
            return Ok(());
        }
        self.write(move |db| record(db, &decisions)).await
    }

    /// Asks, in one transaction with the decisions that led to it.
    pub async fn ask(&self, question: NewQuestion, decisions: Vec<NewDecision>) -> Result<Opened, StoreError> {
        self.write(move |db| {
            if let Some(known) = latest(db, &question.run, &question.call)? {
                return Ok(Opened::Open(Box::new(known)));
            }
            record(db, &decisions)?;
            Ok(match insert(db, &question)? {
                Some(id) => Opened::Open(Box::new(one(db, id)?)),
                None => Opened::TooMany,
            })
        })
        .await
    }

    pub async fn question(&self, id: i64) -> Result<Option<Question>, StoreError> {
        self.read(move |db| db.query_row(&format!("{SELECT} WHERE q.id = ?1"), [id], read).optional()).await
    }

    /// The last question about a call.
    pub async fn question_about(&self, run: &RunId, call: &str) -> Result<Option<Question>, StoreError> {
        let (run, call) = (run.clone(), call.to_owned());
        self.read(move |db| latest(db, &run, &call)).await
    }

    /// All open questions, oldest first.
    pub async fn open_questions(&self) -> Result<Vec<Question>, StoreError> {
        self.read(|db| {
            db.prepare_cached(&format!("{SELECT} WHERE q.state = 'open' ORDER BY q.id"))?.query_map([], read)?.collect()
        })
        .await
    }

    /// The questions of a conversation's unfinished runs, oldest first, settled ones included.
    pub async fn questions_in(&self, space: &SpaceId, conversation: &str) -> Result<Vec<Question>, StoreError> {
        let (space, conversation) = (space.clone(), conversation.to_owned());
        self.read(move |db| {
            db.prepare_cached(&format!(
                "{SELECT} WHERE r.state IN ('queued', 'preparing', 'running') AND i.space = ?1 AND i.conversation = ?2 ORDER BY q.id"
            ))?
            .query_map(params![space.as_str(), conversation], read)?
            .collect()
        })
        .await
    }

    /// The question that a message of the bot's put to its conversation.
    pub async fn question_put_by(&self, conversation: &str, message: &str) -> Result<Option<i64>, StoreError> {
        let (conversation, message) = (conversation.to_owned(), message.to_owned());
        self.read(move |db| {
            let put: Option<String> = db
                .prepare_cached(
                    "SELECT d.message FROM said s JOIN deliveries d ON d.id = s.delivery WHERE s.conversation = ?1 AND s.message = ?2",
                )?
                .query_row(params![conversation, message], |row| row.get(0))
                .optional()?;
            Ok(put.and_then(|put| put.strip_prefix(QUESTION_DELIVERY)?.parse().ok()))
        })
        .await
    }

    /// Whether a question is on its way to the conversation: then nobody knows yet what message puts it.
    pub async fn is_being_put(&self, question: i64, conversation: &str) -> Result<bool, StoreError> {
        let (message, conversation) = (format!("{QUESTION_DELIVERY}{question}"), conversation.to_owned());
        self.read(move |db| {
            db.prepare_cached(
                "SELECT 1 FROM deliveries WHERE message = ?1 AND conversation = ?2 AND state = 'pending'",
            )?
            .exists(params![message, conversation])
        })
        .await
    }

    /// The oldest open question of a message's run, of those after `after`.
    pub async fn question_for(&self, inbound: i64, after: i64, now: i64) -> Result<Option<Question>, StoreError> {
        self.read(move |db| {
            db.prepare_cached(&format!(
                "{SELECT} WHERE q.state = 'open' AND r.inbound = ?1 AND q.id > ?2 AND q.expires_at > ?3 ORDER BY q.id LIMIT 1"
            ))?
            .query_row(params![inbound, after, now], read)
            .optional()
        })
        .await
    }

    /// Settles an open question, all in one transaction: `Err` with what it is instead, where
    /// somebody or the clock was faster.
    pub async fn settle(&self, settlement: Settlement) -> Result<Result<Question, Question>, StoreError> {
        self.write(move |db| {
            let question = one(db, settlement.question)?;
            let next_state = question.state.after(&settlement.event, settlement.at, question.asked.expires_at);
            let Some(state) = next_state else { return Ok(Err(question)) };
            close(db, question.id, state, Some(&settlement.by), settlement.at, settlement.verdict.as_ref())?;
            if let Some(next) = &settlement.next
                && insert(db, next)?.is_none()
            {
                let denied = to_json(&ToolVerdict::Deny { reason: TOO_MANY.into() })?;
                db.execute("UPDATE questions SET verdict = ?2 WHERE id = ?1", params![question.id, denied])?;
            }
            record(db, &settlement.decisions)?;
            if let Some(reply) = &settlement.reply {
                outbound::insert(db, reply, settlement.at)?;
                db.execute("UPDATE inbound SET decided = 1 WHERE id = ?1", [reply.inbound])?;
            }
            one(db, question.id).map(Ok)
        })
        .await
    }

    /// Denies the questions that nobody answered in time. `decision` describes one for the record.
    pub async fn expire_questions(
        &self,
        now: i64,
        decision: impl Fn(&Question, State) -> NewDecision + Send + 'static,
    ) -> Result<Vec<Question>, StoreError> {
        self.write(move |db| {
            let due = select(db, "q.expires_at <= ?1", now)?;
            end(db, due, &Event::Looked, now, decision)
        })
        .await
    }

    /// Takes back the questions of a run that is over; without a run, those of all that are.
    pub async fn withdraw_questions(
        &self,
        run: Option<RunId>,
        now: i64,
        decision: impl Fn(&Question, State) -> NewDecision + Send + 'static,
    ) -> Result<Vec<Question>, StoreError> {
        self.write(move |db| {
            let open = match run {
                Some(run) => select(db, "q.run = ?1", run.as_str())?,
                None => select(db, "r.state IN ('finished', 'failed', 'aborted') AND ?1", 1)?,
            };
            end(db, open, &Event::RunEnded, now, decision)
        })
        .await
    }

    /// Milliseconds in which a question of the run has been open.
    pub async fn waited(&self, run: &RunId, now: i64) -> Result<i64, StoreError> {
        let run = run.clone();
        self.read(move |db| {
            let intervals = db
                .prepare_cached(
                    "SELECT asked_at, min(coalesce(answered_at, ?2), expires_at) FROM questions WHERE run = ?1",
                )?
                .query_map(params![run.as_str(), now], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(approval::covered(intervals))
        })
        .await
    }

    /// The last `count` decisions, newest first.
    pub async fn decisions(&self, count: u32) -> Result<Vec<Decision>, StoreError> {
        self.read(move |db| {
            db.prepare_cached(
                "SELECT id, run, tool, digest, excerpt, plugin, verdict, reason, person, at FROM decisions ORDER BY id DESC LIMIT ?1",
            )?
            .query_map([count], |row| {
                Ok(Decision {
                    id: row.get(0)?,
                    run: row.get(1)?,
                    tool: row.get(2)?,
                    digest: row.get(3)?,
                    excerpt: row.get(4)?,
                    plugin: row.get(5)?,
                    verdict: row.get(6)?,
                    reason: row.get(7)?,
                    person: row.get(8)?,
                    at: row.get(9)?,
                })
            })?
            .collect()
        })
        .await
    }
}

/// What the agent reads when it asks more than people are asked.
pub const TOO_MANY: &str =
    "This run has asked for too many approvals. The call was not made; tell the user what is left to be approved.";

fn record(db: &Transaction<'_>, decisions: &[NewDecision]) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT INTO decisions (run, call, tool, digest, excerpt, plugin, verdict, reason, person, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for it in decisions {
        insert.execute(params![
            it.run.as_str(),
            it.call,
            it.tool,
            it.digest,
            it.excerpt,
            it.plugin,
            it.verdict,
            it.reason,
            it.person,
            it.at
        ])?;
    }
    db.execute("DELETE FROM decisions WHERE id <= (SELECT max(id) FROM decisions) - ?1", [MOST_DECISIONS])?;
    Ok(())
}

/// `None` where the run has asked too much.
fn insert(db: &Transaction<'_>, question: &NewQuestion) -> rusqlite::Result<Option<i64>> {
    let (asked, open): (u32, u32) = db.query_row(
        "SELECT count(*), count(*) FILTER (WHERE state = 'open') FROM questions WHERE run = ?1",
        [question.run.as_str()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if asked >= approval::MOST_ASKED || open >= approval::MOST_OPEN {
        return Ok(None);
    }
    db.execute(
        "INSERT INTO questions (run, call, ordinal, digest, plugin, tool, arguments, edited, text, approver, state, asked_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'open', ?11, ?12)",
        params![
            question.run.as_str(),
            question.call,
            asked,
            question.digest,
            question.plugin,
            question.tool,
            to_json(&question.arguments)?,
            question.edited,
            question.text,
            question.approver,
            question.asked_at,
            question.expires_at
        ],
    )?;
    let id = db.last_insert_rowid();
    // Those of unfinished runs stay: their ordinals and answers are still needed.
    db.execute(
        "DELETE FROM questions WHERE id <= ?1 AND state <> 'open'
         AND run NOT IN (SELECT id FROM runs WHERE state IN ('queued', 'preparing', 'running'))",
        [id - MOST_QUESTIONS],
    )?;
    Ok(Some(id))
}

fn close(
    db: &Transaction<'_>,
    question: i64,
    state: State,
    by: Option<&str>,
    at: i64,
    verdict: Option<&ToolVerdict>,
) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE questions SET state = ?2, answered_by = ?3, answered_at = ?4, verdict = ?5 WHERE id = ?1 AND state = 'open'",
        params![question, state.as_str(), by, at, verdict.map(to_json).transpose()?],
    )?;
    Ok(())
}

/// Ends questions without an answer.
fn end(
    db: &Transaction<'_>,
    questions: Vec<Question>,
    event: &Event,
    now: i64,
    decision: impl Fn(&Question, State) -> NewDecision,
) -> rusqlite::Result<Vec<Question>> {
    let mut ended = Vec::new();
    for question in questions {
        let asked = &question.asked;
        let Some(state) = question.state.after(event, now, asked.expires_at) else { continue };
        let reason = match state {
            State::Withdrawn => approval::WITHDRAWN.to_owned(),
            _ => {
                let open = std::time::Duration::from_millis((asked.expires_at - asked.asked_at).unsigned_abs());
                approval::expired(&asked.approver, open)
            }
        };
        close(db, question.id, state, None, now, Some(&ToolVerdict::Deny { reason }))?;
        record(db, &[decision(&question, state)])?;
        ended.push(one(db, question.id)?);
    }
    Ok(ended)
}

fn select(db: &Connection, condition: &str, parameter: impl rusqlite::ToSql) -> rusqlite::Result<Vec<Question>> {
    db.prepare(&format!("{SELECT} WHERE q.state = 'open' AND {condition} ORDER BY q.id"))?
        .query_map([parameter], read)?
        .collect()
}

fn latest(db: &Connection, run: &RunId, call: &str) -> rusqlite::Result<Option<Question>> {
    db.prepare_cached(&format!("{SELECT} WHERE q.run = ?1 AND q.call = ?2 ORDER BY q.id DESC LIMIT 1"))?
        .query_row(params![run.as_str(), call], read)
        .optional()
}

fn one(db: &Connection, id: i64) -> rusqlite::Result<Question> {
    db.query_row(&format!("{SELECT} WHERE q.id = ?1"), [id], read)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Question> {
    let state: String = row.get(13)?;
    let verdict: Option<String> = row.get(15)?;
    Ok(Question {
        id: row.get(0)?,
        ordinal: row.get(1)?,
        asked: NewQuestion {
            run: RunId::from_stored(row.get(2)?),
            call: row.get(3)?,
            digest: row.get(4)?,
            plugin: row.get(5)?,
            tool: row.get(6)?,
            arguments: from_json(7, &row.get::<_, String>(7)?)?,
            edited: row.get(8)?,
            text: row.get(9)?,
            approver: row.get(10)?,
            asked_at: row.get(11)?,
            expires_at: row.get(12)?,
        },
        state: State::parse(&state).ok_or_else(|| {
            rusqlite::Error::FromSqlConversionFailure(
                13,
                rusqlite::types::Type::Text,
                format!("unknown question state `{state}`").into(),
            )
        })?,
        answered_by: row.get(14)?,
        verdict: verdict.map(|text| from_json(15, &text)).transpose()?,
        space: space_id(row, 16)?,
        conversation: row.get(17)?,
        inbound: row.get(18)?,
        caller: row.get(19)?,
        role: row.get(20)?,
    })
}

#[cfg(test)]
mod tests;
