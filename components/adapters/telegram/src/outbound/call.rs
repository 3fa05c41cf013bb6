//! Steps as requests.

use serde_json::{Map, Value, json};

use super::{Delivery, Form, Step};
use crate::rich::{MOST_TEXT, Rich};

/// A method with its fields, and the attachments that go along: the field's name, and which one it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub method: &'static str,
    pub fields: Map<String, Value>,
    pub files: Vec<(String, usize)>,
}

/// Buttons with longer labels stand below each other.
const MOST_IN_A_ROW: usize = 30;

pub(super) fn of(delivery: &Delivery<'_>, step: &Step) -> Call {
    let mut fields = Map::new();
    fields.insert("chat_id".into(), json!(delivery.progress.chat));
    if let Some(thread) = delivery.progress.thread {
        fields.insert("message_thread_id".into(), json!(thread));
    }
    // In a direct chat nobody needs to be told what is answered.
    let reply_to = delivery.message.reply_to.as_ref().filter(|_| delivery.progress.chat < 0);
    if let Some(reply_to) = reply_to.and_then(|id| id.parse::<i64>().ok()).filter(|_| delivery.progress.sent.is_empty())
    {
        let reply = json!({ "message_id": reply_to, "allow_sending_without_reply": true });
        fields.insert("reply_parameters".into(), reply);
    }
    match step {
        Step::Text { part, plain } => {
            text(&mut fields, "text", delivery.parts.get(*part), delivery.formatted && !plain);
            if *part + 1 == delivery.parts.len() {
                keyboard(&mut fields, delivery);
            }
            Call { method: "sendMessage", fields, files: Vec::new() }
        }
        Step::File { file, form, caption, plain } => {
            if *caption {
                text(&mut fields, "caption", delivery.parts.first(), delivery.formatted && !plain);
            }
            Call { method: form.method(), fields, files: vec![(form.field().to_owned(), *file)] }
        }
        Step::Album { files, caption, plain } => {
            let name = |at: usize| format!("file{at}");
            let item = |(at, (_, form)): (usize, &(usize, Form))| {
                let mut item = Map::new();
                item.insert("type".into(), json!(form.field()));
                item.insert("media".into(), json!(format!("attach://{}", name(at))));
                if *caption && at == 0 {
                    text(&mut item, "caption", delivery.parts.first(), delivery.formatted && !plain);
                }
                Value::Object(item)
            };
            fields.insert("media".into(), files.iter().enumerate().map(item).collect());
            let files = files.iter().enumerate().map(|(at, (file, _))| (name(at), *file)).collect();
            Call { method: "sendMediaGroup", fields, files }
        }
    }
}

/// `editMessageText`; of a text that is too long, the first part.
pub fn edit(chat: i64, message_id: i64, markdown: &str, formatted: bool) -> Call {
    let mut fields = Map::new();
    fields.insert("chat_id".into(), json!(chat));
    fields.insert("message_id".into(), json!(message_id));
    let rich = if formatted { Rich::from_markdown(markdown) } else { Rich::plain(markdown) };
    text(&mut fields, "text", rich.split(MOST_TEXT).first(), formatted);
    Call { method: "editMessageText", fields, files: Vec::new() }
}

fn text(fields: &mut Map<String, Value>, name: &str, part: Option<&Rich>, marked_up: bool) {
    let Some(part) = part else { return };
    if marked_up {
        fields.insert(name.into(), json!(part.to_html()));
        fields.insert("parse_mode".into(), json!("HTML"));
    } else {
        fields.insert(name.into(), json!(part.text));
    }
}

fn keyboard(fields: &mut Map<String, Value>, delivery: &Delivery<'_>) {
    let choices = &delivery.message.choices;
    if choices.is_empty() {
        return;
    }
    let buttons = choices.iter().map(|choice| json!({ "text": choice.label, "callback_data": choice.id }));
    let length: usize = choices.iter().map(|choice| choice.label.chars().count()).sum();
    let rows: Vec<Vec<Value>> =
        if length <= MOST_IN_A_ROW { vec![buttons.collect()] } else { buttons.map(|button| vec![button]).collect() };
    fields.insert("reply_markup".into(), json!({ "inline_keyboard": rows }));
}
