//! The methods, each with the checks that the real ones make.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use futures_util::stream;
use serde_json::{Value, json};

use super::{BOT, BOT_ID, Call, HELD, Shared, TOKEN, Uploaded, World, form, markup};

type Answer = Result<Value, (u16, String, Value)>;

pub(super) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/{bot}/{method}", any(call))
        .route("/file/{bot}/{*path}", get(download))
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

fn refused(code: u16, description: impl Into<String>) -> (u16, String, Value) {
    (code, description.into(), Value::Null)
}

async fn call(
    State(shared): State<Shared>,
    Path((bot, method)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let read = if content_type.starts_with("multipart/form-data") {
        form::read(content_type, &body)
    } else if body.is_empty() {
        Some((json!({}), Vec::new()))
    } else {
        serde_json::from_slice(&body).ok().map(|fields| (fields, Vec::new()))
    };
    let Some((fields, files)) = read else { return envelope(Err(refused(400, "Bad Request: can't parse the body"))) };
    wait_for_release(&shared, &method, &fields).await;
    let answer = if bot != format!("bot{TOKEN}") {
        Err(refused(401, "Unauthorized"))
    } else if let Some(refusal) = refusal(&shared, &method) {
        Err(refusal)
    } else if method == "getUpdates" {
        updates(&shared, &fields).await
    } else {
        let mut world = shared.world.lock().unwrap();
        answer(&mut world, &method, &fields, &files)
    };
    let status = answer.as_ref().map_or_else(|(code, ..)| *code, |_| 200);
    shared.world.lock().unwrap().calls.push(Call { method, fields, files, status, at: Instant::now() });
    shared.news.notify_waiters();
    envelope(answer)
}

async fn wait_for_release(shared: &Shared, method: &str, fields: &Value) {
    let mut told = false;
    loop {
        let news = shared.news.notified();
        tokio::pin!(news);
        news.as_mut().enable();
        {
            let mut world = shared.world.lock().unwrap();
            if !world.held.contains(method) {
                return;
            }
            if !told {
                let (method, fields) = (method.to_owned(), fields.clone());
                world.calls.push(Call { method, fields, files: Vec::new(), status: HELD, at: Instant::now() });
                told = true;
                shared.news.notify_waiters();
                continue;
            }
        }
        news.await;
    }
}

fn envelope(answer: Answer) -> Response {
    match answer {
        Ok(result) => Json(json!({ "ok": true, "result": result })).into_response(),
        Err((code, description, parameters)) => {
            let mut body = json!({ "ok": false, "error_code": code, "description": description });
            if !parameters.is_null() {
                body["parameters"] = parameters;
            }
            (StatusCode::from_u16(code).unwrap(), Json(body)).into_response()
        }
    }
}

fn refusal(shared: &Shared, method: &str) -> Option<(u16, String, Value)> {
    let mut world = shared.world.lock().unwrap();
    let refusal = world.refusals.get_mut(method)?.pop_front()?;
    Some((refusal.code, refusal.description, refusal.parameters))
}

/// Whatever lies before `offset` is confirmed and forgotten; the rest comes again and again.
async fn updates(shared: &Shared, fields: &Value) -> Answer {
    if shared.world.lock().unwrap().webhook.is_some() {
        return Err(refused(
            409,
            "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
        ));
    }
    let mut me = 0;
    shared.poller.send_modify(|poller| {
        *poller += 1;
        me = *poller;
    });
    let mut pollers = shared.poller.subscribe();
    let limit = usize::try_from(fields["limit"].as_u64().unwrap_or(100)).unwrap();
    let until = tokio::time::sleep(Duration::from_secs(fields["timeout"].as_u64().unwrap_or(0)));
    tokio::pin!(until);
    // Once: who hangs here for a dead host must not confirm what comes later.
    let from = fields["offset"].as_i64().unwrap_or(i64::MIN);
    let is_left = |update: &Value| update["update_id"].as_i64().unwrap() >= from;
    {
        let mut world = shared.world.lock().unwrap();
        let before = world.updates.len();
        world.updates.retain(is_left);
        if world.updates.len() < before {
            shared.news.notify_waiters();
        }
    }
    loop {
        let news = shared.news.notified();
        tokio::pin!(news);
        news.as_mut().enable();
        let found: Vec<Value> = {
            let world = shared.world.lock().unwrap();
            world.updates.iter().filter(|update| is_left(update)).take(limit).cloned().collect()
        };
        if !found.is_empty() {
            return Ok(Value::Array(found));
        }
        tokio::select! {
            () = news => {}
            () = &mut until => return Ok(json!([])),
            _ = pollers.wait_for(|poller| *poller != me) => {
                return Err(refused(409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"));
            }
        }
    }
}

fn answer(world: &mut World, method: &str, fields: &Value, files: &[Uploaded]) -> Answer {
    match method {
        "getMe" => Ok(json!({
            "id": BOT_ID, "is_bot": true, "first_name": "Mercury", "username": BOT,
            "can_join_groups": true, "can_read_all_group_messages": false, "supports_inline_queries": false,
        })),
        "getWebhookInfo" => {
            let url = world.webhook.clone().unwrap_or_default();
            let mut info =
                json!({ "url": url, "has_custom_certificate": false, "pending_update_count": world.updates.len() });
            if let Some(error) = &world.webhook_error {
                info["last_error_date"] = json!(1_700_000_000);
                info["last_error_message"] = json!(error);
            }
            Ok(info)
        }
        "getFile" => {
            let id = fields["file_id"].as_str().unwrap_or_default();
            let content = world.files.get(id).ok_or_else(|| refused(400, "Bad Request: invalid file_id"))?;
            if content.len() > 20 << 20 {
                return Err(refused(400, "Bad Request: file is too big"));
            }
            let size = world.announced.get(id).copied().unwrap_or(content.len() as u64);
            Ok(
                json!({ "file_id": id, "file_unique_id": id, "file_size": size, "file_path": format!("documents/{id}") }),
            )
        }
        "answerCallbackQuery" | "sendChatAction" => Ok(json!(true)),
        "sendMessage" => {
            let text = written(fields, "text", 4096, "Bad Request: message is too long")?;
            if text.trim().is_empty() {
                return Err(refused(400, "Bad Request: message text is empty"));
            }
            let buttons = fields["reply_markup"]["inline_keyboard"].as_array().into_iter().flatten();
            let data = buttons
                .flat_map(|row| row.as_array().unwrap())
                .map(|button| button["callback_data"].as_str().unwrap_or_default());
            if data.into_iter().any(|data| data.is_empty() || data.len() > 64) {
                return Err(refused(400, "Bad Request: BUTTON_DATA_INVALID"));
            }
            message(world, fields, text)
        }
        "editMessageText" => {
            let text = written(fields, "text", 4096, "Bad Request: message is too long")?;
            let key = (number(fields, "chat_id")?, number(fields, "message_id")?);
            let known =
                world.messages.get_mut(&key).ok_or_else(|| refused(400, "Bad Request: message to edit not found"))?;
            if *known == text {
                return Err(refused(
                    400,
                    "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message",
                ));
            }
            *known = text;
            Ok(json!({ "message_id": key.1, "chat": { "id": key.0 }, "date": 1_700_000_001 }))
        }
        "deleteMessage" => {
            let key = (number(fields, "chat_id")?, number(fields, "message_id")?);
            world.messages.remove(&key).ok_or_else(|| refused(400, "Bad Request: message to delete not found"))?;
            Ok(json!(true))
        }
        "sendPhoto" => upload(world, fields, files, "photo", 10 << 20),
        "sendAnimation" => upload(world, fields, files, "animation", 50 << 20),
        "sendVideo" => upload(world, fields, files, "video", 50 << 20),
        "sendVoice" => upload(world, fields, files, "voice", 50 << 20),
        "sendAudio" => upload(world, fields, files, "audio", 50 << 20),
        "sendDocument" => upload(world, fields, files, "document", 50 << 20),
        "sendMediaGroup" => album(world, fields, files),
        _ => Err(refused(404, "Not Found")),
    }
}

fn number(fields: &Value, name: &str) -> Result<i64, (u16, String, Value)> {
    fields[name].as_i64().ok_or_else(|| refused(400, format!("Bad Request: {name} is empty")))
}

/// The field's text after the parsing of its entities.
fn written(fields: &Value, name: &str, most: usize, too_long: &str) -> Result<String, (u16, String, Value)> {
    let text = fields[name].as_str().unwrap_or_default();
    let text = match fields["parse_mode"].as_str() {
        None => text.to_owned(),
        Some("HTML") => markup::parse(text).map_err(|complaint| refused(400, complaint))?,
        Some(_) => return Err(refused(400, "Bad Request: unsupported parse_mode")),
    };
    if markup::units(&text) > most { Err(refused(400, too_long)) } else { Ok(text) }
}

fn message(world: &mut World, fields: &Value, text: String) -> Answer {
    let chat = number(fields, "chat_id")?;
    world.next_message += 1;
    let id = world.next_message;
    world.messages.insert((chat, id), text.clone());
    Ok(json!({
        "message_id": id, "date": 1_700_000_001, "chat": { "id": chat }, "text": text,
        "from": { "id": BOT_ID, "is_bot": true, "username": BOT },
    }))
}

fn upload(world: &mut World, fields: &Value, files: &[Uploaded], field: &str, most: usize) -> Answer {
    let caption = written(fields, "caption", 1024, "Bad Request: message caption is too long")?;
    let file = files.iter().find(|file| file.field == field);
    check(file.ok_or_else(|| refused(400, format!("Bad Request: there is no {field} in the request")))?, most)?;
    message(world, fields, caption)
}

fn check(file: &Uploaded, most: usize) -> Result<(), (u16, String, Value)> {
    if file.content.is_empty() {
        return Err(refused(400, "Bad Request: file must be non-empty"));
    }
    if file.content.len() > most { Err(refused(413, "Request Entity Too Large")) } else { Ok(()) }
}

fn album(world: &mut World, fields: &Value, files: &[Uploaded]) -> Answer {
    let items = fields["media"].as_array().cloned().unwrap_or_default();
    if !(2..=10).contains(&items.len()) {
        return Err(refused(400, "Bad Request: group send failed: wrong number of files"));
    }
    let class = |item: &Value| match item["type"].as_str() {
        Some("photo" | "video") => "visual".to_owned(),
        other => other.unwrap_or_default().to_owned(),
    };
    if items.iter().any(|item| class(item) != class(&items[0])) {
        return Err(refused(400, "Bad Request: the album mixes kinds"));
    }
    let mut messages = Vec::new();
    for item in &items {
        let caption = written(item, "caption", 1024, "Bad Request: message caption is too long")?;
        let name = item["media"].as_str().and_then(|media| media.strip_prefix("attach://")).unwrap_or_default();
        let file = files.iter().find(|file| file.field == name);
        check(file.ok_or_else(|| refused(400, "Bad Request: wrong file identifier/HTTP URL specified"))?, 50 << 20)?;
        messages.push(message(world, fields, caption)?);
    }
    Ok(Value::Array(messages))
}

async fn download(State(shared): State<Shared>, Path((bot, path)): Path<(String, String)>) -> Response {
    let world = shared.world.lock().unwrap();
    if let Some(to) = path.strip_prefix("documents/").and_then(|id| world.redirected.get(id)) {
        return (StatusCode::FOUND, [(header::LOCATION, to.clone())]).into_response();
    }
    let id = path.strip_prefix("documents/").filter(|_| bot == format!("bot{TOKEN}")).unwrap_or_default();
    let Some(content) = world.files.get(id).cloned() else { return envelope(Err(refused(404, "Not Found"))) };
    // One whose size is a lie comes again and again, with no length before it, as long as somebody takes it.
    let body = if world.announced.contains_key(id) {
        Body::from_stream(stream::repeat_with(move || Ok::<_, Infallible>(content.clone())))
    } else {
        Body::from(content)
    };
    ([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response()
}
