use super::*;
use crate::domain::ids::SpaceId;
use crate::store::{Granted, Mute, Store};

const DAY: i64 = 86_400_000;
const NOW: i64 = 3 * DAY + 5;

fn space(name: &str) -> SpaceId {
    SpaceId::try_from(name.to_owned()).unwrap()
}

async fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    for name in ["a", "b", "c"] {
        store.create_space(&space(name), 1).await.unwrap();
    }
    (folder, store)
}

async fn grant(store: &Store, at: &str, person: &str, role: &str) {
    let change = Granted {
        space: space(at),
        person: person.into(),
        role: role.into(),
        by: "p:root".into(),
        admins_elsewhere: true,
        at: 1,
    };
    assert!(store.grant_role(change).await.unwrap());
}

async fn mute(store: &Store, at: &str, person: &str, end: i64) {
    let mute = Mute { person: person.into(), expires_at: end, reason: None, muted_by: "p:root".into(), created_at: 1 };
    store.mute(&space(at), mute).await.unwrap();
}

async fn lines(store: &Store, sql: &'static str) -> Vec<String> {
    store.read(move |db| db.prepare(sql)?.query_map([], |row| row.get(0))?.collect()).await.unwrap()
}

async fn move_all(store: &Store, from: &'static str, to: &'static str) -> Moved {
    store.write(move |db| give(db, from, to, NOW)).await.unwrap()
}

/// storage.md #21: role, mute and counter go along; equal ids change nothing.
#[tokio::test]
async fn what_is_kept_of_somebody_moves() {
    let (_folder, store) = store().await;
    grant(&store, "a", "p:lid", "moderator").await;
    mute(&store, "b", "p:lid", 50).await;
    let rows = |db: &Transaction<'_>| {
        db.execute_batch(
            "INSERT INTO asked_daily VALUES ('a', 'p:lid', 3, 2); INSERT INTO asked VALUES ('a', 'p:lid', 7);
             INSERT INTO spending (run, space, person, provider, model, began_at, state) VALUES
                 ('1', 'a', 'p:lid', 'x', 'm', 259200005, 'complete'), ('2', 'a', 'p:lid', 'x', 'm', 5, 'complete');
             INSERT INTO tasks (space, prompt, cron, silent, created_by, platform, conversation, direct, next_run_at, created_at, updated_at)
                 VALUES ('a', 'report', '0 9 * * *', 0, 'p:lid', 'p', 'p:1', 1, 60, 5, 5);
             INSERT INTO inbound (id, platform, event, space, conversation, author, text, attachments, received_at, decided)
                 VALUES (1, 'p', 'e', 'a', 'p:1', 'p:lid', 'mail', '[]', 5, 1);
             INSERT INTO unconfirmed VALUES ('p:1', '', 'p:lid', 1, '[]', 99);",
        )
    };
    store.write(rows).await.unwrap();
    assert!(move_all(&store, "p:lid", "p:lid").await.is_empty());
    let moved = move_all(&store, "p:lid", "p:pn").await;
    assert_eq!(moved, Moved { roles: 1, mutes: 1, counters: 1, tasks: 1, lost_roles: Vec::new() });
    let of = "SELECT 'role ' || space || ' ' || person || ' ' || role FROM members
        UNION ALL SELECT 'mute ' || space || ' ' || person || ' ' || expires_at FROM mutes
        UNION ALL SELECT 'daily ' || space || ' ' || person || ' ' || count FROM asked_daily
        UNION ALL SELECT 'asked ' || person FROM asked UNION ALL SELECT 'task ' || created_by FROM tasks
        UNION ALL SELECT 'unconfirmed ' || person FROM unconfirmed
        UNION ALL SELECT 'spent ' || run || ' ' || person FROM spending ORDER BY 1";
    let expected = [
        "asked p:pn",
        "daily a p:pn 2",
        "mute b p:pn 50",
        "role a p:pn moderator",
        "spent 1 p:pn",
        "spent 2 p:lid",
        "task p:pn",
        "unconfirmed p:pn",
    ];
    assert_eq!(lines(&store, of).await, expected);
    assert!(move_all(&store, "p:lid", "p:pn").await.is_empty());
}

/// An id that passed on brings its limits to who has it now, takes none away, and gives no rights.
#[tokio::test]
async fn limits_are_shared_and_rights_are_not() {
    let (_folder, store) = store().await;
    grant(&store, "a", "p:before", "admin").await;
    mute(&store, "a", "p:before", 50).await;
    mute(&store, "b", "p:before", 40).await;
    mute(&store, "b", "p:now", 50).await;
    store
        .write(|db| {
            db.execute_batch(
                "INSERT INTO asked_daily VALUES ('a', 'p:before', 3, 7), ('a', 'p:now', 3, 2), ('b', 'p:before', 3, 1)",
            )?;
            limit_alike(db, "p:before", "p:now")
        })
        .await
        .unwrap();
    let roles = "SELECT space || ' ' || person || ' ' || role FROM members ORDER BY 1";
    assert_eq!(lines(&store, roles).await, ["a p:before admin"]);
    let mutes = "SELECT space || ' ' || person || ' ' || expires_at FROM mutes ORDER BY 1";
    assert_eq!(lines(&store, mutes).await, ["a p:before 50", "a p:now 50", "b p:before 40", "b p:now 50"]);
    let counts = "SELECT space || ' ' || person || ' ' || count FROM asked_daily ORDER BY 1";
    assert_eq!(lines(&store, counts).await, ["a p:before 7", "a p:now 7", "b p:before 1", "b p:now 1"]);
}

/// storage.md #21, of what is kept under both ids: a role that the person was given stays, and one of the alias
/// stands over membership that came by itself. The later end of a mute holds, and requests are added up.
#[tokio::test]
async fn nobody_gains_by_two_ids() {
    let (_folder, store) = store().await;
    grant(&store, "a", "p:lid", "admin").await;
    grant(&store, "a", "p:pn", "member").await;
    for (at, role) in [("b", "moderator"), ("c", "guest")] {
        grant(&store, at, "p:lid", role).await;
        store.welcome(&space(at), "p:pn", "member", None).await.unwrap();
    }
    for (at, of_alias, own) in [("a", 50, 40), ("b", 40, 50)] {
        mute(&store, at, "p:lid", of_alias).await;
        mute(&store, at, "p:pn", own).await;
    }
    let rows = |db: &Transaction<'_>| {
        db.execute_batch(
            "INSERT INTO asked_daily VALUES ('a', 'p:lid', 3, 2), ('a', 'p:pn', 3, 5), ('a', 'p:lid', 2, 9)",
        )
    };
    store.write(rows).await.unwrap();
    let moved = move_all(&store, "p:lid", "p:pn").await;
    assert_eq!(moved.lost_roles, [("a".to_owned(), "admin".to_owned())]);
    let roles = "SELECT space || ' ' || person || ' ' || role FROM members ORDER BY 1";
    assert_eq!(lines(&store, roles).await, ["a p:pn member", "b p:pn moderator", "c p:pn guest"]);
    let mutes = "SELECT space || ' ' || person || ' ' || expires_at FROM mutes ORDER BY 1";
    assert_eq!(lines(&store, mutes).await, ["a p:pn 50", "b p:pn 50"]);
    let counts = "SELECT person || ' ' || day || ' ' || count FROM asked_daily ORDER BY 1";
    assert_eq!(lines(&store, counts).await, ["p:pn 2 9", "p:pn 3 7"]);
}
