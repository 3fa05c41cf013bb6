use super::*;
use crate::{
    domain::{approval::Said, stages::Marks},
    store::{NewDelivery, NewInbound, NewRun},
};

async fn store_with_run() -> (tempfile::TempDir, Store, RunId) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    let run = run(&store, "01").await;
    (folder, store, run)
}

async fn run(store: &Store, event: &str) -> RunId {
    let message = NewInbound {
        platform: "api".into(),
        event: event.into(),
        space: SpaceId::try_from("main".to_owned()).unwrap(),
        conversation: "api:x".into(),
        author: "api:x".into(),
        author_name: None,
        text: "x".into(),
        attachments: Vec::new(),
        received_at: 1,
        chat: None,
    };
    let inbound = store.accept(message).await.unwrap().id();
    let run = RunId::from_stored(event.into());
    let new = NewRun { id: run.clone(), inbound, role: "member".into(), created_at: 1, marks: Marks::default() };
    store.queue(new).await.unwrap();
    run
}

fn question(run: &RunId, call: &str) -> NewQuestion {
    NewQuestion {
        run: run.clone(),
        call: call.into(),
        digest: "d".into(),
        plugin: "p".into(),
        tool: "bash".into(),
        arguments: serde_json::json!({ "command": "rm x" }),
        edited: false,
        text: "Really?".into(),
        approver: "admin".into(),
        asked_at: 1_000,
        expires_at: 11_000,
    }
}

fn decision(question: &Question, state: State) -> NewDecision {
    NewDecision {
        run: question.asked.run.clone(),
        call: question.asked.call.clone(),
        tool: question.asked.tool.clone(),
        digest: String::new(),
        excerpt: String::new(),
        plugin: question.asked.plugin.clone(),
        verdict: state.as_str(),
        reason: None,
        person: None,
        at: 0,
    }
}

fn allow(question: i64, at: i64) -> Settlement {
    Settlement {
        question,
        event: Event::Answered(Said::Allow),
        by: "api:boss".into(),
        at,
        verdict: Some(ToolVerdict::Allow),
        next: None,
        decisions: Vec::new(),
        reply: None,
    }
}

async fn ask(store: &Store, run: &RunId, call: &str) -> Option<Question> {
    match store.ask(question(run, call), Vec::new()).await.unwrap() {
        Opened::Open(question) => Some(*question),
        Opened::TooMany => None,
    }
}

#[tokio::test]
async fn the_same_call_is_asked_once_and_answered_once() {
    let (_folder, store, run) = store_with_run().await;
    let first = ask(&store, &run, "c").await.unwrap();
    assert_eq!(ask(&store, &run, "c").await.unwrap().id, first.id);
    let settled = store.settle(allow(first.id, 2_000)).await.unwrap().unwrap();
    assert_eq!((settled.state, settled.verdict), (State::Allowed, Some(ToolVerdict::Allow)));
    let late = store.settle(allow(first.id, 2_001)).await.unwrap().unwrap_err();
    assert_eq!(late.answered_by.as_deref(), Some("api:boss"));
    assert_eq!(ask(&store, &run, "c").await.unwrap().state, State::Allowed, "asked again, the answer is given again");
}

#[tokio::test]
async fn an_answer_in_the_last_moment_counts_and_one_behind_it_does_not() {
    let (_folder, store, run) = store_with_run().await;
    let (a, b) = (ask(&store, &run, "a").await.unwrap(), ask(&store, &run, "b").await.unwrap());
    assert!(store.settle(allow(a.id, 10_999)).await.unwrap().is_ok());
    assert!(store.settle(allow(b.id, 11_000)).await.unwrap().is_err());
    let expired = store.expire_questions(11_000, decision).await.unwrap();
    assert_eq!(
        expired.iter().map(|question| (question.id, question.state)).collect::<Vec<_>>(),
        [(b.id, State::Expired)]
    );
    assert!(matches!(&expired[0].verdict, Some(ToolVerdict::Deny { reason }) if reason.contains("within 10 s")));
    assert_eq!(store.decisions(10).await.unwrap()[0].verdict, "expired");
}

/// The question that follows is asked in the transaction that settles the first, and the reply to
/// whoever answered is written with it.
#[tokio::test]
async fn a_question_follows_a_question() {
    let (_folder, store, run) = store_with_run().await;
    let first = ask(&store, &run, "c").await.unwrap();
    let answer = super::super::NewInbound {
        platform: "api".into(),
        event: "answer".into(),
        space: first.space.clone(),
        conversation: "api:x".into(),
        author: "api:x".into(),
        author_name: None,
        text: "1".into(),
        attachments: Vec::new(),
        received_at: 1,
        chat: None,
    };
    let inbound = store.accept(answer).await.unwrap().id();
    let reply =
        NewOutbound { inbound, run: None, reply: "ok".into(), files: Vec::new(), problem: None, suppressed: false };
    let settlement =
        Settlement { verdict: None, next: Some(question(&run, "c")), reply: Some(reply), ..allow(first.id, 2_000) };
    assert_eq!(store.settle(settlement).await.unwrap().unwrap().verdict, None);
    let second = store.question_about(&run, "c").await.unwrap().unwrap();
    assert_eq!((second.ordinal, second.state), (1, State::Open));
    assert_eq!(store.answer_to(inbound).await.unwrap().unwrap().reply, "ok");
    assert!(store.undecided().await.unwrap().iter().all(|open| open.id != inbound));
}

#[tokio::test]
async fn an_agent_can_not_ask_without_end() {
    let (_folder, store, run) = store_with_run().await;
    for n in 0..approval::MOST_OPEN {
        assert!(ask(&store, &run, &n.to_string()).await.is_some());
    }
    assert!(ask(&store, &run, "one more").await.is_none());
    let mut asked = approval::MOST_OPEN;
    for question in store.open_questions().await.unwrap() {
        store.settle(allow(question.id, 2_000)).await.unwrap().unwrap();
    }
    while let Some(question) = ask(&store, &run, &format!("more {asked}")).await {
        store.settle(allow(question.id, 2_000)).await.unwrap().unwrap();
        asked += 1;
    }
    assert_eq!(asked, approval::MOST_ASKED);
}

#[tokio::test]
async fn the_questions_of_a_run_that_is_over_are_taken_back() {
    let (_folder, store, first) = store_with_run().await;
    let second = run(&store, "02").await;
    let (a, b) = (ask(&store, &first, "a").await.unwrap(), ask(&store, &second, "b").await.unwrap());
    store.fail(&first, &crate::domain::failure::Failure::Aborted, Marks::default()).await.unwrap();
    let ended = store.withdraw_questions(None, 2_000, decision).await.unwrap();
    assert_eq!(ended.iter().map(|question| question.id).collect::<Vec<_>>(), [a.id]);
    assert_eq!(store.open_questions().await.unwrap()[0].id, b.id);
    assert_eq!(store.withdraw_questions(Some(second), 2_000, decision).await.unwrap()[0].state, State::Withdrawn);
}

#[tokio::test]
async fn the_time_that_people_were_waited_for_is_known() {
    let (_folder, store, run) = store_with_run().await;
    let question = ask(&store, &run, "a").await.unwrap();
    assert_eq!(store.waited(&run, 4_000).await.unwrap(), 3_000);
    assert_eq!(store.waited(&run, 99_000).await.unwrap(), 10_000, "never more than its own time");
    store.settle(allow(question.id, 3_000)).await.unwrap().unwrap();
    assert_eq!(store.waited(&run, 99_000).await.unwrap(), 2_000);
}

#[tokio::test]
async fn old_decisions_make_room() {
    let (_folder, store, run) = store_with_run().await;
    let question = ask(&store, &run, "a").await.unwrap();
    let one = decision(&question, State::Allowed);
    store.record_decisions(vec![one.clone(); MOST_DECISIONS as usize]).await.unwrap();
    store.record_decisions(vec![one; 5]).await.unwrap();
    let (count, first): (i64, i64) = store
        .read(|db| db.query_row("SELECT count(*), min(id) FROM decisions", [], |row| Ok((row.get(0)?, row.get(1)?))))
        .await
        .unwrap();
    assert_eq!((count, first), (MOST_DECISIONS, 6));
}

fn putting(question: i64) -> NewDelivery {
    NewDelivery {
        message: format!("{QUESTION_DELIVERY}{question}"),
        platform: "p".into(),
        conversation: "p:1".into(),
        thread: None,
        reply_to: None,
        text: "Really?".into(),
        choices: Vec::new(),
    }
}

/// From the moment that it is to be put until it is known by which message.
#[tokio::test]
async fn a_question_on_its_way_is_known() {
    let (_folder, store, _run) = store_with_run().await;
    assert!(!store.is_being_put(7, "p:1").await.unwrap());
    store.send(putting(7), 1).await.unwrap();
    assert!(store.is_being_put(7, "p:1").await.unwrap());
    assert!(!store.is_being_put(7, "p:2").await.unwrap() && !store.is_being_put(8, "p:1").await.unwrap());
    let (head, _) = store.heads().await.unwrap().remove(0);
    store.sent(&head, vec!["99".into()], 2).await.unwrap();
    assert!(!store.is_being_put(7, "p:1").await.unwrap());
    assert_eq!(store.question_put_by("p:1", "99").await.unwrap(), Some(7));
}

/// A bot with another token counts from where its own account is: the message of a question may have the number of
/// one of long ago, and its buttons are still its own.
#[tokio::test]
async fn a_question_may_have_a_number_that_was_another_ones() {
    let (_folder, store, _run) = store_with_run().await;
    let put = async |delivery: NewDelivery| {
        store.send(delivery, 1).await.unwrap();
        let (head, _) = store.heads().await.unwrap().remove(0);
        store.sent(&head, vec!["8".into()], 2).await.unwrap();
        head
    };
    let answer = put(NewDelivery { message: "answer-1-1".into(), ..putting(0) }).await;
    assert_eq!(store.question_put_by("p:1", "8").await.unwrap(), None);
    put(putting(7)).await;
    assert_eq!(store.question_put_by("p:1", "8").await.unwrap(), Some(7));
    store.sent(&answer, vec!["8".into()], 3).await.unwrap();
    assert_eq!(store.question_put_by("p:1", "8").await.unwrap(), Some(7), "what is told again is no news");
}
