//! Hands over what happened, with its files; and what the webhook brings.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mercury_plugin::{
    credentials, http, inbox,
    inbox::{Event, Happening, Message, MissingFile, Refusal},
    kv, log, timers,
    types::{Content, Media},
    webhook::{Request, Response},
};
use serde_json::{Value, json};

use super::{bot, client, mode, suspect};
use crate::{
    api::File,
    batch::batches,
    budget::Budget,
    files::{MOST_DOWNLOAD, RemoteFile},
    handing::hand_over,
    inbound::{Reading, read},
    pending::{self, PENDING, Waiting},
};

/// Telegram's header with the `secret_token` of `setWebhook`.
const SECRET_HEADER: &str = "x-telegram-bot-api-secret-token";
/// The last update of a chat's last album and when it was taken, in milliseconds: `album:<chat>`. A piece
/// that Telegram brings again later would else be a message of its own.
const LAST_ALBUM: &str = "album:";
/// For how long Telegram shall keep what there is no room for.
const FULL_MS: u32 = 30_000;
/// What a chat's timer is at work on: `suspect:<chat>`.
const SUSPECT: &str = "suspect:";
/// For which Telegram keeps updates: 24 hours.
const KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

pub(super) enum NotTaken {
    Busy(u32),
    Failed(String),
}

/// Fetches the files, and stores all in one go. With a budget it waits for a host that is busy; without,
/// there are no files to be fetched. Returns the pressed buttons, to be acknowledged.
pub(super) fn accept(
    mut readings: Vec<Reading>,
    cursor: Option<&str>,
    budget: Option<&Budget>,
) -> Result<Vec<String>, NotTaken> {
    for reading in &mut readings {
        let files = std::mem::take(&mut reading.files);
        if let Happening::Message(message) = &mut reading.event.happening {
            if message.sent_at == 0 {
                message.sent_at = now();
            }
            fetch(message, files, budget);
        }
    }
    let mut events: Vec<_> = readings.iter().map(|reading| reading.event.clone()).collect();
    let stored = hand_over(
        &mut events,
        cursor,
        |events, cursor| store(events, cursor, budget),
        |event, reason| log::error(&format!("the host does not take {}, it is passed over: {reason}", event.id)),
    );
    match stored {
        Ok(_) => Ok(readings.into_iter().filter_map(|reading| reading.callback).collect()),
        Err(inbox::Error::Busy(ms)) => Err(NotTaken::Busy(ms)),
        Err(inbox::Error::Denied(reason) | inbox::Error::Invalid(reason) | inbox::Error::Other(reason)) => {
            Err(NotTaken::Failed(reason))
        }
    }
}

/// The files are here already, so a busy host is waited for rather than asked anew with everything.
fn store(events: &[Event], cursor: Option<&str>, budget: Option<&Budget>) -> Result<Vec<inbox::Outcome>, inbox::Error> {
    loop {
        match (inbox::accept(events, cursor), budget) {
            (Err(inbox::Error::Busy(ms)), Some(budget)) if !budget.is_enough(Instant::now()) => {
                std::thread::sleep(Duration::from_millis(ms.into()));
            }
            (stored, _) => return stored,
        }
    }
}

/// The button stops blinking. Telegram gives up by itself after a while.
pub(super) fn acknowledge(callback: &str) {
    if let Err(problem) = client::call_within("answerCallbackQuery", &json!({ "callback_query_id": callback }), 3_000) {
        log::debug(&format!("a pressed button was not acknowledged: {}", problem.message()));
    }
}

fn fetch(message: &mut Message, files: Vec<RemoteFile>, budget: Option<&Budget>) {
    for file in files {
        let kind = file.kind;
        let file_name = file.file_name.clone();
        match fetch_one(message, file, budget) {
            Ok(media) => message.attachments.extend(media),
            Err(reason) => {
                log::info(&format!("a file of message {} was not fetched: {reason}", message.message_id));
                message.missing.push(MissingFile { kind, file_name, reason });
            }
        }
    }
}

/// None where nobody wants it; the error is for the person.
fn fetch_one(message: &Message, file: RemoteFile, budget: Option<&Budget>) -> Result<Option<Media>, String> {
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
    let left = || budget.and_then(|budget| budget.left_ms(Instant::now())).ok_or("it took too long to fetch it");
    // What exactly went wrong is the operator's business.
    let failed = |said: &str| {
        log::warn(&format!("a file of message {} cannot be fetched: {said}", message.message_id));
        "Telegram did not give it".to_owned()
    };
    let wanted = json!({ "file_id": file.file_id });
    let found: File = client::ask_within("getFile", &wanted, left()?.min(client::TIMEOUT_MS))
        .map_err(|problem| failed(&problem.message()))?;
    if found.file_size.is_some_and(|size| size > most) {
        return Err(larger_than(most));
    }
    let path = found.file_path.ok_or_else(|| failed("getFile names no path"))?;
    let media = client::download(&path, file.kind, file.file_name.as_deref(), most, left()?).map_err(|error| {
        match error.kind {
            http::ErrorKind::TooLarge(_) => larger_than(most),
            http::ErrorKind::Timeout => "it took too long to fetch it".to_owned(),
            _ => failed(&error.message),
        }
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
        Ok(None) => answer(200, "OK", true),
        Ok(Some(callback)) => acknowledging(&callback),
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

/// Stores an update, or keeps it for its timer. Returns a pressed button, to be acknowledged.
///
/// What has files is answered for before it is worked on, since they take longer than Telegram waits and pieces
/// of an album come one by one. What follows in the chat waits behind it.
fn take(update: &Value) -> Result<Option<String>, NotTaken> {
    let bot = bot::known().map_err(NotTaken::Failed)?;
    let Some(mut reading) = read(update, &bot) else {
        log::warn("the webhook brought something without an update_id");
        return Ok(None);
    };
    if is_strangers(&reading) {
        // Nothing of it is kept, so it takes no room of those whose files are.
        reading.files.clear();
        reading.album = None;
    }
    let Some(chat) = reading.chat else { return accept(vec![reading], None, None).map(|mut pressed| pressed.pop()) };
    let queue = format!("{PENDING}{chat}");
    let mut waiting: Vec<_> =
        kv::keys(&format!("{queue}:"), None).map_err(unreadable)?.iter().filter_map(|key| Waiting::of(key)).collect();
    let is_piece = reading.album.is_some();
    if waiting.is_empty() && reading.files.is_empty() && !is_piece {
        return accept(vec![reading], None, None).map(|mut pressed| pressed.pop());
    }
    if is_piece && is_of_the_last_album(chat, reading.update_id)? {
        return Ok(None);
    }
    // Telegram brings again what it heard no answer to.
    if waiting.iter().all(|known| known.update_id != reading.update_id) {
        let text = update.to_string();
        let (update_id, since, bytes) = (reading.update_id, now(), text.len());
        if pending::is_full_chat(&waiting, bytes) || pending::is_full(pending_bytes()?, bytes) {
            return Err(NotTaken::Busy(FULL_MS));
        }
        let new = Waiting { update_id, since, bytes, is_piece };
        kv::set(&new.key(chat), text.as_bytes())
            .map_err(|error| NotTaken::Failed(format!("its own state cannot be written: {error:?}")))?;
        waiting.push(new);
    }
    timers::set(&queue, pending::wait_ms(&waiting, now()))
        .map_err(|error| NotTaken::Failed(format!("no timer can be set: {error:?}")))?;
    Ok(None)
}

/// What waits in all chats.
fn pending_bytes() -> Result<usize, NotTaken> {
    let (mut bytes, mut after) = (0_usize, None::<String>);
    loop {
        let keys = kv::keys(PENDING, after.as_deref()).map_err(unreadable)?;
        bytes = keys.iter().filter_map(|key| Waiting::of(key)).fold(bytes, |sum, kept| sum.saturating_add(kept.bytes));
        match keys.into_iter().next_back() {
            Some(last) => after = Some(last),
            None => return Ok(bytes),
        }
    }
}

/// Whether its files are of a conversation that belongs to no space.
fn is_strangers(reading: &Reading) -> bool {
    let (Some(_), Happening::Message(message)) = (reading.files.first(), &reading.event.happening) else {
        return false;
    };
    let admitted = inbox::admits_file(&message.conversation.id, message.conversation.kind, &message.author.id, None);
    matches!(admitted, Err(Refusal::NotLinked))
}

fn is_of_the_last_album(chat: i64, update_id: i64) -> Result<bool, NotTaken> {
    let last = kv::get(&format!("{LAST_ALBUM}{chat}")).map_err(unreadable)?;
    let last = last.and_then(|last| {
        let (update, at) = std::str::from_utf8(&last).ok()?.split_once(':')?;
        Some((update.parse::<i64>().ok()?, at.parse::<u64>().ok()?))
    });
    Ok(last.is_some_and(|(last, at)| update_id <= last && now().saturating_sub(at) < KEPT_MS))
}

fn note_album(chat: &str, last: i64) -> Result<(), kv::Error> {
    kv::set(&format!("{LAST_ALBUM}{chat}"), format!("{last}:{}", now()).as_bytes())
}

/// What waited in a chat is complete.
pub(super) fn fire(name: &str) -> Result<(), String> {
    let Some(chat) = name.strip_prefix(PENDING) else { return Err(format!("`{name}` is no timer of this adapter")) };
    let bot = bot::known()?;
    let budget = Budget::begin(Instant::now());
    let state = |error: kv::Error| format!("its own state cannot be read: {error:?}");
    // In the order of their numbers, which have the same length.
    let mut keys = kv::keys(&format!("{name}:"), None).map_err(state)?;
    let mut readings = Vec::new();
    for key in &keys {
        let update = kv::get(key).map_err(state)?.and_then(|update| serde_json::from_slice::<Value>(&update).ok());
        readings.extend(update.and_then(|update| read(&update, &bot)));
    }
    for batch in batches(readings) {
        if budget.is_enough(Instant::now()) {
            return timers::set(name, 0).map_err(|error| format!("no timer can be set: {error:?}"));
        }
        let has_album = batch.readings.iter().any(|reading| reading.album.is_some());
        let (mut readings, cursor) = (batch.readings, batch.cursor);
        let accepted = suspect::noted(&format!("{SUSPECT}{chat}"), cursor, |deaths| {
            suspect::pass_over(&mut readings, deaths);
            accept(readings, None, Some(&budget))
        });
        let pressed = accepted.map_err(|not_taken| match not_taken {
            NotTaken::Busy(ms) => format!("intake is full for {ms} ms"),
            NotTaken::Failed(reason) => reason,
        })?;
        pressed.iter().for_each(|callback| acknowledge(callback));
        // First of all, since it makes room.
        for key in keys.extract_if(.., |key| Waiting::of(key).is_some_and(|kept| kept.update_id <= cursor)) {
            kv::remove(&key).map_err(state)?;
        }
        if has_album && let Err(error) = note_album(chat, cursor) {
            log::warn(&format!("a piece of an album that comes again will be a message of its own: {error:?}"));
        }
    }
    // What could not be read.
    for key in keys {
        kv::remove(&key).map_err(state)?;
    }
    Ok(())
}

fn unreadable(error: kv::Error) -> NotTaken {
    NotTaken::Failed(format!("its own state cannot be read: {error:?}"))
}

/// Telegram takes a call in the answer to its own, so that no request delays the next update.
fn acknowledging(callback: &str) -> Response {
    let call = json!({ "method": "answerCallbackQuery", "callback_query_id": callback });
    let headers = vec![("content-type".into(), "application/json".into())];
    Response { status: 200, headers, body: Content::Text(call.to_string()), verified: true }
}

fn answer(status: u16, text: &str, verified: bool) -> Response {
    Response { status, headers: Vec::new(), body: Content::Text(text.into()), verified }
}

/// Milliseconds since the epoch.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
