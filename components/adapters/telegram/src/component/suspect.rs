//! Updates over which an instance may die. Whoever begins with one notes it; a successor that finds the note
//! knows that it did not end.

use mercury_plugin::{kv, log};

use crate::{careful, inbound::Reading};

/// Works on an update, with the number of instances that died over it. The note is taken away however the
/// work ends, as long as it ends. Where it cannot be written the work is done without: it may be what makes
/// room again.
pub(super) fn noted<T>(key: &str, update_id: i64, work: impl FnOnce(u32) -> T) -> T {
    let note = kv::get(key).ok().flatten().and_then(|note| String::from_utf8(note).ok());
    let before = note.and_then(|note| {
        let (update, deaths) = note.split_once(':')?;
        (update.parse() == Ok(update_id)).then(|| deaths.parse::<u32>().ok())?
    });
    let deaths = before.map_or(0, |deaths| deaths.saturating_add(1));
    let unwritten = |error| log::warn(&format!("what is begun cannot be noted: {error:?}"));
    kv::set(key, format!("{update_id}:{deaths}").as_bytes()).unwrap_or_else(unwritten);
    let done = work(deaths);
    kv::remove(key).map(drop).unwrap_or_else(unwritten);
    done
}

/// What killed so many is not tried again.
pub(super) fn pass_over(readings: &mut [Reading], deaths: u32) {
    careful::pass_over(readings, deaths, |reading| {
        log::error(&format!(
            "update {} is passed over: the adapter failed {deaths} times while it was at work on it",
            reading.update_id
        ));
    });
}
