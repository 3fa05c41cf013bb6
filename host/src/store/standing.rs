//! What decides about somebody's message beside its text, read at once.

use rusqlite::{Connection, OptionalExtension, params};

use super::{NewOutbound, Store, StoreError, inbound, members, mutes, outbound, space_settings};
use crate::domain::{ids::SpaceId, space_settings::SpaceSettings};

/// The host has asked somebody whether to delete a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    pub subject: String,
    /// Milliseconds since the epoch.
    pub expires_at: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub settings: SpaceSettings,
    pub muted: bool,
    /// The role that somebody gave the person here; membership that came by itself is none.
    pub given_role: Option<String>,
    pub confirmation: Option<Confirmation>,
}

impl Store {
    pub async fn standing(
        &self,
        space: &SpaceId,
        conversation: &str,
        person: &str,
        now: i64,
    ) -> Result<Standing, StoreError> {
        let (space, conversation, person) = (space.clone(), conversation.to_owned(), person.to_owned());
        self.read(move |db| {
            Ok(Standing {
                settings: space_settings::read(db, &space)?,
                muted: mutes::is_muted(db, &space, &person, now)?,
                given_role: members::given_role(db, &space, &person)?,
                confirmation: confirmation(db, &conversation, &person)?,
            })
        })
        .await
    }

    /// Keeps that this person was asked in this conversation whether to delete `subject`.
    pub async fn ask_confirmation(
        &self,
        space: &SpaceId,
        conversation: &str,
        person: &str,
        asked: Confirmation,
    ) -> Result<(), StoreError> {
        let (space, conversation, person) = (space.clone(), conversation.to_owned(), person.to_owned());
        self.write(move |db| {
            // A yes is to one thing: to what was asked last.
            db.execute(
                "DELETE FROM unconfirmed WHERE conversation = ?1 AND person = ?2",
                params![conversation, person],
            )?;
            db.execute(
                "INSERT INTO confirmations (conversation, person, space, subject, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (conversation, person) DO UPDATE SET space = excluded.space, subject = excluded.subject,
                     expires_at = excluded.expires_at",
                params![conversation, person, space.as_str(), asked.subject, asked.expires_at],
            )?;
            Ok(())
        })
        .await
    }

    pub async fn forget_confirmation(&self, conversation: &str, person: &str) -> Result<(), StoreError> {
        let (conversation, person) = (conversation.to_owned(), person.to_owned());
        self.write(move |db| {
            db.execute(
                "DELETE FROM confirmations WHERE conversation = ?1 AND person = ?2",
                params![conversation, person],
            )?;
            Ok(())
        })
        .await
    }

    /// Marks a message as decided that nobody answers and nothing keeps. Who waits for its answer, as
    /// programs do, gets an empty one.
    pub async fn ignore(&self, message: i64, now: i64) -> Result<(), StoreError> {
        self.write(move |db| {
            outbound::insert(db, &silence(message), now)?;
            inbound::decided(db, message)
        })
        .await
    }

    /// Answers like [`Store::refuse`], unless the person was told the same in this conversation and need
    /// not be told again before `until`: then nothing is said. Whether something was said.
    pub async fn refuse_once(&self, reply: NewOutbound, until: i64, now: i64) -> Result<bool, StoreError> {
        self.write(move |db| {
            let code = reply.problem.as_ref().map(|problem| problem.code.clone()).unwrap_or_default();
            let told = db
                .prepare_cached(
                    "SELECT 1 FROM told t JOIN inbound i ON i.conversation = t.conversation AND i.author = t.person
                     WHERE i.id = ?1 AND i.chat IS NOT NULL AND t.code = ?2 AND t.until > ?3",
                )?
                .exists(params![reply.inbound, code, now])?;
            if told {
                outbound::insert(db, &silence(reply.inbound), now)?;
            } else {
                outbound::insert(db, &reply, now)?;
                tell(db, reply.inbound, &code, until, now)?;
            }
            inbound::decided(db, reply.inbound)?;
            Ok(!told)
        })
        .await
    }
}

/// Keeps that the author of a chat's message was told something.
pub(super) fn tell(
    db: &rusqlite::Transaction<'_>,
    message: i64,
    code: &str,
    until: i64,
    now: i64,
) -> rusqlite::Result<()> {
    db.execute("DELETE FROM told WHERE until <= ?1", [now])?;
    db.execute(
        "INSERT INTO told (conversation, person, code, until)
         SELECT conversation, author, ?2, ?3 FROM inbound WHERE id = ?1 AND chat IS NOT NULL
         ON CONFLICT (conversation, person, code) DO UPDATE SET until = excluded.until",
        params![message, code, until],
    )?;
    Ok(())
}

fn silence(message: i64) -> NewOutbound {
    NewOutbound {
        inbound: message,
        run: None,
        reply: String::new(),
        files: Vec::new(),
        problem: None,
        suppressed: true,
    }
}

fn confirmation(db: &Connection, conversation: &str, person: &str) -> rusqlite::Result<Option<Confirmation>> {
    db.prepare_cached("SELECT subject, expires_at FROM confirmations WHERE conversation = ?1 AND person = ?2")?
        .query_row(params![conversation, person], |row| {
            Ok(Confirmation { subject: row.get(0)?, expires_at: row.get(1)? })
        })
        .optional()
}
