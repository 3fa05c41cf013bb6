//! What a message replies to.

use mercury_plugin::inbox::Quoted;

use crate::{
    api::Message,
    inbound::{Bot, author},
};

/// Longer quotes are cut, in characters (adapters.md 2.2).
const MOST_CHARACTERS: usize = 12_000;

/// In a topic everything replies to the message that opened it, which nobody meant.
pub fn of(message: &Message, bot: &Bot) -> Option<Quoted> {
    let marked = message.quote.as_ref().map(|quote| quote.text.as_str()).filter(|text| !text.trim().is_empty());
    let replied = message.reply_to_message.as_ref().filter(|replied| replied.forum_topic_created.is_none());
    match (replied, marked) {
        (Some(replied), marked) => Some(Quoted {
            message_id: Some(replied.message_id.to_string()),
            author: Some(author(replied)),
            text: marked.map_or_else(|| body(replied), cut),
            from_bot: replied.from.as_ref().is_some_and(|from| from.id == bot.me.id),
        }),
        // Quoted from another chat, whose message ids mean nothing here.
        (None, Some(marked)) => Some(Quoted { message_id: None, author: None, text: cut(marked), from_bot: false }),
        (None, None) => None,
    }
}

/// Its text, or what stands for it.
pub fn body(message: &Message) -> String {
    if let Some(text) = message.text.as_deref().or(message.caption.as_deref()) {
        return cut(text);
    }
    let stand_in = if message.voice.is_some() {
        "[voice message]"
    } else if message.audio.is_some() {
        "[audio message]"
    } else if message.video_note.is_some() {
        "[video note]"
    } else if !message.photo.is_empty() {
        "[photo]"
    } else if message.video.is_some() {
        "[video]"
    } else if message.animation.is_some() {
        "[animation]"
    } else if message.document.is_some() {
        "[document]"
    } else if message.sticker.is_some() {
        "[sticker]"
    } else {
        ""
    };
    stand_in.to_owned()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}\n… [truncated]", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::Me;

    fn quoted(mut fields: Value) -> Option<Quoted> {
        fields["message_id"] = json!(9);
        fields["chat"] = json!({ "id": -5, "type": "supergroup" });
        let bot = Bot { me: Me { id: 99, ..Me::default() }, name: "Mercury".into() };
        of(&serde_json::from_value(fields).unwrap(), &bot)
    }

    fn replied(fields: Value) -> Value {
        let mut replied =
            json!({ "message_id": 8, "chat": { "id": -5 }, "from": { "id": 99, "is_bot": true, "username": "b" } });
        for (name, value) in fields.as_object().unwrap() {
            replied[name] = value.clone();
        }
        replied
    }

    #[test]
    fn text_caption_or_a_stand_in() {
        let cases = [
            (json!({ "text": "42" }), "42"),
            (json!({ "caption": "a cat", "photo": [{ "file_id": "f" }] }), "a cat"),
            (json!({ "voice": { "file_id": "f" } }), "[voice message]"),
            (json!({ "audio": { "file_id": "f" } }), "[audio message]"),
            (json!({ "video_note": { "file_id": "f" } }), "[video note]"),
            (json!({ "photo": [{ "file_id": "f" }] }), "[photo]"),
            (json!({ "video": { "file_id": "f" } }), "[video]"),
            (json!({ "animation": { "file_id": "f" }, "document": { "file_id": "f" } }), "[animation]"),
            (json!({ "document": { "file_id": "f" } }), "[document]"),
            (json!({ "sticker": { "file_id": "f" } }), "[sticker]"),
        ];
        for (fields, expected) in cases {
            let quoted = quoted(json!({ "text": "?", "reply_to_message": replied(fields) })).unwrap();
            assert_eq!(
                (quoted.text.as_str(), quoted.from_bot, quoted.message_id.as_deref()),
                (expected, true, Some("8"))
            );
        }
    }

    #[test]
    fn what_somebody_marked_comes_first() {
        let marked = json!({ "text": "?", "quote": { "text": "only this", "position": 3 }, "reply_to_message": replied(json!({ "text": "not only this" })) });
        assert_eq!(quoted(marked).unwrap().text, "only this");
        let elsewhere =
            quoted(json!({ "text": "?", "quote": { "text": "said there" }, "external_reply": {} })).unwrap();
        assert_eq!((elsewhere.text.as_str(), elsewhere.message_id, elsewhere.from_bot), ("said there", None, false));
    }

    #[test]
    fn a_long_one_is_cut() {
        let long = "ש".repeat(12_001);
        let text = quoted(json!({ "text": "?", "reply_to_message": replied(json!({ "text": long })) })).unwrap().text;
        assert_eq!(text, format!("{}\n… [truncated]", "ש".repeat(12_000)));
    }

    #[test]
    fn the_opening_of_a_topic_is_no_quote() {
        let opening = replied(json!({ "forum_topic_created": { "name": "plans" } }));
        assert_eq!(
            quoted(
                json!({ "text": "hi", "message_thread_id": 8, "is_topic_message": true, "reply_to_message": opening })
            ),
            None
        );
    }
}
