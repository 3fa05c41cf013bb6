//! Databases with something in every table, of every version that there was.

use std::{collections::BTreeMap, path::Path};

use super::*;
use crate::store::Store;

/// By version: what it could hold, beside what the ones before it could.
const ROWS: &[(usize, &str)] = &[
    (
        1,
        "INSERT INTO spaces (id, name, created_at, served_at) VALUES ('team', 'The Team', 7, 9);
         INSERT INTO members (space, person, role, display_name) VALUES ('team', 'p:ada', 'admin', 'Ada');
         INSERT INTO inbound (id, platform, event, space, conversation, author, author_name, text, attachments, received_at, decided) VALUES
             (1, 'p', 'e1', 'team', 'p:1', 'p:ada', 'Ada', 'what?', '[]', 10, 1),
             (2, 'p', 'e2', 'team', 'p:1', 'p:ada', NULL, 'and?', '[]', 20, 0),
             (3, 'p', 'e3', 'team', 'p:1', 'p:ada', 'Ada', 'again?', '[]', 30, 1);
         INSERT INTO runs (id, inbound, space, role, state, attempts, created_at, started_at, result, failure, marks) VALUES
             ('r1', 1, 'team', 'admin', 'finished', 1, 11, 12, '{\"reply\": 1}', NULL, '{}'),
             ('r3', 3, 'team', 'admin', 'failed', 2, 31, 32, NULL, '{\"kind\": 1}', '{}');
         INSERT INTO outbound (id, inbound, run, reply, files, problem, state, created_at, delivered_at) VALUES
             (1, 1, 'r1', 'that', '[]', NULL, 'delivered', 13, 14);
         INSERT INTO messages (id, space, conversation, run, role, content, created_at) VALUES
             (1, 'team', 'p:1', 'r1', 'user', 'what?', 10), (2, 'team', 'p:1', 'r1', 'assistant', 'that', 13);
         INSERT INTO plugin_kv VALUES ('a', 'k', x'0102'), ('a', 'kk', x'03'), ('b', 'k', x'');",
    ),
    (
        2,
        "INSERT INTO questions (run, call, ordinal, digest, plugin, tool, arguments, edited, text, approver, state, asked_at, expires_at)
             VALUES ('r1', 'c', 1, 'd', 'guard', 'bash', '{}', 0, 'May it?', 'admin', 'open', 12, 99);
         INSERT INTO decisions (run, call, tool, digest, excerpt, plugin, verdict, at) VALUES ('r1', 'c', 'bash', 'd', 'ls', 'guard', 'allow', 12);",
    ),
    (3, "UPDATE runs SET stop_requested = 1 WHERE id = 'r3';"),
    (
        4,
        "INSERT INTO spending (run, space, person, provider, model, began_at, ended_at, state, input, output, micro_usd)
             VALUES ('r1', 'team', 'p:ada', 'anthropic', 'm', 12, 13, 'complete', 10, 5, 1250);",
    ),
    (
        5,
        "INSERT INTO conversations (id, platform, direct, title, address, space, first_seen, last_seen) VALUES ('p:1', 'p', 1, 'Ada', '{}', 'team', 5, 30);
         UPDATE inbound SET message = 'm' || id, chat = '{\"direct\": true}';
         UPDATE messages SET inbound = 1 WHERE id = 1;
         INSERT INTO deliveries (message, platform, conversation, outbound, text, files, choices, state, created_at)
             VALUES ('outbound-1', 'p', 'p:1', 1, 'that', '[]', '[]', 'delivered', 13);
         INSERT INTO said VALUES ('p:1', 'm9', 1);
         INSERT INTO progress VALUES (3, 'p', 'p:1', 'm8');
         INSERT INTO cursors VALUES ('p', '77');
         INSERT INTO timers (plugin, name, due_at) VALUES ('p', 'tick', 50);",
    ),
    (
        6,
        "UPDATE runs SET appended = 'more' WHERE id = 'r1';
         UPDATE spaces SET announced = 1;
         INSERT INTO plugin_settings VALUES ('a', 'k', NULL, '1', 3), ('a', 'k', 'team', '2', 3);
         INSERT INTO plugin_jobs (plugin, job, started_at, outcome) VALUES ('a', 'nightly', 3, 'ok');
         INSERT INTO plugin_tasks (plugin, id, inbound, started_at) VALUES ('a', 't', 3, 30);",
    ),
    (7, "UPDATE plugin_tasks SET confinement = '{}';"),
    (8, "UPDATE runs SET answered = 1 WHERE id = 'r1';"),
    (9, "INSERT INTO imports (source, last_message, last_usage, at) VALUES ('/old/state.db', 8, 2, 40);"),
    (10, "INSERT INTO plugin_kv VALUES ('c', 'k', x'00');"),
    (
        11,
        "INSERT INTO space_settings VALUES ('team', 'trigger.match', 'always', 'p:ada', 5), (NULL, 'character', 'x', 'p:ada', 5);
         INSERT INTO mutes VALUES ('team', 'p:eve', 9999999999999, 'spam', 'p:ada', 5);
         INSERT INTO asked VALUES ('team', 'p:ada', 10);
         INSERT INTO asked_daily VALUES ('team', 'p:ada', 20000, 3);
         INSERT INTO told VALUES ('p:1', 'p:ada', 'place', 99);
         INSERT INTO confirmations VALUES ('p:1', 'p:ada', 'team', 'team', 99);
         INSERT INTO boundaries VALUES ('team', 'p:1', 1, 0);
         UPDATE inbound SET merged_into = 3 WHERE id = 1;",
    ),
    (12, "INSERT INTO sessions VALUES (x'0a', 1, 2);"),
    (
        13,
        "UPDATE members SET granted_by = 'p:root', created_at = 6, updated_at = 7;
         UPDATE spaces SET updated_at = 8 WHERE id = 'team';
         INSERT INTO role_permissions VALUES ('team', 'member', '[\"prompt\"]', 'p:ada', 5);
         INSERT INTO preferences VALUES ('team', 'tone', 'short', 'p:ada', 5, 6);",
    ),
    (
        14,
        "INSERT INTO tasks (space, prompt, cron, silent, created_by, platform, conversation, direct, next_run_at, created_at, updated_at)
             VALUES ('team', 'report', '0 9 * * *', 0, 'p:ada', 'p', 'p:1', 1, 60, 5, 5);
         UPDATE inbound SET occasion = '{}' WHERE id = 2;
         UPDATE imports SET last_task = 4;",
    ),
    (15, "UPDATE deliveries SET faults = 2;"),
    (16, "INSERT INTO removals VALUES ('.removed/gone', 9);"),
    (17, "UPDATE runs SET withheld = 1 WHERE id = 'r1';"),
    (
        19,
        "UPDATE imports SET last_message_at = 5;
         INSERT INTO import_marks SELECT id, 'space main 1' FROM imports;",
    ),
    (
        22,
        "INSERT INTO unconfirmed VALUES ('p:1', '', 'p:ada', 1, '[\"Mail\"]', 99);
         UPDATE inbound SET consented = '[\"Mail\"]' WHERE id = 2;",
    ),
    (23, "INSERT INTO aliases VALUES ('p:a', 'p:ada', 'key', 5, 6);"),
    (24, "UPDATE tasks SET counted = 2;"),
    (25, "UPDATE conversations SET apart = 1;"),
];

/// A database of `version` with all that it could hold.
fn filled(path: &Path, version: usize) -> Connection {
    let db = Connection::open(path).unwrap();
    for (step, leads_to) in ALL[..version].iter().zip(1..) {
        db.execute_batch(step).unwrap();
        if let Some((_, rows)) = ROWS.iter().find(|(of, _)| *of == leads_to) {
            db.execute_batch(rows).unwrap();
        }
    }
    db.pragma_update(None, "user_version", version as i64).unwrap();
    db
}

type Columns = BTreeMap<String, Vec<String>>;

fn columns(db: &Connection) -> Columns {
    let mut tables =
        db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let of = |table: &String| {
        let mut rows = db.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY name").unwrap();
        rows.query_map([table], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    tables.into_iter().map(|table| (table.clone(), of(&table))).collect()
}

/// What these columns hold, each row as a text.
fn rows(db: &Connection, columns: &Columns) -> BTreeMap<String, Vec<String>> {
    let of = |(table, columns): (&String, &Vec<String>)| {
        let values: Vec<String> = columns.iter().map(|column| format!("'{column} ' || quote(\"{column}\")")).collect();
        let mut found = db.prepare(&format!("SELECT {} FROM {table} ORDER BY 1", values.join(" || ', ' || "))).unwrap();
        let found = found.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        (table.clone(), found)
    };
    columns.iter().map(of).collect()
}

/// storage.md #26: whatever an older database holds is there afterwards, each value as it was.
#[test]
fn every_row_of_every_version_is_kept() {
    for version in 1..=LATEST {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let db = filled(&path, version);
        let known = columns(&db);
        let before = rows(&db, &known);
        drop(db);
        for _ in 0..2 {
            drop(Store::open(&path).unwrap());
        }
        let db = Connection::open(&path).unwrap();
        let after = rows(&db, &known);
        for (table, rows) in before {
            assert_eq!(after[&table], rows, "{table}, from version {version}");
        }
        let sum = |sql: &str| -> i64 { db.query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(sum("SELECT count(*) FROM runs WHERE answered = (id = 'r1')"), 2, "from version {version}");
        let counted = sum("SELECT sum(bytes * 100 + keys) FROM plugin_kv_usage WHERE plugin <> 'c'");
        assert_eq!(counted, 700 + 3, "from version {version}");
    }
}

/// The test above has something to lose in every table that there is a row for.
#[test]
fn every_table_is_filled() {
    let folder = tempfile::tempdir().unwrap();
    let covered = ROWS.iter().map(|(version, _)| *version).max().unwrap();
    let db = filled(&folder.path().join("state.db"), covered);
    let empty: Vec<String> =
        rows(&db, &columns(&db)).into_iter().filter(|(_, rows)| rows.is_empty()).map(|(table, _)| table).collect();
    assert!(empty.is_empty(), "{empty:?}");
}
