//! Plain HTTP: one request on a connection of its own, written anew from what was understood, so
//! that nothing rides along in how it was framed.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header},
    response::Response,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::OwnedSemaphorePermit};

use super::{
    error::Error,
    meter::{Activity, Metered},
    run::Run,
};
use crate::{domain::egress::Authority, http::Closing};

/// Headers that belong to one connection, not to the message (RFC 9110 section 7.6.1), with the
/// older ones that clients still send to proxies.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

impl Run {
    pub(super) async fn forward(
        self: Arc<Self>,
        stream: TcpStream,
        authority: &Authority,
        mut request: Request,
        closing: Closing,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response, Error> {
        let host = || authority.to_string();
        let unreachable = |error: hyper::Error| Error::Unreachable { host: host(), reason: error.to_string() };
        let activity = Activity::new();
        let io = TokioIo::new(Metered::new(stream, self.meter.clone(), activity.clone()));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Body>(io).await.map_err(unreachable)?;
        let (silent, run) = (activity.clone(), self.clone());
        tokio::spawn(async move {
            let _permit = permit;
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(run = run.id.as_str(), %error, "a plain request broke off");
                    }
                }
                () = silent.ceased(run.shared.limits.idle) => {
                    tracing::debug!(run = run.id.as_str(), "a silent request was closed");
                }
                () = closing.closed() => {}
            }
        });

        prepare(&mut request, authority);
        let sent = tokio::select! {
            sent = sender.send_request(request) => sent,
            () = activity.ceased(self.shared.limits.idle) => return Err(Error::TooSlow { host: host() }),
        };
        let mut response = sent.map_err(unreachable)?.map(Body::new);
        strip(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        response.extensions_mut().clear();
        Ok(response)
    }
}

/// Makes of a request to a proxy one to the server itself.
fn prepare(request: &mut Request, authority: &Authority) {
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    *request.version_mut() = Version::HTTP_11;
    // The client's wish to switch protocols goes no further.
    request.extensions_mut().clear();
    let headers = request.headers_mut();
    strip(headers);
    // hyper says how long the body is, from how it was received.
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
    if let Ok(host) = HeaderValue::try_from(authority.for_host_header()) {
        headers.insert(header::HOST, host);
    }
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_connection_stays_behind() {
        let mut request = Request::builder()
            .uri("http://example.com/a?b=1")
            .header("connection", "close, x-secret")
            .header("x-secret", "1")
            .header("keep-alive", "300")
            .header("proxy-connection", "keep-alive")
            .header("proxy-authorization", "Basic eA==")
            .header("te", "trailers")
            .header("upgrade", "websocket")
            .header("accept", "*/*")
            .body(Body::empty())
            .unwrap();
        prepare(&mut request, &Authority::parse("example.com", Some(80)).unwrap());
        assert_eq!(request.uri(), "/a?b=1");
        let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "connection", "host"]);
        assert_eq!(request.headers()["host"], "example.com");
        assert_eq!(request.headers()["connection"], "close");
        prepare(&mut request, &Authority::parse("[2606:4700::1]:8080", None).unwrap());
        assert_eq!(request.headers()["host"], "[2606:4700::1]:8080");
    }
}
