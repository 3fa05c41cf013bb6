//! How a TCP listener is served. axum's own loop sets no time for a request's head, so whoever opened
//! connections and wrote a byte now and then could hold every place; and it closes a connection whose answer
//! came before its request was read to the end so that the answer may be lost.

use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    time::Duration,
};

use axum::{Router, extract::Request, serve::Listener};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::linger::Lingering;

/// How long the head of a request may take, also the next one of a connection that is kept: 20 s, above
/// what any client needs, and below what holds a place for long.
pub const HEAD_WITHIN: Duration = Duration::from_secs(20);
/// Bytes that are buffered of a connection, about: hyper reads on while a head of up to 80 KiB is complete.
/// 64 KiB.
const MOST_HEAD: usize = 64 << 10;

/// Where a request came from, in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Serves `router` until `stop`, then waits for the requests that are open. `head_within` as
/// [`HEAD_WITHIN`].
pub async fn serve<L: Listener<Addr = SocketAddr>>(
    mut listener: L,
    router: Router,
    head_within: Duration,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    loop {
        let (io, peer) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let service = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer.ip()));
            hyper::service::Service::call(&service, request)
        });
        let stop = stop.clone();
        connections.spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(head_within)
                .max_buf_size(MOST_HEAD)
                .serve_connection(TokioIo::new(Lingering::new(io, stop.clone())), service);
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "a connection ended badly");
            }
        });
    }
    connections.close();
    connections.wait().await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::http::Bounded;

    async fn served(places: usize, stop: &CancellationToken) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|peer: axum::Extension<Peer>| async move { peer.0.0.to_string() }));
        tokio::spawn(serve(Bounded::new(listener, places), router, Duration::from_secs(1), stop.clone()));
        address
    }

    async fn ask(address: SocketAddr) -> String {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Slowloris: every place is taken by somebody who never ends his request's head. They are shown out,
    /// and the next one is served.
    #[tokio::test]
    async fn an_unfinished_head_does_not_hold_its_place() {
        let stop = CancellationToken::new();
        let address = served(2, &stop).await;
        let mut slow = Vec::new();
        for head in ["GET / HTTP/1.1\r\nhost: local", ""] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(head.as_bytes()).await.unwrap();
            slow.push(client);
        }
        let answer = ask(address).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("127.0.0.1"), "{answer}");
        stop.cancel();
    }
    /// What is refused before it is read is told why, however much of it is still to come.
    #[tokio::test]
    async fn a_refusal_in_the_middle_of_an_upload_arrives() {
        const LENGTH: usize = 32 << 20;
        let stop = CancellationToken::new();
        let address = served(1, &stop).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let head = format!("POST /none HTTP/1.1\r\nhost: localhost\r\ncontent-length: {LENGTH}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let mut begun = [0; 12];
        client.read_exact(&mut begun).await.unwrap();
        assert_eq!(begun, *b"HTTP/1.1 404");
        for _ in 0..LENGTH >> 20 {
            client.write_all(&[b' '; 1 << 20]).await.unwrap();
        }
        client.shutdown().await.unwrap();
        client.read_to_end(&mut Vec::new()).await.unwrap();
        // The place is free again.
        assert!(ask(address).await.starts_with("HTTP/1.1 200"));
        stop.cancel();
    }
}
