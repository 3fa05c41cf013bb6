use mercury_plugin::{
    chat_adapter::Choice,
    types::{Media, MediaKind},
};
use serde_json::json;

use super::*;

fn message(text: &str) -> OutboundMessage {
    OutboundMessage {
        id: "m1".into(),
        conversation: "telegram:-1001".into(),
        address: None,
        thread: None,
        reply_to: Some("5".into()),
        text: text.into(),
        attachments: Vec::new(),
        choices: Vec::new(),
        resume: None,
    }
}

fn file(name: &str, mime: &str, size: u64) -> Media {
    Media {
        handle: name.into(),
        kind: MediaKind::Document,
        mime_type: mime.into(),
        file_name: Some(name.into()),
        size_bytes: size,
    }
}

fn sent(id: i64) -> Result<Value, Problem> {
    Ok(json!({ "message_id": id }))
}

/// Every call of a delivery to which Telegram says yes.
fn calls(message: &OutboundMessage) -> Vec<Call> {
    let mut delivery = Delivery::begin(message, true).unwrap();
    let mut calls = Vec::new();
    while let Some(call) = delivery.next() {
        calls.push(call);
        let id = i64::try_from(calls.len()).unwrap();
        assert_eq!(delivery.answered(sent(id)), Next::GoOn);
    }
    calls
}

fn methods(message: &OutboundMessage) -> Vec<&'static str> {
    calls(message).iter().map(|call| call.method).collect()
}

/// adapters.md #14
#[test]
fn a_long_reply_is_sent_in_order_and_the_first_part_answers() {
    let calls = calls(&message(&"wort ".repeat(1800)));
    assert_eq!(calls.len(), 3);
    let texts: Vec<_> = calls.iter().map(|call| call.fields["text"].as_str().unwrap()).collect();
    assert!(texts.iter().all(|text| units(text) <= MOST_TEXT));
    assert_eq!(texts.join(" "), "wort ".repeat(1800).trim());
    assert_eq!(calls[0].fields["reply_parameters"], json!({ "message_id": 5, "allow_sending_without_reply": true }));
    assert!(calls[1..].iter().all(|call| !call.fields.contains_key("reply_parameters")));
    assert_eq!((&calls[0].fields["chat_id"], &calls[0].fields["parse_mode"]), (&json!(-1001), &json!("HTML")));
}

/// adapters.md #15: the same part again, from where it stopped, in another instance.
#[test]
fn what_was_sent_is_not_sent_again() {
    let mut message = message(&"wort ".repeat(1800));
    let (first, progress) = {
        let mut delivery = Delivery::begin(&message, true).unwrap();
        assert_eq!(delivery.answered(sent(101)), Next::GoOn);
        let call = delivery.next().unwrap();
        let Next::Stop(FailureKind::RetryAfter(3000), _) = delivery.answered(Err(Problem::RetryAfter(3000))) else {
            panic!()
        };
        (call, delivery.progress())
    };
    message.resume = progress;
    let mut delivery = Delivery::begin(&message, true).unwrap();
    assert_eq!(delivery.next().unwrap(), first);
    delivery.answered(sent(102));
    delivery.answered(sent(103));
    assert_eq!(delivery.next(), None);
    assert_eq!(delivery.delivered(), (vec!["101".into(), "102".into(), "103".into()], None));
}

/// adapters.md #16
#[test]
fn markup_that_is_not_understood_goes_as_plain_text() {
    let message = message("**b** <x>");
    let mut delivery = Delivery::begin(&message, true).unwrap();
    let said = "Bad Request: can't parse entities: x";
    assert_eq!(delivery.answered(Err(Problem::Markup(said.into()))), Next::GoOn);
    let again = delivery.next().unwrap();
    assert_eq!((&again.fields["text"], again.fields.get("parse_mode")), (&json!("b <x>"), None));
    assert_eq!(delivery.answered(Err(Problem::Markup(said.into()))), Next::Stop(FailureKind::Permanent, said.into()));
}

/// adapters.md #19
#[test]
fn a_group_that_moved_gets_it_there() {
    let message = message("hi");
    let mut delivery = Delivery::begin(&message, true).unwrap();
    assert_eq!(
        delivery.answered(Err(Problem::Moved(-100_200))),
        Next::Moved("telegram:-1001".into(), "telegram:-100200".into())
    );
    assert_eq!(delivery.next().unwrap().fields["chat_id"], json!(-100_200));
    assert!(
        matches!(delivery.answered(Err(Problem::Moved(-100_200))), Next::Stop(FailureKind::Permanent, _)),
        "no circle"
    );
}

#[test]
fn who_is_barred_and_what_passes() {
    for (problem, kind) in [
        (Problem::Barred("Forbidden: bot was kicked".into()), FailureKind::Permanent),
        (Problem::Passing("Bad Gateway".into()), FailureKind::Transient),
        (Problem::Token("Unauthorized".into()), FailureKind::Transient),
        (Problem::Refused("Bad Request: chat not found".into()), FailureKind::Permanent),
    ] {
        let message = message("hi");
        let mut delivery = Delivery::begin(&message, true).unwrap();
        let message = problem.message();
        assert_eq!(delivery.answered(Err(problem)), Next::Stop(kind, message));
    }
}

#[test]
fn a_topic_that_is_gone_leaves_the_group() {
    let mut message = message("hi");
    message.thread = Some("77".into());
    let mut delivery = Delivery::begin(&message, true).unwrap();
    assert_eq!(delivery.next().unwrap().fields["message_thread_id"], json!(77));
    assert_eq!(delivery.answered(Err(Problem::NoTopic)), Next::GoOn);
    assert!(!delivery.next().unwrap().fields.contains_key("message_thread_id"));
    delivery.answered(sent(1));
    assert!(delivery.delivered().1.unwrap().contains("topic"));
}

#[test]
fn each_file_has_its_method() {
    let cases = [
        ("image/png", 1, "sendPhoto"),
        ("image/jpeg", (10 << 20) + 1, "sendDocument"),
        ("image/svg+xml", 1, "sendDocument"),
        ("image/gif", 1, "sendAnimation"),
        ("video/mp4", 1, "sendVideo"),
        ("audio/ogg; codecs=opus", 1, "sendVoice"),
        ("audio/mpeg", 1, "sendAudio"),
        ("application/pdf", 50 << 20, "sendDocument"),
    ];
    for (mime, size, method) in cases {
        let mut message = message("");
        message.attachments = vec![file("a", mime, size)];
        assert_eq!(methods(&message), [method], "{mime}");
    }
}

#[test]
fn a_short_text_is_the_caption_of_the_first_file() {
    let mut message = message("**here**");
    message.attachments =
        vec![file("a.png", "image/png", 1), file("b.png", "image/png", 1), file("c.pdf", "application/pdf", 1)];
    let calls = calls(&message);
    assert_eq!(calls.iter().map(|call| call.method).collect::<Vec<_>>(), ["sendMediaGroup", "sendDocument"]);
    assert_eq!(
        calls[0].fields["media"],
        json!([
            { "type": "photo", "media": "attach://file0", "caption": "<b>here</b>", "parse_mode": "HTML" },
            { "type": "photo", "media": "attach://file1" },
        ])
    );
    assert_eq!(calls[0].files, [("file0".to_owned(), 0), ("file1".to_owned(), 1)]);
    assert!(calls[0].fields.contains_key("reply_parameters") && !calls[1].fields.contains_key("caption"));
    message.text = "a".repeat(MOST_CAPTION + 1);
    assert_eq!(methods(&message), ["sendMessage", "sendMediaGroup", "sendDocument"]);
}

#[test]
fn an_album_has_ten_at_most_and_one_kind() {
    let mut message = message("");
    message.attachments = (0..12).map(|_| file("a.pdf", "application/pdf", 1)).collect();
    message.attachments.push(file("a.ogg", "audio/ogg", 1));
    message.attachments.push(file("b.ogg", "audio/ogg", 1));
    let calls = calls(&message);
    assert_eq!(calls.iter().map(|call| call.files.len()).collect::<Vec<_>>(), [10, 2, 1, 1]);
}

#[test]
fn what_is_too_large_or_refused_is_named() {
    let mut message = message("see the files");
    message.attachments = vec![
        file("big.bin", "application/zip", (50 << 20) + 1),
        file("odd.png", "image/png", 1),
        file("none.txt", "text/plain", 0),
    ];
    let mut delivery = Delivery::begin(&message, true).unwrap();
    let mut methods = Vec::new();
    while let Some(call) = delivery.next() {
        methods.push(call.method);
        let answer = if call.files.is_empty() {
            sent(7)
        } else {
            Err(Problem::Refused("Bad Request: PHOTO_INVALID_DIMENSIONS".into()))
        };
        assert_eq!(delivery.answered(answer), Next::GoOn);
    }
    assert_eq!(methods, ["sendPhoto", "sendDocument", "sendMessage"], "the caption becomes a message");
    let reduced = delivery.delivered().1.unwrap();
    for said in ["big.bin", "50 MB", "none.txt", "empty", "odd.png", "PHOTO_INVALID_DIMENSIONS"] {
        assert!(reduced.contains(said), "{reduced}");
    }
}

#[test]
fn an_album_that_is_refused_comes_apart() {
    let mut message = message("");
    message.attachments = vec![file("a.png", "image/png", 1), file("b.png", "image/png", 1)];
    let mut delivery = Delivery::begin(&message, true).unwrap();
    assert_eq!(delivery.next_messages(), 2);
    assert_eq!(delivery.answered(Err(Problem::Refused("Bad Request: x".into()))), Next::GoOn);
    assert_eq!(delivery.next().unwrap().method, "sendPhoto");
    delivery.answered(sent(1));
    delivery.answered(sent(2));
    assert_eq!(delivery.delivered(), (vec!["1".into(), "2".into()], None));
}

#[test]
fn choices_are_buttons() {
    let choice = |id: &str, label: &str| Choice { id: id.into(), label: label.into() };
    let mut message = message("May I?");
    message.attachments = vec![file("a.png", "image/png", 1)];
    message.choices = vec![choice("allow-1", "Allow"), choice("deny-1", "Deny")];
    let found = calls(&message);
    assert_eq!(found[0].method, "sendMessage", "buttons belong to a text");
    let row = json!([{ "text": "Allow", "callback_data": "allow-1" }, { "text": "Deny", "callback_data": "deny-1" }]);
    assert_eq!(found[0].fields["reply_markup"], json!({ "inline_keyboard": [row] }));
    message.choices[0].label = "Allow this once, and never again".into();
    assert_eq!(calls(&message)[0].fields["reply_markup"]["inline_keyboard"].as_array().unwrap().len(), 2);
    message.choices[0].id = "x".repeat(65);
    assert!(Delivery::begin(&message, true).is_err());
}

#[test]
fn in_a_direct_chat_nothing_is_answered_by_number() {
    let mut message = message("hi");
    message.conversation = "telegram:42".into();
    assert!(!calls(&message)[0].fields.contains_key("reply_parameters"));
    message.conversation = "telegram:-1001".into();
    message.reply_to = Some("callback:7".into());
    assert!(!calls(&message)[0].fields.contains_key("reply_parameters"));
    message.conversation = "slack:1".into();
    assert!(Delivery::begin(&message, true).is_err());
}

#[test]
fn without_formatting_there_is_no_parse_mode() {
    let message = message("**b** <x>");
    let delivery = Delivery::begin(&message, false).unwrap();
    let call = delivery.next().unwrap();
    assert_eq!((&call.fields["text"], call.fields.get("parse_mode")), (&json!("*b* <x>"), None));
    let edited = edit(-1, 6, "**b**", true);
    assert_eq!(
        (edited.method, &edited.fields["text"], &edited.fields["parse_mode"]),
        ("editMessageText", &json!("<b>b</b>"), &json!("HTML"))
    );
}
