//! What admins of all say everywhere: broadcasts, letters, and what the assistant is like.

use mercury_tests::{
    host::Host,
    proxy::Proxy,
    telegram::{
        Telegram, direct,
        hosted::{adapter_is, setup, text, with_settings},
    },
};
use serde_json::{Value, json};

use super::{CHAT_KEY, ask, closed_setup, refused};

/// A direct message of somebody, which makes a space of their own.
fn hello(number: i64, person: i64) -> Value {
    let mut update = direct(number, json!({ "text": "!reply hi" }));
    update["message"]["chat"]["id"] = json!(person);
    update["message"]["from"]["id"] = json!(person);
    update
}

/// A host on which three people have written to the bot.
async fn with_people() -> (Telegram, Host) {
    let fake = Telegram::start().await;
    // All at once: who waits for a place is told so, and that is a message more.
    let setup = setup(&fake).set("MERCURY_ADMINS", "api:root").set("MERCURY_MAX_CONCURRENCY", "3");
    let host = setup.start().await;
    fake.push_all([hello(1, 41), hello(2, 42), hello(3, 43)]);
    fake.sent("sendMessage", 3).await;
    host.until("SELECT CAST(count(*) AS TEXT) FROM deliveries WHERE state = 'pending'", "0").await;
    (fake, host)
}

/// Texts of the calls behind the first `before`, with the chats that they went to, in order of the chats.
async fn said(fake: &Telegram, before: usize, count: usize) -> Vec<(i64, String)> {
    let calls = fake.sent("sendMessage", before + count).await;
    let mut said: Vec<_> =
        calls[before..].iter().map(|call| (call.fields["chat_id"].as_i64().unwrap(), text(call).to_owned())).collect();
    said.sort();
    said
}

/// http-api.md #22, pipeline.md #50: who may, what is refused, what is said of each space, and that nobody is heard twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_reaches_everybody() {
    let off = closed_setup().set("MERCURY_ADMINS", "api:root").start().await;
    for caller in ["api:root", "api:ada"] {
        let answer = ask(&off, caller, "POST", "/api/broadcast", json!({ "text": "x" })).await;
        assert_eq!(refused(&answer), (503, "no_auto_space"), "{caller}");
    }
    drop(off);
    let (fake, host) = with_people().await;
    // A space whose conversation went away, and one on a platform that has no adapter.
    host.execute(
        "INSERT INTO spaces (id, name, created_at) VALUES ('dm-gone', 'x', 1), ('dm-slack-u1', 'x', 1), ('dmx', 'x', 1);
         INSERT INTO conversations (id, platform, direct, space, first_seen, last_seen) VALUES ('slack:u1', 'slack', 1, 'dm-slack-u1', 1, 1);
         INSERT INTO members (space, person, role) VALUES ('main', 'api:bob', 'admin')",
    );
    let say = |caller: &'static str, text: String| {
        let host = &host;
        async move { ask(host, caller, "POST", "/api/broadcast", json!({ "text": text })).await }
    };
    for caller in ["api:ada", "api:bob"] {
        assert_eq!(refused(&say(caller, "x".into()).await), (403, "not_global_admin"), "{caller}");
    }
    for text in [String::new(), " ".into(), "ä".repeat(4097)] {
        assert_eq!(refused(&say("api:root", text).await), (400, "bad_text"));
    }
    fake.hold("sendMessage");
    let answer = say("api:root", "Tea is *ready*".into()).await;
    assert_eq!((answer.status, &answer.body["total"], &answer.body["delivered"]), (200, &json!(5), &json!(3)));
    let errors = answer.body["errors"].as_array().unwrap();
    let failed: Vec<_> = errors.iter().map(|error| error["spaceId"].as_str().unwrap()).collect();
    assert_eq!((failed, &answer.body["failed"]), (vec!["dm-gone", "dm-slack-u1"], &json!(2)));
    assert!(errors[1]["error"].as_str().unwrap().contains("adapter"), "{errors:?}");
    fake.held("sendMessage").await;
    let second = say("api:root", "Tea is ready".into()).await;
    assert_eq!(refused(&second), (409, "broadcasting"));
    assert!(second.body["next"].as_str().unwrap().contains("`mercury deliveries`"), "{:#}", second.body);
    fake.release("sendMessage");
    let said = said(&fake, 3, 3).await;
    assert_eq!(said.iter().map(|(chat, _)| *chat).collect::<Vec<_>>(), [41, 42, 43]);
    host.until("SELECT CAST(count(*) AS TEXT) FROM deliveries WHERE state = 'pending'", "0").await;
    assert_eq!(say("api:root", "ä".repeat(4096)).await.status, 200, "the one before has arrived");
}

/// http-api.md #23, pipeline.md #49: all the ways to name somebody, and that nobody who is unknown gets a space. Before the
/// host is ready nothing but its health is told (`starting.rs`), and what has no adapter is a 503.
#[tokio::test(flavor = "multi_thread")]
async fn a_letter_finds_its_recipient() {
    let (fake, host) = with_people().await;
    host.execute(
        "INSERT INTO spaces (id, name, created_at) VALUES ('dm-491701234567', 'x', 1), ('team', 'x', 1);
         INSERT INTO conversations (id, platform, direct, space, first_seen, last_seen) VALUES
            ('telegram:77', 'telegram', 1, 'dm-491701234567', 1, 1), ('slack:u1', 'slack', 0, 'team', 1, 1);
         UPDATE conversations SET space = 'main' WHERE id = 'telegram:43'",
    );
    let write = |caller: &'static str, recipient: &'static str, text: &'static str| {
        let host = &host;
        async move { ask(host, caller, "POST", "/api/send", json!({ "recipient": recipient, "text": text })).await }
    };
    for caller in ["api:ada", "telegram:42"] {
        assert_eq!(refused(&write(caller, "telegram:42", "x").await), (403, "not_global_admin"));
    }
    let too_long: &str = "ä".repeat(4097).leak();
    for (recipient, text) in [("", "x"), (" ", "x"), ("main", ""), ("main", " "), ("main", too_long)] {
        assert_eq!(refused(&write("api:root", recipient, text).await), (400, "bad_text"), "{recipient}");
    }
    let recipients = [
        ("telegram:42", "dm-telegram-42", 42),
        ("Telegram:41", "dm-telegram-41", 41),
        ("telegram:43", "main", 43),
        ("dm-telegram-41", "dm-telegram-41", 41),
        ("main", "main", 43),
        ("+49 170 1234567", "dm-491701234567", 77),
        ("491701234567@s.whatsapp.net", "dm-491701234567", 77),
        ("whatsapp:491701234567@lid", "dm-491701234567", 77),
    ];
    for (before, (recipient, space, chat)) in (3..).zip(recipients) {
        let answer = write("api:root", recipient, "Good morning").await;
        assert_eq!(answer.body, json!({ "delivered": true, "spaceId": space }), "{recipient}");
        assert_eq!(said(&fake, before, 1).await, [(chat, "Good morning".to_owned())], "{recipient}");
    }
    let spaces = host.query::<i64>("SELECT count(*) FROM spaces");
    for unknown in ["telegram:99", "+49 170 7654321", "nowhere", "@", "Not A Space"] {
        let answer = write("api:root", unknown, "x").await;
        assert_eq!(refused(&answer), (404, "recipient_unknown"), "{unknown}");
        assert!(answer.body["error"].as_str().unwrap().contains(unknown), "{:#}", answer.body);
    }
    assert_eq!(host.query::<i64>("SELECT count(*) FROM spaces"), spaces, "nobody got a space");
    assert_eq!(refused(&write("api:root", "team", "x").await), (503, "sender_not_ready"));
}

/// http-api.md #24: who may, how long it may be, and that agents are told of it in every space.
#[tokio::test(flavor = "multi_thread")]
async fn a_character_holds_everywhere() {
    let proxy = Proxy::start().await;
    let setup = closed_setup().set("MERCURY_ADMINS", "api:root").set("MERCURY_DOCKER_HOST", &proxy.host());
    let host = setup.start().await;
    host.execute("INSERT INTO members (space, person, role) VALUES ('main', 'api:bob', 'admin')");
    let be = |caller: &'static str, text: String| {
        let host = &host;
        async move { ask(host, caller, "PUT", "/api/character", json!({ "text": text })).await }
    };
    for caller in ["api:ada", "api:bob"] {
        assert_eq!(refused(&be(caller, "Rude".into()).await), (403, "not_global_admin"), "{caller}");
        for method in ["GET", "DELETE"] {
            let answer = ask(&host, caller, method, "/api/character", Value::Null).await;
            assert_eq!(refused(&answer), (403, "not_global_admin"), "{caller} {method}");
        }
    }
    let show = || async { ask(&host, "api:root", "GET", "/api/character", Value::Null).await.body };
    assert_eq!(show().await, json!({ "character": null, "updatedBy": null }));
    for text in [String::new(), " ".into(), "ä".repeat(4001)] {
        assert_eq!(refused(&be("api:root", text).await), (400, "bad_character"));
    }
    assert_eq!(be("api:root", "ä".repeat(4000)).await.body, json!({ "ok": true }));
    assert_eq!(be("api:root", " Dry and brief ".into()).await.body, json!({ "ok": true }));
    // Whatever its space, a run is told.
    host.create_space("team");
    let key = format!("Bearer {CHAT_KEY}");
    let headers = [("authorization", key.as_str())];
    let message = json!({ "text": "!sleep 20000", "spaceId": "team" }).to_string();
    // What the agent reads is gone as soon as it has.
    proxy.hold("/start");
    let asked = host.exchange("POST", "/chat", &headers, message.into());
    tokio::pin!(asked);
    tokio::select! {
        answer = &mut asked => panic!("answered: {answer:?}"),
        () = proxy.held() => {}
    }
    let folders = std::fs::read_dir(host.data_dir().join("io")).unwrap().flatten();
    let told = folders.filter_map(|folder| std::fs::read_to_string(folder.path().join("input.json")).ok());
    let told = told.collect::<String>();
    assert!(told.contains("It holds in every space:") && told.contains("Dry and brief"), "{told}");
    let stopped = host.command(&["stop", "--space", "team"]).output().unwrap();
    assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
    asked.await.unwrap();
    proxy.release();
    assert_eq!(show().await, json!({ "character": "Dry and brief", "updatedBy": "api:root" }));
    for _ in 0..2 {
        let cleared = ask(&host, "api:root", "DELETE", "/api/character", Value::Null).await;
        assert_eq!((cleared.status, cleared.body), (200, json!({ "ok": true })), "also where there is none");
    }
    assert_eq!(show().await["character"], Value::Null);
}

/// Without its adapter a person is known and cannot be written to; what is written meanwhile is sent later.
#[tokio::test(flavor = "multi_thread")]
async fn a_letter_outlasts_a_restart() {
    let fake = Telegram::start().await;
    let mut host = with_settings(&fake, "").set("MERCURY_ADMINS", "api:root").start().await;
    adapter_is(&host, "running").await;
    fake.push(hello(1, 41));
    fake.sent("sendMessage", 1).await;
    fake.hold("sendMessage");
    let letter = json!({ "recipient": "telegram:41", "text": "Still on its way" });
    assert_eq!(ask(&host, "api:root", "POST", "/api/send", letter).await.status, 200);
    host.kill();
    fake.release("sendMessage");
    host.start().await;
    host.until("SELECT state FROM deliveries ORDER BY id DESC LIMIT 1", "delivered").await;
    assert!(fake.sent("sendMessage", 2).await.iter().any(|call| text(call) == "Still on its way"));
}
