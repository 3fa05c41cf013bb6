//! Sends a prepared request and reads what comes, within its bounds.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use mercury_bindings::mercury::plugin::{
    http::{Downloaded, Error, ErrorKind, Headers, Response},
    types::{Content, Media},
};
use reqwest::{
    RequestBuilder,
    header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue},
    multipart,
};

use super::prepare::{Body, Part, PartContent, Prepared, refused, unsent};
use crate::{
    domain::{
        media::{Kind, UNKNOWN_TYPE, essence, mime_of_name},
        outbound::Refusal,
    },
    media::{Incoming, Lent, MediaError, MediaStore},
    plugins::{
        access::Access,
        capabilities::{credentials::Redactor, media::MOST_NAME},
    },
};

/// Bytes of a file that are read at a time.
const PIECE: usize = 256 << 10;
/// What is shown of a response that was not what a download wanted.
const MOST_SHOWN: usize = 4 << 10;

/// Where a download goes.
pub(super) struct Destination {
    pub media: MediaStore,
    pub quota: u64,
    pub kind: Kind,
    pub file_name: Option<String>,
    pub most: u64,
}

pub(super) async fn fetch(access: Arc<Access>, prepared: Prepared) -> Result<Response, Error> {
    let most = access.most_response(prepared.grant);
    let redactor = prepared.redactor.clone();
    bounded(&access, prepared, async |mut answer: reqwest::Response| {
        announced(&answer, most)?;
        let (status, headers) = (answer.status().as_u16(), shown_headers(&redactor, answer.headers()));
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| failed(&redactor, error))? {
            if body.len() as u64 + piece.len() as u64 > most {
                return Err(too_large(most));
            }
            body.extend_from_slice(&piece);
        }
        let body = match String::from_utf8(redactor.bytes(body)) {
            Ok(text) => Content::Text(text),
            Err(other) => Content::Bytes(other.into_bytes()),
        };
        Ok(Response { status, headers, body })
    })
    .await
}

pub(super) async fn download(access: Arc<Access>, prepared: Prepared, to: Destination) -> Result<Downloaded, Error> {
    let most = to.most.min(access.most_download(prepared.grant));
    let redactor = prepared.redactor.clone();
    bounded(&access, prepared, async |mut answer: reqwest::Response| {
        let status = answer.status();
        if !status.is_success() {
            return Err(unwanted(&redactor, answer).await);
        }
        announced(&answer, most)?;
        let headers = shown_headers(&redactor, answer.headers());
        let file_name = to.file_name.clone().or_else(|| announced_name(answer.headers()));
        // A server that does not know the type says that it is bytes; the name may know more.
        let mime = header_text(answer.headers(), &CONTENT_TYPE)
            .filter(|mime| mime.len() <= MOST_NAME && essence(mime) != UNKNOWN_TYPE);
        let mime = mime.unwrap_or_else(|| file_name.as_deref().map_or(UNKNOWN_TYPE, mime_of_name)).to_owned();
        let mut incoming = to.media.begin(&access.plugin, to.quota, most).await.map_err(not_kept)?;
        let mut redacting = redactor.begin();
        while let Some(piece) = answer.chunk().await.map_err(|error| failed(&redactor, error))? {
            write(&mut incoming, &redacting.feed(&piece)).await?;
        }
        write(&mut incoming, &redacting.end()).await?;
        let description = incoming.finish(to.kind, mime, file_name).await.map_err(not_kept)?;
        Ok(Downloaded { status: status.as_u16(), headers, file: Media::from(&description) })
    })
    .await
}

/// One of the plugin's permits and the request's time, around sending and reading.
async fn bounded<T>(
    access: &Access,
    prepared: Prepared,
    read: impl AsyncFnOnce(reqwest::Response) -> Result<T, Error>,
) -> Result<T, Error> {
    let (host, timeout) = (prepared.host.clone(), prepared.timeout);
    let deadline = tokio::time::Instant::now() + timeout;
    let late = |request_sent: bool| Error {
        kind: ErrorKind::Timeout,
        message: format!("http: {host} took longer than {} ms", timeout.as_millis()),
        request_sent,
    };
    let permit = tokio::time::timeout_at(deadline, access.permits.acquire()).await;
    let _permit = permit.map_err(|_| late(false))?;
    if let Some(address) = prepared.literal {
        access.clients.check_address(address).await.map_err(refused)?;
    }
    let redactor = prepared.redactor.clone();
    let request = build(access, prepared)?;
    let exchange = async {
        let answer = request.send().await.map_err(|error| failed(&redactor, error))?;
        tracing::debug!(
            plugin = access.plugin,
            host,
            status = answer.status().as_u16(),
            "a plugin's request was answered"
        );
        read(answer).await
    };
    // Whether the connection stood already is not known: only the careful answer is safe.
    tokio::time::timeout_at(deadline, exchange).await.unwrap_or_else(|_| Err(late(true)))
}

fn build(access: &Access, prepared: Prepared) -> Result<RequestBuilder, Error> {
    let client = if prepared.stand_in { access.clients.unchecked() } else { access.clients.checked() };
    let client = client.map_err(|error| unsent(ErrorKind::Other(error.clone()), error))?;
    let request = client.request(prepared.method, prepared.url).headers(prepared.headers);
    Ok(match prepared.body {
        Body::Empty => request,
        Body::Bytes(bytes) => request.body(bytes),
        Body::File(file) => {
            let size = file.description().size_bytes;
            // Its size is known, and many servers want to know it, too.
            request.header(CONTENT_LENGTH, HeaderValue::from(size)).body(streamed(file))
        }
        Body::Multipart(parts) => {
            // As browsers write names: UTF-8 in quotes.
            let mut form = multipart::Form::new().percent_encode_noop();
            for part in parts {
                let name = part.name.clone();
                form = form.part(name, form_part(part)?);
            }
            request.multipart(form)
        }
    })
}

fn form_part(part: Part) -> Result<multipart::Part, Error> {
    let mut made = match part.content {
        PartContent::Bytes(bytes) => multipart::Part::bytes(bytes),
        PartContent::File(file) => {
            let size = file.description().size_bytes;
            multipart::Part::stream_with_length(streamed(file), size)
        }
    };
    if let Some(name) = part.file_name {
        made = made.file_name(name);
    }
    if let Some(mime) = &part.mime_type {
        let invalid = |_| unsent(ErrorKind::Invalid, "http: a part's MIME type is not one");
        made = made.mime_str(mime).map_err(invalid)?;
    }
    Ok(made)
}

/// The file from the host's disk, piece by piece.
fn streamed(file: Lent) -> reqwest::Body {
    let pieces = stream::try_unfold((file, 0_u64), |(file, offset)| async move {
        let left = file.description().size_bytes.saturating_sub(offset);
        if left == 0 {
            return Ok(None);
        }
        let piece = file.read(offset, PIECE).await?;
        if piece.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the file became shorter"));
        }
        let next = offset + piece.len() as u64;
        Ok(Some((Bytes::from(piece), (file, next))))
    });
    reqwest::Body::wrap_stream(pieces)
}

async fn write(incoming: &mut Incoming, bytes: &[u8]) -> Result<(), Error> {
    incoming.write(bytes).await.map_err(not_kept)
}

/// A response that says itself that it is too large is not read at all.
fn announced(answer: &reqwest::Response, most: u64) -> Result<(), Error> {
    match answer.content_length() {
        Some(length) if length > most => Err(too_large(most)),
        _ => Ok(()),
    }
}

async fn unwanted(redactor: &Redactor, mut answer: reqwest::Response) -> Error {
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    while body.len() < MOST_SHOWN
        && let Ok(Some(piece)) = answer.chunk().await
    {
        body.extend_from_slice(&piece);
    }
    // Cut after the secrets are out: a half would not be recognised.
    let shown = redactor.bytes(body);
    let shown = String::from_utf8_lossy(&shown[..shown.len().min(MOST_SHOWN)]).into_owned();
    Error { kind: ErrorKind::Other(format!("status {status}")), message: shown, request_sent: true }
}

fn shown_headers(redactor: &Redactor, headers: &HeaderMap) -> Headers {
    let text = |value: &HeaderValue| redactor.text(&String::from_utf8_lossy(value.as_bytes()));
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn header_text<'a>(headers: &'a HeaderMap, name: &reqwest::header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// `attachment; filename="report.pdf"`.
fn announced_name(headers: &HeaderMap) -> Option<String> {
    let (_, name) = header_text(headers, &CONTENT_DISPOSITION)?.split_once("filename=")?;
    let name = name.split(';').next()?.trim().trim_matches('"');
    (!name.is_empty()).then(|| name.chars().take(255).collect())
}

fn too_large(most: u64) -> Error {
    let message = format!("http: the response is larger than {most} bytes, the most that is taken here");
    Error { kind: ErrorKind::TooLarge(most), message, request_sent: true }
}

fn not_kept(error: MediaError) -> Error {
    match error {
        MediaError::TooLarge { most } => too_large(most),
        MediaError::Io(error) => {
            tracing::error!(%error, "a download could not be written");
            let message = "http: the host's disk does not take the download".to_owned();
            Error { kind: ErrorKind::Other(message.clone()), message, request_sent: true }
        }
        other => {
            let message = format!("http: {other}");
            Error { kind: ErrorKind::Other(message.clone()), message, request_sent: true }
        }
    }
}

/// The client's error in words, without the URL, which may hold a secret.
fn failed(redactor: &Redactor, error: reqwest::Error) -> Error {
    if let Some(refusal) = refusal_in(&error) {
        return refused(refusal);
    }
    let (connecting, late) = (error.is_connect() || error.is_builder(), error.is_timeout());
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        let text = next.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = next.source();
    }
    let kind = match (late, connecting) {
        (true, _) => ErrorKind::Timeout,
        (false, true) => ErrorKind::Unreachable,
        (false, false) => ErrorKind::Other("the connection failed".into()),
    };
    Error { kind, message: format!("http: {}", redactor.text(&words)), request_sent: !connecting }
}

/// The refusal of the checking resolver, somewhere below the client's own errors.
fn refusal_in(error: &reqwest::Error) -> Option<Refusal> {
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        if let Some(super::client::LookupError::Refused(refusal)) = next.downcast_ref() {
            return Some(refusal.clone());
        }
        cause = next.source();
    }
    None
}
