//! Backup, restore, import and migration by the built binary, beside a running host.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use mercury_tests::host::{Host, Setup};
use rusqlite::Connection;
use serde_json::Value;

fn run(host: &Host, arguments: &[&str]) -> Output {
    host.command(arguments).output().unwrap()
}

fn succeed(host: &Host, arguments: &[&str]) -> String {
    let output = run(host, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn fail(host: &Host, arguments: &[&str]) -> String {
    let output = run(host, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name != "host.log")
        .collect();
    names.sort();
    names
}

/// Promise 14, and what a backup is for: another machine that goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_host_starts_elsewhere() {
    let mut host = Setup::scripted("runc").start().await;
    assert_eq!(host.ask("!reply before").await.status, 200);
    let file = host.folder().join("backup.tar.gz");
    let file = file.to_str().unwrap();
    let report: Value = serde_json::from_str(&succeed(&host, &["backup", "--json", file])).unwrap();
    assert_eq!(report["secrets"], false);
    assert_eq!(report["leftOut"], serde_json::json!([]));
    assert!(fail(&host, &["backup", file]).contains("--force"));
    assert_eq!(host.ask("!reply after").await.status, 200);

    assert!(fail(&host, &["restore", "--replace", file]).contains("mercury stop"), "not over a living host");
    let mut other = Setup::scripted("runc").prepare();
    succeed(&other, &["restore", file]);
    assert!(fail(&other, &["restore", file]).contains("--replace"));
    other.start().await;
    let said: Option<i64> = other.query("SELECT count(*) FROM messages");
    assert_eq!(said, Some(2), "what was said after the backup is not in it");
    assert_eq!(other.ask("!reply again").await.status, 200);
    other.kill();
    let restored: Value = serde_json::from_str(&succeed(&other, &["restore", "--replace", "--json", file])).unwrap();
    let previous = restored["previous"].as_str().unwrap();
    assert!(Path::new(previous).join("state.db").is_file());
    assert_eq!(other.query::<i64>("SELECT count(*) FROM messages"), Some(2));
    host.kill();
}

/// Ctrl-C in the middle leaves no half file.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_broken_off_in_order() {
    let host = Setup::scripted("runc").prepare();
    succeed(&host, &["spaces", "create", "team"]);
    let space = host.data_dir().join("spaces/team");
    std::fs::create_dir_all(&space).unwrap();
    // Some 8 GiB that take no room: packing them takes a minute. What is longer than 1 GiB and nearly all hole is
    // left out.
    for n in 0..8 {
        std::fs::File::create(space.join(format!("large-{n}"))).unwrap().set_len(1 << 30).unwrap();
    }
    let before = names(host.folder());
    let mut backup = host.command(&["backup", "backup.tar.gz"]).stderr(Stdio::piped()).spawn().unwrap();
    while names(host.folder()).len() < before.len() + 2 {
        assert!(backup.try_wait().unwrap().is_none(), "it has ended before anything was seen of it");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&backup), rustix::process::Signal::INT).unwrap();
    let output = tokio::task::spawn_blocking(move || {
        let code = backup.wait().unwrap().code();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut backup.stderr.take().unwrap(), &mut text).unwrap();
        (code, text)
    });
    let (code, text) = output.await.unwrap();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("broken off"), "{text}");
    assert_eq!(names(host.folder()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_project_is_imported_and_served() {
    let old = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(old.path().join(".mercury/spaces/team/knowledge")).unwrap();
    std::fs::write(old.path().join(".mercury/spaces/team/knowledge/ada.md"), "# Ada").unwrap();
    let db = Connection::open(old.path().join(".mercury/state.db")).unwrap();
    db.execute_batch(include_str!("../../host/src/import/schema-0.4.5.sql")).unwrap();
    db.execute_batch(
        "INSERT INTO spaces VALUES ('team', 'The Team', NULL, 1, 1);
         INSERT INTO conversations (platform, external_id, space_id, first_seen_at, last_seen_at) VALUES ('telegram', '-1001', 'team', 1, 1);
         INSERT INTO messages (space_id, role, content, created_at, updated_at) VALUES ('team', 'user', 'hello', 1, 1);
         INSERT INTO tasks (space_id, cron, prompt, next_run_at, created_at, updated_at) VALUES ('team', '0 9 * * *', 'x', 1, 1, 1);",
    )
    .unwrap();
    drop(db);
    let mut host = Setup::scripted("runc").prepare();
    let from = old.path().to_str().unwrap();
    let dry = succeed(&host, &["import", "--dry-run", from]);
    assert!(dry.contains("Would come along") && dry.contains("  tasks                 1\n"), "{dry}");
    assert!(!host.data_dir().exists());
    let report: Value = serde_json::from_str(&succeed(&host, &["import", "--json", from])).unwrap();
    assert_eq!(report["counts"]["messages"]["taken"], 1);
    host.start().await;
    assert!(fail(&host, &["import", from]).contains("mercury stop"));
    assert_eq!(host.query::<String>("SELECT space FROM conversations"), Some("team".into()));
    assert_eq!(host.query::<String>("SELECT space FROM tasks"), Some("team".into()));
    assert!(host.data_dir().join("spaces/team/knowledge/ada.md").is_file());
    let status: Value = serde_json::from_str(&succeed(&host, &["status", "--json"])).unwrap();
    assert!(status["storage"]["database"].as_u64().unwrap() > 0 && status["storage"]["spaces"] == 5, "{status:#}");
    // The old project itself is no project of this Mercury, and stays what it is.
    let mut stranger =
        Setup::scripted("runc").set("MERCURY_DATA_DIR", old.path().join(".mercury").to_str().unwrap()).prepare();
    assert!(fail(&stranger, &["spaces", "list"]).contains("mercury import"));
    stranger.spawn();
    assert_eq!(stranger.ended().await, Some(1));
    assert!(stranger.log().contains("mercury import"), "{}", stranger.log());
}

/// A host of an older version refuses what a newer one has made of the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_database_is_refused() {
    let mut host = Setup::scripted("runc").prepare();
    succeed(&host, &["spaces", "create", "team"]);
    let db = Connection::open(host.data_dir().join("state.db")).unwrap();
    db.pragma_update(None, "user_version", 900).unwrap();
    drop(db);
    host.spawn();
    assert_eq!(host.ended().await, Some(1));
    assert!(host.log().contains("made by a newer Mercury (schema 900"), "{}", host.log());
}
