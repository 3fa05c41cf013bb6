//! Kinds, types and names of files that people and components send.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a file is to a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Image,
    Audio,
    /// Recorded by a person to be heard at once. No MIME type says so, only the platform does.
    Voice,
    Video,
    Document,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Voice => "voice",
            Self::Video => "video",
            Self::Document => "document",
        }
    }

    /// By the MIME type, whose parameters do not count.
    pub fn of_mime(mime: &str) -> Self {
        match essence(mime).split('/').next() {
            Some("image") => Self::Image,
            Some("audio") => Self::Audio,
            Some("video") => Self::Video,
            _ => Self::Document,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Extension and type, both ways; of several extensions of one type the first is written
/// (adapters.md 1.6).
const TYPES: &[(&str, &str)] = &[
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("svg", "image/svg+xml"),
    ("ogg", "audio/ogg"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
    ("wav", "audio/wav"),
    ("mp4", "video/mp4"),
    ("3gp", "video/3gpp"),
    ("webm", "video/webm"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("csv", "text/csv"),
    ("json", "application/json"),
    ("html", "text/html"),
    ("md", "text/markdown"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
];

/// Bytes of which nobody says what they are.
pub const UNKNOWN_TYPE: &str = "application/octet-stream";
const UNKNOWN_EXTENSION: &str = "bin";
/// The longest name that [`safe_name`] makes, in bytes: with what stands before it, a file name of
/// 255 bytes has room for it.
const MOST_NAME: usize = 120;

/// The type without parameters, in lower case.
pub fn essence(mime: &str) -> String {
    mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The type of a file of this name, `application/octet-stream` where the extension is not known.
pub fn mime_of_name(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let known = extension.and_then(|extension| TYPES.iter().find(|(known, _)| *known == extension));
    known.map_or(UNKNOWN_TYPE, |(_, mime)| mime)
}

/// The extension of the type, `bin` where it is not known.
pub fn extension_of_mime(mime: &str) -> &'static str {
    let mime = essence(mime);
    TYPES.iter().find(|(_, known)| *known == mime).map_or(UNKNOWN_EXTENSION, |(extension, _)| extension)
}

/// The base name, with every character outside `[A-Za-z0-9._-]` replaced by `_`: never hidden, never
/// empty, never a path, 120 characters at most with the extension kept.
pub fn safe_name(name: &str) -> String {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let safe: String =
        base.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
    match safe.trim_matches('.') {
        "" => "file".to_owned(),
        short if short.len() <= MOST_NAME => short.to_owned(),
        long => match long.rsplit_once('.').filter(|(_, extension)| extension.len() <= 10) {
            Some((stem, extension)) => format!("{}.{extension}", &stem[..MOST_NAME - 1 - extension.len()]),
            None => long[..MOST_NAME].trim_end_matches('.').to_owned(),
        },
    }
}

/// How a file lies in a space's folder: `<epoch ms>-<safe name>`, or `<epoch ms>-<kind>.<ext>` where
/// nobody gave it a name (adapters.md 1.6).
pub fn stored_name(now_ms: i64, name: Option<&str>, kind: Kind, mime: &str) -> String {
    match name.filter(|name| !name.trim().is_empty()) {
        Some(name) => format!("{now_ms}-{}", safe_name(name)),
        None => format!("{now_ms}-{kind}.{}", extension_of_mime(mime)),
    }
}

/// When a file came that lies under such a name, in milliseconds since the epoch. None where it has another name.
pub fn stored_at(name: &str) -> Option<i64> {
    name.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// adapters.md 1.6: kinds by type, parameters left out; `voice` is no type's.
    #[test]
    fn kinds_follow_the_type() {
        for (mime, kind) in [
            ("image/png", Kind::Image),
            ("IMAGE/PNG; charset=x", Kind::Image),
            ("audio/ogg; codecs=opus", Kind::Audio),
            ("video/mp4", Kind::Video),
            ("application/pdf", Kind::Document),
            ("imagery/x", Kind::Document),
            ("", Kind::Document),
        ] {
            assert_eq!(Kind::of_mime(mime), kind, "{mime}");
        }
    }

    /// adapters.md 1.6: the extension table, both ways.
    #[test]
    fn types_and_extensions() {
        for (extension, mime) in TYPES {
            assert_eq!(mime_of_name(&format!("x.{}", extension.to_uppercase())), *mime);
            assert_eq!(mime_of_name(&format!("x.{}", extension_of_mime(mime))), *mime);
        }
        assert_eq!(extension_of_mime("image/jpeg; q=1"), "jpg");
        assert_eq!(extension_of_mime("x/y"), "bin");
        assert_eq!((mime_of_name("x"), mime_of_name("x.exe")), (UNKNOWN_TYPE, UNKNOWN_TYPE));
    }

    #[test]
    fn stored_names() {
        let name = |name, kind, mime| stored_name(1_700_000_000_000, name, kind, mime);
        assert_eq!(name(Some("../../r é.pdf"), Kind::Document, "application/pdf"), "1700000000000-r__.pdf");
        assert_eq!(name(None, Kind::Voice, "audio/ogg; codecs=opus"), "1700000000000-voice.ogg");
        assert_eq!(name(Some(" "), Kind::Image, "image/heic"), "1700000000000-image.bin");
        assert_eq!(name(Some(".."), Kind::Image, "image/png"), "1700000000000-file");
        let at = ["1700000000000-a-b.pdf", "1700000000000", "my-notes", "-1"].map(stored_at);
        assert_eq!(at, [Some(1_700_000_000_000), None, None, None]);
    }

    /// Names are cut at a length and at dots: most of these have many of both, around the limit.
    fn name_near_a_limit() -> impl Strategy<Value = String> {
        prop_oneof![
            1 => ".{0,300}",
            2 => "[a.]{0,260}",
            2 => "[a./\\\\é]{110,130}",
            2 => "[a.]{100,125}\\.[a.]{0,14}",
            1 => "[./\\\\]{0,10}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_024))]

        #[test]
        fn a_safe_name_is_one_visible_file(name in name_near_a_limit()) {
            let safe = safe_name(&name);
            prop_assert!(!safe.is_empty() && safe.len() <= MOST_NAME && !safe.starts_with('.'));
            prop_assert!(safe.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
            prop_assert_eq!(safe_name(&safe), safe);
        }
    }
}
