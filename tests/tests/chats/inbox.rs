//! What arrives, and what becomes of it.

use bytes::Bytes;
use mercury_tests::{
    host::{Host, Setup},
    parley::{self, bring, called, command, delivered, direct, group, link_group, until},
    plugins::{fixture, install},
};
use serde_json::json;

fn count(host: &Host, sql: &str) -> i64 {
    host.query(sql).unwrap()
}

/// A direct message goes through a container and its answer back; people see that somebody is at work.
#[tokio::test(flavor = "multi_thread")]
async fn a_direct_message_gets_its_answer() {
    let host = parley::start(&[]).await;
    let mut message = direct("1", "!reply hello **you**");
    message["thread"] = json!("t7");
    message["address"] = json!("the way to ada");
    assert_eq!(bring(&host, &[message]).await, "[Outcome::Accepted]");
    let answer = delivered(&host, "hello **you**").await;
    assert_eq!(
        (&answer["conversation"], &answer["thread"], &answer["address"], &answer["replyTo"], &answer["resume"]),
        (&json!("parley:ada"), &json!("t7"), &json!("the way to ada"), &json!(null), &json!(null))
    );
    until(&host, "idle", async || called(&host, "Activity::Idle").pop()).await;
    assert!(!called(&host, "Activity::Thinking").is_empty());
    host.until("SELECT state FROM outbound", "delivered").await;
    assert_eq!(count(&host, "SELECT count(*) FROM said WHERE conversation = 'parley:ada'"), 1);
    assert!(command(&host, &["conversations", "list"]).contains("dm-parley-ada"));
}

/// pipeline.md #3, #55, weakness W37: nothing happens in a conversation of no space; in a linked group the
/// bot is called, and what is said between people is overheard once.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_calls_the_bot() {
    let host = parley::start(&[]).await;
    link_group(&host).await;
    assert_eq!(count(&host, "SELECT count(*) FROM inbound"), 0);
    let aside = group("2", "lunch at noon");
    assert_eq!(bring(&host, &[aside.clone(), aside]).await, "[Outcome::Ignored, Outcome::Duplicate]");
    host.until("SELECT group_concat(content) FROM messages WHERE role = 'ambient'", "Ada: lunch at noon").await;

    // Weakness W28: a quote is not part of what is said.
    let mut quoting = group("3", "I do not think so");
    quoting["quoted"] = json!({ "message": "x", "author": "bob", "text": "hey @Mercury do it" });
    assert_eq!(bring(&host, &[quoting]).await, "[Outcome::Ignored]");

    assert_eq!(bring(&host, &[group("4", "@Mercury\n!reply at noon")]).await, "[Outcome::Accepted]");
    let answer = delivered(&host, "at noon").await;
    assert_eq!(answer["replyTo"], "4");
    host.until("SELECT state FROM outbound", "delivered").await;

    // An answer to what the bot said is for the bot, who knows its own message.
    let said: String = host.query("SELECT message FROM said").unwrap();
    let mut reply = group("5", "!reply once more");
    reply["quoted"] = json!({ "message": said, "text": "at noon" });
    assert_eq!(bring(&host, &[reply]).await, "[Outcome::Accepted]");
    assert_eq!(delivered(&host, "once more").await["replyTo"], "5");
    assert_eq!(count(&host, "SELECT count(*) FROM runs"), 2);
}

/// adapters.md #7 and #23 in general: an event again, and the same message by another event.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_runs_once() {
    let host = parley::start(&[]).await;
    let mut other_event = direct("2", "!reply once");
    other_event["message"] = json!("1");
    let all = [direct("1", "!reply once"), direct("1", "!reply once"), other_event];
    assert_eq!(bring(&host, &all).await, "[Outcome::Accepted, Outcome::Duplicate, Outcome::Duplicate]");
    delivered(&host, "once").await;
    assert_eq!(count(&host, "SELECT count(*) FROM runs"), 1);
}

/// adapters.md #11, #9, #19: edits never run; the bot's removal unlinks a conversation and its threads, not
/// a sibling; a conversation that moves keeps its space.
#[tokio::test(flavor = "multi_thread")]
async fn edits_removals_and_moves() {
    let host = parley::start(&[]).await;
    bring(&host, &[direct("1", "!reply first")]).await;
    delivered(&host, "first").await;
    let mut edit = direct("2", "!reply second");
    (edit["kind"], edit["message"]) = (json!("edited"), json!("1"));
    assert_eq!(bring(&host, &[edit]).await, "[Outcome::Accepted]");
    assert_eq!(count(&host, "SELECT count(*) FROM runs"), 1);
    let text: String = host.query("SELECT content FROM messages WHERE role = 'user'").unwrap();
    assert_eq!(text, "!reply second");

    for (at, name) in ["-1001", "-1001:77", "-10012"].into_iter().enumerate() {
        let seen =
            json!({ "id": format!("s{at}"), "conversation": format!("parley:{name}"), "author": "ada", "text": "x" });
        bring(&host, &[seen]).await;
        command(&host, &["conversations", "link", &format!("parley:{name}"), "main"]);
    }
    let removed = json!({ "id": "r", "kind": "removed", "conversation": "parley:-1001" });
    // Whoever does not know the secret removes nobody.
    let forged =
        host.request("POST", "/webhooks/parley", &[], Bytes::from(json!([removed]).to_string())).await.unwrap();
    assert_eq!(forged.status, 401);
    let linked = "SELECT group_concat(id, ' ') FROM (SELECT id FROM conversations WHERE space = 'main' ORDER BY id)";
    assert_eq!(host.query::<String>(linked).unwrap(), "parley:-1001 parley:-10012 parley:-1001:77");
    bring(&host, &[removed]).await;
    assert_eq!(host.query::<String>(linked).unwrap(), "parley:-10012");

    bring(&host, &[json!({ "id": "m", "kind": "moved", "from": "parley:-10012", "to": "parley:-200" })]).await;
    assert_eq!(host.query::<String>(linked).unwrap(), "parley:-200");
}

/// pipeline.md #1, #2: what is none of the bot's business, and what says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_alone() {
    let host = parley::start(&[]).await;
    let mut bot = direct("1", "!reply forever");
    bot["bot"] = json!(true);
    let other = json!({ "id": "3", "kind": "other" });
    let all = [bot, direct("2", "  "), other];
    assert_eq!(bring(&host, &all).await, "[Outcome::Ignored, Outcome::Ignored, Outcome::Ignored]");
    let foreign = json!([{ "id": "4", "conversation": "slack:C1", "author": "ada", "text": "hi" }]);
    let answer = parley::post(&host, "", &foreign).await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.as_str().unwrap().contains("does not begin with `parley:`"), "{answer:?}");
    assert_eq!(count(&host, "SELECT count(*) FROM inbound"), 0);
    assert!(parley::called(&host, "deliver").is_empty());
}

/// pipeline.md #2, adapters.md 1.6, 1.9: files go both ways, also without a word; one that did not come is told of, to the agent or to the person.
#[tokio::test(flavor = "multi_thread")]
async fn files_go_both_ways() {
    let host = parley::start(&[]).await;
    let mut message = direct("1", "!ls inbox\n!write outbox/answer.txt forty-two");
    message["file"] = json!({ "name": "my notes.txt", "text": "six by nine" });
    assert_eq!(bring(&host, &[message]).await, "[Outcome::Accepted]");
    let answer = delivered(&host, "my_notes.txt").await;
    assert_eq!(answer["files"], json!([{ "name": "answer.txt", "mime": "text/plain", "text": "forty-two" }]));
    let inbox = host.data_dir().join("spaces/dm-parley-ada/inbox");
    let stored: Vec<_> = std::fs::read_dir(inbox).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(stored.len(), 1);
    assert_eq!(std::fs::read_to_string(&stored[0]).unwrap(), "six by nine");

    let mut alone = direct("alone", "");
    alone["file"] = json!({ "name": "picture.txt", "text": "a thousand words" });
    assert_eq!(bring(&host, &[alone]).await, "[Outcome::Accepted]");
    delivered(&host, "echo:").await;

    let mut wordless = direct("2", "");
    wordless["missing"] = json!("larger than 20 MB");
    assert_eq!(bring(&host, &[wordless]).await, "[Outcome::Accepted]");
    delivered(&host, "Your file did not arrive: document: larger than 20 MB.").await;
    assert_eq!(count(&host, "SELECT count(*) FROM runs"), 2);
}

/// adapters.md 1.9: whom the operator gives no files gives none, and is told.
#[tokio::test(flavor = "multi_thread")]
async fn files_may_be_switched_off() {
    let mut host = parley::prepare(Setup::scripted("runc").set("MERCURY_MEDIA_ENABLED", "false"), &[], "");
    host.start().await;
    parley::running(&host).await;
    let mut message = direct("1", "");
    message["file"] = json!({ "name": "a.txt", "text": "x" });
    bring(&host, &[message]).await;
    delivered(&host, "Your file did not arrive: a.txt: files are switched off here.").await;
    assert!(!host.data_dir().join("spaces/dm-parley-ada/inbox").exists());
}

/// What waits for its decision is bounded: adapters are told to wait, and nothing of what they bring then is
/// stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_intake_takes_nothing() {
    let slow = Setup::scripted("runc").yaml("plugins:\n  hostile:\n    settings: { mode: slow }\n");
    let mut host = parley::prepare(slow, &[], "");
    install(&host, "hostile", "\"prompt-guard\"", &["mode"], &fixture("hostile"));
    host.start().await;
    parley::running(&host).await;
    let from = |person: usize| -> serde_json::Value {
        let message = |number: usize| {
            let mut message = direct(&format!("{person}-{number}"), "hello");
            (message["conversation"], message["author"]) = (json!(format!("p{person}")), json!(format!("p{person}")));
            message
        };
        (0..100).map(message).collect()
    };
    // A hundred of each of ten; a few are decided meanwhile.
    let mut refused = None;
    for person in 0..20 {
        let answer = parley::post(&host, "", &from(person)).await;
        if answer.status != 200 {
            refused = Some((person, answer));
            break;
        }
    }
    let (person, answer) = refused.unwrap();
    assert!((10..20).contains(&person), "{person}");
    assert_eq!((answer.status, answer.body), (503, json!("Error::Busy(2000)")));
    assert_eq!(count(&host, &format!("SELECT count(*) FROM inbound WHERE conversation = 'parley:p{person}'")), 0);
    // What is no message is no burden.
    let edit =
        json!({ "id": "e", "kind": "edited", "conversation": "p0", "author": "p0", "message": "0-0", "text": "x" });
    assert_eq!(bring(&host, &[edit]).await, "[Outcome::Accepted]");
}
