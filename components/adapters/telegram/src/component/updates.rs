//! Rounds of the poller.

use mercury_plugin::{inbox, kv, log, trouble::Trouble};
use serde_json::{Value, json};

use super::{
    bot::{self, trouble},
    client,
    intake::{self, NotTaken},
    mode::{self, Mode},
};
use crate::{
    api::ALLOWED_UPDATES,
    batch::{batches, open_album},
    inbound::read,
    problem::Problem,
};

/// Seconds that Telegram holds a round open; the request outlasts it.
const POLL_SECONDS: u32 = 30;
const POLL_TIMEOUT_MS: u32 = 40_000;
const MOST_UPDATES: u32 = 100;
/// How long the other pieces of an album are waited for.
const ALBUM_WAIT_MS: u32 = 1_000;
/// Between two looks at a webhook.
const WEBHOOK_LOOK_MS: u32 = 60_000;
/// Another poller may only be a former self on its way out.
const CONFLICT_WAIT_MS: u32 = 5_000;
const MOST_CONFLICTS: u8 = 3;

const OPEN_ALBUM: &str = "open-album";
const CONFLICTS: &str = "conflicts";
const LAST_WEBHOOK_ERROR: &str = "last-webhook-error";

pub(super) fn round() -> Result<Option<u32>, Trouble> {
    match mode::known()? {
        Mode::Poll => poll(),
        Mode::Webhook => look_at_webhook(),
    }
}

fn poll() -> Result<Option<u32>, Trouble> {
    let bot = bot::known().map_err(Trouble::Transient)?;
    let after = inbox::cursor().and_then(|cursor| {
        // Ids count for each bot on its own.
        let (of, update) = cursor.split_once(':')?;
        (of == bot.me.id.to_string()).then(|| update.parse::<i64>().ok())?
    });
    let wanted = json!({
        "timeout": POLL_SECONDS, "limit": MOST_UPDATES, "allowed_updates": ALLOWED_UPDATES,
        "offset": after.map(|after| after + 1),
    });
    let updates = match client::call_within("getUpdates", &wanted, POLL_TIMEOUT_MS) {
        Ok(Value::Array(updates)) => updates,
        Ok(_) => return Err(Trouble::Transient("the answer to getUpdates is no list".into())),
        Err(Problem::Conflict(said)) => return conflict(&said),
        Err(problem) => return Err(trouble(problem)),
    };
    forget(CONFLICTS);
    let readings: Vec<_> = updates.iter().filter_map(|update| read(update, &bot)).collect();
    let open = open_album(&readings);
    let mut batches = batches(readings);
    // The last album waits one round for its other pieces: without confirming, Telegram gives all again.
    let waits = open.filter(|open| kv::get(OPEN_ALBUM).ok().flatten().as_deref() != Some(open.as_bytes()));
    if waits.is_some() {
        batches.pop();
    }
    for batch in batches {
        let cursor = format!("{}:{}", bot.me.id, batch.cursor);
        match intake::accept(batch.readings, Some(&cursor)) {
            Ok(()) => {}
            Err(NotTaken::Busy(ms)) => return Ok(Some(ms)),
            Err(NotTaken::Failed(reason)) => return Err(Trouble::Transient(reason)),
        }
    }
    match waits {
        Some(open) => {
            kv::set(OPEN_ALBUM, open.as_bytes())
                .map_err(|error| Trouble::Transient(format!("its own state cannot be written: {error:?}")))?;
            Ok(Some(ALBUM_WAIT_MS))
        }
        None => {
            forget(OPEN_ALBUM);
            Ok(Some(0))
        }
    }
}

/// Another poller, or a webhook that was set meanwhile.
fn conflict(said: &str) -> Result<Option<u32>, Trouble> {
    if said.contains("webhook") {
        return mode::decide().map(|_| Some(0));
    }
    let before = kv::get(CONFLICTS).ok().flatten().and_then(|count| count.first().copied()).unwrap_or(0);
    let count = before.saturating_add(1);
    if count >= MOST_CONFLICTS {
        forget(CONFLICTS);
        return Err(Trouble::Operator(format!(
            "another program fetches this bot's updates ({said}). Stop it, or give this one a bot of its own"
        )));
    }
    kv::set(CONFLICTS, &[count])
        .map_err(|error| Trouble::Transient(format!("its own state cannot be written: {error:?}")))?;
    Err(Trouble::After((CONFLICT_WAIT_MS, said.to_owned())))
}

/// A sign of life where Telegram calls us: it answers, and still knows where we are.
fn look_at_webhook() -> Result<Option<u32>, Trouble> {
    let info = mode::webhook_info().map_err(trouble)?;
    if info.url.is_empty() {
        return mode::decide().map(|_| Some(0));
    }
    let failed = info.last_error_date.unwrap_or(0).to_be_bytes();
    let known = kv::get(LAST_WEBHOOK_ERROR).ok().flatten();
    if info.last_error_date.is_some() && known.as_deref() != Some(failed.as_slice()) {
        log::warn(&format!(
            "Telegram could not bring an update to the webhook: {} ({} are waiting)",
            info.last_error_message, info.pending_update_count
        ));
        if let Err(error) = kv::set(LAST_WEBHOOK_ERROR, &failed) {
            log::warn(&format!("its own state cannot be written: {error:?}"));
        }
    }
    Ok(Some(WEBHOOK_LOOK_MS))
}

/// Only a note: where it stays behind, one round more is waited.
fn forget(key: &str) {
    if let Err(error) = kv::remove(key) {
        log::warn(&format!("its own state cannot be written: {error:?}"));
    }
}
