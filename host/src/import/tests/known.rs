//! Which old database it is.

use super::*;

/// A database is known wherever it lies, also once a space was deleted there.
#[tokio::test]
async fn a_project_that_was_moved_is_the_same() {
    let projects = Projects::new();
    assert_eq!(projects.import(false).await.unwrap().before, None);
    let moved = projects.folder.path().join("moved");
    std::fs::rename(projects.old(), &moved).unwrap();
    let old = Connection::open(moved.join(".mercury/state.db")).unwrap();
    let more = "PRAGMA foreign_keys = ON; DELETE FROM spaces WHERE id = 'main';
        INSERT INTO messages (space_id, role, content, created_at, updated_at) VALUES ('team', 'user', 'later', 200, 200)";
    old.execute_batch(more).unwrap();
    drop(old);
    let report = import(&moved, &projects.places, false, CancellationToken::new()).await.unwrap();
    let real = projects.folder.path().canonicalize().unwrap();
    assert_eq!(report.before.as_deref(), real.join("old/.mercury/state.db").to_str());
    assert_eq!((report.counts["messages"], report.counts["tasks"]), (count(1, 8), count(0, 1)));
    assert_eq!(report.counts["spending"], count(0, 2));
    assert_eq!(
        projects.new_rows("SELECT source FROM imports"),
        [real.join("moved/.mercury/state.db").to_str().unwrap()]
    );
}

/// Another project at the path of one that was brought over, and one that began as its copy.
#[tokio::test]
async fn another_project_is_another() {
    for change in [
        "UPDATE spaces SET created_at = created_at + 1000; UPDATE conversations SET first_seen_at = first_seen_at + 1000",
        "UPDATE messages SET created_at = created_at + 1000",
    ] {
        let projects = Projects::new();
        projects.import(false).await.unwrap();
        projects.old_db().execute_batch(change).unwrap();
        let report = projects.import(false).await.unwrap();
        assert_eq!((report.before, report.counts["messages"]), (None, count(6, 0)), "{change}");
        let again = projects.import(false).await.unwrap();
        assert_eq!(again.counts["messages"], count(0, 8), "{change}");
        assert_eq!(projects.new_rows("SELECT source FROM imports").len(), 2, "{change}");
    }
}

/// Of an older state nothing is doubled, and that is said.
#[tokio::test]
async fn an_older_state_is_named() {
    let projects = Projects::new();
    let copy = projects.folder.path().join("copy.db");
    std::fs::copy(projects.old().join(".mercury/state.db"), &copy).unwrap();
    let later = "INSERT INTO messages (space_id, role, content, created_at, updated_at) VALUES ('main', 'user', 'later', 200, 200)";
    projects.old_db().execute_batch(later).unwrap();
    projects.import(false).await.unwrap();
    std::fs::copy(copy, projects.old().join(".mercury/state.db")).unwrap();
    let report = projects.import(false).await.unwrap();
    assert_eq!(report.counts["messages"], count(0, 8));
    assert!(report.left.iter().any(|left| left.why.contains("older state")), "{:#?}", report.left);
    projects.old_db().execute_batch(later).unwrap();
    assert_eq!(projects.import(false).await.unwrap().counts["messages"], count(0, 9));
}

/// Brought over before databases were marked: by its path once more, and marked by that.
#[tokio::test]
async fn an_import_of_before_is_known_by_its_path() {
    let projects = Projects::new();
    projects.import(false).await.unwrap();
    let unmarked = "DELETE FROM import_marks; UPDATE imports SET last_message_at = NULL";
    projects.new_db().execute_batch(unmarked).unwrap();
    assert_eq!(projects.import(false).await.unwrap().counts["messages"], count(0, 8));
    assert!(!projects.new_rows("SELECT mark FROM import_marks").is_empty());
}
