//! Commands in a chat: who may, what they do, and that no agent is bothered.

use mercury_tests::{
    host::Setup,
    parley::{self, bring, delivered, direct, group, link_group},
};
use serde_json::json;

use super::{as_operator, bob, decided, said, say, scripted, set, start};

/// pipeline.md #19, weakness W12: a stop is not queued behind what it stops; what waits is answered, too.
#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_the_run_and_what_waits() {
    let host = scripted().await;
    bring(&host, &[direct("1", "!sleep 600000")]).await;
    host.until("SELECT state FROM runs", "running").await;
    bring(&host, &[direct("2", "!reply waits")]).await;
    host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "queued").await;
    bring(&host, &[direct("3", "Stop")]).await;
    delivered(&host, "Stopped. 1 waiting message was dropped.").await;
    host.until("SELECT group_concat(DISTINCT state) FROM runs", "aborted").await;
    host.until("SELECT CAST(count(*) AS TEXT) FROM deliveries WHERE state = 'delivered' AND text = 'Stopped.'", "2")
        .await;
    say(&host, direct("4", "stop"), "Nothing is active here.").await;
    say(&host, direct("5", "!reply on"), "on").await;
    assert_eq!(host.query::<i64>("SELECT count(*) FROM runs").unwrap(), 3);
}

/// pipeline.md #19, #20, permissions.md #22, #23: commands of those who may not, and what is no command.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_order_what() {
    let host = scripted().await;
    link_group(&host).await;
    say(&host, bob("1", "stop"), "You may not use stop here").await;
    say(&host, bob("2", "/model list"), "1. anthropic:").await;
    say(&host, bob("3", "/spaces list"), "Only admins whom the operator has named").await;
    let in_group = |id: &str, text: &str| {
        let mut message = group(id, text);
        message["author"] = json!("bob");
        message
    };
    say(&host, in_group("4", "@Mercury /help"), "In a group only admins may use /help").await;
    say(&host, in_group("5", "@Mercury stop"), "You may not use stop here").await;
    say(&host, group("6", "@Mercury /help"), "/pause [30m or 2h]").await;
    assert_eq!(bring(&host, &[in_group("7", "stop")]).await, "[Outcome::Ignored]", "nobody called the bot");
    assert_eq!(host.query::<i64>("SELECT count(*) FROM runs").unwrap(), 0);
    say(&host, group("8", "@Mercury stop all"), "echo: ").await;
    say(&host, bob("9", "/teapot"), "echo: /teapot").await;
    say(&host, bob("10", "constructor"), "echo: constructor").await;

    // What a space says of members counts from the next message on, for commands as for all else.
    let granted = json!({ "role": "member", "permissions": ["prompt", "stop"] });
    assert_eq!(as_operator(&host, "PUT", "/api/permissions", "main", &granted).await.status, 200);
    say(&host, in_group("11", "@Mercury stop"), "Nothing is active here.").await;
    say(&host, in_group("12", "@Mercury clear"), "You may not use clear here").await;

    let answer = host.chat(json!({ "text": "/model active", "callerId": "api:eve" })).await;
    assert!(answer.reply().starts_with("anthropic:"), "{answer:?}");
    let answer = host.chat(json!({ "text": "compact", "callerId": "api:eve" })).await;
    assert_eq!((answer.status, answer.code()), (403, "not_permitted"));
}

/// pipeline.md #24: silent until somebody ends it; what people say to each other is still overheard.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_silent() {
    let host = scripted().await;
    link_group(&host).await;
    for (id, text, expected) in [
        ("1", "/pause abc", "That is not a time"),
        ("2", "/pause 25h", "at most 24 hours"),
        ("3", "/pause 0m", "at least 1 minute"),
        ("4", "/resume", "There is no pause here."),
        ("5", "/pause 30m", "I am paused for 30 min"),
        ("6", "/pause", "I am paused, until `/resume`."),
        ("7", "/pause", "I am paused already"),
    ] {
        say(&host, group(id, &format!("@Mercury {text}")), expected).await;
    }
    let before = said(&host).len();
    bring(&host, &[group("8", "@Mercury !reply no"), group("9", "@Mercury /help"), group("10", "lunch?")]).await;
    let answer = host.chat(json!({ "text": "!reply no", "callerId": "api:eve" })).await;
    assert_eq!(answer.reply(), "", "a program gets an empty answer");
    decided(&host).await;
    let kept: String = host.query("SELECT group_concat(content, '|') FROM messages WHERE role = 'ambient'").unwrap();
    assert_eq!(kept, "Ada: @Mercury !reply no|Ada: @Mercury /help|Ada: lunch?");
    say(&host, group("11", "@Mercury /resume"), "I answer again.").await;
    assert_eq!(said(&host).len(), before + 1);
    say(&host, group("12", "@Mercury\n!reply yes"), "yes").await;
}

/// pipeline.md #25, weakness W37: what ended while no host ran is over and told of; what did not, goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_by_itself() {
    let mut host = scripted().await;
    say(&host, direct("1", "/pause 30m"), "I am paused for 30 min").await;
    let left = "SELECT CAST((CAST(value AS INTEGER) / 1000 - unixepoch()) / 60 AS TEXT) FROM space_settings WHERE key = 'paused.resume_at'";
    let left: i64 = host.query::<String>(left).unwrap().parse().unwrap();
    assert!((28..=30).contains(&left), "{left}");
    host.terminate().await;
    host.start().await;
    parley::running(&host).await;
    bring(&host, &[direct("2", "!reply no")]).await;
    decided(&host).await;
    host.terminate().await;
    host.change("UPDATE space_settings SET value = '1000' WHERE key = 'paused.resume_at'");
    host.start().await;
    delivered(&host, "The pause is over").await;
    parley::running(&host).await;
    say(&host, direct("3", "!reply yes"), "yes").await;
    assert!(!said(&host).iter().any(|text| text == "no"));
}

/// `/model switch` takes effect: the other model has no key.
#[tokio::test(flavor = "multi_thread")]
async fn a_space_has_its_model() {
    let chain = r#"[{"provider":"anthropic","model":"one"},{"provider":"openai","model":"two"}]"#;
    let host = start(Setup::scripted("runc").set("MERCURY_MODEL_CHAIN", chain)).await;
    say(&host, direct("1", "/model switch 3"), "There is no model `3`").await;
    say(&host, direct("2", "/model switch two"), "From now on I ask openai:two here.").await;
    say(&host, direct("3", "/model list"), "1. anthropic:one\n2. openai:two (active)").await;
    say(&host, direct("4", "!reply hello"), "could not sign in").await;
    say(&host, bob("5", "!reply hello"), "hello").await;
    say(&host, direct("6", "/model switch 1"), "anthropic:one").await;
    say(&host, direct("7", "!reply hello"), "hello").await;
}

/// permissions.md #29, #35, http-api.md #17: a muted person is not heard, whatever is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_muted_person_is_not_heard() {
    let host = scripted().await;
    say(&host, bob("1", "!reply one"), "one").await;
    let space = "dm-parley-bob";
    let mute = |confirm: bool, person: &str, time: &str| json!({ "platformUserId": person, "duration": time, "confirm": confirm });
    let post = async |body| as_operator(&host, "POST", "/api/mutes", space, &body).await;
    assert_eq!(post(mute(false, "parley:bob", "1 hr")).await.body["warning"], true);
    assert_eq!(as_operator(&host, "GET", "/api/mutes", space, &json!(null)).await.body["mutes"], json!([]));
    assert_eq!(post(mute(true, "parley:bob", "5x")).await.status, 400);
    assert_eq!(post(mute(true, "parley:ada", "1h")).await.code(), "not_mutable");
    assert_eq!(post(mute(true, "parley:bob", "1 hr")).await.body["muted"], true);
    let before = said(&host).len();
    bring(&host, &[bob("2", "!reply two"), bob("3", "stop"), bob("4", "/help")]).await;
    decided(&host).await;
    assert_eq!(said(&host).len(), before);
    host.until("SELECT CAST(count(*) AS TEXT) FROM deliveries WHERE state <> 'delivered'", "0").await;
    assert_eq!(said(&host).len(), before);
    let path = "/api/mutes/parley:bob";
    assert_eq!(as_operator(&host, "DELETE", path, space, &json!(null)).await.body["unmuted"], true);
    assert_eq!(as_operator(&host, "DELETE", path, space, &json!(null)).await.status, 404);
    say(&host, bob("5", "!reply three"), "three").await;
}

/// pipeline.md #31, #40 in part: the language of a space; what is not kept; and commands that only move a
/// boundary.
#[tokio::test(flavor = "multi_thread")]
async fn settings_of_a_space() {
    let host = scripted().await;
    link_group(&host).await;
    say(&host, direct("1", "compact"), "no longer part of what I am given").await;
    say(&host, direct("2", "/clear"), "starts without what was said before").await;
    set(&host, "main", "ambient.enabled", "false").await;
    bring(&host, &[group("3", "lunch?")]).await;
    decided(&host).await;
    assert_eq!(host.query::<i64>("SELECT count(*) FROM messages").unwrap(), 0);
    set(&host, "main", "messages.locale", "he").await;
    let mut message = group("4", "@Mercury stop");
    message["author"] = json!("bob");
    say(&host, message, "אין לכם הרשאה").await;
    let bad =
        as_operator(&host, "PUT", "/api/config", "main", &json!({ "key": "messages.locale", "value": "fr" })).await;
    assert_eq!((bad.status, bad.code()), (400, "bad_setting"));
    assert_eq!(host.query::<i64>("SELECT count(*) FROM runs").unwrap(), 0);
}
