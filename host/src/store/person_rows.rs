//! What is kept of a person in all spaces, given from one id to another.
//!
//! Nobody gains by being known under two ids. Where something is kept under both:
//!
//! - *Roles*: the one that the person has stays, and the other is gone. Membership that came by itself, with the
//!   first message, is no decision: a role that somebody gave to the alias takes its place, be it more or less.
//! - *Mutes*: the one that ends later holds.
//! - *Requests and money of today*: both are counted.
//!
//! Tasks of the alias become the person's, since they run in the role that their maker has, and so does what they
//! are to say yes to. What was said and who wrote a setting is history, and stays; so does what is over within the
//! day (what somebody was told already, an open question about a deletion).
//!
//! An alias that becomes somebody else's was theirs before, or their number passed on: nobody here can tell. What
//! limits the one before holds for both then, and what entitles goes to nobody.

use rusqlite::{Transaction, params};

use crate::domain::{budget, roles};

/// What changed its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    pub roles: usize,
    pub mutes: usize,
    /// Days of somebody's requests in one space.
    pub counters: usize,
    pub tasks: usize,
    /// Space and role of the alias, where the person's own stayed.
    pub lost_roles: Vec<(String, String)>,
}

impl Moved {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

pub(crate) fn give(db: &Transaction<'_>, from: &str, to: &str, now: i64) -> rusqlite::Result<Moved> {
    if from == to {
        return Ok(Moved::default());
    }
    let (roles, lost_roles) = give_roles(db, from, to)?;
    let mutes = mute_alike(db, from, to)?;
    db.execute("DELETE FROM mutes WHERE person = ?1", [from])?;
    let counters = db.execute(
        "INSERT INTO asked_daily (space, person, day, count)
         SELECT space, ?2, day, count FROM asked_daily WHERE person = ?1
         ON CONFLICT (space, person, day) DO UPDATE SET count = count + excluded.count",
        params![from, to],
    )?;
    db.execute("DELETE FROM asked_daily WHERE person = ?1", [from])?;
    db.execute("UPDATE asked SET person = ?2 WHERE person = ?1", params![from, to])?;
    // Of the ledger only what a budget still counts: what is older says who it was then.
    db.execute(
        "UPDATE spending SET person = ?2 WHERE began_at >= ?3 AND person = ?1",
        params![from, to, budget::day_start(now)],
    )?;
    db.execute("UPDATE OR REPLACE unconfirmed SET person = ?2 WHERE person = ?1", params![from, to])?;
    let tasks = db.execute("UPDATE tasks SET created_by = ?2 WHERE created_by = ?1", params![from, to])?;
    Ok(Moved { roles, mutes, counters, tasks, lost_roles })
}

/// Mutes somebody as another is muted, and counts the other's requests for both.
pub(super) fn limit_alike(db: &Transaction<'_>, other: &str, person: &str) -> rusqlite::Result<()> {
    mute_alike(db, other, person)?;
    db.execute(
        "INSERT INTO asked_daily (space, person, day, count)
         SELECT space, ?2, day, count FROM asked_daily WHERE person = ?1
         ON CONFLICT (space, person, day) DO UPDATE SET count = max(count, excluded.count)",
        params![other, person],
    )?;
    Ok(())
}

fn mute_alike(db: &Transaction<'_>, other: &str, person: &str) -> rusqlite::Result<usize> {
    db.execute(
        "INSERT INTO mutes (space, person, expires_at, reason, muted_by, created_at)
         SELECT space, ?2, expires_at, reason, muted_by, created_at FROM mutes WHERE person = ?1
         ON CONFLICT (space, person) DO UPDATE SET expires_at = excluded.expires_at, reason = excluded.reason,
             muted_by = excluded.muted_by WHERE excluded.expires_at > mutes.expires_at",
        params![other, person],
    )
}

fn give_roles(db: &Transaction<'_>, from: &str, to: &str) -> rusqlite::Result<(usize, Vec<(String, String)>)> {
    db.execute(
        "DELETE FROM members WHERE person = ?2 AND role = ?3 AND granted_by IS NULL
         AND space IN (SELECT space FROM members WHERE person = ?1 AND (role <> ?3 OR granted_by IS NOT NULL))",
        params![from, to, roles::MEMBER_ROLE],
    )?;
    let moved = db.execute("UPDATE OR IGNORE members SET person = ?2 WHERE person = ?1", params![from, to])?;
    let left: Vec<(String, String)> = db
        .prepare_cached("DELETE FROM members WHERE person = ?1 RETURNING space, role")?
        .query_map([from], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut lost = Vec::new();
    for (space, role) in left {
        let stays = "SELECT 1 FROM members WHERE space = ?1 AND person = ?2 AND role = ?3";
        if !db.prepare_cached(stays)?.exists(params![space, to, role])? {
            lost.push((space, role));
        }
    }
    Ok((moved, lost))
}

#[cfg(test)]
mod tests;
