//! The proxy on a real unix socket, with a resolver that says what the test wants it to.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Mutex,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
    routing::get,
};
use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixStream},
    sync::Notify,
};

use super::*;
use crate::{
    config::PluginConfig,
    domain::egress::Pattern,
    http::{SocketServer, serve_on_socket},
    plugins::{Compiler, Services},
    resolve::Asker,
    sandbox::AgentUser,
    store::Store,
};

/// Names below `.test` lead to loopback, `10-0-0-1.private.test` to that address, others nowhere; a
/// script comes first.
#[derive(Default)]
struct Names {
    script: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a str, _asker: &'a Asker) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let scripted = self.script.lock().unwrap().pop_front();
        let answer = scripted.or_else(|| {
            if let Some(six) = name.strip_suffix(".six.private.test") {
                return Some(vec![IpAddr::V6(six.strip_prefix('x')?.replace('-', ":").parse().unwrap())]);
            }
            if let Some(four) = name.strip_suffix(".private.test") {
                return Some(vec![IpAddr::V4(four.replace('-', ".").parse().unwrap())]);
            }
            name.ends_with(".test").then(|| vec!["127.0.0.1".parse().unwrap()])
        });
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
    }
}

/// A server that says what it was asked, and a proxy on a socket in front of it.
struct Bench {
    folder: tempfile::TempDir,
    names: Arc<Names>,
    server: SocketAddr,
    /// Told of each request for `/never`.
    never: Arc<Notify>,
    plugins: Arc<Plugins>,
    socket: Option<SocketServer>,
}

struct Setup {
    off: Option<Refusal>,
    hosts: Vec<String>,
    private: Vec<String>,
    most_bytes: u64,
    limits: Limits,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            off: None,
            hosts: vec!["allowed.test:PORT".into()],
            private: vec!["127.0.0.1/32".into()],
            most_bytes: 64 << 20,
            limits: Limits::default(),
        }
    }
}

impl Bench {
    async fn start(setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let off = PluginConfig { enabled: Some(false), ..PluginConfig::default() };
        let configured =
            mercury_carried::COMPONENTS.iter().map(|component| (component.name.to_owned(), off.clone())).collect();
        let plugins =
            Plugins::load(folder.path(), &configured, Compiler::InProcess, Arc::new(Services::new(store.clone())))
                .await
                .unwrap();
        let (server, never) = serve().await;
        let plugins = Arc::new(plugins);
        let mut bench = Self { folder, names: Arc::default(), server, never, plugins, socket: None };
        bench.apply(setup);
        bench
    }

    /// Replaces the proxy by one with other rules.
    fn apply(&mut self, setup: Setup) {
        let here = |text: &String| text.replace("PORT", &self.server.port().to_string());
        let rules = Rules {
            hosts: setup.hosts.iter().map(|text| Pattern::parse(&here(text)).unwrap()).collect(),
            private: setup.private.iter().map(|text| text.parse().unwrap()).collect(),
            plugins: Vec::new(),
            most_bytes: setup.most_bytes,
        };
        let egress = Egress::with(setup.off, rules, self.plugins.clone(), self.names.clone(), setup.limits);
        let own = |body: &'static str| ([("x-own", "1")], body);
        let router = Router::new()
            .route("/api/whoami", get(move || async move { own("me") }))
            .fallback(move || async move { (StatusCode::NOT_FOUND, own("nothing")) });
        let caller =
            Caller { person: "api:ada".into(), role: "member".into(), space: "main".into(), conversation: None };
        let router = egress.in_front_of(router, &RunId::from_stored("r1".into()), caller);
        let me = AgentUser { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        self.socket = None;
        std::fs::create_dir_all(self.path().parent().unwrap()).unwrap();
        self.socket = Some(serve_on_socket(&self.path(), me, router).unwrap());
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("run/r1/api.sock")
    }

    async fn client(&self) -> Client {
        Client { stream: UnixStream::connect(self.path()).await.unwrap(), rest: Vec::new() }
    }

    async fn ask(&self, request: &[u8], head_only: bool) -> Answer {
        let mut client = self.client().await;
        client.send(request).await;
        client.answer(head_only).await
    }

    fn here(&self, text: &str) -> String {
        text.replace("PORT", &self.server.port().to_string())
    }
}

/// Says method, path, headers and body of what it gets; `/large` sends 8 MiB, `/moved` redirects, `/never` tells that
/// it was asked and does not answer.
async fn serve() -> (SocketAddr, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let say = |request: Request| async move {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        format!("{} {} {:?} {}", parts.method, parts.uri, parts.headers, String::from_utf8_lossy(&body))
    };
    let never = Arc::new(Notify::new());
    let asked = never.clone();
    let router = Router::new()
        .route("/large", get(|| async { Body::from(vec![b'x'; 8 << 20]) }))
        .route(
            "/moved",
            get(|| async { (StatusCode::FOUND, [(header::LOCATION, "http://169.254.169.254/latest/meta-data/")]) }),
        )
        .route(
            "/never",
            get(async move || {
                asked.notify_one();
                std::future::pending::<()>().await;
            }),
        )
        .fallback(say);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, never)
}

struct Client {
    stream: UnixStream,
    rest: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    /// The first line, after the status.
    reason: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// In the words of `targets.tsv`.
    fn outcome(&self) -> String {
        if self.headers.contains_key("x-own") {
            return "own".into();
        }
        match self.code() {
            code if code.starts_with("egress_") => code,
            _ if self.status < 300 => "carried".into(),
            _ => self.status.to_string(),
        }
    }
}

impl Client {
    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn answer(&mut self, head_only: bool) -> Answer {
        let end = loop {
            if let Some(end) = self.rest.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.more().await, "closed without an answer: {:?}", String::from_utf8_lossy(&self.rest));
        };
        let head: Vec<u8> = self.rest.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let (status, reason) = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap().split_once(' ').unwrap();
        let headers: HeaderMap = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        let length = headers.get(header::CONTENT_LENGTH).map_or(0, |length| length.to_str().unwrap().parse().unwrap());
        let length = if head_only { 0 } else { length };
        while self.rest.len() < length && self.more().await {}
        let body = self.rest.drain(..length.min(self.rest.len())).collect::<Vec<_>>().into();
        Answer { status: status.parse().unwrap(), reason: reason.to_owned(), headers, body }
    }

    /// Whether something came.
    async fn more(&mut self) -> bool {
        let mut piece = vec![0; 64 << 10];
        let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read(&mut piece)).await;
        let read = read.expect("an answer in time").unwrap_or(0);
        self.rest.extend_from_slice(&piece[..read]);
        read > 0
    }

    /// Everything until the other end closes.
    async fn drain(&mut self) -> usize {
        while self.more().await {}
        self.rest.len()
    }
}

/// The file's `\xNN` and `\\`.
fn bytes(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        match (first, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = [*high, *low];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = after;
            }
            (b'\\', [b'\\', after @ ..]) => {
                out.push(b'\\');
                rest = after;
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty() && *entry != "-").map(str::to_owned).collect()
}

/// Promise 15, container.md 4.3: over 400 targets, sent as bytes over the run's socket.
#[tokio::test(flavor = "multi_thread")]
async fn every_target_of_the_table() {
    let mut bench = Bench::start(Setup::default()).await;
    let (mut checked, mut wrong) = (0, Vec::new());
    for line in include_str!("targets.tsv").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(rules) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let (hosts, private) = rules.split_once('|').unwrap();
            bench.apply(Setup { hosts: list(hosts), private: list(private), ..Setup::default() });
            continue;
        }
        let mut columns = line.split('\t');
        let [expected, form, target] = [(); 3].map(|()| columns.next().unwrap());
        let target = bench.here(target);
        let method = if form == "connect" { "CONNECT" } else { form };
        let mut request = [method.as_bytes(), b" ", &bytes(&target), b" HTTP/1.1\r\n"].concat();
        match columns.next() {
            Some("-") => {}
            Some(host) => request.extend([b"host: ", &*bytes(&bench.here(host)), b"\r\n"].concat()),
            None => {
                let own = target.split("://").nth(1).unwrap_or(&target).split(['/', '?']).next().unwrap();
                request.extend([b"host: ", &*bytes(own), b"\r\n"].concat());
            }
        }
        request.extend(b"content-length: 0\r\n\r\n");
        bench.names.asked.lock().unwrap().clear();
        let answer = bench.ask(&request, form == "HEAD").await;
        let looked_up = !bench.names.asked.lock().unwrap().is_empty();
        let may_look_up = matches!(expected, "carried" | "egress_address" | "egress_lookup");
        if answer.outcome() != expected || looked_up && !may_look_up {
            wrong.push(format!("{line}\n  was {} ({answer:?}), looked up: {looked_up}", answer.outcome()));
        }
        checked += 1;
    }
    assert!(wrong.is_empty(), "{} of {checked} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked >= 400, "only {checked}");
}

/// A name that changes its address gains nothing: one lookup for each connection, and what was
/// checked is what is connected to.
#[tokio::test(flavor = "multi_thread")]
async fn rebinding_gains_nothing() {
    let bench = Bench::start(Setup::default()).await;
    let request = bench.here("GET http://allowed.test:PORT/ HTTP/1.1\r\nhost: allowed.test:PORT\r\n\r\n");
    let script = |answers: &[&[&str]]| {
        let answers = answers.iter().map(|answer| answer.iter().map(|address| address.parse().unwrap()).collect());
        *bench.names.script.lock().unwrap() = answers.collect();
        bench.names.asked.lock().unwrap().clear();
    };
    // To the proxy 127.0.0.1 is public here: the operator opened it. 127.0.0.2 is not.
    script(&[&["127.0.0.1"], &["127.0.0.2"], &["127.0.0.1"]]);
    let mut client = bench.client().await;
    for expected in ["carried", "egress_address", "carried"] {
        client.send(request.as_bytes()).await;
        assert_eq!(client.answer(false).await.outcome(), expected);
    }
    assert_eq!(bench.names.asked.lock().unwrap().len(), 3, "one lookup for each connection");

    script(&[&["127.0.0.1", "10.0.0.1"], &["10.0.0.1", "127.0.0.1"], &["127.0.0.1", "::ffff:127.0.0.1"]]);
    for _ in 0..3 {
        let answer = bench.ask(request.as_bytes(), false).await;
        assert_eq!(answer.outcome(), "egress_address", "one bad address spoils the answer");
    }
    script(&[&[]]);
    assert_eq!(bench.ask(request.as_bytes(), false).await.outcome(), "egress_lookup");
}

/// What follows on a connection is checked like what came first, pipelined or after an answer.
#[tokio::test(flavor = "multi_thread")]
async fn each_request_of_a_connection_is_checked() {
    let bench = Bench::start(Setup::default()).await;
    let good = bench.here("GET http://allowed.test:PORT/ HTTP/1.1\r\nhost: allowed.test:PORT\r\n\r\n");
    let bad = bench.here("GET http://other.test:PORT/ HTTP/1.1\r\nhost: other.test:PORT\r\n\r\n");
    let hidden = bench.here(&format!(
        "POST http://allowed.test:PORT/ HTTP/1.1\r\nhost: allowed.test:PORT\r\ncontent-length: {}\r\n\r\n{bad}",
        bench.here(&bad).len()
    ));
    let mut client = bench.client().await;
    client.send(format!("{good}{bad}{hidden}{good}").as_bytes()).await;
    assert_eq!(client.answer(false).await.outcome(), "carried");
    assert_eq!(client.answer(false).await.outcome(), "egress_not_listed");
    let carried = client.answer(false).await;
    assert!(carried.outcome() == "carried" && carried.text().contains("GET http://other.test"), "a body stays a body");
    assert_eq!(client.answer(false).await.outcome(), "carried");

    for framing in [
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "content-length: 5\r\ntransfer-encoding: chunked",
        "content-length: 5\r\ncontent-length: 6",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "host: allowed.test:PORT\r\nhost: other.test",
        "content-length: +5",
    ] {
        let request = bench.here(&format!(
            "POST http://allowed.test:PORT/ HTTP/1.1\r\nhost: allowed.test:PORT\r\n{framing}\r\n\r\n0\r\n\r\n{bad}"
        ));
        let mut client = bench.client().await;
        client.send(request.as_bytes()).await;
        let answer = client.answer(false).await;
        // Chunked beats a length, and the connection ends: what follows is never a request.
        let closed = answer.status == 200
            && framing.contains("content-length: 5")
            && framing.contains("chunked")
            && answer.headers["connection"] == "close";
        assert!(closed || matches!(answer.status, 400 | 403), "{framing}: {answer:?}");
        if closed {
            assert_eq!(client.drain().await, 0, "{framing}");
        }
        assert!(!bench.names.asked.lock().unwrap().iter().any(|name| name == "other.test"), "{framing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_request_arrives_as_the_clients_own() {
    let bench = Bench::start(Setup::default()).await;
    let request = bench.here(
        "PUT http://allowed.test:PORT/a/b?c=d HTTP/1.1\r\nhost: allowed.test:PORT\r\nproxy-authorization: Basic eA==\r\n\
         proxy-connection: keep-alive\r\nconnection: x-hop\r\nx-hop: 1\r\nx-end: 2\r\nupgrade: websocket\r\n\
         transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    );
    let answer = bench.ask(request.as_bytes(), false).await;
    let text = answer.text();
    assert!(text.starts_with("PUT /a/b?c=d ") && text.ends_with(" body"), "{text}");
    assert!(text.contains("x-end") && text.contains(&bench.here("allowed.test:PORT")), "{text}");
    for gone in ["x-hop", "proxy-", "upgrade", "eA=="] {
        assert!(!text.contains(gone), "{gone}: {text}");
    }
    // A redirect is the client's to follow, and its next request is checked.
    let moved = bench.here("GET http://allowed.test:PORT/moved HTTP/1.1\r\nhost: allowed.test:PORT\r\n\r\n");
    let answer = bench.ask(moved.as_bytes(), false).await;
    assert_eq!(
        (answer.status, &answer.headers["location"]),
        (302, &"http://169.254.169.254/latest/meta-data/".parse().unwrap())
    );
    let next = b"GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\r\nhost: 169.254.169.254\r\n\r\n";
    assert_eq!(bench.ask(next, false).await.outcome(), "egress_not_listed");
}

/// The refusal says which setting it is, in the body and, for CONNECT, where clients look.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_to_do() {
    let bench = Bench::start(Setup::default()).await;
    let answer = bench.ask(b"CONNECT other.test:443 HTTP/1.1\r\nhost: other.test:443\r\n\r\n", false).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.reason, "other.test:443 is not among the hosts that this agent may reach");
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(body["next"].as_str().unwrap().contains("MERCURY_AGENT_EGRESS"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_carries_both_ways_until_the_run_ends() {
    let mut bench = Bench::start(Setup::default()).await;
    let mut client = bench.client().await;
    let connect = bench.here("CONNECT allowed.test:PORT HTTP/1.1\r\nhost: allowed.test:PORT\r\n\r\n");
    client.send(connect.as_bytes()).await;
    assert_eq!(client.answer(true).await.status, 200);
    for n in 0..2 {
        // Within a tunnel the request is the server's business alone.
        client.send(format!("GET /{n} HTTP/1.1\r\nhost: anything\r\n\r\n").as_bytes()).await;
        assert!(client.answer(false).await.text().starts_with(&format!("GET /{n} ")));
    }
    bench.socket = None;
    assert_eq!(client.drain().await, 0, "the tunnel ends with its run");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_share_of_a_run_ends_its_connections() {
    let bench = Bench::start(Setup { most_bytes: 1 << 20, ..Setup::default() }).await;
    let connect = bench.here("CONNECT allowed.test:PORT HTTP/1.1\r\n\r\n");
    let mut client = bench.client().await;
    client.send(connect.as_bytes()).await;
    client.answer(true).await;
    client.send(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let received = client.drain().await;
    assert!((1 << 19..2 << 20).contains(&received), "{received}");
    let answer = bench.ask(connect.as_bytes(), false).await;
    assert_eq!((answer.status, answer.outcome()), (403, "egress_quota".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_and_silent_ones_end() {
    let limits = Limits { connections: 2, queue: Duration::from_millis(50), ..Limits::default() };
    let mut bench = Bench::start(Setup { limits, ..Setup::default() }).await;
    let connect = bench.here("CONNECT allowed.test:PORT HTTP/1.1\r\n\r\n");
    let never = bench.here("GET http://allowed.test:PORT/never HTTP/1.1\r\n\r\n");
    let mut first = bench.client().await;
    first.send(connect.as_bytes()).await;
    assert_eq!(first.answer(true).await.status, 200);
    let mut second = bench.client().await;
    second.send(never.as_bytes()).await;
    bench.never.notified().await;
    let busy = bench.ask(connect.as_bytes(), false).await;
    assert_eq!((busy.status, busy.outcome()), (503, "egress_busy".to_owned()));

    let limits = Limits { idle: Duration::from_millis(600), ..limits };
    bench.apply(Setup { limits, ..Setup::default() });
    let mut first = bench.client().await;
    first.send(connect.as_bytes()).await;
    assert_eq!(first.answer(true).await.status, 200);
    let mut second = bench.client().await;
    second.send(never.as_bytes()).await;
    assert_eq!(first.drain().await, 0, "closed for its silence");
    let late = second.answer(false).await;
    assert!(matches!(late.status, 502 | 504), "{late:?}");
    let mut third = bench.client().await;
    third.send(connect.as_bytes()).await;
    assert_eq!(third.answer(true).await.status, 200, "there is room again");
}

/// An agent that has a network, or none by decision, gets no second way out; and a whole URL is no
/// route of the run in any mode.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_filtered_agent_is_carried() {
    for network in ["open", "none"] {
        let off = Some(Refusal::Off { network });
        let bench = Bench::start(Setup { off, ..Setup::default() }).await;
        for target in ["CONNECT allowed.test:PORT", "GET http://allowed.test:PORT/", "GET http://localhost/api/whoami"]
        {
            let answer = bench.ask(bench.here(&format!("{target} HTTP/1.1\r\n\r\n")).as_bytes(), false).await;
            assert_eq!(answer.outcome(), "egress_off", "{target}");
        }
        assert_eq!(bench.ask(b"GET /api/whoami HTTP/1.1\r\nhost: localhost\r\n\r\n", false).await.text(), "me");
    }
}

/// A name's second address is tried where the first does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_address_is_tried() {
    let private = vec!["127.0.0.0/8".into(), "::1/128".into()];
    let bench = Bench::start(Setup { private, ..Setup::default() }).await;
    let first: Vec<IpAddr> = ["::1", "127.0.0.9", "127.0.0.1"].map(|address| address.parse().unwrap()).into();
    bench.names.script.lock().unwrap().push_back(first);
    let request = bench.here("GET http://allowed.test:PORT/ HTTP/1.1\r\n\r\n");
    assert_eq!(bench.ask(request.as_bytes(), false).await.outcome(), "carried");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_a_bad_gateway() {
    let bench = Bench::start(Setup { hosts: vec!["allowed.test:1".into()], ..Setup::default() }).await;
    let answer = bench.ask(b"CONNECT allowed.test:1 HTTP/1.1\r\n\r\n", false).await;
    assert_eq!((answer.status, answer.outcome()), (502, "egress_unreachable".to_owned()));
}
