//! Updates over which an instance may die. Whoever begins with one notes it; a successor that finds the note
//! knows that it did not end.

use mercury_plugin::{inbox::Happening, kv, log};

use crate::inbound::Reading;

/// Deaths over an update until it is passed over.
const MOST_DEATHS: u32 = 5;

/// Works on an update, with the number of instances that died over it. The note is taken away however the
/// work ends, as long as it ends.
pub(super) fn noted<T>(key: &str, update_id: i64, work: impl FnOnce(u32) -> T) -> Result<T, kv::Error> {
    let before = kv::get(key)?.and_then(|note| {
        let note = String::from_utf8(note).ok()?;
        let (update, deaths) = note.split_once(':')?;
        (update.parse() == Ok(update_id)).then(|| deaths.parse::<u32>().ok())?
    });
    let deaths = before.map_or(0, |deaths| deaths.saturating_add(1));
    kv::set(key, format!("{update_id}:{deaths}").as_bytes())?;
    let done = work(deaths);
    kv::remove(key)?;
    Ok(done)
}

/// What killed so many is not tried again: it happened, and that is all.
pub(super) fn pass_over(reading: &mut Reading, deaths: u32) {
    if deaths < MOST_DEATHS {
        return;
    }
    log::error(&format!(
        "update {} is passed over: the adapter failed {deaths} times while it was at work on it",
        reading.update_id
    ));
    reading.event.happening = Happening::Other("the adapter failed at it".into());
    reading.files.clear();
    reading.album = None;
}
