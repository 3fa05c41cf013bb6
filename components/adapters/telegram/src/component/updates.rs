//! Rounds of the poller.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use mercury_plugin::{inbox, kv, log, trouble::Trouble};
use serde_json::{Value, json};

use super::{
    bot::{self, trouble},
    client,
    intake::{self, NotTaken},
    mode::{self, Mode},
    suspect,
};
use crate::{
    api::ALLOWED_UPDATES,
    batch::{batches, open_album},
    budget::{Budget, POLL_TIMEOUT_MS},
    careful::alone,
    cursor,
    inbound::{Bot, Reading, read},
    problem::Problem,
};

/// Seconds that Telegram holds a round open; the request outlasts it.
const POLL_SECONDS: u32 = 30;
const MOST_UPDATES: u32 = 100;
/// In an instance's first round: its predecessor may have died of too many at once.
const FIRST_UPDATES: u32 = 10;
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
/// The update that an instance began with.
const SUSPECT: &str = "suspect";

/// Whether the instance has read nothing yet. One that dies leaves a new one behind.
static FRESH: AtomicBool = AtomicBool::new(true);

pub(super) fn round() -> Result<Option<u32>, Trouble> {
    match mode::known()? {
        Mode::Poll => poll(),
        Mode::Webhook => look_at_webhook(),
    }
}

fn poll() -> Result<Option<u32>, Trouble> {
    let bot = bot::known().map_err(Trouble::Transient)?;
    let updates = match fetch(&bot)? {
        Fetched::Updates(updates) => updates,
        Fetched::Again(pause) => return Ok(pause),
    };
    forget(CONFLICTS);
    let readings: Vec<_> = updates.iter().filter_map(|update| read(update, &bot)).collect();
    let count = readings.len();
    match readings.first().map(|first| first.update_id).filter(|_| FRESH.swap(false, Ordering::Relaxed)) {
        // A predecessor may have died of one of them.
        Some(first) => suspect::noted(SUSPECT, first, |deaths| {
            let mut readings = alone(readings, deaths);
            suspect::pass_over(&mut readings, deaths);
            let more_follow = readings.len() < count;
            hand_over(readings, more_follow, bot.me.id)
        }),
        None => hand_over(readings, false, bot.me.id),
    }
}

/// Where more follow, no album at the end is open.
fn hand_over(readings: Vec<Reading>, more_follow: bool, bot: i64) -> Result<Option<u32>, Trouble> {
    let budget = Budget::begin(Instant::now());
    let open = open_album(&readings).filter(|_| !more_follow);
    let mut batches = batches(readings);
    // The last album waits one round for its other pieces: without confirming, Telegram gives all again.
    let waits = open.filter(|open| kv::get(OPEN_ALBUM).ok().flatten().as_deref() != Some(open.as_bytes()));
    if waits.is_some() {
        batches.pop();
    }
    for batch in batches {
        if budget.is_enough(Instant::now()) {
            return Ok(Some(0));
        }
        let cursor = cursor::write(bot, batch.cursor, intake::now() / 1_000);
        match intake::accept(batch.readings, Some(&cursor), Some(&budget)) {
            Ok(pressed) => pressed.iter().for_each(|callback| intake::acknowledge(callback)),
            Err(NotTaken::Busy(ms)) => return Ok(Some(ms)),
            Err(NotTaken::Failed(reason)) => return Err(Trouble::Transient(reason)),
        }
    }
    match waits {
        Some(open) => {
            kv::set(OPEN_ALBUM, open.as_bytes()).map_err(unwritten)?;
            Ok(Some(ALBUM_WAIT_MS))
        }
        None => {
            forget(OPEN_ALBUM);
            Ok(Some(0))
        }
    }
}

enum Fetched {
    Updates(Vec<Value>),
    /// Nothing to be read now.
    Again(Option<u32>),
}

/// As many updates as can be read at once.
fn fetch(bot: &Bot) -> Result<Fetched, Trouble> {
    let offset = inbox::cursor().and_then(|cursor| cursor::offset(&cursor, bot.me.id, intake::now() / 1_000));
    let mut limit = if FRESH.load(Ordering::Relaxed) { FIRST_UPDATES } else { MOST_UPDATES };
    loop {
        let wanted = json!({
            "timeout": POLL_SECONDS, "limit": limit, "allowed_updates": ALLOWED_UPDATES, "offset": offset,
        });
        match client::call_within("getUpdates", &wanted, POLL_TIMEOUT_MS) {
            Ok(Value::Array(updates)) => return Ok(Fetched::Updates(updates)),
            Ok(_) => return Err(Trouble::Transient("the answer to getUpdates is no list".into())),
            Err(Problem::TooLarge(_)) if limit > 1 => limit = (limit / 10).max(1),
            Err(Problem::Conflict(said)) => return conflict(&said).map(Fetched::Again),
            Err(problem) => return Err(trouble(problem)),
        }
    }
}

fn unwritten(error: kv::Error) -> Trouble {
    Trouble::Transient(format!("its own state cannot be written: {error:?}"))
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
    kv::set(CONFLICTS, &[count]).map_err(unwritten)?;
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
