//! How an instance goes on where others died over the first of its updates: it takes that one alone, and in
//! the end passes it over, so that it does not keep back all that follow.

use mercury_plugin::inbox::Happening;

use crate::{batch, inbound::Reading};

/// Deaths over an update until it is taken alone.
const ALONE_AFTER: u32 = 2;
/// Until it is passed over; and so many more until what must be handed over with it is passed over as well.
const MOST_DEATHS: u32 = 5;

/// What is taken of the readings: all, or the first with what cannot be told apart from it, since the cursor
/// behind its album passes whatever lies between the pieces.
pub fn alone(mut readings: Vec<Reading>, deaths: u32) -> Vec<Reading> {
    if deaths >= ALONE_AFTER {
        readings.truncate(batch::first(&readings));
    }
    readings
}

/// What killed so many is not tried again, with its album: it happened, and that is all. `passed_over` hears
/// of each.
pub fn pass_over(readings: &mut [Reading], deaths: u32, mut passed_over: impl FnMut(&Reading)) {
    if deaths < MOST_DEATHS {
        return;
    }
    let album = readings.first().and_then(|first| first.album.clone());
    for (at, reading) in readings.iter_mut().enumerate() {
        let is_suspect = at == 0 || album.is_some() && reading.album == album;
        if is_suspect || deaths >= 2 * MOST_DEATHS {
            passed_over(reading);
            reading.event.happening = Happening::Other("the adapter failed at it".into());
            reading.files.clear();
            reading.album = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::Me,
        batch::batches,
        inbound::{Bot, read},
    };

    /// Pieces of an album of one chat, words of another chat between them, and words behind.
    fn updates() -> Vec<Reading> {
        let bot = Bot { me: Me { id: 9, ..Me::default() }, name: "M".into() };
        let update = |id: i64, chat: i64, fields: serde_json::Value| {
            let mut message = json!({ "message_id": id, "date": 1, "from": { "id": 1 } });
            message["chat"] = json!({ "id": chat, "type": "private" });
            message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            read(&json!({ "update_id": id, "message": message }), &bot).unwrap()
        };
        let piece = json!({ "photo": [{ "file_id": "f" }], "media_group_id": "x" });
        let text = json!({ "text": "words" });
        vec![update(1, 1, piece.clone()), update(2, 2, text.clone()), update(3, 1, piece), update(4, 2, text)]
    }

    fn ids(readings: &[Reading]) -> Vec<i64> {
        readings.iter().map(|reading| reading.update_id).collect()
    }

    /// Promise 1: every update is handed over before a cursor passes it, also one between the pieces of an album
    /// over which instances die.
    #[test]
    fn what_lies_between_is_taken_along() {
        assert_eq!(ids(&alone(updates(), 1)), [1, 2, 3, 4]);
        for deaths in 2..7 {
            let mut taken = alone(updates(), deaths);
            assert_eq!(ids(&taken), [1, 2, 3], "{deaths}");
            let mut passed_over = Vec::new();
            pass_over(&mut taken, deaths, |reading| passed_over.push(reading.update_id));
            assert_eq!(passed_over, if deaths < 5 { vec![] } else { vec![1, 3] });
            let found = batches(taken);
            let words = found.iter().position(|batch| batch.readings.iter().any(|reading| reading.update_id == 2));
            assert!(found[..words.unwrap()].iter().all(|batch| batch.cursor < 2), "{found:?}");
            assert!(
                found.iter().flat_map(|batch| &batch.readings).all(|reading| {
                    reading.update_id != 2 || matches!(reading.event.happening, Happening::Message(_))
                })
            );
        }
    }

    /// What is handed over in one go with one that was passed over may be what kills.
    #[test]
    fn nothing_kills_for_ever() {
        let mut taken = alone(updates(), 10);
        pass_over(&mut taken, 10, |_| ());
        assert!(taken.iter().all(|reading| matches!(reading.event.happening, Happening::Other(_))));
    }
}
