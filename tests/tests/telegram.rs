//! Telegram from end to end: a fake of its Bot API, the built host with the carried adapter, a container,
//! and the answer back.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use mercury_tests::{
    plugins::{fixture, install},
    telegram::{
        BOT_ID, TOKEN, Telegram, direct, group,
        hosted::{
            SECRET, adapter_is, bring, link, link_known, mentioning, polling, setup, text, with_settings, with_webhook,
        },
    },
};
use serde_json::{Value, json};

/// The main way: a direct message, its run, its answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_answered() {
    let (fake, host) = polling().await;
    fake.push(direct(5, json!({ "text": "!reply All **done** & `dusted`." })));
    let answers = fake.sent("sendMessage", 1).await;
    assert_eq!(answers[0].fields["chat_id"], 42);
    assert_eq!(text(&answers[0]), "All <b>done</b> &amp; <code>dusted</code>.");
    assert_eq!(answers[0].fields["parse_mode"], "HTML");
    assert_eq!(answers[0].fields.get("reply_parameters"), None, "in a direct chat nobody wonders");
    fake.all_confirmed().await;

    // What is under way is not among them: the one that brings this has been.
    fake.push(direct(6, json!({ "text": "!reply more" })));
    fake.sent("sendMessage", 2).await;
    let polls = fake.calls_of("getUpdates");
    let asked = polls[0].fields["allowed_updates"].as_array().unwrap();
    for kind in ["message", "edited_message", "my_chat_member", "callback_query", "message_reaction"] {
        assert!(asked.iter().any(|asked| asked == kind), "{kind}");
    }
    assert_eq!((&polls[0].fields["timeout"], &polls[0].fields["limit"]), (&json!(30), &json!(10)), "few at first");
    assert_eq!(polls.last().unwrap().fields["limit"], 100, "{polls:#?}");
    assert!(!fake.calls_of("sendChatAction").is_empty(), "it showed that it was at work");
    assert!(host.log().contains("the bot is @mercury_real_bot"), "{}", host.log());
    assert!(!host.log().contains(TOKEN), "the token is in the log");
}

/// adapters.md #10 and #11: only who is meant runs, and an edit never does.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_it_answers_who_calls_it() {
    let (fake, host) = polling().await;
    link(&host, &fake, -1001).await;
    fake.push(group(2, json!({ "text": "!reply nobody asked" })));
    fake.push(group(5, mentioning("please\n!reply you called")));
    let answers = fake.sent("sendMessage", 1).await;
    assert_eq!(text(&answers[0]), "you called");
    assert_eq!(answers[0].fields["reply_parameters"], json!({ "message_id": 5, "allow_sending_without_reply": true }));
    let stored = "SELECT author FROM inbound WHERE message = '5'";
    host.until(stored, "telegram:42").await;

    let mut edit = group(5, mentioning("please\n!reply a second run"));
    edit["edited_message"] = edit["message"].take();
    fake.push(edit);
    host.until("SELECT 'yes' FROM inbound WHERE text LIKE '%a second run%'", "yes").await;
    // A reply to what the bot said calls it, too.
    let said = json!({ "message_id": 1001, "chat": { "id": -1001 }, "from": { "id": BOT_ID, "is_bot": true }, "text": "you called" });
    fake.push(group(6, json!({ "text": "!reply once more", "reply_to_message": said })));
    let answers = fake.sent("sendMessage", 2).await;
    assert_eq!((text(&answers[1]), answers.len()), ("once more", 2));
}

/// adapters.md #14 and #15: parts in order, the first one answers, and a part waits out the flood.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_comes_in_parts() {
    let (fake, host) = polling().await;
    link(&host, &fake, -1001).await;
    fake.refuse("sendMessage", 429, "Too Many Requests: retry after 3", json!({ "retry_after": 3 }));
    let long = "wort ".repeat(1800);
    fake.push(group(5, mentioning(&format!("please\n!reply {long}"))));
    let parts = fake.sent("sendMessage", 3).await;
    assert_eq!(parts.iter().map(text).collect::<Vec<_>>().join(" "), long.trim());
    assert_eq!(parts[0].fields["reply_parameters"]["message_id"], 5);
    assert!(parts[1..].iter().all(|part| part.fields.get("reply_parameters").is_none()));
    let all = fake.calls_of("sendMessage");
    assert_eq!(all.len(), 4);
    assert_eq!(text(&all[0]), text(&all[1]), "the same part again");
    assert!(all[1].at - all[0].at >= Duration::from_secs(3));
    assert!(all[2].at - all[1].at >= Duration::from_millis(990), "a message a second");
}

/// adapters.md #16
#[tokio::test(flavor = "multi_thread")]
async fn markup_that_is_refused_goes_as_plain_text() {
    let (fake, _host) = polling().await;
    fake.refuse("sendMessage", 400, "Bad Request: can't parse entities: Unsupported start tag", Value::Null);
    fake.push(direct(5, json!({ "text": "!reply **b** <x>" })));
    let answers = fake.sent("sendMessage", 1).await;
    assert_eq!((text(&answers[0]), answers[0].fields.get("parse_mode")), ("b <x>", None));
}

/// adapters.md #18: what lies behind the cursor comes once more, what lies before it never.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_in_a_batch_loses_nothing() {
    let (fake, mut host) = polling().await;
    // The first message makes the space, without which no file is fetched.
    fake.push(direct(1, json!({ "text": "!reply 0" })));
    fake.sent("sendMessage", 1).await;
    // Killed before it knows that it sent, it would send again.
    host.until("SELECT state FROM outbound", "delivered").await;
    fake.file("f", b"content");
    fake.hold("getFile");
    fake.push_all((11..=15).map(|number| {
        let mut fields = json!({ "text": format!("!reply {number}") });
        if number == 14 {
            fields = json!({ "caption": "!reply 14", "document": { "file_id": "f", "file_name": "a.txt", "mime_type": "text/plain" } });
        }
        direct(number, fields)
    }));
    fake.held("getFile").await;
    host.kill();
    fake.release("getFile");
    host.start().await;
    fake.all_confirmed().await;
    let inbound = "SELECT CAST(count(*) AS TEXT) FROM inbound";
    host.until(inbound, "6").await;
    let answers = fake.sent("sendMessage", 6).await;
    let mut said: Vec<_> = answers.iter().map(text).collect();
    said.sort_unstable();
    assert_eq!(said, ["0", "11", "12", "13", "14", "15"]);
}

/// adapters.md #19
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_moves_keeps_its_space() {
    let (fake, host) = polling().await;
    link(&host, &fake, -7).await;
    let moved = json!({ "migrate_to_chat_id": -100_200 });
    fake.refuse("sendMessage", 400, "Bad Request: group chat was upgraded to a supergroup chat", moved);
    let mut asked = group(5, mentioning("please\n!reply here"));
    asked["message"]["chat"]["id"] = json!(-7);
    fake.push(asked);
    let answers = fake.sent("sendMessage", 1).await;
    assert_eq!((&answers[0].fields["chat_id"], text(&answers[0])), (&json!(-100_200), "here"));
    host.until("SELECT space FROM conversations WHERE id = 'telegram:-100200'", "main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_was_thrown_out_is_unlinked() {
    let (fake, host) = polling().await;
    link(&host, &fake, -1001).await;
    fake.push(json!({ "my_chat_member": {
        "chat": { "id": -1001, "type": "supergroup" }, "from": { "id": 42 }, "date": 1,
        "old_chat_member": { "status": "member" }, "new_chat_member": { "status": "kicked" } } }));
    host.until("SELECT 'gone' FROM conversations WHERE id = 'telegram:-1001' AND space IS NULL", "gone").await;
}

/// adapters.md #12 and #13, and the limit on what a bot may fetch.
#[tokio::test(flavor = "multi_thread")]
async fn files_come_into_the_inbox() {
    let (fake, host) = polling().await;
    fake.push(direct(1, json!({ "text": "!reply hi" })));
    fake.sent("sendMessage", 1).await;
    fake.file("large", b"a large photo");
    fake.push(direct(
        2,
        json!({ "caption": "!ls inbox", "photo": [
        { "file_id": "small", "width": 90, "height": 60 }, { "file_id": "large", "width": 1280, "height": 853 } ] }),
    ));
    let answers = fake.sent("sendMessage", 2).await;
    assert!(text(&answers[1]).ends_with(".jpg"), "{}", text(&answers[1]));
    let photo = "SELECT json_extract(attachments, '$[0].type') || ' ' || json_extract(attachments, '$[0].mimeType') FROM inbound ORDER BY id DESC LIMIT 1";
    host.until(photo, "image image/jpeg").await;
    let inbox = host.data_dir().join("spaces/dm-telegram-42/inbox");
    let stored: Vec<_> =
        std::fs::read_dir(&inbox).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert_eq!(stored, [b"a large photo"]);

    fake.file("V", b"a voice");
    fake.push(direct(
        3,
        json!({ "caption": "!reply heard", "voice": { "file_id": "V", "mime_type": "audio/ogg", "duration": 3 } }),
    ));
    fake.sent("sendMessage", 3).await;
    host.until(photo, "voice audio/ogg").await;

    let before = fake.calls_of("getFile").len();
    fake.push(direct(
        4,
        json!({ "caption": "!reply too large", "document": { "file_id": "D", "file_size": 21 << 20 } }),
    ));
    fake.sent("sendMessage", 4).await;
    assert_eq!(fake.calls_of("getFile").len(), before, "not even asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_album_is_one_message() {
    let (fake, host) = polling().await;
    fake.push(direct(1, json!({ "text": "!reply hi" })));
    fake.sent("sendMessage", 1).await;
    let piece = |number: i64, caption: &str| {
        let name = format!("p{number}");
        fake.file(&name, name.as_bytes());
        direct(
            number,
            json!({ "caption": caption, "photo": [{ "file_id": name, "width": 1, "height": 1 }], "media_group_id": "g" }),
        )
    };
    fake.push_all([piece(2, "!reply seen"), piece(3, "")]);
    fake.push(piece(4, ""));
    let answers = fake.sent("sendMessage", 2).await;
    assert_eq!(text(&answers[1]), "seen");
    let count = "SELECT CAST(json_array_length(attachments) AS TEXT) FROM inbound ORDER BY id DESC LIMIT 1";
    host.until(count, "3").await;
    fake.all_confirmed().await;
    assert_eq!(fake.calls_of("sendMessage").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_agent_are_sent() {
    let (fake, _host) = polling().await;
    fake.push(direct(1, json!({ "text": "!write outbox/a.png not really a picture\n!write outbox/b.txt some text\n!reply **two** files" })));
    let photo = fake.sent("sendPhoto", 1).await.remove(0);
    assert_eq!(
        (&photo.fields["caption"], &photo.fields["parse_mode"]),
        (&json!("wrote outbox/a.png\nwrote outbox/b.txt\n<b>two</b> files"), &json!("HTML"))
    );
    assert_eq!((photo.files[0].name.as_str(), photo.files[0].mime_type.as_str()), ("a.png", "image/png"));
    assert!(photo.files[0].content.starts_with(b"not really a picture"));
    let document = fake.sent("sendDocument", 1).await.remove(0);
    assert_eq!((document.files[0].name.as_str(), document.fields.get("caption")), ("b.txt", None));
    assert!(fake.calls_of("sendMessage").is_empty(), "the text came with the picture");
}

/// A question comes with buttons; who may answer presses one, and the run goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_by_a_button() {
    let fake = Telegram::start().await;
    let settings = "  asking:\n    settings: { word: rm, never: forbidden, approver: admin }\n";
    let mut host = with_settings(&fake, settings).set("MERCURY_ADMINS", "telegram:42").prepare();
    install(&host, "asking", "\"tool-guard\"", &["word", "never", "approver", "timeout-ms"], &fixture("asking"));
    host.start().await;
    fake.push(direct(1, json!({ "text": "!tool bash rm x" })));
    let question = fake.sent("sendMessage", 1).await.remove(0);
    let rows = question.fields["reply_markup"]["inline_keyboard"].as_array().unwrap();
    let buttons: Vec<&Value> = rows.iter().flat_map(|row| row.as_array().unwrap()).collect();
    assert_eq!(buttons.len(), 2, "{}", question.fields);
    fake.push(json!({ "callback_query": {
        "id": "q1", "from": { "id": 42, "is_bot": false, "first_name": "Dana" }, "data": buttons[0]["callback_data"],
        "message": {
            "message_id": 1001, "date": 1, "chat": { "id": 42, "type": "private" }, "from": { "id": BOT_ID, "is_bot": true },
            "text": question.fields["text"], "reply_markup": question.fields["reply_markup"],
        } } }));
    let acknowledged = fake.sent("answerCallbackQuery", 1).await;
    assert_eq!(acknowledged[0].fields["callback_query_id"], "q1");
    let said = fake.sent("sendMessage", 3).await;
    assert!(text(&said[1]).contains("Allowed once"), "{said:#?}");
    assert!(text(&said[2]).contains("allow"), "{said:#?}");
}

/// A finger may be faster than the answer to the call that brought the button: no press is lost for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_press_may_come_before_its_question_is_known_as_sent() {
    let fake = Telegram::start().await;
    let settings = "  asking:\n    settings: { word: rm, never: forbidden, approver: admin }\n";
    let mut host = with_settings(&fake, settings).set("MERCURY_ADMINS", "telegram:42").prepare();
    install(&host, "asking", "\"tool-guard\"", &["word", "never", "approver", "timeout-ms"], &fixture("asking"));
    host.start().await;
    fake.hold("sendMessage");
    fake.push(direct(1, json!({ "text": "!tool bash rm x" })));
    fake.held("sendMessage").await;
    fake.push(json!({ "callback_query": {
        "id": "q1", "from": { "id": 42, "is_bot": false, "first_name": "Dana" }, "data": "#1 allow",
        "message": { "message_id": 1001, "date": 1, "chat": { "id": 42, "type": "private" },
                     "from": { "id": BOT_ID, "is_bot": true }, "text": "?" } } }));
    host.until("SELECT state || ' by ' || answered_by FROM questions", "allowed by telegram:42").await;
    fake.release("sendMessage");
    let said = fake.sent("sendMessage", 3).await;
    assert!(said.iter().any(|call| text(call).contains("Allowed once")), "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_formatting_text_stays_text() {
    let fake = Telegram::start().await;
    let _host = setup(&fake).set("MERCURY_TELEGRAM_FORMAT_ENABLED", "false").start().await;
    fake.push(direct(1, json!({ "text": "!reply **b** <x>" })));
    let answers = fake.sent("sendMessage", 1).await;
    assert_eq!((text(&answers[0]), answers[0].fields.get("parse_mode")), ("*b* <x>", None));
}

/// adapters.md #9
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_believed_only_with_its_secret() {
    let (fake, host) = with_webhook().await;
    for chat in [-1001, -10012] {
        let mut update = group(1, json!({ "text": "hello" }));
        update["message"]["chat"]["id"] = json!(chat);
        assert_eq!(bring(&host, SECRET, &fake.numbered(update)).await, 200);
        link_known(&host, chat);
    }
    let kicked = json!({ "update_id": 1, "my_chat_member": { "chat": { "id": -1001 }, "new_chat_member": { "status": "kicked" } } });
    assert_eq!(bring(&host, "s3cret_B_of_the_webhook", &kicked).await, 401);
    assert_eq!(
        host.request("POST", "/webhooks/telegram", &[], Bytes::from(kicked.to_string())).await.unwrap().status,
        401
    );
    let space = |chat: i64| {
        host.query::<Option<String>>(&format!("SELECT space FROM conversations WHERE id = 'telegram:{chat}'")).unwrap()
    };
    assert_eq!(space(-1001).as_deref(), Some("main"));
    assert_eq!(bring(&host, SECRET, &kicked).await, 200);
    assert_eq!((space(-1001), space(-10012).as_deref()), (None, Some("main")));

    let headers = [("x-telegram-bot-api-secret-token", SECRET)];
    assert_eq!(host.request("POST", "/webhooks/telegram", &headers, Bytes::from("{")).await.unwrap().status, 400);
    assert!(fake.calls_of("getUpdates").is_empty(), "Telegram gives nothing to a poller meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_webhook_brings_is_answered() {
    let (fake, host) = with_webhook().await;
    let update = fake.numbered(direct(5, json!({ "text": "!reply by webhook" })));
    for _ in 0..2 {
        assert_eq!(bring(&host, SECRET, &update).await, 200, "a second delivery is recognised");
    }
    let answers = fake.sent("sendMessage", 1).await;
    assert_eq!(text(&answers[0]), "by webhook");
    // Pieces of an album come one by one: behind a file that is on its way, so that however slowly they come, all are
    // there when the chat's timer looks.
    fake.file("d", b"content");
    fake.hold("getFile");
    let document = json!({ "caption": "!reply document", "document": { "file_id": "d", "file_name": "a.txt" } });
    assert_eq!(bring(&host, SECRET, &fake.numbered(direct(6, document))).await, 200);
    fake.held("getFile").await;
    for number in 7..10 {
        let name = format!("p{number}");
        fake.file(&name, name.as_bytes());
        let caption = if number == 8 { "!reply album" } else { "" };
        let piece = json!({ "caption": caption, "photo": [{ "file_id": name, "width": 1, "height": 1 }], "media_group_id": "g" });
        assert_eq!(bring(&host, SECRET, &fake.numbered(direct(number, piece))).await, 200);
    }
    fake.release("getFile");
    let answers = fake.sent("sendMessage", 3).await;
    assert_eq!(answers[1..].iter().map(text).collect::<Vec<_>>(), ["document", "album"]);
    let count = "SELECT CAST(json_array_length(attachments) AS TEXT) FROM inbound ORDER BY id DESC LIMIT 1";
    host.until(count, "3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_without_a_secret_is_for_the_operator() {
    let fake = Telegram::start().await;
    fake.webhook(Some("https://bot.example.org/webhooks/telegram"));
    let host = setup(&fake).start().await;
    let row = adapter_is(&host, "needs-operator").await;
    assert!(row.to_string().contains("MERCURY_TELEGRAM_WEBHOOK_SECRET_TOKEN"), "{row}");
    let update = fake.numbered(direct(5, json!({ "text": "hi" })));
    assert_eq!(bring(&host, "", &update).await, 503);
    drop(host);

    let host = setup(&fake).set("MERCURY_TELEGRAM_WEBHOOK_SECRET_TOKEN", "short").start().await;
    let row = adapter_is(&host, "needs-operator").await;
    assert!(row.to_string().contains("fewer than 16 characters"), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_token_and_a_second_poller_are_for_the_operator() {
    let fake = Telegram::start().await;
    let host = setup(&fake).set("MERCURY_TELEGRAM_BOT_TOKEN", "4242:AAnotTheToken").start().await;
    let row = adapter_is(&host, "needs-operator").await;
    assert!(row.to_string().contains("BotFather"), "{row}");
    drop(host);

    let host = setup(&fake).start().await;
    adapter_is(&host, "running").await;
    let rival = tokio::spawn(rival(fake.url()));
    let row = adapter_is(&host, "needs-operator").await;
    rival.abort();
    assert!(row.to_string().contains("another program"), "{row}");
}

/// Polls without a pause, as a second program would.
async fn rival(url: String) {
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    loop {
        let body = http_body_util::Full::new(Bytes::from(json!({ "timeout": 1 }).to_string()));
        let request = hyper::Request::post(format!("{url}/bot{TOKEN}/getUpdates")).body(body).unwrap();
        client.request(request).await.unwrap();
    }
}
