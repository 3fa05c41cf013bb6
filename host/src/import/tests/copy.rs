//! The old database is copied while others may use it, and left as it is.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

fn files(projects: &Projects) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(projects.old().join(".mercury"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("state.db"))
        .collect();
    names.sort();
    names
}

/// The old host changes two rows far from each other at a time, and moves its log into the database all along:
/// no copy has one of them without the other.
#[test]
fn a_database_in_use_is_copied_in_one_moment() {
    let projects = Projects::new();
    let many = "
        WITH RECURSIVE numbers (n) AS (SELECT 101 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2100)
        INSERT INTO messages (id, space_id, role, content, created_at, updated_at)
            SELECT n, 'main', 'user', hex(randomblob(2000)), 1, 0 FROM numbers";
    projects.old_db().execute_batch(many).unwrap();
    let path = projects.old().join(".mercury/state.db");
    let done = AtomicBool::new(false);
    let outcomes: Vec<Result<i64, ImportError>> = std::thread::scope(|scope| {
        scope.spawn(|| {
            let db = Connection::open(&path).unwrap();
            db.busy_timeout(Duration::from_secs(5)).unwrap();
            db.pragma_update(None, "wal_autocheckpoint", 3).unwrap();
            db.pragma_update(None, "synchronous", "OFF").unwrap();
            while !done.load(Ordering::Relaxed) {
                let both = "BEGIN IMMEDIATE; UPDATE messages SET updated_at = updated_at + 1 WHERE id = 101;
                            UPDATE messages SET updated_at = updated_at + 1 WHERE id = 2100; COMMIT";
                db.execute_batch(both).unwrap();
            }
        });
        let different = |old: Old| {
            let sql = "SELECT max(updated_at) - min(updated_at) FROM messages WHERE id IN (101, 2100)";
            old.connection.query_row(sql, [], |row| row.get(0)).unwrap()
        };
        let outcomes = (0..20).map(|_| Old::open(&projects.old()).map(different)).collect();
        done.store(true, Ordering::Relaxed);
        outcomes
    });
    for outcome in outcomes {
        assert_eq!(outcome.unwrap(), 0);
    }
}

/// Its own files stay those that were there: none where the old host has ended, its log where it runs.
#[test]
fn nothing_is_left_beside_it() {
    let projects = Projects::new();
    assert_eq!(files(&projects), ["state.db"]);
    let before = content(&projects.old());
    drop(Old::open(&projects.old()).unwrap());
    assert_eq!(files(&projects), ["state.db"]);
    assert_eq!(content(&projects.old()), before);

    let host = projects.old_db();
    host.execute_batch("UPDATE spaces SET name = 'Renamed' WHERE id = 'team'").unwrap();
    let old = Old::open(&projects.old()).unwrap();
    let name: String =
        old.connection.query_row("SELECT name FROM spaces WHERE id = 'team'", [], |row| row.get(0)).unwrap();
    assert_eq!(name, "Renamed", "what is in the log as yet comes along");
    assert_eq!(files(&projects), ["state.db", "state.db-shm", "state.db-wal"], "the host's");
}

/// Where nothing may be written: a snapshot, with the log that a killed host has left.
#[test]
fn a_snapshot_is_read() {
    let projects = Projects::new();
    let (from, to) = (projects.old().join(".mercury"), projects.folder.path().join("snapshot/.mercury"));
    let host = projects.old_db();
    host.execute_batch("UPDATE spaces SET name = 'Renamed' WHERE id = 'team'").unwrap();
    std::fs::create_dir_all(&to).unwrap();
    for name in ["state.db", "state.db-wal"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    super::super::old::plain_copy(&to.join("state.db"), &copy.path().join("state.db")).unwrap();
    let db = Connection::open(copy.path().join("state.db")).unwrap();
    let name: String = db.query_row("SELECT name FROM spaces WHERE id = 'team'", [], |row| row.get(0)).unwrap();
    assert_eq!(name, "Renamed");
}
