use mercury_bindings::mercury::plugin::{
    credentials::{Credential, Place},
    http::{Error, ErrorKind, Headers},
    sockets::{Frame, Host},
};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest, handshake::client::Request};
use tokio_util::sync::CancellationToken;

use super::{
    connection::{Destination, authority_of},
    registry::{Line, MOST_FRAMES, MOST_MESSAGE, MOST_TO_SEND, Refused, Unsent},
};
use crate::{
    domain::outbound::{Refusal, Target, decide},
    plugins::{
        Interface,
        access::Access,
        capabilities::{
            credentials::{in_json, in_query},
            http::{check_credentials, put_header, read_headers, stand_in_url, unsent, with_path_credentials},
            not_granted,
        },
        state::State,
    },
};

/// Characters of a socket's name.
const MOST_NAME: usize = 128;

impl State {
    fn may_use_sockets(&self) -> Result<(), Error> {
        if self.interface == Interface::ResultProcessor {
            return Err(denied("sockets: a result processor may reach nobody".into()));
        }
        if self.access.sockets.is_empty() {
            return Err(denied(not_granted("sockets", "[[sockets]] hosts = […]")));
        }
        Ok(())
    }

    /// Why the socket would not be opened: for one whose answer is recorded.
    pub(in crate::plugins) fn refused_socket(
        &self,
        name: &str,
        uri: &str,
        headers: Headers,
        credentials: &[Credential],
    ) -> Option<Error> {
        let may_open = self.may_open(name, credentials);
        may_open.and_then(|()| opening(&self.access, uri, headers, credentials)).err()
    }

    fn may_open(&self, name: &str, credentials: &[Credential]) -> Result<(), Error> {
        self.may_use_sockets()?;
        if name.chars().count() > MOST_NAME {
            let message = format!("sockets: a name has at most {MOST_NAME} characters");
            return Err(unsent(ErrorKind::Invalid, message));
        }
        check_credentials(credentials)
    }

    fn open_socket(&self, name: String, uri: &str, headers: Headers, credentials: &[Credential]) -> Result<(), Error> {
        self.may_open(&name, credentials)?;
        let access = self.access.clone();
        let Opening { mut url, headers, target, protected } = opening(&access, uri, headers, credentials)?;
        let stand_in = access.stand_in(&target);
        let authority = match stand_in {
            Some(stand_in) => {
                url = stand_in_url(stand_in, &url);
                authority_of(stand_in).ok_or_else(|| unsent(ErrorKind::Invalid, "sockets: the stand-in has no host"))?
            }
            None => target.authority.clone(),
        };
        let request = request(&url, &headers)?;
        let (Some(runtime), Some(events)) = (&self.services.runtime, self.services.sockets.taker(&access.plugin))
        else {
            let message =
                "sockets: nobody takes this plugin's events; only adapters that provide socket-client have sockets";
            return Err(unsent(ErrorKind::Other(message.into()), message));
        };
        let (sender, frames) = mpsc::channel(MOST_FRAMES);
        let left = CancellationToken::new();
        let destination = Destination {
            redactor: access.secrets.redactor_for(&target),
            stand_in: stand_in.is_some(),
            left: left.clone(),
            access: access.clone(),
            name: name.clone(),
            request,
            authority,
            events,
        };
        let line = Line { frames: sender, target: target.into(), protected, _held: left.drop_guard() };
        // Kept before it is opened: what nobody holds ends at once.
        self.services.sockets.put(&access.plugin, &name, line).map_err(|refused| match refused {
            Refused::TooMany => {
                let message = "sockets: too many are open";
                unsent(ErrorKind::Other(message.into()), message)
            }
            Refused::TooOften(wait) => unsent(
                ErrorKind::Throttled(wait),
                format!("sockets: too many were opened in this minute; one may be again in {wait} ms"),
            ),
        })?;
        runtime.spawn(destination.keep(frames));
        Ok(())
    }

    fn frame(&self, name: &str, frame: Frame, credentials: &[Credential]) -> Result<(), Error> {
        self.may_use_sockets()?;
        check_credentials(credentials)?;
        let closed = || {
            let message =
                format!("sockets: there is no open socket {}", name.chars().take(MOST_NAME).collect::<String>());
            unsent(ErrorKind::Unreachable, message)
        };
        let open = self.services.sockets.find(&self.access.plugin, name).ok_or_else(closed)?;
        let mut places = Vec::with_capacity(credentials.len());
        for credential in credentials {
            let value = self.access.secrets.for_target(&credential.secret, &open.target, open.protected)?;
            let (Frame::Text(_), Place::Json(pointer)) = (&frame, &credential.place) else {
                let message = "sockets: in a frame, a secret stands in JSON text only";
                return Err(unsent(ErrorKind::Invalid, message));
            };
            places.push((pointer.as_str(), value));
        }
        let message = match frame {
            Frame::Text(text) if places.is_empty() => Message::text(text),
            Frame::Text(text) => {
                let placed = in_json(text.as_bytes(), &places)?;
                Message::text(String::from_utf8_lossy(&placed).into_owned())
            }
            Frame::Binary(bytes) => Message::binary(bytes),
        };
        if message.len() > MOST_MESSAGE {
            return Err(unsent(ErrorKind::TooLarge(MOST_MESSAGE as u64), "sockets: the frame is too large"));
        }
        open.send(message).map_err(|error| match error {
            Unsent::Closed => closed(),
            Unsent::Full => {
                let message = format!("sockets: {MOST_FRAMES} frames or {} MiB wait already", MOST_TO_SEND >> 20);
                unsent(ErrorKind::Throttled(1_000), message)
            }
        })
    }
}

impl Host for State {
    async fn open(
        &mut self,
        name: String,
        uri: String,
        headers: Headers,
        credentials: Vec<Credential>,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.count_call()?;
        Ok(self.open_socket(name, &uri, headers, &credentials))
    }

    async fn send(
        &mut self,
        name: String,
        frame: Frame,
        credentials: Vec<Credential>,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.count_call()?;
        Ok(self.frame(&name, frame, &credentials))
    }

    async fn close(&mut self, name: String) -> wasmtime::Result<()> {
        self.count_call()?;
        self.services.sockets.close(&self.manifest.name, &name);
        Ok(())
    }
}

/// A handshake that is decided, with its secrets in place.
struct Opening {
    url: url::Url,
    headers: reqwest::header::HeaderMap,
    target: Target,
    protected: bool,
}

fn opening(access: &Access, uri: &str, headers: Headers, credentials: &[Credential]) -> Result<Opening, Error> {
    let target = Target::parse(&as_http(uri)?).map_err(refused)?;
    let shape = with_path_credentials(&target, credentials, |_| Ok("SECRET"))?;
    decide(&access.sockets, "GET", &shape).map_err(refused)?;
    let protected = target.is_encrypted() || access.stand_in(&target).is_some();
    let secret = |name: &str| access.secrets.for_target(name, &target, protected);
    let mut headers = read_headers(headers)?;
    check_handshake(&headers)?;
    let mut url = with_path_credentials(&target, credentials, secret)?.url;
    for credential in credentials {
        let value = secret(&credential.secret)?;
        match &credential.place {
            Place::Bearer => put_header(&mut headers, "authorization", "Bearer ", value)?,
            Place::Header((name, prefix)) => put_header(&mut headers, name, prefix, value)?,
            Place::Query(name) => in_query(&mut url, name, value),
            Place::PathSegment(_) => {}
            Place::Json(_) => {
                let message = "sockets: a secret in JSON belongs to a frame, not to the opening";
                return Err(unsent(ErrorKind::Invalid, message));
            }
        }
    }
    Ok(Opening { url, headers, target, protected })
}

/// The same address as the grants and the rules of `http` know it.
fn as_http(uri: &str) -> Result<String, Error> {
    match uri.split_once("://") {
        Some(("wss", rest)) => Ok(format!("https://{rest}")),
        Some(("ws", rest)) => Ok(format!("http://{rest}")),
        _ => Err(unsent(ErrorKind::Invalid, "sockets: write a wss:// URI")),
    }
}

fn request(url: &url::Url, headers: &reqwest::header::HeaderMap) -> Result<Request, Error> {
    let unusable = |_| unsent(ErrorKind::Invalid, "sockets: the URI cannot be used");
    let text = match url.as_str().split_once("://") {
        Some(("https", rest)) => format!("wss://{rest}"),
        Some((_, rest)) => format!("ws://{rest}"),
        None => url.to_string(),
    };
    let mut request = text.into_client_request().map_err(unusable)?;
    for (name, value) in headers {
        request.headers_mut().append(name, value.clone());
    }
    Ok(request)
}

fn denied(message: String) -> Error {
    unsent(ErrorKind::Denied(message.clone()), message)
}

/// What opens a websocket is the host's (RFC 6455, 4.1), but the subprotocol that is asked for.
fn check_handshake(headers: &reqwest::header::HeaderMap) -> Result<(), Error> {
    let own = |name: &&str| name.starts_with("sec-websocket-") && *name != "sec-websocket-protocol";
    match headers.keys().map(reqwest::header::HeaderName::as_str).find(own) {
        Some(name) => {
            let message = format!("sockets: the header {name} is the host's to set; leave it out");
            Err(unsent(ErrorKind::Invalid, message))
        }
        None => Ok(()),
    }
}

/// The words of `http`, for sockets.
fn refused(refusal: Refusal) -> Error {
    let invalid = matches!(refusal, Refusal::Uri(_) | Refusal::Host(_));
    let text = refusal.to_string();
    let text = text.strip_prefix("http:").map_or(text.clone(), |rest| format!("sockets:{rest}"));
    let text = text.replace("[[http]]", "[[sockets]]").replace("https://", "wss://");
    if invalid { unsent(ErrorKind::Invalid, text) } else { denied(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_is_the_hosts() {
        let check = |name: &str| check_handshake(&read_headers(vec![(name.into(), "x".into())]).unwrap());
        for name in ["Sec-WebSocket-Key", "sec-websocket-version", "Sec-Websocket-Extensions"] {
            assert!(check(name).unwrap_err().message.contains("leave it out"), "{name}");
        }
        assert!(check("Sec-WebSocket-Protocol").is_ok() && check("Origin").is_ok());
    }
}
