//! Which method sends a file, and which files make an album.

use mercury_plugin::types::Media;
use serde::{Deserialize, Serialize};

/// What a bot may upload (core.telegram.org/bots/api#sending-files).
const MOST_UPLOAD: u64 = 50 << 20;
const MOST_PHOTO: u64 = 10 << 20;
/// `sendMediaGroup`
const MOST_IN_ALBUM: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    Photo,
    Animation,
    Video,
    Voice,
    Audio,
    Document,
}

impl Form {
    /// # Errors
    /// Why it cannot be sent at all, for the person.
    pub fn of(file: &Media) -> Result<Self, String> {
        if file.size_bytes > MOST_UPLOAD {
            return Err(format!("it is larger than {} MB, the most that Telegram takes from a bot", MOST_UPLOAD >> 20));
        }
        if file.size_bytes == 0 {
            return Err("it is empty, which Telegram does not take".into());
        }
        let mime = file.mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Ok(match mime.as_str() {
            "image/jpeg" | "image/png" | "image/webp" if file.size_bytes <= MOST_PHOTO => Self::Photo,
            "image/gif" => Self::Animation,
            "video/mp4" => Self::Video,
            "audio/ogg" | "audio/opus" => Self::Voice,
            _ if mime.starts_with("audio/") => Self::Audio,
            _ => Self::Document,
        })
    }

    pub fn method(self) -> &'static str {
        match self {
            Self::Photo => "sendPhoto",
            Self::Animation => "sendAnimation",
            Self::Video => "sendVideo",
            Self::Voice => "sendVoice",
            Self::Audio => "sendAudio",
            Self::Document => "sendDocument",
        }
    }

    /// The field of the file, and its type in an album.
    pub fn field(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Animation => "animation",
            Self::Video => "video",
            Self::Voice => "voice",
            Self::Audio => "audio",
            Self::Document => "document",
        }
    }

    /// Photos and videos may stand together, songs and documents only among themselves.
    fn album(self) -> Option<&'static str> {
        match self {
            Self::Photo | Self::Video => Some("visual"),
            Self::Audio => Some("audio"),
            Self::Document => Some("document"),
            Self::Animation | Self::Voice => None,
        }
    }
}

/// Neighbours that may stand together, in their order.
pub(super) fn albums(files: Vec<(usize, Form)>) -> Vec<Vec<(usize, Form)>> {
    let mut albums: Vec<Vec<(usize, Form)>> = Vec::new();
    for file in files {
        let kind = file.1.album();
        match albums.last_mut() {
            Some(album) if kind.is_some() && album.len() < MOST_IN_ALBUM && album[0].1.album() == kind => {
                album.push(file)
            }
            _ => albums.push(vec![file]),
        }
    }
    albums
}
