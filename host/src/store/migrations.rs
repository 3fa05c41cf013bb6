//! The schema, forward only. A migration that has been released is never edited; a new one is a file of its own.

use rusqlite::{Connection, TransactionBehavior};

/// In their order; the place of each is the version that it leads to.
pub(super) const ALL: &[&str] = &[
    include_str!("migrations/01-first.sql"),
    include_str!("migrations/02-approvals.sql"),
    include_str!("migrations/03-stop-requests.sql"),
    include_str!("migrations/04-spending.sql"),
    include_str!("migrations/05-chats.sql"),
    include_str!("migrations/06-around-runs.sql"),
    include_str!("migrations/07-confined-tasks.sql"),
    include_str!("migrations/08-indexes.sql"),
    include_str!("migrations/09-imports.sql"),
    include_str!("migrations/10-kv-usage.sql"),
    include_str!("migrations/11-pipeline.sql"),
    include_str!("migrations/12-operators.sql"),
    include_str!("migrations/13-rights.sql"),
    include_str!("migrations/14-tasks.sql"),
    include_str!("migrations/15-faults.sql"),
    include_str!("migrations/16-removals.sql"),
    include_str!("migrations/17-withheld.sql"),
    include_str!("migrations/18-turns.sql"),
    include_str!("migrations/19-import-marks.sql"),
    include_str!("migrations/20-one-index.sql"),
    include_str!("migrations/21-mutes-by-end.sql"),
    include_str!("migrations/22-unconfirmed.sql"),
    include_str!("migrations/23-aliases.sql"),
    include_str!("migrations/24-counted-failures.sql"),
    include_str!("migrations/25-apart.sql"),
];
/// The version of the schema that this version of Mercury has.
pub const LATEST: usize = ALL.len();

/// Applies what is missing, all of it or nothing. The version is read in the same transaction: two
/// processes that open the database at once do not both apply a step.
pub(super) fn run(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let version = version as usize;
    for step in ALL.iter().skip(version) {
        transaction.execute_batch(step)?;
    }
    if version < LATEST {
        transaction.pragma_update(None, "user_version", LATEST as i64)?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests;
