//! What adapters are to send, until it is sent or given up.

use rusqlite::{Row, Transaction, params};

use super::{OutboundFile, Store, StoreError, from_json, to_json};

#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Stable: the same one again is the same delivery.
    pub message: String,
    pub platform: String,
    pub conversation: String,
    pub thread: Option<String>,
    /// The platform's id of the message that it answers.
    pub reply_to: Option<String>,
    pub text: String,
    /// Id and label.
    pub choices: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: i64,
    pub new: NewDelivery,
    pub address: Option<String>,
    pub files: Vec<OutboundFile>,
    /// Attempts that failed.
    pub attempts: u32,
    /// Those of them in which the adapter itself broke.
    pub faults: u32,
    pub progress: Option<String>,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    pub outbound: Option<i64>,
}

/// For the operator.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryView {
    pub id: i64,
    pub platform: String,
    pub conversation: String,
    pub state: String,
    pub attempts: u32,
    pub reason: Option<String>,
    /// The beginning of the text.
    pub excerpt: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}

/// How a failed attempt leaves the delivery.
#[derive(Clone, Debug)]
pub enum Attempt {
    /// To be made again, at the earliest at this time (milliseconds since the epoch).
    Again { not_before: i64, progress: Option<String>, reason: String },
    /// Never again by itself.
    Dead { progress: Option<String>, reason: String },
}

/// How the messages of broadcasts begin, and the first text behind all of them.
pub const BROADCAST_DELIVERY: &str = "broadcast-";
const AFTER_BROADCASTS: &str = "broadcast.";
/// How long a broadcast is under way that holds up any other: an hour, in milliseconds.
const UNDER_WAY: i64 = 60 * 60 * 1000;

const SELECT: &str =
    "SELECT d.id, d.message, d.platform, d.conversation, d.thread, d.reply_to, d.text, d.choices, c.address, d.files,
    d.attempts, d.progress, d.created_at, d.outbound, d.not_before, d.faults
    FROM deliveries d LEFT JOIN conversations c ON c.id = d.conversation";

impl Store {
    /// Durable when it returns. `false` where it is known already.
    pub async fn send(&self, new: NewDelivery, now: i64) -> Result<bool, StoreError> {
        self.write(move |db| insert(db, &new, now)).await
    }

    /// All of them or none.
    pub async fn send_all(&self, all: Vec<NewDelivery>, now: i64) -> Result<(), StoreError> {
        self.write(move |db| all.iter().try_for_each(|new| insert(db, new, now).map(drop))).await
    }

    /// Texts of a broadcast, whose messages begin with [`BROADCAST_DELIVERY`]: all of them or none. `false` while one
    /// of the last hour is still on its way, or one of these very texts to the same conversation, however old it is: so
    /// whoever repeats himself is not heard twice. What is older waits for a platform that cannot be reached, and holds
    /// up nothing else.
    pub async fn broadcast(&self, all: Vec<NewDelivery>, now: i64) -> Result<bool, StoreError> {
        self.write(move |db| {
            let mut under_way = db
                .prepare_cached(
                    "SELECT 1 FROM deliveries WHERE state = 'pending' AND message >= ?1 AND message < ?2 AND created_at > ?3",
                )?
                .exists(params![BROADCAST_DELIVERY, AFTER_BROADCASTS, now - UNDER_WAY])?;
            let mut repeated = db.prepare_cached(
                "SELECT 1 FROM deliveries WHERE state = 'pending' AND conversation = ?3 AND text = ?4
                 AND message >= ?1 AND message < ?2",
            )?;
            for new in &all {
                under_way |=
                    repeated.exists(params![BROADCAST_DELIVERY, AFTER_BROADCASTS, new.conversation, new.text])?;
            }
            if !under_way {
                all.iter().try_for_each(|new| insert(db, new, now).map(drop))?;
            }
            Ok(!under_way)
        })
        .await
    }

    /// The oldest pending delivery of each conversation, with the time before which it must not be tried.
    pub async fn heads(&self) -> Result<Vec<(Delivery, i64)>, StoreError> {
        self.read(|db| {
            db.prepare_cached(&format!(
                "{SELECT} WHERE d.id IN (SELECT min(id) FROM deliveries WHERE state = 'pending' GROUP BY conversation) ORDER BY d.id"
            ))?
            .query_map([], |row| Ok((read(row)?, row.get(14)?)))?
            .collect()
        })
        .await
    }

    /// Marks a delivery as made, and keeps the platform's ids of its parts.
    pub async fn sent(&self, delivery: &Delivery, ids: Vec<String>, now: i64) -> Result<(), StoreError> {
        let (id, outbound) = (delivery.id, delivery.outbound);
        self.write(move |db| {
            let changed = db.execute(
                "UPDATE deliveries SET state = 'delivered', ended_at = ?2, reason = NULL, progress = NULL WHERE id = ?1 AND state = 'pending'",
                params![id, now],
            )?;
            for message in ids {
                // The row's own conversation: it may have got another id while this was on its way. A platform may
                // number anew: then the number is this one's, unless this was known already and is only told again.
                db.execute(
                    "INSERT INTO said (conversation, message, delivery) SELECT conversation, ?2, id FROM deliveries WHERE id = ?1
                     ON CONFLICT (conversation, message) DO UPDATE SET delivery = excluded.delivery WHERE ?3",
                    params![id, message, changed == 1],
                )?;
            }
            if let Some(outbound) = outbound {
                db.execute(
                    "UPDATE outbound SET state = 'delivered', delivered_at = ?2 WHERE id = ?1 AND state = 'pending'",
                    params![outbound, now],
                )?;
            }
            Ok(())
        })
        .await
    }

    /// `is_fault` where the adapter itself broke.
    pub async fn attempted(&self, delivery: i64, attempt: Attempt, is_fault: bool, now: i64) -> Result<(), StoreError> {
        self.write(move |db| {
            match attempt {
                Attempt::Again { not_before, progress, reason } => db.execute(
                    "UPDATE deliveries SET attempts = attempts + 1, faults = faults + ?5, not_before = ?2,
                         progress = coalesce(?3, progress), reason = ?4
                     WHERE id = ?1 AND state = 'pending'",
                    params![delivery, not_before, progress, reason, is_fault],
                )?,
                Attempt::Dead { progress, reason } => db.execute(
                    "UPDATE deliveries SET attempts = attempts + 1, faults = faults + ?5, state = 'dead', ended_at = ?2,
                         progress = coalesce(?3, progress), reason = ?4
                     WHERE id = ?1 AND state = 'pending'",
                    params![delivery, now, progress, reason, is_fault],
                )?,
            };
            Ok(())
        })
        .await
    }

    /// Deliveries that are not made yet or were given up, newest first, at most `most`.
    pub async fn undelivered(&self, most: u32) -> Result<Vec<DeliveryView>, StoreError> {
        self.read(move |db| {
            db.prepare(
                "SELECT id, platform, conversation, state, attempts, reason, substr(text, 1, 120), created_at
                 FROM deliveries WHERE state <> 'delivered' ORDER BY id DESC LIMIT ?1",
            )?
            .query_map([most], |row| {
                Ok(DeliveryView {
                    id: row.get(0)?,
                    platform: row.get(1)?,
                    conversation: row.get(2)?,
                    state: row.get(3)?,
                    attempts: row.get(4)?,
                    reason: row.get(5)?,
                    excerpt: row.get(6)?,
                    created_at: row.get(7)?,
                })
            })?
            .collect()
        })
        .await
    }

    /// Makes a delivery that was given up, or one that waits, due again. `false` where there is none.
    pub async fn redeliver(&self, delivery: i64, now: i64) -> Result<bool, StoreError> {
        self.write(move |db| {
            let changed = db.execute(
                "UPDATE deliveries SET state = 'pending', not_before = ?2, attempts = 0, faults = 0, ended_at = NULL
                 WHERE id = ?1 AND state <> 'delivered'",
                params![delivery, now],
            )?;
            Ok(changed == 1)
        })
        .await
    }

    pub async fn dead_deliveries(&self) -> Result<i64, StoreError> {
        self.read(|db| db.query_row("SELECT count(*) FROM deliveries WHERE state = 'dead'", [], |row| row.get(0))).await
    }

    /// Messages of a platform whose run is queued or at work, as far as somebody has written them.
    pub async fn at_work(&self, platform: &str) -> Result<Vec<AtWork>, StoreError> {
        let platform = platform.to_owned();
        self.read(move |db| {
            db.prepare_cached(
                // CROSS: from the few runs to their messages, not from all messages of the platform to their runs.
                "SELECT i.id, i.conversation, c.address, json_extract(i.chat, '$.thread'), i.received_at
                 FROM runs r CROSS JOIN inbound i ON i.id = r.inbound LEFT JOIN conversations c ON c.id = i.conversation
                 WHERE r.state IN ('queued', 'preparing', 'running') AND i.platform = ?1 AND i.chat IS NOT NULL
                   AND i.occasion IS NULL ORDER BY i.id",
            )?
            .query_map([platform], |row| {
                Ok(AtWork {
                    inbound: row.get(0)?,
                    conversation: row.get(1)?,
                    address: row.get(2)?,
                    thread: row.get(3)?,
                    received_at: row.get(4)?,
                })
            })?
            .collect()
        })
        .await
    }

    /// Keeps the ids of a message that shows how long a run takes.
    pub async fn show_progress(&self, platform: &str, at: &AtWork, ids: Vec<String>) -> Result<(), StoreError> {
        let (platform, at) = (platform.to_owned(), at.clone());
        self.write(move |db| {
            for id in ids {
                db.execute(
                    "INSERT INTO progress (inbound, platform, conversation, message)
                     SELECT id, ?2, conversation, ?3 FROM inbound WHERE id = ?1 ON CONFLICT DO NOTHING",
                    params![at.inbound, platform, id],
                )?;
            }
            Ok(())
        })
        .await
    }

    /// All messages of a platform that show progress.
    pub async fn progress(&self, platform: &str) -> Result<Vec<Progress>, StoreError> {
        let platform = platform.to_owned();
        self.read(move |db| {
            db.prepare_cached(
                "SELECT inbound, conversation, message FROM progress WHERE platform = ?1 ORDER BY inbound",
            )?
            .query_map([platform], |row| {
                Ok(Progress { inbound: row.get(0)?, conversation: row.get(1)?, message: row.get(2)? })
            })?
            .collect()
        })
        .await
    }

    pub async fn forget_progress(&self, inbound: i64, message: &str) -> Result<(), StoreError> {
        let message = message.to_owned();
        self.write(move |db| {
            db.execute("DELETE FROM progress WHERE inbound = ?1 AND message = ?2", params![inbound, message])?;
            Ok(())
        })
        .await
    }
}

/// A message whose run is queued or at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtWork {
    pub inbound: i64,
    pub conversation: String,
    pub address: Option<String>,
    pub thread: Option<String>,
    /// Milliseconds since the epoch.
    pub received_at: i64,
}

/// A message that shows how long the run of `inbound` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub inbound: i64,
    pub conversation: String,
    pub message: String,
}

pub(super) fn insert(db: &Transaction<'_>, new: &NewDelivery, now: i64) -> rusqlite::Result<bool> {
    let inserted = db.execute(
        "INSERT INTO deliveries (message, platform, conversation, thread, reply_to, text, files, choices, state, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, '[]', ?7, 'pending', ?8) ON CONFLICT (message) DO NOTHING",
        params![
            new.message,
            new.platform,
            new.conversation,
            new.thread,
            new.reply_to,
            new.text,
            to_json(&new.choices)?,
            now
        ],
    )?;
    Ok(inserted == 1)
}

/// For an answer to a chat's message: what its adapter is to send. An answer without a word and a file
/// is none. SQLite gives the ids of removed rows again, so the time belongs to its name.
pub(super) fn insert_for(db: &Transaction<'_>, outbound: i64, now: i64) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO deliveries (message, platform, conversation, thread, reply_to, outbound, text, files, choices, state, created_at)
         SELECT 'answer-' || o.id || '-' || o.created_at, i.platform, i.conversation, json_extract(i.chat, '$.thread'),
                CASE WHEN json_extract(i.chat, '$.direct') THEN NULL ELSE i.message END,
                o.id, o.reply, o.files, '[]', 'pending', ?2
         FROM outbound o JOIN inbound i ON i.id = o.inbound
         WHERE o.id = ?1 AND o.state = 'pending' AND i.chat IS NOT NULL AND (trim(o.reply, char(9, 10, 13, 32)) <> '' OR o.files <> '[]')
           AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.outbound = o.id)
         ON CONFLICT (message) DO NOTHING",
        params![outbound, now],
    )?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        id: row.get(0)?,
        new: NewDelivery {
            message: row.get(1)?,
            platform: row.get(2)?,
            conversation: row.get(3)?,
            thread: row.get(4)?,
            reply_to: row.get(5)?,
            text: row.get(6)?,
            choices: from_json(7, &row.get::<_, String>(7)?)?,
        },
        address: row.get(8)?,
        files: from_json(9, &row.get::<_, String>(9)?)?,
        attempts: row.get(10)?,
        progress: row.get(11)?,
        created_at: row.get(12)?,
        outbound: row.get(13)?,
        faults: row.get(15)?,
    })
}
