//! Updates in the order and grouping in which they are handed over. The pieces of an album are one
//! message, and no cursor passes a piece that is still waiting for the others.

use mercury_plugin::inbox::Happening;

use crate::inbound::Reading;

/// To be accepted in one go.
#[derive(Debug, PartialEq)]
pub struct Batch {
    pub readings: Vec<Reading>,
    /// The last update in it.
    pub cursor: i64,
}

/// The album at the end, whose other pieces may be on their way: its group, and its last piece.
pub fn open_album(readings: &[Reading]) -> Option<String> {
    let last = readings.last()?;
    Some(format!("{}:{}", last.album.as_ref()?, last.update_id))
}

/// As few readings as may stand together.
pub fn batches(readings: Vec<Reading>) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut rest = readings.into_iter();
    while let count @ 1.. = first(rest.as_slice()) {
        let together: Vec<_> = rest.by_ref().take(count).collect();
        let cursor = together.last().map_or(0, |last| last.update_id);
        batches.push(Batch { readings: joined(together), cursor });
    }
    batches
}

/// How many stand in the first batch: up to the last piece of each album that begins in it.
pub fn first(readings: &[Reading]) -> usize {
    let last_of = |album: &String| readings.iter().rposition(|reading| reading.album.as_ref() == Some(album));
    let (mut at, mut end) = (0, 0);
    while let Some(reading) = readings.get(at).filter(|_| at <= end) {
        end = end.max(reading.album.as_ref().and_then(last_of).unwrap_or(at));
        at += 1;
    }
    at
}

/// Each album as one reading, where its first piece stood.
fn joined(readings: Vec<Reading>) -> Vec<Reading> {
    let mut out: Vec<Reading> = Vec::with_capacity(readings.len());
    for piece in readings {
        let first = out.iter_mut().find(|earlier| piece.album.is_some() && earlier.album == piece.album);
        match first {
            Some(first) => add(first, piece),
            None => out.push(piece),
        }
    }
    out
}

fn add(album: &mut Reading, piece: Reading) {
    album.files.extend(piece.files);
    if let (Happening::Message(message), Happening::Message(more)) = (&mut album.event.happening, piece.event.happening)
    {
        if !more.text.is_empty() {
            let gap = if message.text.is_empty() { "" } else { "\n" };
            message.text.push_str(&format!("{gap}{}", more.text));
        }
        message.mentions_bot |= more.mentions_bot;
        message.quoted = message.quoted.take().or(more.quoted);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{
        api::Me,
        inbound::{Bot, read},
    };

    fn piece(update_id: i64, album: Option<&str>, text: &str) -> Reading {
        piece_in(1, update_id, album, text)
    }

    fn piece_in(chat: i64, update_id: i64, album: Option<&str>, text: &str) -> Reading {
        let update = json!({ "update_id": update_id, "message": {
            "message_id": update_id, "date": 1, "chat": { "id": chat, "type": "private" }, "from": { "id": 1 },
            "caption": text, "photo": [{ "file_id": format!("f{update_id}") }], "media_group_id": album } });
        read(&update, &Bot { me: Me { id: 9, ..Me::default() }, name: "M".into() }).unwrap()
    }

    fn text(reading: &Reading) -> &str {
        match &reading.event.happening {
            Happening::Message(message) => &message.text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_album_is_one_message() {
        let found = batches(vec![piece(1, Some("a"), ""), piece(2, Some("a"), "two"), piece(3, Some("a"), "three")]);
        assert_eq!((found.len(), found[0].cursor, found[0].readings.len()), (1, 3, 1));
        let album = &found[0].readings[0];
        assert_eq!((text(album), album.event.id.as_str()), ("two\nthree", "9:1:1:1"));
        assert_eq!(album.files.iter().map(|file| file.file_id.as_str()).collect::<Vec<_>>(), ["f1", "f2", "f3"]);
    }

    /// A channel's post and its copy in the group of its discussions may have one number.
    #[test]
    fn albums_of_two_chats_stay_apart() {
        let found = batches(vec![piece_in(1, 1, Some("a"), "one"), piece_in(2, 2, Some("a"), "other")]);
        let texts: Vec<_> = found.iter().flat_map(|batch| &batch.readings).map(text).collect();
        assert_eq!(texts, ["one", "other"]);
    }

    #[test]
    fn no_cursor_passes_a_piece() {
        let found = batches(vec![
            piece(1, None, "x"),
            piece(2, Some("a"), ""),
            piece(3, None, "y"),
            piece(4, Some("b"), ""),
            piece(5, Some("a"), ""),
            piece(6, Some("b"), ""),
            piece(7, None, "z"),
        ]);
        let cursors: Vec<_> = found.iter().map(|batch| (batch.cursor, batch.readings.len())).collect();
        assert_eq!(cursors, [(1, 1), (6, 3), (7, 1)]);
    }

    #[test]
    fn an_album_at_the_end_is_open() {
        assert_eq!(open_album(&[piece(1, Some("a"), ""), piece(2, Some("a"), "")]).as_deref(), Some("1:a:2"));
        assert_eq!(open_album(&[piece(1, Some("a"), ""), piece(2, None, "")]), None);
        assert_eq!(open_album(&[]), None);
    }

    proptest! {
        /// Every file is handed over once, and whatever a cursor covers was handed over with it or before.
        #[test]
        fn nothing_is_lost(albums in prop::collection::vec(prop::option::of("[abc]"), 0..20)) {
            let readings: Vec<_> = (1..).zip(&albums).map(|(id, album)| piece(id, album.as_deref(), "")).collect();
            let mut seen = Vec::new();
            for batch in batches(readings) {
                seen.extend(batch.readings.iter().flat_map(|reading| reading.files.iter().map(|file| file.file_id.clone())));
                let mut covered: Vec<_> = (1..=batch.cursor).map(|id| format!("f{id}")).collect();
                covered.sort_unstable();
                seen.sort_unstable();
                prop_assert_eq!(&seen, &covered);
            }
            prop_assert_eq!(seen.len(), albums.len());
        }
    }
}
