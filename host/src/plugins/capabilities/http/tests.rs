//! The functions of the contract against a real peer on a real socket.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request as Received, State as Shared},
    http::{StatusCode, header},
    response::{IntoResponse, Response as Answered},
    routing::any,
};
use futures_util::{StreamExt, future::BoxFuture};
use mercury_bindings::mercury::plugin::{
    credentials::{Credential, Host as CredentialsHost, Place},
    http::{Body as Asked, ErrorKind, Host, Part, Request},
    media::Host as MediaHost,
    types::{Content, MediaKind},
};
use secrecy::SecretString;

use super::*;
use crate::{
    config::{PluginConfig, StandIn},
    media::MediaStore,
    plugins::{Interface, Services, access::Access, manifest::Manifest, state::State, stats::Stats},
    resolve::{Asker, Resolve},
    store::Store,
};

const CANARY: &str = "canary-4f1c/AA:b+c";

/// A peer that keeps what it was sent.
#[derive(Clone, Default)]
struct Peer {
    requests: Arc<Mutex<Vec<Seen>>>,
    open: Arc<AtomicUsize>,
    most_open: Arc<AtomicUsize>,
    release: Arc<tokio::sync::Notify>,
}

#[derive(Clone, Debug)]
struct Seen {
    uri: String,
    headers: axum::http::HeaderMap,
    body: String,
}

impl Peer {
    async fn start() -> (Self, SocketAddr) {
        let peer = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(any(answer)).with_state(peer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (peer, address)
    }

    fn last(&self) -> Seen {
        self.requests.lock().unwrap().last().expect("a request").clone()
    }

    fn forget(&self) {
        self.requests.lock().unwrap().clear();
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// An address where nobody listens, and nobody else will as long as the socket is there.
fn closed() -> (tokio::net::TcpSocket, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

struct Open(Peer);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn answer(Shared(peer): Shared<Peer>, request: Received) -> Answered {
    let now = peer.open.fetch_add(1, Ordering::SeqCst) + 1;
    peer.most_open.fetch_max(now, Ordering::SeqCst);
    let _open = Open(peer.clone());
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8_lossy(&body).into_owned();
    let uri = parts.uri.to_string();
    peer.requests.lock().unwrap().push(Seen { uri: uri.clone(), headers: parts.headers.clone(), body: body.clone() });
    let endless = || futures_util::stream::repeat(Ok::<_, std::convert::Infallible>(vec![b'x'; 64 << 10]));
    match parts.uri.path() {
        "/redirect" => (StatusCode::FOUND, [(header::LOCATION, "http://169.254.169.254/latest/")]).into_response(),
        "/announced" => {
            let body = Body::from_stream(endless().take(32));
            ([(header::CONTENT_LENGTH, (2 << 20).to_string())], body).into_response()
        }
        "/endless" => Body::from_stream(endless()).into_response(),
        "/never" => {
            peer.release.notified().await;
            "released".into_response()
        }
        "/half" => {
            let pieces = futures_util::stream::iter([Ok(vec![b'x'; 100]), Err(std::io::Error::other("gone"))]);
            Body::from_stream(pieces).into_response()
        }
        "/bytes" => vec![0xff, 0x00, 0xfe].into_response(),
        "/missing" => (StatusCode::NOT_FOUND, format!("no {uri}")).into_response(),
        "/file" => ([(header::CONTENT_TYPE, "image/png")], "a picture").into_response(),
        _ => {
            let headers: String = parts
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())))
                .collect();
            let mut answer = format!("{} {uri}\n{headers}\n{body}", parts.method).into_response();
            if let Some(authorization) = parts.headers.get(header::AUTHORIZATION) {
                answer.headers_mut().insert("X-Echo", authorization.clone());
            }
            answer
        }
    }
}

/// Each answer once, the last for ever.
struct Names(Mutex<Vec<Vec<IpAddr>>>, AtomicUsize);

impl Names {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let read = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(read).collect()), AtomicUsize::new(0)))
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _name: &'a str, _asker: &'a Asker) -> BoxFuture<'a, std::io::Result<Vec<IpAddr>>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        Box::pin(async move { Ok(answer) })
    }
}

/// One plugin, as a call of it sees the host.
struct Plugin {
    state: State,
    data: tempfile::TempDir,
}

struct Setup {
    grants: String,
    config: PluginConfig,
    resolver: Arc<dyn Resolve>,
}

impl Setup {
    fn new(grants: &str) -> Self {
        Self { grants: grants.to_owned(), config: PluginConfig::default(), resolver: Names::new(&[&["127.0.0.1"]]) }
    }

    fn private(mut self, net: &str) -> Self {
        self.config.private.push(net.parse().unwrap());
        self
    }

    fn stand_in(mut self, host: &str, address: SocketAddr) -> Self {
        let url = format!("http://{address}").parse().unwrap();
        self.config.stand_ins.push(StandIn { host: host.into(), pattern: Pattern::parse(host).unwrap(), url });
        self
    }

    fn resolver(mut self, resolver: Arc<Names>) -> Self {
        self.resolver = resolver;
        self
    }

    fn make(self) -> Plugin {
        let data = tempfile::tempdir().unwrap();
        let manifest = format!(
            "name = \"probe\"\nversion = \"1.0.0\"\ncomponent = \"p.wasm\"\nprovides = [\"broker\"]\n\
             media = {{ read = true, create = true, quota-mib = 1 }}\n{}",
            self.grants
        );
        let manifest = Manifest::parse(std::path::Path::new("plugin.toml"), &manifest).unwrap();
        let store = Store::open(&data.path().join("state.db")).unwrap();
        let media = MediaStore::open(&data.path().join("media"), 0).unwrap();
        let secrets = [("MERCURY_PROBE_TOKEN".to_owned(), SecretString::from(CANARY.to_owned()))].into();
        let services = Services::new(store).with_media(media).with_secrets(secrets).with_resolver(self.resolver);
        let access = Access::new(&manifest, Some(&self.config), &services).unwrap();
        let (manifest, services) = (Arc::new(manifest), Arc::new(services));
        let stats = Arc::new(Stats::new());
        let state = State::new(Interface::Broker, manifest, Arc::default(), services, Arc::new(access), stats);
        Plugin { state, data }
    }
}

impl Plugin {
    async fn fetch(
        &mut self,
        request: Request,
    ) -> Result<(u16, String), mercury_bindings::mercury::plugin::http::Error> {
        let answer = self.state.fetch(request).await.unwrap()?;
        let body = match &answer.body {
            Content::Text(text) => text.clone(),
            other => format!("{other:?}"),
        };
        assert!(!format!("{:?}", answer.headers).contains("canary"));
        Ok((answer.status, body))
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.data.path().join("media")).unwrap().count()
    }
}

fn get(uri: impl Into<String>) -> Request {
    Request {
        method: "GET".into(),
        uri: uri.into(),
        headers: Vec::new(),
        credentials: Vec::new(),
        body: Asked::Empty,
        timeout_ms: None,
    }
}

fn with(place: Place) -> Vec<Credential> {
    vec![Credential { secret: "token".into(), place }]
}

fn local(address: SocketAddr) -> String {
    format!("[[http]]\nhosts = [\"{address}\", \"peer.test:{}\"]\nplain = true\n", address.port())
}

const SECRET: &str = "[[secrets]]\nname = \"token\"\nvariable = \"MERCURY_PROBE_TOKEN\"\nhosts = [\"api.example.com\"]\ncompare = true\n";

/// Granted is not enough for an address that is not public: the operator opens it.
#[tokio::test]
async fn a_private_address_needs_the_operator() {
    let (peer, address) = Peer::start().await;
    let mut closed = Setup::new(&local(address)).make();
    for uri in [format!("http://{address}/x"), format!("http://peer.test:{}/x", address.port())] {
        let error = closed.fetch(get(&uri)).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Denied(_)), "{error:?}");
        assert!(
            error.message.contains("plugins.probe.private: [\"127.0.0.1/32\"]") && !error.request_sent,
            "{error:?}"
        );
    }
    assert_eq!(peer.count(), 0);
    let mut open = Setup::new(&local(address)).private("127.0.0.1/32").make();
    for uri in [format!("http://{address}/x"), format!("http://peer.test:{}/x", address.port())] {
        assert_eq!(open.fetch(get(&uri)).await.unwrap().0, 200);
    }
    let error = open.fetch(get("https://other.test/")).await.unwrap_err();
    insta::assert_snapshot!(error.message, @r#"http: other.test is not granted; add hosts = ["other.test"] under [[http]] of plugin.toml"#);
    let error = Setup::new("").make().fetch(get("https://other.test/")).await.unwrap_err();
    insta::assert_snapshot!(error.message, @r#"http: other.test is not granted; add hosts = ["other.test"] under [[http]] of plugin.toml"#);
}

/// A name is looked up once for a connection, and one forbidden address spoils the answer; what it
/// led to before does not count (DNS rebinding).
#[tokio::test]
async fn a_name_that_changes_its_mind_is_not_followed() {
    let (peer, address) = Peer::start().await;
    let grants = local(address);
    let uri = format!("http://peer.test:{}/x", address.port());
    for answers in [
        &[&["93.184.216.34", "127.0.0.1"][..]][..],
        &[&["127.0.0.1"][..]],
        &[&["::ffff:127.0.0.1"][..]],
        &[&["100.64.0.1"][..]],
        &[&["169.254.169.254"][..]],
        &[&["::1"][..]],
        &[&["0.0.0.0"][..]],
    ] {
        let names = Names::new(answers);
        let error = Setup::new(&grants).resolver(names.clone()).make().fetch(get(&uri)).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Denied(_)) && !error.request_sent, "{error:?}");
        assert_eq!(names.1.load(Ordering::SeqCst), 1);
    }
    // First an address that is open, then one that is not: the second connection is refused.
    let names = Names::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let mut plugin = Setup::new(&grants).private("127.0.0.1/32").resolver(names).make();
    let mut closing = get(&uri);
    closing.timeout_ms = Some(5_000);
    closing.uri = format!("http://peer.test:{}/half", address.port());
    assert!(plugin.fetch(closing).await.is_err(), "the connection breaks");
    let error = plugin.fetch(get(&uri)).await.unwrap_err();
    assert!(error.message.contains("127.0.0.2"), "{error:?}");
    assert_eq!(peer.count(), 1);
}

#[tokio::test]
async fn a_redirect_is_shown_and_not_followed() {
    let (peer, address) = Peer::start().await;
    let mut plugin = Setup::new(&local(address)).private("127.0.0.0/8").make();
    let answer = plugin.state.fetch(get(format!("http://{address}/redirect"))).await.unwrap().unwrap();
    assert_eq!(answer.status, 302);
    assert!(answer.headers.contains(&("location".into(), "http://169.254.169.254/latest/".into())));
    assert_eq!(peer.count(), 1);
}

/// adapters.md #4: announced or not, what is too large is not taken, and nothing is left of it.
#[tokio::test]
async fn responses_and_downloads_are_bounded() {
    let (_peer, address) = Peer::start().await;
    let grants = local(address) + "max-response-mib = 1\nmax-download-mib = 1\n";
    let mut plugin = Setup::new(&grants).private("127.0.0.0/8").make();
    for path in ["announced", "endless"] {
        let error = plugin.fetch(get(format!("http://{address}/{path}"))).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::TooLarge(1_048_576)) && error.request_sent, "{error:?}");
        for most in [None, Some(100_000)] {
            let request = get(format!("http://{address}/{path}"));
            let error = plugin.state.download(request, MediaKind::Image, None, most).await.unwrap().unwrap_err();
            assert!(matches!(error.kind, ErrorKind::TooLarge(limit) if limit == most.unwrap_or(1 << 20)), "{error:?}");
        }
    }
    let request = get(format!("http://{address}/half"));
    assert!(plugin.state.download(request, MediaKind::Image, None, None).await.unwrap().is_err());
    assert_eq!(plugin.files(), 0);
    let request = get(format!("http://{address}/file"));
    let got = plugin.state.download(request, MediaKind::Image, Some("a.png".into()), None).await.unwrap().unwrap();
    assert_eq!((got.file.mime_type.as_str(), got.file.size_bytes), ("image/png", 9));
    let bytes = plugin.state.read(got.file.handle.clone(), 2, 7).await.unwrap().unwrap();
    assert_eq!(bytes, b"picture");
    let request = get(format!("http://{address}/bytes"));
    let named = plugin.state.download(request, MediaKind::Audio, Some("a.ogg".into()), None).await.unwrap().unwrap();
    assert_eq!(named.file.mime_type, "audio/ogg", "the server said application/octet-stream");
    let request = get(format!("http://{address}/missing"));
    let error = plugin.state.download(request, MediaKind::Image, None, None).await.unwrap().unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Other("status 404".into()), "no /missing"));
}

#[tokio::test]
async fn what_was_not_sent_is_said_to_be_unsent() {
    let (peer, address) = Peer::start().await;
    let (_closed, unused) = closed();
    let grants = local(address) + &format!("[[http]]\nhosts = [\"{unused}\"]\nplain = true\n");
    let mut plugin = Setup::new(&grants).private("127.0.0.0/8").make();
    let error = plugin.fetch(get(format!("http://{unused}/"))).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Unreachable) && !error.request_sent, "{error:?}");
    let mut slow = get(format!("http://{address}/never"));
    slow.timeout_ms = Some(1000);
    let error = plugin.fetch(slow).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Timeout) && error.request_sent, "{error:?}");
    for header in ["Host", "content-length", "Proxy-Authorization", "Connection", "Transfer-Encoding"] {
        let mut request = get(format!("http://{address}/x"));
        request.headers.push((header.into(), "evil.test".into()));
        let error = plugin.fetch(request).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Invalid) && error.message.contains("leave it out"), "{error:?}");
    }
    let mut request = get(format!("http://{address}/x"));
    request.headers.push(("X-A".into(), "a\r\nHost: evil.test".into()));
    assert!(matches!(plugin.fetch(request).await.unwrap_err().kind, ErrorKind::Invalid));
    assert_eq!(peer.count(), 1, "only the slow one arrived");
    assert_eq!(plugin.fetch(get(format!("http://{address}/bytes"))).await.unwrap().1, "Content::Bytes([255, 0, 254])");
}

/// A guest that is stopped takes its request with it, and many requests of one plugin wait in line.
#[tokio::test]
async fn requests_end_with_their_guest_and_are_bounded() {
    let (peer, address) = Peer::start().await;
    let mut plugin = Setup::new(&local(address)).private("127.0.0.0/8").make();
    {
        let mut request = Box::pin(plugin.state.fetch(get(format!("http://{address}/never"))));
        while peer.open.load(Ordering::SeqCst) == 0 {
            assert!(futures_util::poll!(&mut request).is_pending());
            tokio::task::yield_now().await;
        }
    }
    let gone = async {
        while peer.open.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("the peer's connection was closed");
    let access = plugin.state.access.clone();
    let held: Vec<_> = (0..16).map(|_| access.permits.try_acquire().unwrap()).collect();
    let mut request = get(format!("http://{address}/x"));
    request.timeout_ms = Some(50);
    let error = plugin.fetch(request).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Timeout) && !error.request_sent, "{error:?}");
    drop(held);
    assert_eq!(plugin.fetch(get(format!("http://{address}/x"))).await.unwrap().0, 200);
}

#[tokio::test]
async fn an_allowance_is_for_each_entry() {
    let (peer, address) = Peer::start().await;
    let mut plugin = Setup::new(&(local(address) + "per-minute = 2\n")).private("127.0.0.0/8").make();
    assert!(plugin.fetch(get("https://other.test/")).await.is_err(), "what is refused costs nothing");
    for _ in 0..2 {
        plugin.fetch(get(format!("http://{address}/x"))).await.unwrap();
    }
    let error = plugin.fetch(get(format!("http://{address}/x"))).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Throttled(wait) if (1..=30_000).contains(&wait)), "{error:?}");
    assert!(!error.request_sent && peer.count() == 2);
}

/// Promise 14: the peer gets the secret in its place, the component gets it nowhere.
#[tokio::test]
async fn a_secret_reaches_its_host_and_nobody_else() {
    let (peer, address) = Peer::start().await;
    let grants = format!(
        "[[http]]\nhosts = [\"api.example.com\", \"api.other.com\"]\npaths = [\"/bot*/x\", \"/y\", \"/missing\"]\n{SECRET}"
    );
    let setup = Setup::new(&grants).stand_in("api.example.com", address).stand_in("api.other.com", address);
    let mut plugin = setup.make();
    let encoded = "canary-4f1c%2FAA:b+c";
    let mut shown = Vec::new();
    let places = [
        (Place::Bearer, "/y", format!("authorization: Bearer {CANARY}")),
        (Place::Header(("X-Key".into(), "Bot ".into())), "/y", format!("x-key: Bot {CANARY}")),
        (Place::Query("key".into()), "/y?a=1", "/y?a=1&key=canary-4f1c%2FAA%3Ab%2Bc".into()),
        (Place::PathSegment(("TOKEN".into(), "bot".into())), "/TOKEN/x", format!("/bot{encoded}/x")),
        (Place::Json("/auth/token".into()), "/y", format!("{{\"auth\":{{\"token\":\"{CANARY}\"}}}}")),
    ];
    for (place, path, expected) in places {
        let mut request = get(format!("https://api.example.com{path}"));
        request.method = "POST".into();
        request.body = Asked::Content(Content::Text(r#"{"auth":{"token":""}}"#.into()));
        request.credentials = with(place);
        let (status, echo) = plugin.fetch(request).await.unwrap();
        let seen = peer.last();
        let headers: String =
            seen.headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap())).collect();
        assert!(format!("{}\n{headers}{}", seen.uri, seen.body).contains(&expected), "{expected}: {seen:?}");
        assert!(status == 200 && echo.contains("[secret]"), "{echo}");
        shown.push(echo);
    }
    let sent = peer.count();
    // To a host that it is not bound to, as a secret that is not granted, without encryption.
    for (uri, secret) in [
        ("https://api.other.com/y", "token"),
        ("https://api.example.com/y", "other"),
        ("https://evil.test/y", "token"),
        ("http://api.example.com/y", "token"),
        ("https://api.example.com/y/TOKEN", "token"),
    ] {
        let mut request = get(uri);
        request.credentials = vec![Credential { secret: secret.into(), place: Place::Bearer }];
        let error = plugin.fetch(request).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Denied(_)), "{uri}: {error:?}");
        shown.push(format!("{error:?}"));
    }
    assert_eq!(peer.count(), sent);
    // A failed download shows the body, an error of the client its URL.
    let mut request = get("https://api.example.com/missing");
    request.credentials = with(Place::Query("key".into()));
    shown.push(format!(
        "{:?}",
        plugin.state.download(request, MediaKind::Image, None, None).await.unwrap().unwrap_err()
    ));
    let mut request = get("https://api.example.com/TOKEN/x");
    request.credentials = with(Place::PathSegment(("TOKEN".into(), "bot".into())));
    let downloaded = plugin.state.download(request, MediaKind::Document, None, None).await.unwrap().unwrap();
    let bytes = plugin.state.read(downloaded.file.handle, 0, 4096).await.unwrap().unwrap();
    shown.push(String::from_utf8(bytes).unwrap());
    let (_closed, dead) = closed();
    let mut plugin = Setup::new(&grants).stand_in("api.example.com", dead).make();
    let mut request = get("https://api.example.com/TOKEN/x");
    request.credentials = with(Place::PathSegment(("TOKEN".into(), "bot".into())));
    shown.push(format!("{:?}", plugin.fetch(request).await.unwrap_err()));
    for text in shown {
        assert!(!text.contains("canary") && !text.contains("4f1c"), "{text}");
    }
}

/// Half of an echo would not be recognised.
#[tokio::test]
async fn a_secret_is_asked_with_for_the_whole_answer() {
    let (peer, address) = Peer::start().await;
    let grants = format!("[[http]]\nhosts = [\"api.example.com\"]\n{SECRET}");
    let mut plugin = Setup::new(&grants).stand_in("api.example.com", address).make();
    for header in ["Range", "if-range"] {
        let mut request = get("https://api.example.com/y");
        request.headers = vec![(header.into(), "bytes=0-3".into())];
        request.credentials = with(Place::Bearer);
        let error = plugin.fetch(request.clone()).await.unwrap_err();
        assert!(error.message.contains("leave the header range out") && !error.request_sent, "{error:?}");
        assert_eq!(peer.count(), 0);
        request.credentials.clear();
        assert!(plugin.fetch(request).await.is_ok(), "without a secret there is nothing to be found");
        peer.forget();
    }
    // Long names of places would tell by what still fits how long the secret is.
    let mut request = get("https://api.example.com/y");
    request.credentials = with(Place::Query("k".repeat(513)));
    assert!(plugin.fetch(request).await.unwrap_err().message.contains("at most 512 bytes"));
    let name = Some("x".repeat(1025));
    let long = plugin.state.download(get("https://api.example.com/file"), MediaKind::Image, name, None).await.unwrap();
    assert!(long.unwrap_err().message.contains("at most 1024 bytes"));
}

#[tokio::test]
async fn a_secret_is_never_sent_in_the_clear() {
    let (peer, address) = Peer::start().await;
    let grants = local(address) + &SECRET.replace("api.example.com", &address.to_string());
    let mut plugin = Setup::new(&grants).private("127.0.0.0/8").make();
    let mut request = get(format!("http://{address}/y"));
    request.credentials = with(Place::Bearer);
    let error = plugin.fetch(request).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Denied(_)) && error.message.contains("sent only encrypted"), "{error:?}");
    assert_eq!(peer.count(), 0);
}

#[tokio::test]
async fn comparisons_are_counted() {
    let grants = format!("[[http]]\nhosts = [\"api.example.com\"]\n{SECRET}");
    let mut plugin = Setup::new(&grants).make();
    assert!(
        plugin.state.present("token".into()).await.unwrap() && !plugin.state.present("other".into()).await.unwrap()
    );
    for _ in 0..40 {
        assert_eq!(plugin.state.matches("token".into(), CANARY.into()).await.unwrap(), Ok(true));
    }
    for index in 0..16 {
        assert_eq!(plugin.state.matches("token".into(), format!("{CANARY}{index}")).await.unwrap(), Ok(false));
    }
    assert!(
        plugin.state.matches("token".into(), CANARY.into()).await.unwrap().is_err(),
        "no more guesses in this call"
    );
    let mac = plugin.state.hmac_sha256("token".into(), b"message".to_vec()).await.unwrap().unwrap();
    assert_eq!(mac.len(), 32);
}

/// A file goes from the host's disk to the peer, with its length said before.
#[tokio::test]
async fn files_are_uploaded_from_the_disk() {
    let (peer, address) = Peer::start().await;
    let mut plugin = Setup::new(&local(address)).private("127.0.0.0/8").make();
    let bytes = "0123456789".repeat(60_000).into_bytes();
    let made = plugin
        .state
        .create(MediaKind::Document, "text/plain".into(), "ü \"1\".txt".into(), bytes.clone())
        .await
        .unwrap()
        .unwrap();
    let mut request = get(format!("http://{address}/upload"));
    request.method = "POST".into();
    request.body = Asked::Content(Content::File(made.handle.clone()));
    plugin.fetch(request).await.unwrap();
    let seen = peer.last();
    assert_eq!((seen.body.len(), seen.headers["content-length"].to_str().unwrap()), (600_000, "600000"));
    assert!(!seen.headers.contains_key("transfer-encoding"));

    let part = |name: &str, content| Part { name: name.into(), file_name: None, mime_type: None, content };
    let mut request = get(format!("http://{address}/upload"));
    request.method = "POST".into();
    request.body = Asked::Multipart(vec![
        part("chat_id", Content::Text("42".into())),
        part("document", Content::File(made.handle.clone())),
    ]);
    plugin.fetch(request.clone()).await.unwrap();
    let seen = peer.last();
    assert!(seen.headers["content-type"].to_str().unwrap().starts_with("multipart/form-data; boundary="));
    assert_eq!(seen.headers["content-length"].to_str().unwrap(), seen.body.len().to_string());
    for expected in
        ["name=\"chat_id\"\r\n\r\n42\r\n", "name=\"document\"; filename=\"ü _1_.txt\"\r\nContent-Type: text/plain\r\n"]
    {
        assert!(seen.body.contains(expected), "{expected}: {}", &seen.body[..500]);
    }

    for (body, reason) in [
        (Asked::Content(Content::File("0".repeat(32))), "there is no file"),
        (Asked::Multipart(vec![part("a\"; x=\"", Content::Text(String::new()))]), "holds a quote"),
    ] {
        request.body = body;
        let error = plugin.fetch(request.clone()).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Invalid) && error.message.contains(reason), "{error:?}");
    }
}

#[test]
fn a_grant_says_what_is_wrong_with_it() {
    let read = |text: &str| toml::from_str::<Grant>(text).unwrap().read().map(drop);
    assert_eq!(read("hosts = [\"a.test\"]"), Ok(()));
    for (text, reason) in [
        ("hosts = []", "name at least one host"),
        ("hosts = [\"https://a.test\"]", "without scheme"),
        ("hosts = [\"a.test\"]\nmethods = [\"CONNECT\"]", "`CONNECT` is not one of"),
        ("hosts = [\"a.test\"]\npaths = [\"x\"]", "must begin with `/`"),
        ("hosts = [\"a.test\"]\nmax-response-mib = 17", "between 1 and 16"),
        ("hosts = [\"a.test\"]\nper-minute = 0", "between 1 and 6000"),
    ] {
        assert!(read(text).unwrap_err().contains(reason), "{text}");
    }
}
