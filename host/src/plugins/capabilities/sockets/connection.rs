//! One socket: connected to a checked address, read into events, written from a queue, and again after
//! whatever ended it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{self, Message, handshake::client::Request, protocol::WebSocketConfig},
};
use tokio_util::sync::CancellationToken;

use super::registry::{MOST_MESSAGE, Outgoing, Taker};
use crate::{
    domain::egress::{Authority, Host},
    plugins::{access::Access, adapter::SocketEvent, capabilities::credentials::Redactor},
};

/// Of each socket's buffers; the library's own are far larger than chats need.
const BUFFER: usize = 16 << 10;
/// Until a connection stands, encryption and handshake included.
const CONNECT: Duration = Duration::from_secs(15);
/// Nothing at all from the peer for this long: it is asked whether it is there, and after as long again given up.
const QUIET: Duration = Duration::from_secs(45);
/// A peer that does not take a frame within this time takes none any more.
const SEND: Duration = Duration::from_secs(45);
/// For what is still to be said on a socket that nobody holds any more.
const FAREWELL: Duration = Duration::from_secs(1);
const SHORTEST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A connection that stood this long was a good one: the next begins without waiting long.
const GOOD: Duration = Duration::from_secs(60);

/// Where a socket goes, decided.
pub(super) struct Destination {
    pub(super) access: Arc<Access>,
    pub(super) name: String,
    /// With secrets in it: not for any text.
    pub(super) request: Request,
    /// What is connected to: the host, or the operator's stand-in for it.
    pub(super) authority: Authority,
    pub(super) stand_in: bool,
    /// For what the peer says: it got the secrets that are bound to it.
    pub(super) redactor: Redactor,
    pub(super) events: Taker,
    /// Nobody holds the socket any more.
    pub(super) left: CancellationToken,
}

/// Why a connection ended.
enum Ended {
    /// Nobody holds the socket or takes its events any more.
    Left,
    /// Close code and reason.
    Closed(u16, String),
}

/// Abnormal closure (RFC 6455, 7.4.1): never sent, only said.
const ABNORMAL: u16 = 1006;

impl Destination {
    /// Keeps the socket open until nobody holds it any more: then it ends wherever it is, so that opening
    /// and closing leaves nothing behind.
    pub(super) async fn keep(self, mut frames: mpsc::Receiver<Outgoing>) {
        let builder = ExponentialBuilder::default()
            .with_min_delay(SHORTEST_WAIT)
            .with_max_delay(LONGEST_WAIT)
            .without_max_times()
            .with_jitter();
        let mut waits = builder.build();
        loop {
            let began = tokio::time::Instant::now();
            let Some(connected) = self.left.run_until_cancelled(timeout(CONNECT, self.connect())).await else { return };
            let ended = match connected {
                Ok(Ok(stream)) => {
                    if !self.tell(SocketEvent::Opened).await {
                        return;
                    }
                    self.serve(stream, &mut frames).await
                }
                Ok(Err(reason)) => Ended::Closed(ABNORMAL, reason),
                Err(_) => Ended::Closed(ABNORMAL, format!("no connection within {} s", CONNECT.as_secs())),
            };
            let Ended::Closed(code, reason) = ended else { return };
            let reason = self.redactor.text(&reason);
            tracing::info!(
                plugin = self.access.plugin,
                socket = self.name,
                code,
                reason,
                "a socket ended; it is opened again"
            );
            // What was to be said on the old connection means nothing on the next.
            while frames.try_recv().is_ok() {}
            if !self.tell(SocketEvent::Closed((code, reason))).await {
                return;
            }
            if began.elapsed() >= GOOD {
                waits = builder.build();
            }
            let wait = tokio::time::sleep(waits.next().unwrap_or(LONGEST_WAIT));
            if self.left.run_until_cancelled(wait).await.is_none() {
                return;
            }
        }
    }

    /// `false` where nobody takes events any more, or nobody holds the socket.
    async fn tell(&self, event: SocketEvent) -> bool {
        self.left.run_until_cancelled(self.events.tell(&self.name, event)).await.unwrap_or(false)
    }

    async fn connect(&self) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, String> {
        let stream = self.connect_tcp().await?;
        let _ = stream.set_nodelay(true);
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_write_buffer_size(MOST_MESSAGE + BUFFER)
            .max_message_size(Some(MOST_MESSAGE))
            .max_frame_size(Some(MOST_MESSAGE));
        let connected = client_async_tls_with_config(self.request.clone(), stream, Some(config), None).await;
        connected.map(|(stream, _)| stream).map_err(|error| error.to_string())
    }

    async fn connect_tcp(&self) -> Result<TcpStream, String> {
        let port = self.authority.port;
        if self.stand_in {
            let host = self.authority.host.to_string();
            return TcpStream::connect((host.trim_matches(['[', ']']), port)).await.map_err(|error| error.to_string());
        }
        let addresses = self.access.clients.addresses(&self.authority.host).await.map_err(|error| error.to_string())?;
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match TcpStream::connect(SocketAddr::new(address, port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure.to_string())
    }

    async fn serve(
        &self,
        mut stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
        frames: &mut mpsc::Receiver<Outgoing>,
    ) -> Ended {
        let mut asked = false;
        loop {
            let event = tokio::select! {
                // First: nothing is told of a socket that nobody holds any more.
                biased;
                () = self.left.cancelled() => {
                    let _ = timeout(FAREWELL, part(&mut stream, frames)).await;
                    return Ended::Left;
                }
                Some(frame) = frames.recv() => {
                    let sent = timeout(SEND, stream.send(frame.message));
                    match self.left.run_until_cancelled(sent).await {
                        None => return Ended::Left,
                        Some(Err(_)) => return Ended::Closed(ABNORMAL, "the peer takes nothing".into()),
                        Some(Ok(Err(error))) => return Ended::Closed(ABNORMAL, error.to_string()),
                        Some(Ok(Ok(()))) => {}
                    }
                    continue;
                }
                read = timeout(QUIET, stream.next()) => match read {
                    Err(_) if asked => return Ended::Closed(ABNORMAL, "the peer says nothing".into()),
                    Err(_) => {
                        asked = true;
                        match timeout(SEND, stream.send(Message::Ping(bytes::Bytes::new()))).await {
                            Ok(Ok(())) => continue,
                            Ok(Err(error)) => return Ended::Closed(ABNORMAL, error.to_string()),
                            Err(_) => return Ended::Closed(ABNORMAL, "the peer takes nothing".into()),
                        }
                    }
                    Ok(None) => return Ended::Closed(ABNORMAL, "the connection broke off".into()),
                    Ok(Some(Err(error))) => return Ended::Closed(code_of(&error), error.to_string()),
                    Ok(Some(Ok(message))) => message,
                },
            };
            asked = false;
            let event = match event {
                Message::Text(text) => SocketEvent::Text(self.redactor.text(&text)),
                Message::Binary(bytes) => SocketEvent::Binary(self.redactor.bytes(bytes.into())),
                Message::Close(frame) => {
                    let (code, reason) =
                        frame.map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                    return Ended::Closed(code, reason);
                }
                // Answered by the library.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            if !self.tell(event).await {
                return Ended::Left;
            }
        }
    }
}

/// What was to be sent before the socket was given up still is; then the peer is told.
async fn part(
    stream: &mut WebSocketStream<MaybeTlsStream<TcpStream>>,
    frames: &mut mpsc::Receiver<Outgoing>,
) -> Result<(), tungstenite::Error> {
    while let Ok(frame) = frames.try_recv() {
        stream.send(frame.message).await?;
    }
    stream.close(None).await
}

fn code_of(error: &tungstenite::Error) -> u16 {
    match error {
        tungstenite::Error::Capacity(_) => 1009,
        tungstenite::Error::Protocol(_) => 1002,
        _ => ABNORMAL,
    }
}

/// The host and port of a stand-in.
pub(super) fn authority_of(url: &url::Url) -> Option<Authority> {
    let host = match url.host()? {
        url::Host::Domain(name) => Host::Name(name.to_owned()),
        url::Host::Ipv4(address) => Host::Address(address.into()),
        url::Host::Ipv6(address) => Host::Address(address.into()),
    };
    Some(Authority { host, port: url.port_or_known_default()? })
}
