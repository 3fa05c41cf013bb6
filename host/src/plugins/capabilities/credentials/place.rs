//! The typed places of a request that a secret goes into. Text is never searched for placeholders.

use std::borrow::Cow;

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

/// JSON that a secret goes into: 1 MiB. It is read within a call of the component, which nothing ends.
const MOST_JSON: usize = 1 << 20;

/// Why a secret has no place in a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::plugins) enum PlaceError {
    #[error("credentials: the path has no segment `{0}`, or more than one, to be replaced")]
    Segment(String),
    #[error("credentials: the body is no JSON with a string at `{0}`")]
    Pointer(String),
    #[error("credentials: JSON that a secret goes into has at most {} KiB", MOST_JSON >> 10)]
    Large,
    #[error("credentials: the secret or what stands before it cannot stand in this place")]
    Text,
}

pub(super) fn encoded_segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A segment of a path that a secret replaces.
pub(in crate::plugins) struct Segment<'a> {
    /// The whole segment as it stands in the path.
    pub(in crate::plugins) placeholder: &'a str,
    /// What is kept before the secret.
    pub(in crate::plugins) prefix: &'a str,
    pub(in crate::plugins) secret: &'a str,
}

/// Replaces the one segment of the path that is each placeholder by its prefix and secret, which stay
/// one segment whatever they hold. All placeholders are found before anything is replaced: whether one
/// is there must not depend on a secret.
pub(in crate::plugins) fn in_path(url: &Url, replaced: &[Segment<'_>]) -> Result<Url, PlaceError> {
    if replaced.is_empty() {
        return Ok(url.clone());
    }
    let mut segments: Vec<Cow<'_, str>> = url.path().split('/').map(Cow::Borrowed).collect();
    let mut places = Vec::with_capacity(replaced.len());
    for Segment { placeholder, .. } in replaced {
        let mut found = segments.iter().enumerate().filter(|(_, segment)| segment.as_ref() == *placeholder);
        match (found.next(), found.next()) {
            (Some((index, _)), None) if !placeholder.is_empty() && !places.contains(&index) => places.push(index),
            _ => return Err(PlaceError::Segment(placeholder.chars().take(100).collect())),
        }
    }
    for (index, Segment { prefix, secret, .. }) in places.into_iter().zip(replaced) {
        segments[index] = encoded_segment(&format!("{prefix}{secret}")).into();
    }
    let path = segments.join("/");
    let mut url = url.clone();
    url.set_path(&path);
    // A secret of dots would be a step up.
    if url.path() == path { Ok(url) } else { Err(PlaceError::Text) }
}

pub(in crate::plugins) fn in_query(url: &mut Url, name: &str, secret: &str) {
    url.query_pairs_mut().append_pair(name, secret);
}

/// Replaces the strings at RFC 6901 pointers, each by its secret.
pub(in crate::plugins) fn in_json(body: &[u8], secrets: &[(&str, &str)]) -> Result<Vec<u8>, PlaceError> {
    let no_place = |pointer: &str| PlaceError::Pointer(pointer.chars().take(100).collect());
    let Some((first, _)) = secrets.first() else { return Ok(body.to_vec()) };
    if body.len() > MOST_JSON {
        return Err(PlaceError::Large);
    }
    let mut json: Json = serde_json::from_slice(body).map_err(|_| no_place(first))?;
    for (pointer, secret) in secrets {
        match json.pointer_mut(pointer) {
            Some(Json::String(text)) => *text = (*secret).to_owned(),
            _ => return Err(no_place(pointer)),
        }
    }
    serde_json::to_vec(&json).map_err(|_| no_place(first))
}
