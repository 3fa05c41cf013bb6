//! The files of a message, before they are fetched.

use mercury_plugin::types::MediaKind;

use crate::api::{FileInfo, Message};

/// `getFile` gives no larger ones to a bot (core.telegram.org/bots/api#getfile).
pub const MOST_DOWNLOAD: u64 = 20 << 20;

/// A file on the platform.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteFile {
    pub file_id: String,
    pub kind: MediaKind,
    pub mime_type: String,
    pub file_name: Option<String>,
    pub size_bytes: Option<u64>,
}

/// At most one a message: albums are messages of their own that share a group.
pub fn of(message: &Message) -> Option<RemoteFile> {
    if let Some(photo) = message.photo.iter().max_by_key(|size| u64::from(size.width) * u64::from(size.height)) {
        return Some(RemoteFile {
            file_id: photo.file_id.clone(),
            kind: MediaKind::Image,
            // Photos have no type of their own: Telegram re-encodes them all.
            mime_type: "image/jpeg".into(),
            file_name: None,
            size_bytes: photo.file_size,
        });
    }
    if let Some(sticker) = message.sticker.as_ref().filter(|sticker| !sticker.is_animated && !sticker.is_video) {
        return Some(RemoteFile {
            file_id: sticker.file_id.clone(),
            kind: MediaKind::Image,
            mime_type: "image/webp".into(),
            file_name: None,
            size_bytes: sticker.file_size,
        });
    }
    // An animation comes as a document, too, for old clients.
    let of_kind = |info: &Option<FileInfo>, kind, usual: &str| info.as_ref().map(|info| remote(info, kind, usual));
    let note = message.video_note.as_ref().map(|note| RemoteFile {
        file_name: Some("telegram-video-note.mp4".into()),
        ..remote(note, MediaKind::Video, "video/mp4")
    });
    of_kind(&message.voice, MediaKind::Voice, "audio/ogg")
        .or_else(|| of_kind(&message.audio, MediaKind::Audio, "audio/mpeg"))
        .or_else(|| of_kind(&message.video, MediaKind::Video, "video/mp4"))
        .or(note)
        .or_else(|| of_kind(&message.animation, MediaKind::Video, "video/mp4"))
        .or_else(|| {
            let document = message.document.as_ref()?;
            let file = remote(document, MediaKind::Document, "application/octet-stream");
            Some(RemoteFile { kind: kind_of(&file.mime_type), ..file })
        })
}

fn remote(info: &FileInfo, kind: MediaKind, usual: &str) -> RemoteFile {
    let mime_type = info.mime_type.as_deref().unwrap_or(usual);
    let mime_type = mime_type.split(';').next().unwrap_or(usual).trim();
    RemoteFile {
        file_id: info.file_id.clone(),
        kind,
        mime_type: if mime_type.is_empty() { usual.to_owned() } else { mime_type.to_ascii_lowercase() },
        file_name: info.file_name.clone(),
        size_bytes: info.file_size,
    }
}

fn kind_of(mime_type: &str) -> MediaKind {
    match mime_type.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn file(mut fields: Value) -> Option<RemoteFile> {
        fields["message_id"] = json!(1);
        fields["chat"] = json!({ "id": 1, "type": "private" });
        of(&serde_json::from_value(fields).unwrap())
    }

    /// adapters.md #12
    #[test]
    fn of_a_photo_the_largest_size_is_taken() {
        let sizes = json!([
            { "file_id": "s", "width": 90, "height": 60, "file_size": 1000 },
            { "file_id": "l", "width": 1280, "height": 853, "file_size": 90000 },
            { "file_id": "m", "width": 320, "height": 213, "file_size": 9000 },
        ]);
        let photo = file(json!({ "photo": sizes })).unwrap();
        assert_eq!((photo.file_id.as_str(), photo.mime_type.as_str()), ("l", "image/jpeg"));
        assert_eq!((photo.kind, photo.size_bytes), (MediaKind::Image, Some(90000)));
    }

    /// adapters.md #13
    #[test]
    fn a_voice_note_is_a_voice() {
        let voice = file(json!({ "voice": { "file_id": "V", "mime_type": "audio/ogg", "duration": 3 } })).unwrap();
        assert_eq!((voice.kind, voice.mime_type.as_str()), (MediaKind::Voice, "audio/ogg"));
    }

    #[test]
    fn every_other_kind() {
        let cases = [
            (json!({ "audio": { "file_id": "f" } }), MediaKind::Audio, "audio/mpeg", None),
            (
                json!({ "video": { "file_id": "f", "file_name": "a.mov", "mime_type": "video/quicktime" } }),
                MediaKind::Video,
                "video/quicktime",
                Some("a.mov"),
            ),
            (
                json!({ "video_note": { "file_id": "f" } }),
                MediaKind::Video,
                "video/mp4",
                Some("telegram-video-note.mp4"),
            ),
            (
                json!({ "animation": { "file_id": "f", "mime_type": "video/mp4" }, "document": { "file_id": "other" } }),
                MediaKind::Video,
                "video/mp4",
                None,
            ),
            (json!({ "sticker": { "file_id": "f" } }), MediaKind::Image, "image/webp", None),
            (
                json!({ "document": { "file_id": "f", "file_name": "a.pdf", "mime_type": "application/pdf" } }),
                MediaKind::Document,
                "application/pdf",
                Some("a.pdf"),
            ),
            (
                json!({ "document": { "file_id": "f", "mime_type": "image/PNG; x=y" } }),
                MediaKind::Image,
                "image/png",
                None,
            ),
            (json!({ "document": { "file_id": "f" } }), MediaKind::Document, "application/octet-stream", None),
        ];
        for (fields, kind, mime, name) in cases {
            let found = file(fields.clone()).unwrap();
            assert_eq!(
                (found.file_id.as_str(), found.kind, found.mime_type.as_str(), found.file_name.as_deref()),
                ("f", kind, mime, name),
                "{fields}"
            );
        }
        for none in [
            json!({ "text": "x" }),
            json!({ "sticker": { "file_id": "f", "is_animated": true } }),
            json!({ "sticker": { "file_id": "f", "is_video": true } }),
        ] {
            assert_eq!(file(none), None);
        }
    }
}
