//! What is sent, in which order, and what becomes of what cannot be sent.

use mercury_tests::parley::{self, bring, called, command, delivered, direct, until};
use serde_json::json;

/// adapters.md #15: a platform that is busy or away is asked again, and what comes later waits behind.
/// What was sent in part goes on where it stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_repeated_in_order() {
    let host = parley::start(&[]).await;
    parley::script(&host, "deliver", &["transient", "wait", "partial"]).await;
    bring(&host, &[direct("1", "!reply one"), direct("2", "!reply two")]).await;
    delivered(&host, "two").await;
    let all = called(&host, "deliver");
    let texts: Vec<_> = all.iter().map(|call| call["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["one", "one", "one", "one", "two"]);
    assert_eq!(
        all.iter().map(|call| &call["resume"]).collect::<Vec<_>>()[..4],
        [&json!(null), &json!(null), &json!(null), &json!("one part")]
    );
    assert!(all[..4].iter().all(|call| call["id"] == all[0]["id"]), "the same message");
}

/// A group that moves while it is sent to has another name, and the same message is still under way: whatever happens
/// elsewhere meanwhile, it is not sent once more.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_moves_is_one() {
    let host = parley::start(&[]).await;
    parley::link_group(&host).await;
    parley::script(&host, "deliver", &["moves"]).await;
    bring(&host, &[parley::group("1", "@Mercury !reply moved")]).await;
    delivered(&host, "moved").await;
    for id in ["2", "3", "4"] {
        bring(&host, &[direct(id, &format!("!reply beside {id}"))]).await;
        delivered(&host, &format!("beside {id}")).await;
    }
    host.until("SELECT state FROM deliveries WHERE conversation = 'parley:crew'", "delivered").await;
    let texts =
        called(&host, "deliver").into_iter().filter(|call| call["text"].as_str().unwrap().contains("moved")).count();
    assert_eq!(texts, 1);
}

/// Promise 21: what cannot be sent is listed with its reason, and can be sent once more.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_is_told_and_can_be_repeated() {
    let host = parley::start(&[]).await;
    parley::script(&host, "deliver", &["permanent"]).await;
    bring(&host, &[direct("1", "!reply lost"), direct("2", "!reply found")]).await;
    delivered(&host, "found").await;
    host.until("SELECT state FROM deliveries ORDER BY id LIMIT 1", "dead").await;
    let listed = command(&host, &["deliveries"]);
    assert!(listed.contains("dead") && listed.contains("as the script says") && listed.contains("lost"), "{listed}");
    let id: i64 = host.query("SELECT id FROM deliveries WHERE state = 'dead'").unwrap();
    command(&host, &["deliveries", "retry", &id.to_string()]);
    host.until("SELECT state FROM deliveries ORDER BY id LIMIT 1", "delivered").await;
    assert_eq!(command(&host, &["deliveries"]).trim(), "Everything is delivered.");
}

/// What waits for a platform that has no adapter any more is given up after a day, and what its adapter only has
/// not begun with is not: the host may have been off for longer.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_send_is_given_up() {
    let mut host = parley::start(&[]).await;
    bring(&host, &[direct("1", "!reply hi")]).await;
    delivered(&host, "hi").await;
    host.kill();
    let hour = "(unixepoch() - 3600) * 1000";
    host.change(&format!(
        "INSERT INTO deliveries (message, platform, conversation, text, files, choices, state, created_at) VALUES
            ('old', 'away', 'away:1', 'x', '[]', '[]', 'pending', 1), ('new', 'away', 'away:2', 'x', '[]', '[]', 'pending', {hour}),
            ('late', 'parley', 'parley:ada', 'better late', '[]', '[]', 'pending', 1)"
    ));
    host.start().await;
    host.until("SELECT state FROM deliveries WHERE message = 'late'", "delivered").await;
    host.until("SELECT state FROM deliveries WHERE message = 'old'", "dead").await;
    assert_eq!(host.query::<String>("SELECT state FROM deliveries WHERE message = 'new'").as_deref(), Some("pending"));
}

/// A message that breaks its adapter is given up, and the next one is sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_message_blocks_nobody_else() {
    let host = parley::start(&[]).await;
    parley::script(&host, "deliver", &["trap"]).await;
    bring(&host, &[direct("1", "!reply poison")]).await;
    until(&host, "a failed attempt", async || {
        host.query::<String>("SELECT reason FROM deliveries WHERE reason LIKE '%parley says boom%'")
    })
    .await;
    let mut bob = direct("2", "!reply fine");
    (bob["conversation"], bob["author"]) = (json!("bob"), json!("bob"));
    bring(&host, &[bob]).await;
    delivered(&host, "fine").await;
    host.until("SELECT group_concat(DISTINCT state) FROM deliveries", "delivered").await;
}

/// What was left out of a message is said.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_reduced_is_said() {
    let host = parley::start(&[]).await;
    parley::script(&host, "deliver", &["reduced"]).await;
    bring(&host, &[direct("1", "!reply with a picture")]).await;
    delivered(&host, "Not everything could be sent: the picture is too large").await;
}

/// pipeline.md #43: a refusal and a failure reach the person as text.
#[tokio::test(flavor = "multi_thread")]
async fn failures_have_an_answer() {
    let host = parley::start(&[]).await;
    bring(&host, &[direct("1", "!exit 3")]).await;
    let problem = until(&host, "an answer", async || called(&host, "deliver").pop()).await;
    assert!(!problem["text"].as_str().unwrap().is_empty());
    host.until("SELECT state FROM outbound", "delivered").await;
    bring(&host, &[direct("2", "stop")]).await;
    delivered(&host, "You may not use stop here").await;
}

/// Weakness W34, adapters.md #8: a run that takes long shows one message, where the platform can change
/// and remove it, and takes it back at the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_run_shows_one_message() {
    let host = parley::start(&[]).await;
    bring(&host, &[direct("1", "!sleep 33000\n!reply at last")]).await;
    let shown = || parley::calls(&host).into_iter().filter(parley::is_progress).collect::<Vec<_>>();
    let first = until(&host, "its progress", async || shown().pop()).await;
    assert!(first["text"].as_str().unwrap().contains("Processing…"), "{first:#}");
    delivered(&host, "at last").await;
    let removed = until(&host, "it is taken back", async || called(&host, "remove").pop()).await;
    assert_eq!(removed["message"], "b1");
    assert_eq!((shown().len(), called(&host, "deliver").len()), (1, 1));
    assert!(called(&host, "Activity::Thinking").len() >= 7, "the sign is repeated");
}
