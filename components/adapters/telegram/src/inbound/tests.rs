use serde_json::json;

use super::*;

fn bot() -> Bot {
    Bot { me: Me { id: 99, username: "mercury_real_bot".into(), ..Me::default() }, name: "Mercury".into() }
}

fn reading(update: &Value) -> Reading {
    read(update, &bot()).unwrap()
}

fn of(update: &Value) -> Message {
    match reading(update).event.happening {
        Happening::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

fn other(update: &Value) -> String {
    match reading(update).event.happening {
        Happening::Other(said) => said,
        other => panic!("{other:?}"),
    }
}

/// A message of Dana's in the supergroup -1001, with these fields besides.
fn group(fields: Value) -> Value {
    let mut message = json!({
        "message_id": 5, "date": 1_700_000_000, "chat": { "id": -1001, "type": "supergroup", "title": "Team" },
        "from": { "id": 42, "is_bot": false, "first_name": "Dana", "username": "dana" },
    });
    for (name, value) in fields.as_object().unwrap() {
        message[name] = value.clone();
    }
    json!({ "update_id": 10, "message": message })
}

/// adapters.md #10
#[test]
fn a_mention_in_a_group() {
    let text = "@mercury_real_bot hi";
    let update = group(json!({ "text": text, "entities": [{ "type": "mention", "offset": 0, "length": 17 }] }));
    let reading = reading(&update);
    assert_eq!((reading.update_id, reading.event.id.as_str()), (10, "99:10:-1001:5"));
    let message = of(&update);
    assert_eq!((message.text.as_str(), message.mentions_bot), ("@Mercury hi", true));
    assert_eq!((message.author.id.as_str(), message.author.display_name.as_deref()), ("telegram:42", Some("dana")));
    assert_eq!((message.message_id.as_str(), message.sent_at), ("5", 1_700_000_000_000));
    assert_eq!(
        (message.conversation.id.as_str(), message.conversation.kind),
        ("telegram:-1001", ConversationKind::Group)
    );
    assert_eq!((message.conversation.title.as_deref(), message.conversation.thread), (Some("Team"), None));
}

/// adapters.md #11: an edit is one, and brings no file a second time.
#[test]
fn an_edit_is_no_message() {
    let mut update = group(json!({ "caption": "new", "photo": [{ "file_id": "f" }] }));
    update["edited_message"] = update["message"].take();
    let reading = reading(&update);
    let Happening::Edited(message) = reading.event.happening else { panic!("{:?}", reading.event) };
    assert_eq!((message.message_id.as_str(), message.text.as_str()), ("5", "new"));
    assert!(reading.files.is_empty());
}

#[test]
fn a_topic_is_a_thread_and_a_reply_is_none() {
    let topic = of(&group(json!({ "text": "hi", "message_thread_id": 77, "is_topic_message": true })));
    assert_eq!((topic.conversation.id.as_str(), topic.conversation.thread.as_deref()), ("telegram:-1001", Some("77")));
    assert_eq!(of(&group(json!({ "text": "hi", "message_thread_id": 77 }))).conversation.thread, None);
}

/// adapters.md #9: who was thrown out, or left; and the rest of membership.
#[test]
fn membership() {
    let change = |status: &str| json!({ "update_id": 1, "my_chat_member": { "chat": { "id": -1001 }, "new_chat_member": { "status": status } } });
    for gone in ["kicked", "left"] {
        assert_eq!(reading(&change(gone)).event.happening, Happening::Removed("telegram:-1001".into()));
    }
    assert_eq!(other(&change("administrator")), "now administrator in telegram:-1001");
    let mut restricted = change("restricted");
    restricted["my_chat_member"]["new_chat_member"]["is_member"] = json!(true);
    assert_eq!(other(&restricted), "now restricted in telegram:-1001");
    restricted["my_chat_member"]["new_chat_member"]["is_member"] = json!(false);
    assert_eq!(reading(&restricted).event.happening, Happening::Removed("telegram:-1001".into()));
}

/// adapters.md #19, seen from the updates: both service messages say the same.
#[test]
fn a_group_becomes_a_supergroup() {
    let moved = Happening::Moved(("telegram:-7".into(), "telegram:-1007".into()));
    let mut old = group(json!({ "migrate_to_chat_id": -1007 }));
    old["message"]["chat"]["id"] = json!(-7);
    assert_eq!(reading(&old).event.happening, moved);
    let mut new = group(json!({ "migrate_from_chat_id": -7 }));
    new["message"]["chat"]["id"] = json!(-1007);
    assert_eq!(reading(&new).event.happening, moved);
}

#[test]
fn a_pressed_button_answers() {
    let update = json!({ "update_id": 11, "callback_query": {
        "id": "q1", "from": { "id": 42, "first_name": "Dana" }, "data": "approve-7", "message": {
            "message_id": 6, "chat": { "id": -1001, "type": "supergroup" }, "from": { "id": 99, "is_bot": true },
            "text": "May I?", "reply_markup": { "inline_keyboard": [[{ "text": "Allow", "callback_data": "approve-7" }]] },
        } } });
    assert_eq!(reading(&update).callback.as_deref(), Some("q1"));
    let message = of(&update);
    assert_eq!((message.text.as_str(), message.answer.as_deref()), ("Allow", Some("approve-7")));
    assert_eq!((message.message_id.as_str(), message.author.id.as_str()), ("callback:6:42:approve-7", "telegram:42"));
    let quoted = message.quoted.unwrap();
    assert_eq!((quoted.message_id.as_deref(), quoted.from_bot, quoted.text.as_str()), (Some("6"), true, "May I?"));
}

/// Its data need not be that of any button, and names an event, in which no control character may stand, and
/// which must not become too long for the host: 512 characters.
#[test]
fn a_forged_press_has_a_clean_name() {
    let press = |number: i64, data: &str| {
        let update = json!({ "update_id": number, "callback_query": { "id": "q1", "from": { "id": number },
            "data": data, "message": { "message_id": number, "chat": { "id": number, "type": "private" } } } });
        (of(&update).message_id, reading(&update).event.id)
    };
    assert_eq!(press(6, "x\n\u{1b}[2J").0, "callback:6:6:x\\n\\u{1b}[2J");
    // As much data as a button has, each byte as long as it gets.
    for data in ["\n".repeat(64), "\u{7f}".repeat(64), "\u{85}".repeat(32), "\u{10ffff}".repeat(16)] {
        let (message, event) = press(i64::MIN, &data);
        assert!(event.ends_with(&message) && !event.contains(char::is_control), "{event:?}");
        assert!(event.chars().count() <= 512, "{event}");
    }
    assert_ne!(press(6, "\n"), press(6, "\\n"), "what differs is named differently");
}

/// Whoever presses a button a hundred times says one thing once.
#[test]
fn a_second_press_is_the_same_message() {
    let press = |update: i64, query: &str, user: i64, data: &str| {
        let update = json!({ "update_id": update, "callback_query": {
            "id": query, "from": { "id": user }, "data": data, "message": { "message_id": 6, "chat": { "id": -1001 } } } });
        of(&update).message_id
    };
    let first = press(11, "q1", 42, "#7 allow");
    assert_eq!(press(12, "q2", 42, "#7 allow"), first);
    assert_ne!(press(13, "q3", 42, "#7 deny"), first);
    assert_ne!(press(14, "q4", 43, "#7 allow"), first, "somebody else");
}

/// An admin who hands on what a stranger wrote has not said it.
#[test]
fn what_is_forwarded_is_marked() {
    let forwarded = |origin: Value, fields: Value| {
        let mut all = json!({ "forward_origin": origin });
        for (name, value) in fields.as_object().unwrap() {
            all[name] = value.clone();
        }
        of(&group(all)).text
    };
    let user = json!({ "type": "user", "sender_user": { "id": 7, "first_name": "Eve" } });
    assert_eq!(forwarded(user, json!({ "text": "#12 allow" })), "[forwarded from Eve]\n#12 allow");
    let hidden = json!({ "type": "hidden_user", "sender_user_name": "E]\nve" });
    assert_eq!(forwarded(hidden, json!({ "text": "yes" })), "[forwarded from E  ve]\nyes");
    let channel = json!({ "type": "channel", "chat": { "id": -1002, "type": "channel", "title": "News" } });
    let photo = json!({ "photo": [{ "file_id": "f" }] });
    assert_eq!(forwarded(channel, photo), "[forwarded from News]");
    assert_eq!(forwarded(json!({ "type": "new" }), json!({ "text": "x" })), "[forwarded from somebody]\nx");
}

#[test]
fn who_speaks() {
    let bot = of(&group(json!({ "text": "hi", "from": { "id": 7, "is_bot": true, "username": "other_bot" } })));
    assert!(bot.from_bot);
    // An anonymous admin: a person behind the group's own name.
    let anonymous = of(&group(json!({
        "text": "hi", "from": { "id": 1_087_968_824, "is_bot": true, "username": "GroupAnonymousBot" },
        "sender_chat": { "id": -1001, "type": "supergroup", "title": "Team" },
    })));
    assert_eq!((anonymous.from_bot, anonymous.author.id.as_str()), (false, "telegram:chat:-1001"));
    let mut post = group(json!({ "text": "news", "sender_chat": { "id": -1002, "type": "channel", "title": "News" } }));
    post["channel_post"] = post["message"].take();
    post["channel_post"].as_object_mut().unwrap().remove("from");
    assert_eq!(of(&post).author.id, "telegram:chat:-1002");
    let nameless = of(&group(json!({ "text": "hi", "from": { "id": 42 } })));
    assert_eq!(nameless.author.display_name.as_deref(), Some("42"));
    assert_eq!(other(&group(json!({ "text": "hi", "from": { "id": 99, "is_bot": true } }))), "its own message");
}

#[test]
fn what_has_no_words_is_described() {
    let cases = [
        (json!({ "sticker": { "file_id": "f", "emoji": "😀", "is_animated": true } }), "[sticker 😀]"),
        (json!({ "location": { "latitude": 52.5, "longitude": 13.25 } }), "[location: 52.5, 13.25]"),
        (
            json!({ "venue": { "title": "Zoo", "address": "Hall 1", "location": { "latitude": 1.0, "longitude": 2.0 } }, "location": { "latitude": 1.0, "longitude": 2.0 } }),
            "[venue: Zoo, Hall 1 (1, 2)]",
        ),
        (
            json!({ "contact": { "phone_number": "+49", "first_name": "Ada", "last_name": "L" } }),
            "[contact: Ada L, +49]",
        ),
        (json!({ "poll": { "question": "When?" } }), "[poll: When?]"),
        (json!({ "dice": { "emoji": "🎲", "value": 5 } }), "[dice 🎲 5]"),
    ];
    for (fields, expected) in cases {
        assert_eq!(of(&group(fields)).text, expected);
    }
    assert_eq!(other(&group(json!({ "new_chat_title": "Team 2" }))), "a service message in telegram:-1001");
    assert!(of(&group(json!({ "photo": [{ "file_id": "f" }] }))).text.is_empty());
}

#[test]
fn a_reaction_is_told() {
    let update = json!({ "update_id": 12, "message_reaction": {
        "chat": { "id": -1001, "type": "supergroup" }, "message_id": 5, "date": 1, "user": { "id": 42 },
        "old_reaction": [], "new_reaction": [{ "type": "emoji", "emoji": "👍" }] } });
    assert_eq!(other(&update), "telegram:42 reacted with 👍: message 5 in telegram:-1001");
}

/// None stands in the way of those behind it.
#[test]
fn what_cannot_be_read_happened_nevertheless() {
    assert!(other(&json!({ "update_id": 3, "message": { "chat": "?" } })).contains("cannot be read"));
    assert!(other(&json!({ "update_id": 3, "pre_checkout_query": {} })).contains("not used"));
    assert_eq!(read(&json!({ "message": {} }), &bot()), None);
}

#[test]
fn a_chat_id_needs_64_bits() {
    let mut update = group(json!({ "text": "hi" }));
    update["message"]["chat"]["id"] = json!(-1_002_003_004_005_i64);
    assert_eq!(of(&update).conversation.id, "telegram:-1002003004005");
    assert_eq!(chat_of("telegram:-1002003004005"), Some(-1_002_003_004_005));
    assert_eq!((chat_of("telegram:x"), chat_of("slack:1"), chat_of("telegram1")), (None, None, None));
}

/// The example updates of "Marvin's Marvellous Guide to All Things Webhook",
/// core.telegram.org/bots/webhooks#testing-your-bot-with-updates.
mod official {
    use super::*;

    fn sample(fields: Value) -> Value {
        let mut message = json!({
            "date": 1_441_645_532,
            "chat": { "last_name": "Test Lastname", "id": 1_111_111, "type": "private", "first_name": "Test Firstname", "username": "Testusername" },
            "message_id": 1365,
            "from": { "last_name": "Test Lastname", "id": 1_111_111, "first_name": "Test Firstname", "username": "Testusername" },
        });
        for (name, value) in fields.as_object().unwrap() {
            message[name] = value.clone();
        }
        json!({ "update_id": 10000, "message": message })
    }

    #[test]
    fn message_with_text() {
        // The first example has no type of chat.
        let mut update = sample(json!({ "text": "/start" }));
        update["message"]["chat"].as_object_mut().unwrap().remove("type");
        let message = of(&update);
        assert_eq!((message.text.as_str(), message.author.id.as_str()), ("/start", "telegram:1111111"));
        assert_eq!((message.conversation.kind, message.sent_at), (ConversationKind::Direct, 1_441_645_532_000));
        assert_eq!(of(&sample(json!({ "text": "/start" }))), message);
    }

    #[test]
    fn forwarded_messages() {
        for from in [
            json!({ "last_name": "Forward Lastname", "id": 222_222, "first_name": "Forward Firstname" }),
            json!({ "id": -10_000_000_000_i64, "type": "channel", "title": "Test channel" }),
        ] {
            let update = sample(json!({ "forward_from": from, "forward_date": 1_441_645_550, "text": "/start" }));
            assert_eq!(of(&update).author.id, "telegram:1111111");
        }
    }

    #[test]
    fn message_with_a_reply() {
        let update = sample(json!({ "text": "/start", "reply_to_message": {
            "date": 1_441_645_000,
            "chat": { "last_name": "Reply Lastname", "type": "private", "id": 1_111_112, "first_name": "Reply Firstname", "username": "Testusername" },
            "message_id": 1334, "text": "Original" } }));
        let quoted = of(&update).quoted.unwrap();
        assert_eq!(
            (quoted.text.as_str(), quoted.message_id.as_deref(), quoted.from_bot),
            ("Original", Some("1334"), false)
        );
    }

    #[test]
    fn edited_message() {
        let mut update = sample(json!({ "text": "Edited text", "edit_date": 1_441_646_600 }));
        update["edited_message"] = update["message"].take();
        update.as_object_mut().unwrap().remove("message");
        let Happening::Edited(message) = reading(&update).event.happening else { panic!() };
        assert_eq!(message.text, "Edited text");
    }

    #[test]
    fn message_with_entities() {
        let entities =
            json!([{ "type": "italic", "offset": 9, "length": 7 }, { "type": "bold", "offset": 0, "length": 4 }]);
        assert_eq!(
            of(&sample(json!({ "text": "Bold and italics", "entities": entities }))).text,
            "**Bold** and *italics*"
        );
    }

    #[test]
    fn messages_with_files() {
        let cases = [
            (
                json!({ "audio": { "file_id": "AwADBAADbXXXXXXXXXXXGBdhD2l6_XX", "duration": 243, "mime_type": "audio/mpeg", "file_size": 3_897_500, "title": "Test music file" } }),
                "audio/mpeg",
                3_897_500,
                None,
            ),
            (
                json!({ "voice": { "file_id": "AwADBAADbXXXXXXXXXXXGBdhD2l6_XX", "duration": 5, "mime_type": "audio/ogg", "file_size": 23000 } }),
                "audio/ogg",
                23000,
                None,
            ),
            (
                json!({ "document": { "file_id": "AwADBAADbXXXXXXXXXXXGBdhD2l6_XX", "file_name": "Testfile.pdf", "mime_type": "application/pdf", "file_size": 536_392 } }),
                "application/pdf",
                536_392,
                Some("Testfile.pdf"),
            ),
        ];
        for (fields, mime, size, name) in cases {
            let files = reading(&sample(fields)).files;
            assert_eq!(
                (files[0].mime_type.as_str(), files[0].size_bytes, files[0].file_name.as_deref()),
                (mime, Some(size), name)
            );
            assert_eq!(files[0].file_id, "AwADBAADbXXXXXXXXXXXGBdhD2l6_XX");
        }
    }

    #[test]
    fn queries() {
        let from = json!({ "last_name": "Test Lastname", "type": "private", "id": 1_111_111, "first_name": "Test Firstname", "username": "Testusername" });
        let inline = json!({ "update_id": 10000, "inline_query": { "id": 134_567_890_097_i64, "from": from, "query": "inline query", "offset": "" } });
        assert!(other(&inline).contains("not used"));
        let chosen = json!({ "update_id": 10000, "chosen_inline_result": { "result_id": "12", "from": from, "query": "inline query", "inline_message_id": "1234csdbsk4839" } });
        assert!(other(&chosen).contains("not used"));
        let pressed = json!({ "update_id": 10000, "callback_query": { "id": "4382bfdwdsb323b2d9", "from": from, "data": "Data from button callback", "inline_message_id": "1234csdbsk4839" } });
        assert_eq!(reading(&pressed).callback.as_deref(), Some("4382bfdwdsb323b2d9"));
        assert!(other(&pressed).contains("outside of any chat"));
    }
}
