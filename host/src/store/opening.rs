//! What opening does: look at the file before anything is changed, then bring its schema up to date.
//!
//! A database that this version does not understand is left as it is. Before a migration it is
//! checked and copied; a migration that fails leaves it as it was.

use std::{
    ffi::OsString,
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use backon::{BlockingRetryable, ConstantBuilder};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::{StoreError, migrations};
use crate::data_dir;

/// How long a connection waits for another process that holds the database: 5 s.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two attempts to open a database that another is opening: 10 ms.
const OPENING_PAUSE: Duration = Duration::from_millis(10);

/// What is left of the log (`state.db-wal`) after a burst, or a long backup beside it: 64 MiB.
const MOST_LOG: i64 = 64 << 20;
/// What a connection keeps of the database in memory: 512 KiB, as a negative number of KiB. Behind it is the
/// kernel's own cache; with SQLite's 2 MB for each connection a host grew for its first ten thousand messages.
const CACHE: i64 = -512;
/// Prepared statements that a connection keeps: as many as the store has, and some more.
const STATEMENTS: usize = 200;

/// What a database file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing yet.
    Empty,
    /// Mercury's, with this version of the schema.
    Ours(usize),
    /// That of the replaced system.
    Replaced,
    Foreign,
}

/// The writer's connection to an up-to-date database, which is made where it is missing.
///
/// Two that turn a new database to WAL at once would wait for each other; SQLite then refuses one of them
/// without waiting (<https://sqlite.org/c3ref/busy_handler.html>), and that one begins again.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let began = Instant::now();
    #[allow(clippy::disallowed_methods, reason = "opening blocks anyway: it reads, and may migrate, a whole database")]
    let rest = std::thread::sleep;
    (|| open_once(path))
        .retry(ConstantBuilder::default().with_delay(OPENING_PAUSE).without_max_times())
        .sleep(rest)
        .when(|error| matches!(error, StoreError::Locked { .. }) && began.elapsed() < BUSY_TIMEOUT)
        .call()
}

fn open_once(path: &Path) -> Result<Connection, StoreError> {
    let failed = |source| opening(path, source);
    let mut connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    let found = kind(&connection).map_err(failed)?;
    let version = match found {
        Kind::Empty => 0,
        Kind::Ours(version) if version > migrations::LATEST => {
            return Err(StoreError::Newer { path: path.to_owned(), found: version, known: migrations::LATEST });
        }
        Kind::Ours(version) => version,
        Kind::Replaced => return Err(StoreError::Replaced { path: path.to_owned() }),
        Kind::Foreign => return Err(StoreError::Foreign { path: path.to_owned() }),
    };
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    connection.pragma_update(None, "journal_size_limit", MOST_LOG).map_err(failed)?;
    connection.pragma_update(None, "cache_size", CACHE).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    if version < migrations::LATEST {
        migrate(path, &mut connection, version)?;
    }
    Ok(connection)
}

/// A connection that cannot write, whatever it is asked.
pub fn open_for_reading(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "cache_size", CACHE)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    };
    open().map_err(|source| opening(path, source))
}

/// Looks and changes nothing.
pub fn kind(connection: &Connection) -> rusqlite::Result<Kind> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > 0 {
        return Ok(Kind::Ours(usize::try_from(version).unwrap_or(usize::MAX)));
    }
    let tables: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('spaces', 'space_roles', 'chat_state')",
        [],
        |row| row.get(0),
    )?;
    let any = connection.query_row("SELECT 1 FROM sqlite_schema LIMIT 1", [], |_| Ok(())).optional()?;
    Ok(match (tables, any) {
        (3, _) => Kind::Replaced,
        (_, None) => Kind::Empty,
        (_, Some(())) => Kind::Foreign,
    })
}

/// What is wrong with the database, if anything is. Reads all of it.
pub fn fault(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let first: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if first != "ok" {
        return Ok(Some(first));
    }
    let orphan = connection
        .query_row("PRAGMA foreign_key_check", [], |row| {
            let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
            Ok(format!("a row of `{table}` points to one of `{parent}` that is not there"))
        })
        .optional()?;
    Ok(orphan)
}

/// Copies the database to `target`, whole and on disk when it returns; a copy that is broken off leaves
/// nothing under that name. The original may be in use.
pub fn copy(connection: &Connection, target: &Path) -> Result<(), CopyError> {
    // Of its own: VACUUM INTO takes no file that is there, and two may copy at once.
    let part = with_ending(target, &format!(".part-{:08x}", rand::random::<u32>()));
    let copied =
        connection.execute("VACUUM INTO ?1", [part.to_string_lossy()]).map_err(CopyError::from).and_then(|_| {
            File::open(&part)?.sync_all()?;
            std::fs::rename(&part, target)?;
            Ok(target.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?)
        });
    if copied.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    copied
}

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn migrate(path: &Path, connection: &mut Connection, version: usize) -> Result<(), StoreError> {
    let failed = |source| opening(path, source);
    if version > 0 {
        // An older host that is at work would find its tables changed.
        if let Some(pid) = other_host(path) {
            return Err(StoreError::OlderHost { path: path.to_owned(), pid });
        }
        if let Some(message) = fault(connection).map_err(failed)? {
            return Err(StoreError::Damaged { path: path.to_owned(), message });
        }
        let target = with_ending(path, &format!(".before-{version}"));
        keep(connection, version, &target).map_err(|error| StoreError::NoCopy {
            path: path.to_owned(),
            target: target.clone(),
            message: error.to_string(),
        })?;
        tracing::info!(from = version, to = migrations::LATEST, copy = %target.display(), "the database is migrated");
    }
    migrations::run(connection).map_err(|error| match opening(path, error) {
        StoreError::Open { path, source } => StoreError::Migration { path, message: source.to_string() },
        other => other,
    })
}

/// Keeps the database as it is in `version`. Another process may have migrated it a moment ago, and has
/// its own copy then.
fn keep(connection: &Connection, version: usize, target: &Path) -> Result<(), CopyError> {
    let copied = with_ending(target, &format!(".{:08x}", rand::random::<u32>()));
    copy(connection, &copied)?;
    let kept = Connection::open(&copied).and_then(|copy| kind(&copy));
    match kept {
        Ok(Kind::Ours(found)) if found == version => Ok(std::fs::rename(&copied, target)?),
        other => {
            std::fs::remove_file(&copied)?;
            other.map(drop).map_err(CopyError::from)
        }
    }
}

/// The host that holds the lock beside the database, unless that is this process.
fn other_host(path: &Path) -> Option<i32> {
    let holder = data_dir::holder(path.parent()?).ok()??.as_raw_nonzero().get();
    (holder.unsigned_abs() != std::process::id()).then_some(holder)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn opening(path: &Path, source: rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked { path },
        Some(ErrorCode::DiskFull) => StoreError::Full { path },
        Some(ErrorCode::NotADatabase) => StoreError::Foreign { path },
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Damaged { path, message: source.to_string() },
        _ => StoreError::Open { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    /// A database with the schema of `version`, and what it holds as a dump.
    fn old(path: &Path, version: usize) -> Connection {
        let connection = Connection::open(path).unwrap();
        for step in &migrations::ALL[..version] {
            connection.execute_batch(step).unwrap();
        }
        connection.pragma_update(None, "user_version", version as i64).unwrap();
        connection
    }

    fn version(path: &Path) -> i64 {
        Connection::open(path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn what_is_not_understood_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        for (sql, expected) in [
            ("CREATE TABLE t (n); PRAGMA user_version = 900", "newer Mercury (schema 900"),
            ("CREATE TABLE t (n)", "another program"),
            ("CREATE TABLE spaces (n); CREATE TABLE space_roles (n); CREATE TABLE chat_state (n)", "mercury import"),
        ] {
            let _ = std::fs::remove_file(&path);
            Connection::open(&path).unwrap().execute_batch(sql).unwrap();
            let before = std::fs::read(&path).unwrap();
            let error = Store::open(&path).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("state.db"), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), before, "{expected}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing lies beside it");
        }
        std::fs::write(&path, "this is a text of somebody, and longer than a header").unwrap();
        assert!(Store::open(&path).unwrap_err().to_string().contains("another program"));
    }

    /// storage.md #26: an older schema gets what is new and keeps its rows; opened again it stays as it is.
    #[tokio::test]
    async fn every_older_schema_is_migrated_and_copied_before() {
        for from in 1..migrations::LATEST {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("state.db");
            old(&path, from)
                .execute_batch("INSERT INTO spaces (id, name, created_at) VALUES ('kept', 'Kept', 7)")
                .unwrap();
            for _ in 0..2 {
                let store = Store::open(&path).unwrap();
                assert_eq!(store.spaces().await.unwrap(), ["kept", "main"]);
            }
            assert_eq!(version(&path), migrations::LATEST as i64);
            assert_eq!(version(&folder.path().join(format!("state.db.before-{from}"))), from as i64);
        }
    }

    #[test]
    fn a_migration_that_fails_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let last = migrations::ALL.iter().position(|step| step.contains("INDEX messages_by_space")).unwrap();
        // In the way of an index that comes late in its step.
        old(&path, last).execute_batch("CREATE TABLE messages_by_space (n)").unwrap();
        let schema = || -> Vec<String> {
            let db = Connection::open(&path).unwrap();
            let mut rows = db.prepare("SELECT name || coalesce(sql, '') FROM sqlite_schema ORDER BY 1").unwrap();
            rows.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        let before = schema();
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Migration { .. }), "{error}");
        assert_eq!((schema(), version(&path)), (before, last as i64));
    }

    #[test]
    fn a_damaged_database_is_not_migrated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let db = old(&path, 1);
        db.execute_batch(
            "PRAGMA foreign_keys = OFF; INSERT INTO members (space, person, role) VALUES ('gone', 'ada', 'admin')",
        )
        .unwrap();
        drop(db);
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { message, .. } if message.contains("members")), "{error}");
        assert_eq!(version(&path), 1);
    }

    /// The schema is not changed under an older host; one that is up to date may be used beside it.
    #[test]
    fn a_command_does_not_migrate_under_another_host() {
        use std::{
            io::Write,
            process::{Command, Stdio},
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        old(&path, 1);
        let held = data_dir::try_claim(folder.path()).unwrap().unwrap();
        // Another process: this one's own lock is no hindrance.
        #[allow(clippy::disallowed_methods, reason = "a process that is there, and does nothing")]
        let mut other = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        held.set_len(0).unwrap();
        let mut lock = File::options().append(true).open(folder.path().join("lock")).unwrap();
        writeln!(lock, "{}", other.id()).unwrap();
        let error = Store::open(&path).unwrap_err();
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(matches!(&error, StoreError::OlderHost { pid, .. } if pid.unsigned_abs() == other.id()), "{error}");
        assert_eq!(version(&path), 1);
        drop(held);
        Store::open(&path).unwrap();
    }

    /// `mercury run` and a command beside it, both the first to come.
    #[test]
    fn two_may_open_at_once() {
        // Often: what was wrong once showed in one of some hundred.
        for from in [0, 1].repeat(5) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("state.db");
            if from > 0 {
                old(&path, from);
            }
            let opened: Vec<_> = std::thread::scope(|scope| {
                let all: Vec<_> = (0..8).map(|_| scope.spawn(|| Store::open(&path).map(drop))).collect();
                all.into_iter().map(|one| one.join().unwrap()).collect()
            });
            for outcome in opened {
                outcome.unwrap();
            }
        }
    }

    #[test]
    fn a_reader_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let _store = Store::open(&path).unwrap();
        let reader = open_for_reading(&path).unwrap();
        assert!(reader.execute("DELETE FROM spaces", []).is_err());
        assert!(reader.pragma_update(None, "user_version", 3).is_err());
    }
}
