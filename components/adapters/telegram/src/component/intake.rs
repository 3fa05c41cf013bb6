//! Hands over what happened, with its files; and what the webhook brings.

use std::time::{SystemTime, UNIX_EPOCH};

use mercury_plugin::{
    credentials, http, inbox,
    inbox::{Happening, Message, MissingFile, Refusal},
    kv, log, timers,
    types::{Content, Media},
    webhook::{Request, Response},
};
use serde_json::{Value, json};

use super::{bot, client, mode};
use crate::{
    api::File,
    batch::joined,
    files::{MOST_DOWNLOAD, RemoteFile},
    inbound::{Reading, read},
};

/// Telegram's header with the `secret_token` of `setWebhook`.
const SECRET_HEADER: &str = "x-telegram-bot-api-secret-token";
/// Updates that are answered for before they are worked on: `pending:<group>:<update id>`, and a timer
/// `pending:<group>`.
const PENDING: &str = "pending:";
const ALBUM_WAIT_MS: u64 = 1_000;

pub(super) enum NotTaken {
    Busy(u32),
    Failed(String),
}

/// Fetches the files, and stores all in one go.
pub(super) fn accept(mut readings: Vec<Reading>, cursor: Option<&str>) -> Result<(), NotTaken> {
    for reading in &mut readings {
        let files = std::mem::take(&mut reading.files);
        if let Happening::Message(message) = &mut reading.event.happening {
            if message.sent_at == 0 {
                message.sent_at = now();
            }
            fetch(message, files);
        }
    }
    let mut events: Vec<_> = readings.iter().map(|reading| reading.event.clone()).collect();
    let mut stored = inbox::accept(&events, cursor);
    if let Err(inbox::Error::Invalid(reason)) = &stored {
        log::error(&format!("the host does not take updates up to {cursor:?}, they are passed over: {reason}"));
        for event in &mut events {
            event.happening = Happening::Other(format!("was not taken: {reason}"));
        }
        stored = inbox::accept(&events, cursor);
    }
    match stored {
        Ok(_) => {
            readings.iter().filter_map(|reading| reading.callback.as_deref()).for_each(acknowledge);
            Ok(())
        }
        Err(inbox::Error::Busy(ms)) => Err(NotTaken::Busy(ms)),
        Err(inbox::Error::Denied(reason) | inbox::Error::Invalid(reason) | inbox::Error::Other(reason)) => {
            Err(NotTaken::Failed(reason))
        }
    }
}

/// The button stops blinking. Telegram gives up by itself after a while.
fn acknowledge(callback: &str) {
    if let Err(problem) = client::call_within("answerCallbackQuery", &json!({ "callback_query_id": callback }), 3_000) {
        log::debug(&format!("a pressed button was not acknowledged: {}", problem.message()));
    }
}

fn fetch(message: &mut Message, files: Vec<RemoteFile>) {
    for file in files {
        let kind = file.kind;
        let file_name = file.file_name.clone();
        match fetch_one(message, file) {
            Ok(media) => message.attachments.extend(media),
            Err(reason) => {
                log::info(&format!("a file of message {} was not fetched: {reason}", message.message_id));
                message.missing.push(MissingFile { kind, file_name, reason });
            }
        }
    }
}

/// None where nobody wants it; the error is for the person.
fn fetch_one(message: &Message, file: RemoteFile) -> Result<Option<Media>, String> {
    let (conversation, author) = (&message.conversation, &message.author.id);
    let most = match inbox::admits_file(&conversation.id, conversation.kind, author, file.size_bytes) {
        Ok(most) => most.min(MOST_DOWNLOAD),
        Err(Refusal::NotLinked) => return Ok(None),
        Err(Refusal::Refused(reason)) => return Err(reason),
        Err(Refusal::TooLarge(most)) => return Err(larger_than(most)),
    };
    if file.size_bytes.is_some_and(|size| size > most) {
        return Err(larger_than(most));
    }
    let found: File =
        client::ask("getFile", &json!({ "file_id": file.file_id })).map_err(|problem| problem.message())?;
    if found.file_size.is_some_and(|size| size > most) {
        return Err(larger_than(most));
    }
    let path = found.file_path.ok_or("Telegram does not say where it lies")?;
    let media =
        client::download(&path, file.kind, file.file_name.as_deref(), most).map_err(|error| match error.kind {
            http::ErrorKind::TooLarge(_) => larger_than(most),
            _ => format!("it could not be downloaded: {}", error.message),
        })?;
    // The file server calls everything application/octet-stream.
    Ok(Some(Media { kind: file.kind, mime_type: file.mime_type, file_name: file.file_name, ..media }))
}

fn larger_than(bytes: u64) -> String {
    format!("larger than {} MB", bytes >> 20)
}

/// Nothing is done before the secret was seen, and nothing is answered for before it is stored.
pub(super) fn handle(request: &Request) -> Response {
    let said = request.headers.iter().find(|(name, _)| name == SECRET_HEADER).map(|(_, value)| value.as_str());
    let proved = said.is_some_and(|said| credentials::matches(mode::SECRET, said).unwrap_or(false));
    if !proved {
        return answer(401, "the secret token is missing or wrong", false);
    }
    if request.method != "POST" {
        return answer(405, "updates come by POST", true);
    }
    let update = request.text_body.as_deref().and_then(|body| serde_json::from_str::<Value>(body).ok());
    let Some(update) = update else { return answer(400, "this is not JSON", true) };
    match take(&update) {
        Ok(()) => answer(200, "OK", true),
        Err(NotTaken::Busy(ms)) => {
            let mut busy = answer(503, "intake is full", true);
            busy.headers.push(("retry-after".into(), ms.div_ceil(1000).to_string()));
            busy
        }
        // Telegram brings it again.
        Err(NotTaken::Failed(reason)) => {
            log::error(&format!("an update could not be stored: {reason}"));
            answer(500, "it could not be stored", true)
        }
    }
}

fn take(update: &Value) -> Result<(), NotTaken> {
    let bot = bot::known().map_err(NotTaken::Failed)?;
    let Some(reading) = read(update, &bot) else {
        log::warn("the webhook brought something without an update_id");
        return Ok(());
    };
    if reading.files.is_empty() && reading.album.is_none() {
        return accept(vec![reading], None);
    }
    // Files take longer than Telegram waits, and pieces of an album come one by one.
    let (group, wait) = match &reading.album {
        Some(album) => (album.clone(), ALBUM_WAIT_MS),
        None => (reading.update_id.to_string(), 0),
    };
    let stored = kv::set(&format!("{PENDING}{group}:{:020}", reading.update_id), update.to_string().as_bytes());
    stored.map_err(|error| NotTaken::Failed(format!("its own state cannot be written: {error:?}")))?;
    timers::set(&format!("{PENDING}{group}"), wait)
        .map_err(|error| NotTaken::Failed(format!("no timer can be set: {error:?}")))
}

/// What waited is complete.
pub(super) fn fire(name: &str) -> Result<(), String> {
    let Some(group) = name.strip_prefix(PENDING) else { return Err(format!("`{name}` is no timer of this adapter")) };
    let bot = bot::known()?;
    let state = |error: kv::Error| format!("its own state cannot be read: {error:?}");
    let keys = kv::keys(&format!("{PENDING}{group}:"), None).map_err(state)?;
    let mut readings = Vec::new();
    for key in &keys {
        let update = kv::get(key).map_err(state)?.and_then(|update| serde_json::from_slice::<Value>(&update).ok());
        readings.extend(update.and_then(|update| read(&update, &bot)));
    }
    if !readings.is_empty() {
        accept(joined(readings), None).map_err(|not_taken| match not_taken {
            NotTaken::Busy(ms) => format!("intake is full for {ms} ms"),
            NotTaken::Failed(reason) => reason,
        })?;
    }
    for key in &keys {
        kv::remove(key).map_err(state)?;
    }
    Ok(())
}

fn answer(status: u16, text: &str, verified: bool) -> Response {
    Response { status, headers: Vec::new(), body: Content::Text(text.into()), verified }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
