//! The threads that own the connections: one writer, which commits in groups, and readers.
//!
//! Whoever waits while one group reaches the disk is in the next: so many writers share a flush, and
//! one alone waits for nobody. Each step has a savepoint of its own and fails alone.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, ffi};
use tokio::sync::mpsc;

/// Steps that wait for a thread before callers wait themselves.
const QUEUE: usize = 1024;
/// Steps that share a commit. At some 50 µs each, none waits for more than 10 ms of others' work.
const MOST_AT_ONCE: usize = 128;

/// Tells the caller how the commit of its group went.
pub(super) type Tell = Box<dyn FnOnce(rusqlite::Result<()>) + Send>;
/// A caller's part of a transaction, or why there is none. What failed is told by the step itself,
/// and returned once more for the others of its group, whom it may have taken along.
pub(super) type Step =
    Box<dyn for<'a> FnOnce(rusqlite::Result<&'a Transaction<'a>>) -> Result<Tell, rusqlite::Error> + Send>;
pub(super) type Read = Box<dyn FnOnce(&Connection) + Send>;

pub(super) fn serve_writes(mut connection: Connection) -> mpsc::Sender<Step> {
    let (sender, mut steps) = mpsc::channel::<Step>(QUEUE);
    let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || {
        while let Some(first) = steps.blocking_recv() {
            write_group(&mut connection, first, || steps.try_recv().ok());
        }
    });
    // Without the thread the receiver is dropped, and every call answers `Closed`.
    drop(thread);
    sender
}

pub(super) fn serve_reads(connections: Vec<Connection>) -> mpsc::Sender<Read> {
    let (sender, reads) = mpsc::channel::<Read>(QUEUE);
    let reads = Arc::new(Mutex::new(reads));
    for connection in connections {
        let reads = reads.clone();
        let thread = std::thread::Builder::new().name("store-reader".into()).spawn(move || {
            loop {
                // One reader waits for what comes, the others for their turn to wait.
                let next = reads.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                let Some(read) = next else { break };
                if catch_unwind(AssertUnwindSafe(|| read(&connection))).is_err() {
                    tracing::error!("a read of the database panicked; its caller is told that it broke off");
                }
            }
        });
        drop(thread);
    }
    sender
}

/// Takes `first` and what `next` has, in one transaction.
fn write_group(connection: &mut Connection, first: Step, mut next: impl FnMut() -> Option<Step>) {
    let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => {
            let _ = first(Err(error));
            return;
        }
    };
    let mut waiting: Vec<Tell> = Vec::new();
    let mut step = Some(first);
    for taken in 1.. {
        let Some(present) = step else { break };
        match within_savepoint(&transaction, present) {
            Ok(tell) => waiting.extend(tell),
            // A full disk, for one: SQLite has taken back the whole transaction, not only this step.
            Err(error) => {
                for tell in waiting {
                    tell(Err(again(&error)));
                }
                return;
            }
        }
        step = if taken < MOST_AT_ONCE { next() } else { None };
    }
    let committed = transaction.commit();
    for tell in waiting {
        tell(committed.as_ref().copied().map_err(again));
    }
}

/// `Ok(None)` where the step failed and nothing of it is left; `Err` where the transaction is gone.
fn within_savepoint(transaction: &Transaction<'_>, step: Step) -> rusqlite::Result<Option<Tell>> {
    let run = |sql: &str| transaction.prepare_cached(sql)?.execute([]).map(drop);
    if let Err(error) = run("SAVEPOINT step") {
        let shown = again(&error);
        let _ = step(Err(error));
        return gone_or(transaction, shown, None);
    }
    match catch_unwind(AssertUnwindSafe(|| step(Ok(transaction)))) {
        Ok(Ok(tell)) => match run("RELEASE step") {
            Ok(()) => Ok(Some(tell)),
            Err(error) => {
                tell(Err(again(&error)));
                take_back(transaction, error)
            }
        },
        Ok(Err(error)) => take_back(transaction, error),
        Err(_) => {
            tracing::error!("a write to the database panicked; nothing of it is kept, and its caller is told");
            take_back(transaction, failure("a step panicked"))
        }
    }
}

fn take_back(transaction: &Transaction<'_>, error: rusqlite::Error) -> rusqlite::Result<Option<Tell>> {
    let undone = transaction.execute_batch("ROLLBACK TO step; RELEASE step");
    gone_or(transaction, error, undone.err())
}

fn gone_or(
    transaction: &Transaction<'_>,
    error: rusqlite::Error,
    undoing: Option<rusqlite::Error>,
) -> rusqlite::Result<Option<Tell>> {
    if transaction.is_autocommit() {
        return Err(error);
    }
    undoing.map_or(Ok(None), Err)
}

/// The same error once more: a group has one, and several callers.
pub(super) fn again(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => rusqlite::Error::SqliteFailure(*code, message.clone()),
        other => failure(&other.to_string()),
    }
}

fn failure(message: &str) -> rusqlite::Error {
    let code = ffi::Error { code: ErrorCode::Unknown, extended_code: ffi::SQLITE_ERROR };
    rusqlite::Error::SqliteFailure(code, Some(message.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as std_mpsc;

    use super::*;

    type Told = Vec<(&'static str, bool)>;

    /// Writes a group of statements at once; returns whom was told what, and which rows there are.
    fn group(statements: &[&'static str]) -> (Told, Vec<i64>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let mut connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT").unwrap();
        let (told, tells) = std_mpsc::channel();
        let mut steps = statements.iter().map(move |&sql| -> Step {
            let told = told.clone();
            Box::new(move |transaction| {
                let outcome = transaction.and_then(|db| match sql {
                    "panic" => panic!("as asked"),
                    sql => db.execute_batch(sql),
                });
                match outcome {
                    Ok(()) => Ok(Box::new(move |committed| told.send((sql, committed.is_ok())).unwrap())),
                    Err(error) => {
                        told.send((sql, false)).unwrap();
                        Err(error)
                    }
                }
            })
        });
        write_group(&mut connection, steps.next().unwrap(), || steps.next());
        drop(steps);
        let other = Connection::open(&path).unwrap();
        let mut rows = other.prepare("SELECT n FROM t ORDER BY n").unwrap();
        let rows = rows.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        (tells.iter().collect(), rows)
    }

    const ONE: &str = "INSERT INTO t VALUES (1)";
    const TWO: &str = "INSERT INTO t VALUES (2)";

    #[test]
    fn who_fails_fails_alone() {
        let half = "INSERT INTO t VALUES (7); INSERT INTO t VALUES (1)";
        let (told, rows) = group(&[ONE, half, TWO]);
        assert_eq!(told, [(half, false), (ONE, true), (TWO, true)]);
        assert_eq!(rows, [1, 2], "nothing of the failed step is left");
    }

    #[test]
    fn who_panics_panics_alone() {
        let (told, rows) = group(&[ONE, "panic", TWO]);
        assert_eq!(told, [(ONE, true), (TWO, true)]);
        assert_eq!(rows, [1, 2]);
    }

    /// As after a full disk: what SQLite has taken back is told to all whom it concerns.
    #[test]
    fn nobody_is_told_of_success_whose_group_is_gone() {
        let all = "INSERT OR ROLLBACK INTO t VALUES (1)";
        let (told, rows) = group(&[ONE, TWO, all]);
        assert_eq!(told, [(all, false), (ONE, false), (TWO, false)]);
        assert!(rows.is_empty());
    }

    #[test]
    fn a_group_is_bounded() {
        let mut connection = Connection::open_in_memory().unwrap();
        let step = || -> Step { Box::new(|_| Ok(Box::new(|_| {}))) };
        let mut given = 0;
        write_group(&mut connection, step(), || {
            given += 1;
            Some(step())
        });
        assert_eq!(given, MOST_AT_ONCE - 1);
    }
}
