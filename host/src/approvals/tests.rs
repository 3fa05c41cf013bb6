//! The built-in guard asks; what a container may then do with its question, and what not.

use mercury_protocol::socket::{ToolCall, ToolVerdict};
use serde_json::json;

use super::*;
use crate::{
    config::PluginConfig,
    domain::{approval::Said, ids::SpaceId, stages::Marks},
    plugins::{Compiler, Services, types::Caller},
    store::{NewInbound, NewRun},
};

async fn approvals() -> (tempfile::TempDir, Approvals) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    let settings = [("ask-before".to_owned(), "rm".to_owned())].into();
    let configured = [("permission-guard".to_owned(), PluginConfig { settings, ..PluginConfig::default() })].into();
    let plugins =
        Plugins::load(folder.path(), &configured, Compiler::InProcess, Arc::new(Services::new(store.clone())))
            .await
            .unwrap();
    let delivery = Delivery::new(store.clone());
    (folder, Approvals::new(store, Arc::new(plugins), delivery))
}

async fn asker(approvals: &Approvals, run: &str) -> Asker {
    let space = SpaceId::try_from("main".to_owned()).unwrap();
    let message = NewInbound {
        platform: "api".into(),
        event: run.into(),
        space: space.clone(),
        conversation: "api:ada".into(),
        author: "api:ada".into(),
        author_name: None,
        text: "x".into(),
        attachments: Vec::new(),
        received_at: 1,
        chat: None,
    };
    let inbound = approvals.store.accept(message).await.unwrap().id();
    let id = RunId::from_stored(run.into());
    let new = NewRun { id: id.clone(), inbound, role: "member".into(), created_at: 1, marks: Marks::default() };
    approvals.store.queue(new).await.unwrap();
    let conversation = Some("api:ada".into());
    let caller = Caller { person: "api:ada".into(), role: "member".into(), space: space.to_string(), conversation };
    Asker { run: id, caller }
}

fn call(id: Option<&str>, command: &str) -> ToolCall {
    ToolCall { id: id.map(str::to_owned), tool: "bash".into(), arguments: json!({ "command": command }) }
}

fn denial(verdict: ToolVerdict) -> String {
    match verdict {
        ToolVerdict::Deny { reason } => reason,
        other => panic!("not denied: {other:?}"),
    }
}

/// What is allowed for one call of one run is allowed for nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_belongs_to_one_call() {
    let (_folder, approvals) = approvals().await;
    let (ours, theirs) = (asker(&approvals, "01").await, asker(&approvals, "02").await);
    let ToolVerdict::Wait { question, remaining_ms } = approvals.judge(&ours, call(Some("a"), "rm x")).await.unwrap()
    else {
        panic!("it is asked");
    };
    assert!((590_000..=600_000).contains(&remaining_ms), "{remaining_ms}");
    approvals.answer(question, &Person::operator(), Said::Allow, None).await.unwrap();
    assert_eq!(approvals.judge(&ours, call(Some("a"), "rm x")).await.unwrap(), ToolVerdict::Allow, "asked again");
    assert_eq!(approvals.look(&ours.run, question).await.unwrap(), Some(ToolVerdict::Allow));

    assert!(denial(approvals.judge(&ours, call(Some("a"), "rm y")).await.unwrap()).contains("another call"));
    assert!(matches!(approvals.judge(&ours, call(Some("b"), "rm x")).await.unwrap(), ToolVerdict::Wait { .. }));
    assert!(matches!(approvals.judge(&theirs, call(Some("a"), "rm x")).await.unwrap(), ToolVerdict::Wait { .. }));
    assert_eq!(approvals.look(&theirs.run, question).await.unwrap(), None, "another run's question");
    assert!(denial(approvals.judge(&ours, call(None, "rm x")).await.unwrap()).contains("cannot be asked for here"));
    assert!(denial(approvals.judge(&ours, call(Some(&"x".repeat(129)), "rm x")).await.unwrap()).contains("cannot"));
}

/// Whoever looks at a question is told of its end at once, and after some seconds that it is open.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_is_held_until_the_answer() {
    let (_folder, approvals) = approvals().await;
    let ours = asker(&approvals, "01").await;
    let ToolVerdict::Wait { question, .. } = approvals.judge(&ours, call(Some("a"), "rm x")).await.unwrap() else {
        panic!("it is asked");
    };
    let began = std::time::Instant::now();
    assert!(matches!(approvals.look(&ours.run, question).await.unwrap(), Some(ToolVerdict::Wait { .. })));
    assert!(began.elapsed() >= std::time::Duration::from_secs(5));
    let began = std::time::Instant::now();
    let answer = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        approvals.answer(question, &Person::operator(), Said::Deny(None), None).await.unwrap();
    };
    let (verdict, ()) = tokio::join!(approvals.look(&ours.run, question), answer);
    assert!(denial(verdict.unwrap().unwrap()).contains("the operator was asked"));
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
}
