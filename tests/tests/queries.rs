//! Every statement of the store, as the planner would run it: none reads a table that grows without end
//! from one end to the other, and none that removes a row looks for what points to it without an index.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, path::PathBuf};

use mercury::store::Store;
use proc_macro2::{TokenStream, TokenTree};
use rusqlite::Connection;

/// The condition of the runs that are queued or at work.
const UNFINISHED: &str = "state IN ('queued', 'preparing', 'running')";

/// Tables that are small whatever happens, with the reason.
const SMALL: &[(&str, &str)] = &[
    ("page", "one row: where a page of history begins"),
    ("spaces", "made by the operator, or one for each direct conversation"),
    ("conversations", "one for each chat that the bot is in"),
    ("plugin_jobs", "one for each job of a manifest"),
    ("plugin_settings", "set by the operator"),
    ("progress", "one for each run that is at work"),
    ("s", "spaces, in a statement that calls them so"),
    ("cursors", "one for each adapter"),
    ("boundaries", "one for each conversation in which somebody began anew"),
    ("told", "gone when its time is over: a day at most"),
    ("unconfirmed", "gone when its time is over: five minutes"),
    ("c", "conversations, in a statement that calls them so"),
    ("timers", "a few for each plugin"),
    ("tasks", "as many as the spaces may have"),
    ("sessions", "as many as one operator may have open"),
    ("removals", "removed spaces whose files are not deleted yet"),
    ("json_each", "a parameter"),
    ("(subquery-1)", "what the statement itself has grouped"),
];

/// Statements that may read everything, by their beginning, with the reason.
const SELDOM: &[(&str, &str)] = &[
    ("UPDATE inbound SET conversation", "a platform gives a conversation another id once in its life"),
    ("UPDATE messages SET conversation", "the same"),
    ("UPDATE deliveries SET conversation", "the same"),
    ("UPDATE OR REPLACE progress SET conversation", "the same"),
    ("SELECT '', coalesce(sum(input + cache_read", "what was spent in all: the operator's page asks for it"),
    ("SELECT o.created_at - r.started_at", "the runs that ended last, as many as it says"),
    ("SELECT space, coalesce(sum(input + cache_read", "the same of each space"),
];

struct Statement {
    file: String,
    sql: String,
}

/// The string literals of the store's sources that are statements, with the constants of the file put in.
fn statements() -> Vec<Statement> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../host/src/store");
    let (mut statements, mut shared) = (Vec::new(), BTreeMap::new());
    let mut of_runs = Vec::new();
    for file in ["inbound.rs", "runs.rs"] {
        let source = std::fs::read_to_string(folder.join(file)).unwrap();
        walk(syn::parse_str(&source).unwrap(), &mut of_runs, &mut shared);
    }
    // What a run is read from, before its condition.
    let run = of_runs.into_iter().find(|text| text.starts_with("SELECT r.id, r.inbound,")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if !file.ends_with(".rs") || ["migrations.rs", "tests.rs", "opening.rs", "threads.rs"].contains(&file.as_str())
        {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
        let mut texts = Vec::new();
        let mut constants = BTreeMap::new();
        walk(syn::parse_str(source).unwrap(), &mut texts, &mut constants);
        for text in texts.into_iter().filter(|text| !constants.values().any(|constant| constant == text)) {
            let verb = text.split_whitespace().next().unwrap_or_default();
            let condition = text.strip_prefix("{} WHERE ");
            let is_statement = ["{SELECT}", "SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains(&verb);
            if text == run || !(is_statement || condition.is_some()) {
                continue;
            }
            let mut sql = condition.map_or(text.clone(), |condition| format!("{run} WHERE {condition}"));
            // Its own, then what it has from the runs.
            for (name, value) in constants.iter().chain(&shared) {
                sql = sql.replace(&format!("{{{name}}}"), value);
            }
            let placed = [
                ("{condition}", if sql.contains("FROM asked") { "AND space = ?3" } else { "q.run = ?1" }),
                ("{from}", "members WHERE space"),
                ("{of}", "r.space = ?1"),
                ("{column}", "cleared"),
                ("{}", "i.text"),
            ];
            let sql = placed.iter().fold(sql, |sql, (name, value)| sql.replace(name, value));
            let tables: &[&str] = match &sql {
                sql if sql.contains("OR REPLACE {table}") => &["progress"],
                sql if sql.contains("{table} WHERE plugin") => {
                    &["plugin_kv", "timers", "plugin_settings", "plugin_jobs", "plugin_tasks", "cursors"]
                }
                _ => &["inbound", "messages", "deliveries", "tasks"],
            };
            match sql.contains("{table}") {
                false => statements.push(Statement { file: file.clone(), sql }),
                true => statements.extend(
                    tables.iter().map(|table| Statement { file: file.clone(), sql: sql.replace("{table}", table) }),
                ),
            }
        }
    }
    statements
}

fn walk(tokens: TokenStream, texts: &mut Vec<String>, constants: &mut BTreeMap<String, String>) {
    let mut constant = None;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => walk(group.stream(), texts, constants),
            TokenTree::Ident(word) if word == "const" => constant = tokens.peek().map(ToString::to_string),
            TokenTree::Punct(mark) if mark.as_char() == ';' => constant = None,
            TokenTree::Literal(literal) => {
                if let Ok(syn::Lit::Str(text)) = syn::parse_str(&literal.to_string()) {
                    if let Some(name) = constant.take() {
                        constants.insert(name, text.value());
                    }
                    texts.push(text.value());
                }
            }
            _ => {}
        }
    }
}

/// How the planner means to go about it.
fn steps(db: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    plan.raw_query().mapped(|row| row.get(3)).collect()
}

/// What the planner means to read from one end to the other.
fn scans(db: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    // What a part of the statement gave is read whole; how that part came by it is a step of its own.
    let is_part = |step: &str| step == "SCAN CONSTANT ROW" || step.starts_with("SCAN (subquery");
    Ok(steps(db, sql)?.into_iter().filter(|step| step.starts_with("SCAN ") && !is_part(step)).collect())
}

/// An index with a condition holds what is unfinished, not what ever was; but where it only leaves out rows
/// without a value, or what was overheard.
fn is_partial(db: &Connection, index: &str) -> bool {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name = ?1 AND sql LIKE '% WHERE %'
               AND sql NOT LIKE '% IS NOT NULL%' AND name <> 'messages_turns'";
    db.query_row(sql, [index], |row| row.get::<_, i64>(0)).unwrap() == 1
}

fn is_fine(db: &Connection, sql: &str, scan: &str) -> bool {
    let words: Vec<&str> = scan.split_whitespace().collect();
    let index = words.iter().position(|word| *word == "INDEX").and_then(|place| words.get(place + 1));
    let bounded = sql.contains(" LIMIT ") && !sql.contains("WHERE") && !sql.contains("GROUP BY");
    let sql: Vec<&str> = sql.split_whitespace().collect();
    bounded
        || index.is_some_and(|index| is_partial(db, index))
        || SMALL.iter().any(|(table, _)| *table == words[1])
        || SELDOM.iter().any(|(beginning, _)| sql.join(" ").starts_with(beginning))
}

fn database() -> (tempfile::TempDir, Connection) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(Store::open(&path).unwrap());
    let db = Connection::open(path).unwrap();
    (folder, db)
}

/// storage.md #31, S1, S2
#[test]
fn no_statement_reads_a_whole_table() {
    let (_folder, db) = database();
    let statements = statements();
    assert!(statements.len() > 100, "only {} statements are found", statements.len());
    let mut problems = Vec::new();
    for Statement { file, sql } in &statements {
        match scans(&db, sql) {
            Ok(scans) => problems.extend(
                scans.iter().filter(|scan| !is_fine(&db, sql, scan)).map(|scan| format!("{file}: {scan}:\n{sql}")),
            ),
            Err(error) => problems.push(format!("{file}: {error}:\n{sql}")),
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

/// What is asked of the runs that are queued or at work, at each of them and often a second, is asked of those
/// alone: not of all that a space or a platform ever had, which takes longer with every message.
#[test]
fn what_is_unfinished_is_not_looked_for_in_all_that_was() {
    let (_folder, db) = database();
    let asked: Vec<Statement> = statements()
        .into_iter()
        .filter(|Statement { sql, .. }| {
            sql.starts_with("SELECT") && sql.contains("FROM runs") && sql.contains(UNFINISHED)
        })
        .collect();
    assert!(asked.len() >= 8, "only {} statements are found", asked.len());
    let of_all = |step: &String| step.contains("INDEX runs_by_space") || step.contains("(platform=?)");
    let problems: Vec<String> = asked
        .iter()
        .filter_map(|Statement { file, sql }| {
            let step = steps(&db, sql).unwrap().into_iter().find(of_all)?;
            Some(format!("{file}: {step}:\n{sql}"))
        })
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

/// The test itself sees what it should see.
#[test]
fn a_scan_is_seen() {
    let (_folder, db) = database();
    for sql in ["SELECT id FROM runs WHERE state = 'queued'", "DELETE FROM messages WHERE content = ?1"] {
        let scans = scans(&db, sql).unwrap();
        assert!(scans.iter().any(|scan| !is_fine(&db, sql, scan)), "{sql}: {scans:?}");
    }
}

/// storage.md S2: else every row that is removed costs a look at every row that may point to it.
#[test]
fn what_points_to_a_row_is_on_an_index() {
    let (_folder, db) = database();
    let list = |sql: &str| -> Vec<(String, String)> {
        let mut rows = db.prepare(sql).unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let pointing = list(
        "SELECT t.name, f.\"from\" FROM sqlite_schema t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table'",
    );
    assert!(pointing.len() > 10);
    let first = list(
        "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_index_list(t.name) i JOIN pragma_index_info(i.name) c
         WHERE t.type = 'table' AND c.seqno = 0",
    );
    for column in pointing {
        assert!(first.contains(&column), "{column:?}");
    }
}

/// An index whose columns are the beginning of another's serves no query that the other does not, and is
/// written with every row.
#[test]
fn no_index_is_the_beginning_of_another() {
    let (_folder, db) = database();
    let list = |sql: &str| -> Vec<(String, String, String, i64)> {
        let mut rows = db.prepare(sql).unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        rows.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
    };
    // An expression is like no other.
    let whole = list(
        "SELECT t.name, i.name, (SELECT group_concat(coalesce(name, i.name || seqno), ',') || ',' FROM pragma_index_info(i.name)), i.\"unique\"
         FROM sqlite_schema t JOIN pragma_index_list(t.name) i WHERE t.type = 'table' AND NOT i.partial",
    );
    assert!(whole.len() > 30);
    let mut problems = Vec::new();
    for (table, index, columns, is_unique) in &whole {
        let longer = whole
            .iter()
            .find(|(of, other, of_other, _)| of == table && other != index && of_other.starts_with(columns.as_str()));
        if let (Some((_, other, ..)), 0) = (longer, is_unique) {
            problems.push(format!("{table}: {index} ({columns}) is the beginning of {other}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
