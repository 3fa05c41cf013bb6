//! What Telegram's webhook brings and what waits behind its files: in order, once, and within bounds.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use mercury_tests::{
    host::Host,
    telegram::{
        direct,
        hosted::{SECRET, adapter_is, bring, text, with_webhook},
    },
};
use serde_json::{Value, json};

fn count(host: &Host, sql: &str) -> i64 {
    host.query(sql).unwrap()
}

/// A photo takes longer than the words behind it: they wait for it, and so does what changes it. A piece of
/// an album that Telegram brings once more is no further message.
#[tokio::test(flavor = "multi_thread")]
async fn a_chat_of_the_webhook_keeps_its_order() {
    let (fake, host) = with_webhook().await;
    let message = async |number: i64, fields: Value| {
        let update = fake.numbered(direct(number, fields));
        assert_eq!(bring(&host, SECRET, &update).await, 200);
        update
    };
    message(1, json!({ "text": "!reply hi" })).await;
    fake.sent("sendMessage", 1).await;
    fake.file("f", b"a photo");
    fake.hold("getFile");
    let photo = json!([{ "file_id": "f", "width": 1, "height": 1 }]);
    let first = message(2, json!({ "caption": "!reply photo", "photo": photo })).await;
    fake.held("getFile").await;
    message(3, json!({ "text": "!reply words" })).await;
    let mut edit = first.clone();
    edit["edited_message"] = edit["message"].take();
    edit["edited_message"]["caption"] = json!("!reply photo, and more");
    assert_eq!(bring(&host, SECRET, &fake.numbered(edit)).await, 200);
    // Others do not wait.
    let mut other = direct(1, json!({ "text": "!reply other" }));
    (other["message"]["chat"]["id"], other["message"]["from"]["id"]) = (json!(43), json!(43));
    assert_eq!(bring(&host, SECRET, &fake.numbered(other)).await, 200);
    assert_eq!(text(&fake.sent("sendMessage", 2).await[1]), "other");
    assert_eq!(count(&host, "SELECT count(*) FROM inbound"), 2, "the words wait");
    // Here, too, so that however slowly they come, both are there when the chat's timer looks.
    let mut pieces = Vec::new();
    for number in 6..8 {
        let caption = if number == 6 { "!reply album" } else { "" };
        pieces.push(message(number, json!({ "caption": caption, "photo": photo, "media_group_id": "g" })).await);
    }
    fake.release("getFile");
    let said = fake.sent("sendMessage", 5).await;
    assert_eq!(said[2..].iter().map(text).collect::<Vec<_>>(), ["photo", "words", "album"]);
    host.until("SELECT text FROM inbound WHERE message = '2'", "!reply photo, and more").await;

    assert_eq!(bring(&host, SECRET, &pieces[1]).await, 200);
    message(9, json!({ "text": "!reply last" })).await;
    assert_eq!(text(&fake.sent("sendMessage", 6).await[5]), "last");
    assert_eq!(count(&host, "SELECT count(*) FROM inbound WHERE conversation = 'telegram:42'"), 5);
}

/// Promise 1: what the webhook was answered for is answered, and once, also where its file was on its way.
#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_webhook_and_its_file() {
    let (fake, mut host) = with_webhook().await;
    assert_eq!(bring(&host, SECRET, &fake.numbered(direct(1, json!({ "text": "!reply hi" })))).await, 200);
    fake.sent("sendMessage", 1).await;
    // Killed before it knows that it sent, it would send again.
    host.until("SELECT state FROM outbound", "delivered").await;
    fake.file("f", b"content");
    fake.hold("getFile");
    let fields = json!({ "caption": "!reply got it", "document": { "file_id": "f", "file_name": "a.txt" } });
    let update = fake.numbered(direct(2, fields));
    assert_eq!(bring(&host, SECRET, &update).await, 200);
    fake.held("getFile").await;
    host.kill();
    fake.release("getFile");
    host.start().await;
    adapter_is(&host, "running").await;
    // Telegram may not have heard the answer, and brings it again.
    assert_eq!(bring(&host, SECRET, &update).await, 200);
    assert_eq!(text(&fake.sent("sendMessage", 2).await[1]), "got it");
    host.until("SELECT CAST(count(*) AS TEXT) FROM timers", "0").await;
    assert_eq!((count(&host, "SELECT count(*) FROM inbound"), fake.calls_of("sendMessage").len()), (2, 2));
}

/// What waits behind a file takes its chat's share of room and no more: Telegram keeps the rest.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_a_chat_is_bounded() {
    let (fake, host) = with_webhook().await;
    assert_eq!(bring(&host, SECRET, &fake.numbered(direct(1, json!({ "text": "!reply hi" })))).await, 200);
    fake.sent("sendMessage", 1).await;
    fake.file("f", b"content");
    fake.hold("getFile");
    let fields = json!({ "caption": "!reply got it", "document": { "file_id": "f", "file_name": "a.txt" } });
    assert_eq!(bring(&host, SECRET, &fake.numbered(direct(2, fields))).await, 200);
    fake.held("getFile").await;
    let mut statuses = Vec::new();
    for number in 3..10 {
        let mut update = fake.numbered(direct(number, json!({ "text": "!reply words" })));
        update["of no use"] = "x".repeat(100 << 10).into();
        statuses.push(bring(&host, SECRET, &update).await);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 503, 503]);
    fake.release("getFile");
    assert_eq!(text(&fake.sent("sendMessage", 3).await[1]), "got it");
    host.until("SELECT CAST(count(*) AS TEXT) FROM inbound", "7").await;
    host.until("SELECT CAST(count(*) AS TEXT) FROM plugin_kv WHERE key LIKE 'pending:%'", "0").await;
}

/// An adapter whose room is used up to the last bytes hands over what waits nevertheless, which makes room.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_adapter_hands_over_what_waits() {
    let (fake, mut host) = with_webhook().await;
    assert_eq!(bring(&host, SECRET, &fake.numbered(direct(1, json!({ "text": "!reply hi" })))).await, 200);
    fake.sent("sendMessage", 1).await;
    host.until("SELECT state FROM outbound", "delivered").await;
    fake.file("f", b"a photo");
    fake.hold("getFile");
    for number in 2..4 {
        let caption = if number == 2 { "!reply album" } else { "" };
        let photo = json!([{ "file_id": "f", "width": 1, "height": 1 }]);
        let fields = json!({ "caption": caption, "photo": photo, "media_group_id": "g" });
        assert_eq!(bring(&host, SECRET, &fake.numbered(direct(number, fields))).await, 200);
    }
    fake.held("getFile").await;
    host.kill();
    host.change(
        "DELETE FROM plugin_kv WHERE plugin = 'telegram' AND key LIKE 'suspect:%';
         INSERT INTO plugin_kv (plugin, key, value)
             SELECT plugin, 'full', zeroblob(4194304 - bytes - 4) FROM plugin_kv_usage WHERE plugin = 'telegram';",
    );
    fake.release("getFile");
    host.start().await;
    assert_eq!(text(&fake.sent("sendMessage", 2).await[1]), "album");
    host.until("SELECT CAST(count(*) AS TEXT) FROM timers", "0").await;
    host.until("SELECT CAST(count(*) AS TEXT) FROM plugin_kv WHERE key LIKE 'pending:%'", "0").await;
    assert!(host.log().contains("cannot be noted"), "{}", host.log());
}

/// Where somebody always writes, an album is not waited for until nobody does.
#[tokio::test(flavor = "multi_thread")]
async fn an_album_comes_in_a_busy_chat() {
    let (fake, host) = with_webhook().await;
    assert_eq!(bring(&host, SECRET, &fake.numbered(direct(1, json!({ "text": "!reply hi" })))).await, 200);
    fake.sent("sendMessage", 1).await;
    fake.file("f", b"a photo");
    let photo = json!([{ "file_id": "f", "width": 1, "height": 1 }]);
    let fields = json!({ "caption": "!reply album", "photo": photo, "media_group_id": "g" });
    assert_eq!(bring(&host, SECRET, &fake.numbered(direct(2, fields))).await, 200);
    let began = Instant::now();
    for number in 3.. {
        if count(&host, "SELECT count(*) FROM inbound") > 1 {
            break;
        }
        assert!(began.elapsed().as_secs() < 30, "it still waits");
        assert_eq!(bring(&host, SECRET, &fake.numbered(direct(number, json!({ "text": "words" })))).await, 200);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    host.until("SELECT CAST(count(*) AS TEXT) FROM inbound WHERE message = '2'", "1").await;
}
