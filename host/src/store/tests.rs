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
        order.push(store.take_next(now, Vec::new()).await.unwrap().unwrap().0.id.to_string());
    }
    assert!(store.take_next(3, Vec::new()).await.unwrap().is_none(), "both spaces are busy");
    for run in order.clone() {
        store.fail(&RunId::from_stored(run), &Failure::Aborted, Marks::default()).await.unwrap();
    }
    order.push(store.take_next(4, Vec::new()).await.unwrap().unwrap().0.id.to_string());
    assert_eq!(order, ["01", "04", "02"]);
}

#[tokio::test]
async fn a_run_goes_its_way_once() {
    let (_folder, store) = store();
    let run = queued(&store, "main", "01").await;
    let (taken, _) = store.take_next(1, Vec::new()).await.unwrap().unwrap();
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
