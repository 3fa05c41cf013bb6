//! What components may do around chats: timers, messages of their own, questions to people.

use mercury_tests::{
    host::Setup,
    parley::{self, bring, called, delivered, direct, running, until},
    plugins::{fixture, install},
};
use serde_json::json;

/// A timer fires once it is due, again after a failure, and after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn timers_fire_until_they_succeed() {
    let mut host = parley::start(&[]).await;
    parley::script(&host, "timer", &["not now"]).await;
    assert_eq!(parley::post(&host, "/timer", &json!({ "name": "a", "after": 10 })).await.body, "Ok(())");
    until(&host, "it fired twice", async || (called(&host, "fire").len() == 2).then_some(())).await;
    host.until("SELECT CAST(count(*) AS TEXT) FROM timers", "0").await;
    parley::post(&host, "/timer", &json!({ "name": "b", "after": 86_400_000 })).await;
    parley::post(&host, "/timer", &json!({ "name": "c", "after": 86_400_000 })).await;
    let third = parley::post(&host, "/timer", &json!({ "name": "d", "after": 1 })).await;
    assert_eq!(third.body, "Err(Error::TooMany)");
    host.kill();
    host.change("UPDATE timers SET due_at = 0 WHERE name = 'b'");
    host.start().await;
    until(&host, "the kept one", async || called(&host, "fire").into_iter().find(|call| call["name"] == "b")).await;
}

/// extensions.md #23: a component's own message goes out, without a run.
#[tokio::test(flavor = "multi_thread")]
async fn a_component_speaks() {
    let host = parley::start(&[]).await;
    bring(&host, &[direct("1", "!reply hi")]).await;
    delivered(&host, "hi").await;
    let unknown = parley::post(&host, "/say", &json!({ "to": "parley:nobody", "text": "x" })).await;
    assert_eq!(unknown.body, "Err(Error::UnknownRecipient)");
    let empty = parley::post(&host, "/say", &json!({ "to": "parley:ada", "text": " " })).await;
    assert!(empty.body.as_str().unwrap().contains("InvalidText"));
    let said = parley::post(&host, "/say", &json!({ "to": "parley:ada", "text": "time for tea" })).await;
    assert!(said.body.as_str().unwrap().starts_with("Ok("), "{said:?}");
    let message = delivered(&host, "time for tea").await;
    assert_eq!((&message["conversation"], &message["replyTo"]), (&json!("parley:ada"), &json!(null)));
    assert_eq!(host.query::<i64>("SELECT count(*) FROM runs").unwrap(), 1);
}

/// A question of a guard goes to the conversation with buttons, and a press answers it.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_by_a_press() {
    let setup = Setup::scripted("runc")
        .set("MERCURY_ADMINS", "parley:ada")
        .yaml("plugins:\n  asking:\n    settings:\n      word: danger\n");
    let mut host = parley::prepare(setup, &[], "");
    install(&host, "asking", "\"tool-guard\"", &["word"], &fixture("asking"));
    host.start().await;
    running(&host).await;
    bring(&host, &[direct("1", "!tool bash echo danger")]).await;
    let question = delivered(&host, "Shall bash do danger?").await;
    let press = question["choices"][0].as_str().unwrap();
    let mut pressed = direct("2", "");
    pressed["answer"] = json!(press);
    assert_eq!(bring(&host, &[pressed]).await, "[Outcome::Accepted]");
    delivered(&host, "Allowed once").await;
    until(&host, "the run's answer", async || {
        called(&host, "deliver").into_iter().find(|call| call["text"] == "allow")
    })
    .await;
}
