//! From a component's request to one that may be sent: decided, with its secrets in place.

use std::{net::IpAddr, time::Duration};

use mercury_bindings::mercury::plugin::{
    credentials::{Credential, Place},
    http::{Body as Asked, Error, ErrorKind, Part as AskedPart, Request},
    types::Content,
};
use reqwest::{
    Method,
    header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, IF_RANGE, RANGE},
};
use url::Url;

use crate::{
    domain::{
        egress::Host,
        outbound::{Refusal, Target, check_header, decide},
    },
    media::Lent,
    plugins::{
        access::Access,
        capabilities::credentials::{PlaceError, Redactor, Segment, Unusable, in_json, in_path, in_query},
        state::State,
    },
};

/// For the whole exchange, as `wit/capabilities.wit` says.
const USUAL_TIMEOUT: u32 = 30_000;
const MOST_TIMEOUT: u32 = 300_000;
const MOST_HEADERS: usize = 100;
const MOST_PARTS: usize = 100;
const MOST_CREDENTIALS: usize = 16;
/// Bytes of what names a secret's place: with long ones around it, whether it still fits would tell its length.
const MOST_PLACE: usize = 512;

pub(super) struct Prepared {
    pub method: Method,
    /// With secrets in it: not for any text.
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Body,
    pub timeout: Duration,
    /// The operator's server is asked in the place of the granted one.
    pub stand_in: bool,
    /// The host is an address, which no client looks up: to be checked before it is connected to.
    pub literal: Option<IpAddr>,
    /// As it may be shown.
    pub host: String,
    /// The index of the grant that allows it.
    pub grant: usize,
    /// For all that comes back.
    pub redactor: Redactor,
}

pub(super) enum Body {
    Empty,
    Bytes(Vec<u8>),
    File(Lent),
    Multipart(Vec<Part>),
}

pub(super) struct Part {
    pub name: String,
    pub file_name: Option<String>,
    pub mime_type: Option<String>,
    pub content: PartContent,
}

pub(super) enum PartContent {
    Bytes(Vec<u8>),
    File(Lent),
}

/// An error before a byte was sent.
pub(in crate::plugins) fn unsent(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error { kind, message: message.into(), request_sent: false }
}

fn denied(message: impl ToString) -> Error {
    let message = message.to_string();
    unsent(ErrorKind::Denied(message.clone()), message)
}

fn invalid(message: impl Into<String>) -> Error {
    unsent(ErrorKind::Invalid, message)
}

impl State {
    /// Why the request would not be sent: for one whose answer is recorded.
    pub(in crate::plugins) async fn refused_request(&mut self, request: Request) -> Option<Error> {
        self.prepare(request).await.err()
    }

    pub(super) async fn prepare(&mut self, request: Request) -> Result<Prepared, Error> {
        let access = self.access.clone();
        if access.http.is_empty() {
            let host = Target::parse(&request.uri).map_or_else(|_| "…".to_owned(), |target| target.host());
            return Err(denied(Refusal::NotGranted { host }));
        }
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| invalid("http: the method is not one, such as GET"))?;
        let target = Target::parse(&request.uri).map_err(refused)?;
        check_credentials(&request.credentials)?;
        // Decided over the path as it will be, with a word in the place of each secret.
        let shape = with_path_credentials(&target, &request.credentials, |_| Ok("SECRET"))?;
        let grant = decide(&access.http, method.as_str(), &shape).map_err(refused)?;
        let stand_in = access.stand_in(&target);
        let literal = match target.authority.host {
            Host::Address(address) if stand_in.is_none() => Some(address),
            _ => None,
        };
        let mut headers = read_headers(request.headers)?;
        let protected = target.is_encrypted() || stand_in.is_some();
        let secret = |name: &str| access.secrets.for_target(name, &target, protected);
        let mut url = with_path_credentials(&target, &request.credentials, secret)?.url;
        let mut pointers = Vec::new();
        for credential in &request.credentials {
            let value = secret(&credential.secret)?;
            match &credential.place {
                Place::Bearer => put_header(&mut headers, "authorization", "Bearer ", value)?,
                Place::Header((name, prefix)) => put_header(&mut headers, name, prefix, value)?,
                Place::Query(name) => in_query(&mut url, name, value),
                Place::PathSegment(_) => {}
                Place::Json(pointer) => pointers.push((pointer.as_str(), value)),
            }
        }
        if !request.credentials.is_empty() {
            // In a compressed answer an echo of the secret would not be found, nor in a part of one.
            if headers.contains_key(RANGE) || headers.contains_key(IF_RANGE) {
                return Err(invalid(
                    "http: what is asked with a secret is asked as a whole; leave the header range out",
                ));
            }
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let mut body = self.body(request.body).await?;
        if let Some((first, _)) = pointers.first() {
            let Body::Bytes(json) = &body else { return Err(PlaceError::Pointer((*first).to_owned()).into()) };
            body = Body::Bytes(in_json(json, &pointers)?);
        }
        if let Some(stand_in) = stand_in {
            url = stand_in_url(stand_in, &url);
        }
        Ok(Prepared {
            method,
            url,
            headers,
            body,
            timeout: Duration::from_millis(request.timeout_ms.unwrap_or(USUAL_TIMEOUT).clamp(1, MOST_TIMEOUT).into()),
            stand_in: stand_in.is_some(),
            literal,
            host: target.host(),
            grant,
            redactor: access.secrets.redactor_for(&target),
        })
    }

    async fn body(&mut self, asked: Asked) -> Result<Body, Error> {
        Ok(match asked {
            Asked::Empty => Body::Empty,
            Asked::Content(content) => match self.content(content).await? {
                PartContent::Bytes(bytes) => Body::Bytes(bytes),
                PartContent::File(file) => Body::File(file),
            },
            Asked::Multipart(parts) if parts.len() > MOST_PARTS => {
                return Err(invalid(format!("http: more than {MOST_PARTS} parts")));
            }
            Asked::Multipart(parts) => {
                let mut read = Vec::with_capacity(parts.len());
                for part in parts {
                    read.push(self.part(part).await?);
                }
                Body::Multipart(read)
            }
        })
    }

    async fn part(&mut self, part: AskedPart) -> Result<Part, Error> {
        // Both stand in quotes in a header of the part.
        let unfit = |text: &str| text.chars().any(|c| c.is_control() || c == '"');
        if unfit(&part.name) {
            return Err(invalid("http: a part's name holds a quote or a control character"));
        }
        let clean =
            |name: String| name.chars().map(|c| if c.is_control() || "\"\\/".contains(c) { '_' } else { c }).collect();
        let (content, own) = match self.content(part.content).await? {
            PartContent::File(file) => {
                let description = file.description().clone();
                (PartContent::File(file), Some(description))
            }
            bytes => (bytes, None),
        };
        let file_name = part.file_name.or_else(|| own.as_ref().and_then(|own| own.file_name.clone())).map(clean);
        Ok(Part {
            name: part.name,
            file_name,
            mime_type: part.mime_type.or_else(|| own.map(|own| own.mime_type)),
            content,
        })
    }

    async fn content(&mut self, content: Content) -> Result<PartContent, Error> {
        match content {
            Content::Text(text) => Ok(PartContent::Bytes(text.into_bytes())),
            Content::Bytes(bytes) => Ok(PartContent::Bytes(bytes)),
            Content::File(handle) => {
                let file =
                    self.file(&handle).await.map_err(|error| invalid(format!("http: a file to be sent: {error}")))?;
                Ok(PartContent::File(file))
            }
        }
    }
}

/// How many there are, and how long what names their places is: before a secret is looked at.
pub(in crate::plugins) fn check_credentials(credentials: &[Credential]) -> Result<(), Error> {
    if credentials.len() > MOST_CREDENTIALS {
        return Err(invalid(format!("credentials: more than {MOST_CREDENTIALS} for one request or frame")));
    }
    let longest = |place: &Place| match place {
        Place::Bearer => 0,
        Place::Query(name) | Place::Json(name) => name.len(),
        Place::Header((name, prefix)) | Place::PathSegment((name, prefix)) => name.len().max(prefix.len()),
    };
    match credentials.iter().all(|credential| longest(&credential.place) <= MOST_PLACE) {
        true => Ok(()),
        false => Err(invalid(format!("credentials: a place is named with at most {MOST_PLACE} bytes"))),
    }
}

/// The target with each credential of the path in its place.
pub(in crate::plugins) fn with_path_credentials<'a>(
    target: &Target,
    credentials: &'a [Credential],
    value: impl Fn(&str) -> Result<&'a str, Unusable>,
) -> Result<Target, Error> {
    let mut segments = Vec::new();
    for credential in credentials {
        if let Place::PathSegment((placeholder, prefix)) = &credential.place {
            segments.push(Segment { placeholder, prefix, secret: value(&credential.secret)? });
        }
    }
    Ok(Target { url: in_path(&target.url, &segments)?, authority: target.authority.clone() })
}

pub(in crate::plugins) fn read_headers(given: Vec<(String, String)>) -> Result<HeaderMap, Error> {
    if given.len() > MOST_HEADERS {
        return Err(invalid(format!("http: more than {MOST_HEADERS} headers")));
    }
    let mut headers = HeaderMap::with_capacity(given.len());
    for (name, value) in given {
        let (name, value) = (header_name(&name)?, HeaderValue::from_str(&value));
        let value = value.map_err(|_| invalid(format!("http: the value of the header {name} cannot be sent")))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn header_name(name: &str) -> Result<HeaderName, Error> {
    check_header(name).map_err(invalid)?;
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("http: a header's name is not one"))
}

/// In the place of what the component wrote itself.
pub(in crate::plugins) fn put_header(
    headers: &mut HeaderMap,
    name: &str,
    prefix: &str,
    secret: &str,
) -> Result<(), Error> {
    let mut value = HeaderValue::from_str(&format!("{prefix}{secret}")).map_err(|_| Error::from(PlaceError::Text))?;
    value.set_sensitive(true);
    headers.insert(header_name(name)?, value);
    Ok(())
}

pub(in crate::plugins) fn stand_in_url(stand_in: &Url, asked: &Url) -> Url {
    let mut url = stand_in.clone();
    url.set_path(&format!("{}{}", stand_in.path().trim_end_matches('/'), asked.path()));
    url.set_query(asked.query());
    url
}

pub(super) fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Uri(_) | Refusal::Host(_) => invalid(refusal.to_string()),
        _ => denied(refusal),
    }
}

impl From<Unusable> for Error {
    fn from(unusable: Unusable) -> Self {
        denied(unusable)
    }
}

impl From<PlaceError> for Error {
    fn from(error: PlaceError) -> Self {
        invalid(error.to_string())
    }
}

/// The allowance of the grant, after everything else is right: what is refused costs nothing.
pub(super) fn throttle(access: &Access, prepared: &Prepared) -> Result<(), Error> {
    access.take_token(prepared.grant).map_err(|wait| {
        unsent(
            ErrorKind::Throttled(wait),
            format!(
                "http: the requests of this minute to {} are used up; there is one again in {wait} ms (per-minute under [[http]] of plugin.toml)",
                prepared.host
            ),
        )
    })
}
