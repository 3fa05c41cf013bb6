use super::*;
use crate::domain::{
    failure::Failure,
    ids::{RunId, SpaceId},
    run::RunState,
    stages::Marks,
};

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    (folder, store)
}

fn space(name: &str) -> SpaceId {
    SpaceId::try_from(name.to_owned()).unwrap()
}

async fn message(store: &Store, place: &str, event: &str) -> Accepted {
    store.create_space(&space(place), 1).await.unwrap();
    let message = NewInbound {
        platform: "api".into(),
        event: event.into(),
        space: space(place),
        conversation: "api:x".into(),
        author: "api:x".into(),
        author_name: None,
        text: format!("text of {event}"),
        attachments: Vec::new(),
        received_at: 1,
        chat: None,
    };
    store.accept(message).await.unwrap()
}

async fn queued(store: &Store, place: &str, event: &str) -> RunId {
    let inbound = message(store, place, event).await.id();
    let run = RunId::from_stored(event.to_owned());
    store
        .queue(NewRun { id: run.clone(), inbound, role: "member".into(), created_at: 1, marks: Marks::default() })
        .await
        .unwrap();
    run
}

#[tokio::test]
async fn a_second_delivery_is_recognised() {
    let (_folder, store) = store();
    let first = message(&store, "main", "1").await;
    assert_eq!(message(&store, "main", "1").await, Accepted::Duplicate(first.id()));
    assert_eq!(store.undecided().await.unwrap().len(), 1);
}

#[tokio::test]
async fn spaces_take_turns_and_have_one_run_each() {
    let (_folder, store) = store();
    for (place, event) in [("a", "01"), ("a", "02"), ("a", "03"), ("b", "04")] {
        queued(&store, place, event).await;
    }
    let mut order = Vec::new();
    for now in 1..=2 {
        order.push(store.take_next(now, Vec::new).await.unwrap().unwrap().0.id.to_string());
    }
    assert!(store.take_next(3, Vec::new).await.unwrap().is_none(), "both spaces are busy");
    for run in order.clone() {
        store.fail(&RunId::from_stored(run), &Failure::Aborted, Marks::default()).await.unwrap();
    }
    order.push(store.take_next(4, Vec::new).await.unwrap().unwrap().0.id.to_string());
    assert_eq!(order, ["01", "04", "02"]);
}

#[tokio::test]
async fn a_run_goes_its_way_once() {
    let (_folder, store) = store();
    let run = queued(&store, "main", "01").await;
    let (taken, _) = store.take_next(1, Vec::new).await.unwrap().unwrap();
    assert_eq!((taken.state, taken.attempts), (RunState::Preparing, 1));
    assert!(store.mark_running(&run, 2).await.unwrap());
    assert!(!store.mark_running(&run, 3).await.unwrap());
    let result = mercury_protocol::io::RunResult { ok: true, reply: Some("done".into()), ..Default::default() };
    store.finish(&run, &result, Marks::default()).await.unwrap();
    store.fail(&run, &Failure::Lost, Marks::default()).await.unwrap();
    let unanswered = store.unanswered().await.unwrap();
    assert_eq!(unanswered.len(), 1);
    assert!(unanswered[0].2.is_ok(), "a finished run cannot fail any more");
    let reply = NewOutbound {
        inbound: taken.inbound,
        run: Some(run.clone()),
        reply: "done".into(),
        files: Vec::new(),
        problem: None,
        suppressed: false,
    };
    store.answer(&run, reply.clone(), Marks::default(), 5).await.unwrap();
    store.answer(&run, NewOutbound { reply: "twice".into(), ..reply }, Marks::default(), 6).await.unwrap();
    let answer = store.answer_to(taken.inbound).await.unwrap().unwrap();
    assert_eq!((answer.reply.as_str(), answer.state), ("done", OutboundState::Pending));
    assert!(store.unanswered().await.unwrap().is_empty());
    let history = store.history(&space("main"), "api:x", "other", 10).await.unwrap();
    assert_eq!(history.iter().map(|m| m.content.as_str()).collect::<Vec<_>>(), ["text of 01", "done"]);
}

#[tokio::test]
async fn history_counts_user_turns() {
    let (_folder, store) = store();
    for event in ["01", "02", "03"] {
        queued(&store, "main", event).await;
    }
    let history = store.history(&space("main"), "api:x", "03", 1).await.unwrap();
    assert_eq!(history.iter().map(|m| m.content.as_str()).collect::<Vec<_>>(), ["text of 02"]);
}

/// extensions.md #29 #30: a quota that keeps what was there, and namespaces that do not meet.
#[tokio::test]
async fn plugin_state_is_apart_and_bounded() {
    let (_folder, store) = store();
    assert!(store.kv_set("a", "k", vec![1; 10], None, 20).await.unwrap());
    assert!(matches!(store.kv_set("a", "l", vec![1; 10], None, 20).await, Err(KvError::Quota { quota: 20 })));
    assert_eq!(store.kv_get("a", "k").await.unwrap(), Some(vec![1; 10]));
    assert_eq!(store.kv_get("b", "k").await.unwrap(), None);
    assert!(!store.kv_set("a", "k", vec![2], Some(None), 20).await.unwrap());
    assert!(store.kv_set("a", "k", vec![2], Some(Some(vec![1; 10])), 20).await.unwrap());
    assert_eq!(store.kv_keys("a", "", None).await.unwrap(), ["k"]);
    assert!(store.kv_remove("a", "k").await.unwrap());
}

/// storage.md #1
#[tokio::test]
async fn spaces_are_made_once_and_listed_in_their_order() {
    let (_folder, store) = store();
    assert!(SpaceId::try_from("bad:slug".to_owned()).is_err());
    for (name, now) in [("z", 1), ("a", 2), ("z", 3)] {
        store.create_space(&space(name), now).await.unwrap();
    }
    assert_eq!(store.spaces().await.unwrap(), ["z", "a", "main"]);
}

/// storage.md #4, #12: the newest, each space for itself, with a question that has no answer yet.
#[tokio::test]
async fn history_is_the_newest_of_one_space() {
    let (_folder, store) = store();
    for (place, event) in [("a", "01"), ("b", "02"), ("a", "03"), ("a", "04"), ("a", "05")] {
        queued(&store, place, event).await;
    }
    let history = async |place: &str, turns| -> Vec<String> {
        let history = store.history(&space(place), "api:x", "", turns).await.unwrap();
        history.into_iter().map(|message| message.content).collect()
    };
    assert_eq!(history("a", 3).await, ["text of 03", "text of 04", "text of 05"]);
    assert_eq!(history("a", 50).await.len(), 4);
    assert_eq!(history("b", 50).await, ["text of 02"]);
    assert!(history("empty", 50).await.is_empty());
    assert!(history("a", 0).await.len() <= 4);
}

/// storage.md #15
#[tokio::test]
async fn roles_are_kept_apart_by_space() {
    let (_folder, store) = store();
    store.create_space(&space("team"), 1).await.unwrap();
    let role = async |place: &str| store.role_of(&space(place), "p:ada").await.unwrap();
    assert_eq!(role("main").await, "member", "a stranger");
    store.welcome(&space("main"), "p:ada", "admin", Some("Ada")).await.unwrap();
    assert_eq!((role("main").await.as_str(), role("team").await.as_str()), ("admin", "member"));
    // With a name, since only then is the row written again.
    for name in [Some("Ada L."), None] {
        store.welcome(&space("main"), "p:ada", "helper", name).await.unwrap();
        assert_eq!(role("main").await, "admin", "whoever has a role keeps it");
    }
    let name = store.read(|db| db.query_row("SELECT display_name FROM members", [], |row| row.get::<_, String>(0)));
    assert_eq!(name.await.unwrap(), "Ada L.", "no name keeps the old one");
}

/// storage.md #13: what is told twice is known once, another conversation does not know it, and of several that had a
/// number the last one has it.
#[tokio::test]
async fn a_platforms_id_is_known_in_its_conversation() {
    let (_folder, store) = store();
    let mut deliveries = Vec::new();
    for (message, conversation) in [("one", "p:1"), ("two", "p:1"), ("three", "p:2")] {
        let new = NewDelivery {
            message: message.into(),
            platform: "p".into(),
            conversation: conversation.into(),
            thread: None,
            reply_to: None,
            text: "x".into(),
            choices: Vec::new(),
        };
        assert!(store.send(new.clone(), 1).await.unwrap());
        assert!(!store.send(new, 2).await.unwrap(), "the same again is the same");
        let head = store.heads().await.unwrap().into_iter().find(|(it, _)| it.new.message == message).unwrap().0;
        store.sent(&head, vec!["99".into()], 3).await.unwrap();
        deliveries.push(head);
    }
    store.sent(&deliveries[0], vec!["99".into()], 4).await.unwrap();
    let deliveries: Vec<_> = deliveries.into_iter().map(|head| head.id).collect();
    let said = store.read(|db| {
        let mut rows = db.prepare("SELECT conversation || ' ' || message || ' ' || delivery FROM said ORDER BY 1")?;
        rows.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()
    });
    let expected = [format!("p:1 99 {}", deliveries[1]), format!("p:2 99 {}", deliveries[2])];
    assert_eq!(said.await.unwrap(), expected);
}

/// One broadcast at a time. One that nobody can receive holds up others for an hour, and itself for good.
#[tokio::test]
async fn a_broadcast_waits_for_the_one_before() {
    const HOUR: i64 = 60 * 60 * 1000;
    let (_folder, store) = store();
    let say = async |number: i64, text: &str, conversation: &str, now: i64| {
        let new = NewDelivery {
            message: format!("{BROADCAST_DELIVERY}{number}"),
            platform: "away".into(),
            conversation: conversation.into(),
            thread: None,
            reply_to: None,
            text: text.into(),
            choices: Vec::new(),
        };
        store.broadcast(vec![new], now).await.unwrap()
    };
    assert!(say(1, "x", "away:1", 0).await);
    assert!(!say(2, "y", "away:1", HOUR - 1).await);
    assert!(!say(2, "x", "away:1", 99 * HOUR).await, "nobody is to hear it twice");
    assert!(say(2, "x", "away:2", 99 * HOUR).await, "to somebody else");
    assert!(say(3, "y", "away:1", 100 * HOUR).await);
    for (head, _) in store.heads().await.unwrap() {
        store.sent(&head, Vec::new(), 101 * HOUR).await.unwrap();
    }
    assert!(say(4, "x", "away:1", 101 * HOUR).await, "the one before is heard by now");
}

/// What a message brought is not taken away before its agent could look at it.
#[tokio::test]
async fn files_are_needed_until_the_agent_has_them() {
    let (_folder, store) = store();
    store.create_space(&space("main"), 1).await.unwrap();
    let run = queued(&store, "main", "1").await;
    let file = r#"[{"path":"/spaces/main/inbox/a.pdf","type":"document","mimeType":"application/pdf"}]"#;
    store.write(move |db| db.execute("UPDATE inbound SET attachments = ?1", [file])).await.unwrap();
    let needed = async || store.waiting_files(&space("main"), 2).await.unwrap();
    assert_eq!(needed().await, ["a.pdf"]);
    assert_eq!(store.take_next(2, Vec::new).await.unwrap().unwrap().0.id, run);
    assert_eq!(needed().await, ["a.pdf"], "it is prepared");
    store.write(|db| db.execute("UPDATE runs SET state = 'running'", [])).await.unwrap();
    assert!(needed().await.is_empty());
}

/// A platform that is away is no sign of a message that breaks its adapter, so the two are counted apart.
#[tokio::test]
async fn faults_are_counted_among_the_failures() {
    let (_folder, store) = store();
    let new = NewDelivery {
        message: "one".into(),
        platform: "p".into(),
        conversation: "p:1".into(),
        thread: None,
        reply_to: None,
        text: "x".into(),
        choices: Vec::new(),
    };
    assert!(store.send(new, 1).await.unwrap());
    let counted = async || {
        let (head, _) = store.heads().await.unwrap().remove(0);
        (head.id, head.attempts, head.faults, head.progress)
    };
    let id = counted().await.0;
    let again = |progress: &str| Attempt::Again { not_before: 2, progress: Some(progress.into()), reason: "r".into() };
    for (is_fault, progress) in [(false, "a"), (true, "b"), (false, "c"), (true, "d")] {
        store.attempted(id, again(progress), is_fault, 2).await.unwrap();
    }
    assert_eq!(counted().await, (id, 4, 2, Some("d".into())));
    store.attempted(id, Attempt::Dead { progress: None, reason: "r".into() }, true, 3).await.unwrap();
    assert!(store.heads().await.unwrap().is_empty());
    assert!(store.redeliver(id, 4).await.unwrap());
    assert_eq!(counted().await, (id, 0, 0, Some("d".into())), "the operator's retry begins anew, where it was");
}

/// What is written at the same moment shares a commit, and each caller is told its own.
#[tokio::test]
async fn many_write_at_once_and_one_fails() {
    let (folder, store) = store();
    let writes = (0..200).map(|number| {
        store.write(move |db| {
            db.execute("INSERT INTO plugin_kv VALUES ('p', ?1, x'00')", [number.to_string()])?;
            match number {
                7 => db.execute("INSERT INTO nowhere VALUES (1)", []),
                _ => Ok(number),
            }
        })
    });
    let outcomes = futures_util::future::join_all(writes).await;
    for (number, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(outcome.ok(), (number != 7).then_some(number));
    }
    // Another connection sees what is on disk.
    let db = Connection::open(folder.path().join("state.db")).unwrap();
    let count: i64 = db.query_row("SELECT count(*) FROM plugin_kv", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 199);
}

#[tokio::test]
async fn a_fault_of_one_step_is_not_the_end_of_the_database() {
    let (_folder, store) = store();
    let broken = store.write(|_| -> rusqlite::Result<()> { panic!("as asked") }).await.unwrap_err();
    assert!(matches!(broken, StoreError::Broken { .. }), "{broken}");
    for _ in 0..=READERS {
        let broken = store.read(|_| -> rusqlite::Result<()> { panic!("as asked") }).await.unwrap_err();
        assert!(matches!(broken, StoreError::Broken { .. }), "{broken}");
    }
    store.create_space(&space("after"), 1).await.unwrap();
    assert_eq!(store.spaces().await.unwrap().len(), 2);
}

/// A read cannot write, whatever it is asked.
#[tokio::test]
async fn reads_never_write() {
    let (_folder, store) = store();
    let refused = store.read(|db| db.execute("DELETE FROM spaces", [])).await.unwrap_err();
    assert!(refused.to_string().contains("readonly"), "{refused}");
}

/// storage.md #29: who reads by another handle does not hold up who writes.
#[tokio::test]
async fn a_reader_beside_does_not_block() {
    let (folder, store) = store();
    let mut other = opening::open_for_reading(&folder.path().join("state.db")).unwrap();
    let reading = other.transaction().unwrap();
    let count = |db: &Connection| -> i64 { db.query_row("SELECT count(*) FROM spaces", [], |row| row.get(0)).unwrap() };
    assert_eq!(count(&reading), 1);
    store.create_space(&space("x"), 1).await.unwrap();
    assert_eq!((count(&reading), store.spaces().await.unwrap().len()), (1, 2), "it still sees its own moment");
}

/// storage.md #29: a locked database is waited for, and named when that takes too long.
#[tokio::test]
async fn a_locked_database_is_named() {
    let (folder, store) = store();
    let path = folder.path().join("state.db");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = store.create_space(&space("x"), 1).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("state.db"));
}
