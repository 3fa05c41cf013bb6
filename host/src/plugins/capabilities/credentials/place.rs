//! The typed places of a request that a secret goes into. Text is never searched for placeholders.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value as Json;
use url::Url;

/// What a segment of a path cannot hold as it is (RFC 3986 section 3.3).
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Why a secret has no place in a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::plugins) enum PlaceError {
    #[error("credentials: the path has no segment `{0}`, or more than one, to be replaced")]
    Segment(String),
    #[error("credentials: the body is no JSON with a string at `{0}`")]
    Pointer(String),
    #[error("credentials: the secret or what stands before it cannot stand in this place")]
    Text,
}

pub(super) fn encoded_segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Replaces the one segment of the path that is `placeholder` by `prefix` and the secret, which stays
/// one segment whatever it holds.
pub(in crate::plugins) fn in_path(url: &Url, placeholder: &str, prefix: &str, secret: &str) -> Result<Url, PlaceError> {
    let no_segment = || PlaceError::Segment(placeholder.chars().take(100).collect());
    let segments: Vec<&str> = url.path().split('/').collect();
    let mut found = segments.iter().enumerate().filter(|(_, segment)| **segment == placeholder);
    let (Some((index, _)), None, false) = (found.next(), found.next(), placeholder.is_empty()) else {
        return Err(no_segment());
    };
    let placed = encoded_segment(&format!("{prefix}{secret}"));
    let mut segments: Vec<&str> = segments;
    segments[index] = &placed;
    let path = segments.join("/");
    let mut url = url.clone();
    url.set_path(&path);
    // A secret of dots would be a step up.
    if url.path() == path { Ok(url) } else { Err(PlaceError::Text) }
}

pub(in crate::plugins) fn in_query(url: &mut Url, name: &str, secret: &str) {
    url.query_pairs_mut().append_pair(name, secret);
}

/// Replaces the string at an RFC 6901 pointer.
pub(in crate::plugins) fn in_json(body: &[u8], pointer: &str, secret: &str) -> Result<Vec<u8>, PlaceError> {
    let no_place = || PlaceError::Pointer(pointer.chars().take(100).collect());
    let mut json: Json = serde_json::from_slice(body).map_err(|_| no_place())?;
    match json.pointer_mut(pointer) {
        Some(Json::String(text)) => *text = secret.to_owned(),
        _ => return Err(no_place()),
    }
    serde_json::to_vec(&json).map_err(|_| no_place())
}
