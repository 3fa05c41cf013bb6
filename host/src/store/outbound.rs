//! What is to be said, until it has been said.

use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, deliveries, from_json, inbound, to_json};
use crate::domain::ids::RunId;

/// A file of a reply, below the space's workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundFile {
    /// As the person shall see it.
    pub filename: String,
    pub mime_type: String,
    pub size_bytes: u64,
    /// Relative to the workspace.
    pub path: String,
}

/// Why there is no answer, for the platform to tell in its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub code: String,
    /// HTTP status.
    pub status: u16,
    /// The thing and the reason, for the operator.
    pub detail: String,
    pub next: String,
    /// Milliseconds since the epoch, from when on the same may succeed; none where time alone changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_at: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct NewOutbound {
    pub inbound: i64,
    pub run: Option<RunId>,
    pub reply: String,
    pub files: Vec<OutboundFile>,
    pub problem: Option<Problem>,
    /// A processor decided that nothing is sent.
    pub suppressed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboundState {
    Pending,
    Delivered,
    Suppressed,
}

impl OutboundState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Suppressed => "suppressed",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Outbound {
    pub id: i64,
    pub space: String,
    pub run: Option<RunId>,
    pub reply: String,
    pub files: Vec<OutboundFile>,
    pub problem: Option<Problem>,
    pub state: OutboundState,
}

pub(super) fn insert(db: &Transaction<'_>, reply: &NewOutbound, now: i64) -> rusqlite::Result<()> {
    // Nothing of a silent task is ever sent, whatever became of it.
    let silent = db
        .prepare_cached("SELECT 1 FROM inbound WHERE id = ?1 AND json_extract(occasion, '$.silent')")?
        .exists([reply.inbound])?;
    let state = if reply.suppressed || silent { OutboundState::Suppressed } else { OutboundState::Pending };
    let inserted = db.execute(
        "INSERT INTO outbound (inbound, run, reply, files, problem, state, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (inbound) DO NOTHING",
        params![
            reply.inbound,
            reply.run.as_ref().map(RunId::as_str),
            reply.reply,
            to_json(&reply.files)?,
            reply.problem.as_ref().map(to_json).transpose()?,
            state.as_str(),
            now
        ],
    )?;
    db.execute("UPDATE runs SET answered = 1 WHERE inbound = ?1", [reply.inbound])?;
    if inserted == 1 {
        deliveries::insert_for(db, db.last_insert_rowid(), now)?;
    }
    Ok(())
}

impl Store {
    /// Answers a message that became no run, and marks it as decided, with its parts.
    pub async fn refuse(&self, reply: NewOutbound, now: i64) -> Result<(), StoreError> {
        self.write(move |db| {
            insert(db, &reply, now)?;
            inbound::decided(db, reply.inbound)
        })
        .await
    }

    /// The answer to a message, once there is one.
    pub async fn answer_to(&self, inbound: i64) -> Result<Option<Outbound>, StoreError> {
        self.read(move |db| {
            db.query_row(
                "SELECT o.id, i.space, o.run, o.reply, o.files, o.problem, o.state FROM outbound o JOIN inbound i ON i.id = o.inbound
                 WHERE o.inbound = ?1",
                [inbound],
                |row| {
                    let problem: Option<String> = row.get(5)?;
                    let state: String = row.get(6)?;
                    Ok(Outbound {
                        id: row.get(0)?,
                        space: row.get(1)?,
                        run: row.get::<_, Option<String>>(2)?.map(RunId::from_stored),
                        reply: row.get(3)?,
                        files: from_json(4, &row.get::<_, String>(4)?)?,
                        problem: problem.map(|text| from_json(5, &text)).transpose()?,
                        state: match state.as_str() {
                            "delivered" => OutboundState::Delivered,
                            "suppressed" => OutboundState::Suppressed,
                            _ => OutboundState::Pending,
                        },
                    })
                },
            )
            .optional()
        })
        .await
    }

    pub async fn delivered(&self, outbound: i64, now: i64) -> Result<(), StoreError> {
        self.write(move |db| {
            db.execute(
                "UPDATE outbound SET state = 'delivered', delivered_at = ?2 WHERE id = ?1 AND state = 'pending'",
                params![outbound, now],
            )?;
            Ok(())
        })
        .await
    }
}
