//! Sockets against a peer of bad will, on a real socket.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread::JoinHandle,
};

use mercury_bindings::mercury::plugin::{
    credentials::{Credential, Place},
    http::ErrorKind,
    sockets::{Error, Frame, Host},
};
use tokio::runtime::Handle;

use super::*;
use crate::{
    config::{PluginConfig, StandIn},
    plugins::{
        Interface, Services, access::Access, adapter::SocketEvent, manifest::Manifest, state::State, stats::Stats,
    },
    store::Store,
};

/// A plugin whose host `line.test` is the operator's server at `address`.
fn plugin(address: SocketAddr) -> (tempfile::TempDir, State, SocketEvents) {
    let folder = tempfile::tempdir().unwrap();
    let text = "name = \"probe\"\nversion = \"1.0.0\"\ncomponent = \"p.wasm\"\n\
        provides = [\"chat-adapter\", \"socket-client\"]\ninbox = { platform = \"line\" }\n\
        [[sockets]]\nhosts = [\"line.test\"]\n\
        [[secrets]]\nname = \"token\"\nvariable = \"MERCURY_PROBE_TOKEN\"\nhosts = [\"line.test\"]\n";
    let manifest = Manifest::parse(std::path::Path::new("plugin.toml"), text).unwrap();
    let secrets = [("MERCURY_PROBE_TOKEN".to_owned(), "a-token-of-the-operator".into())].into();
    let services = Services::new(Store::open(&folder.path().join("state.db")).unwrap()).with_secrets(secrets);
    let stand_in = StandIn {
        host: "line.test".into(),
        pattern: Pattern::parse("line.test").unwrap(),
        url: format!("http://{address}").parse().unwrap(),
    };
    let config = PluginConfig { stand_ins: vec![stand_in], ..PluginConfig::default() };
    let access = Access::new(&manifest, Some(&config), &services).unwrap();
    let events = services.sockets.take_events("probe");
    let (manifest, services, stats) = (Arc::new(manifest), Arc::new(services), Arc::new(Stats::new()));
    let state = State::new(Interface::ChatAdapter, manifest, Arc::default(), services, Arc::new(access), stats);
    (folder, state, events)
}

async fn open(state: &mut State, name: &str) -> Result<(), Error> {
    state.open(name.into(), "wss://line.test/".into(), Vec::new(), Vec::new()).await.unwrap()
}

/// Every task of this runtime that is not done after what was ready had its turn.
async fn tasks_left() -> usize {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    Handle::current().metrics().num_alive_tasks()
}

/// Opening and closing costs nothing that stays, whatever the peer does: here it never answers.
#[tokio::test]
async fn a_closed_socket_leaves_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_folder, mut state, _events) = plugin(listener.local_addr().unwrap());
    for _ in 0..20 {
        open(&mut state, "a").await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(tasks_left().await, 1, "each one ended when another took its place");
    let _peer = listener.accept().unwrap();
    state.close("a".into()).await.unwrap();
    assert_eq!(tasks_left().await, 0);
}

/// Shakes hands and reads nothing. Its end is told by the stream that it returns.
fn silent_peer(listener: TcpListener) -> JoinHandle<tokio_tungstenite::tungstenite::WebSocket<TcpStream>> {
    std::thread::spawn(move || tokio_tungstenite::tungstenite::accept(listener.accept().unwrap().0).unwrap())
}

#[tokio::test]
async fn a_peer_that_reads_nothing_holds_little() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let peer = silent_peer(listener);
    let (_folder, mut state, mut events) = plugin(address);
    open(&mut state, "a").await.unwrap();
    assert!(matches!(events.recv().await, Some((name, crate::plugins::adapter::SocketEvent::Opened)) if name == "a"));
    let _peer = peer.join().unwrap();
    let mut sent = 0_usize;
    let refused = loop {
        match state.send("a".into(), Frame::Binary(vec![0; 1 << 20]), Vec::new()).await.unwrap() {
            Ok(()) => sent += 1 << 20,
            Err(error) => break error,
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(refused.kind, ErrorKind::Throttled(_)), "{refused:?}");
    // What waits here, and what the kernel took.
    assert!(sent < 128 << 20, "{sent}");
    state.close("a".into()).await.unwrap();
    assert_eq!(tasks_left().await, 0, "no frame is waited for any more");
}

/// A peer that says back what it got gives the plugin no secret that it may only use.
#[tokio::test]
async fn an_echo_gives_no_secret_away() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut peer = tokio_tungstenite::tungstenite::accept(listener.accept().unwrap().0).unwrap();
        let said = peer.read().unwrap();
        assert!(said.to_text().unwrap().contains("a-token-of-the-operator"));
        peer.send(said.clone()).unwrap();
        peer.send(said.into_data().into()).unwrap();
    });
    let (_folder, mut state, mut events) = plugin(address);
    open(&mut state, "a").await.unwrap();
    let secret = Credential { secret: "token".into(), place: Place::Json("/id".into()) };
    let mut next = async || events.recv().await.unwrap().1;
    assert!(matches!(next().await, SocketEvent::Opened));
    state.send("a".into(), Frame::Text(r#"{"id":"","m":"x"}"#.into()), vec![secret]).await.unwrap().unwrap();
    let SocketEvent::Text(text) = next().await else { panic!("a text") };
    let SocketEvent::Binary(bytes) = next().await else { panic!("the same as bytes") };
    for echo in [text, String::from_utf8(bytes).unwrap()] {
        assert!(echo.contains("\"m\":\"x\"") && !echo.contains("token-of"), "{echo}");
    }
}

/// What a frame costs before it is refused is bounded, too.
#[tokio::test]
async fn a_frame_has_few_secrets_in_short_places() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_folder, mut state, _events) = plugin(listener.local_addr().unwrap());
    open(&mut state, "a").await.unwrap();
    let secret = |pointer: &str| Credential { secret: "token".into(), place: Place::Json(pointer.into()) };
    let cases = [
        (vec![secret("/d"); 17], "[]".to_owned(), "more than 16"),
        (vec![secret(&"/d".repeat(300))], "[]".to_owned(), "at most 512"),
        (vec![secret("/d")], format!("{{\"d\":\"{}\"}}", "x".repeat(1 << 20)), "at most 1024 KiB"),
        (vec![secret("/x")], "{\"d\":\"\"}".to_owned(), "no JSON with a string at"),
    ];
    for (credentials, text, says) in cases {
        let error = state.send("a".into(), Frame::Text(text), credentials).await.unwrap().unwrap_err();
        assert!(error.message.contains(says), "{says}: {}", error.message);
    }
    assert_eq!(state.send("a".into(), Frame::Text("{\"d\":\"\"}".into()), vec![secret("/d")]).await.unwrap(), Ok(()));
}
