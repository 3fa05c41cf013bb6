//! Stopping: one space's run, the host, and the host with its agents.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use mercury_tests::{
    docker::{at_work, inspect_all, pause_all},
    host::{Answer, Host, Setup},
    proxy::Proxy,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn stop(host: &Host, space: &str) -> Answer {
    host.request("POST", &format!("/api/spaces/{space}/stop"), &[], Bytes::new()).await.unwrap()
}

async fn running(host: &Host) {
    host.until("SELECT state FROM runs ORDER BY id LIMIT 1", "running").await;
    at_work(&host.instance(), 1).await;
}

/// Waits until no container of the host is left.
async fn none_left(host: &Host) {
    let until = Instant::now() + Duration::from_secs(60);
    while !inspect_all(&host.instance()).await.is_empty() {
        assert!(Instant::now() < until, "a container is left; the log:\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// container.md #34 #35: the run and what waits behind it are answered, a second stop finds nothing,
/// and the next message is not touched. http-api.md says the answer's form.
#[tokio::test(flavor = "multi_thread")]
async fn a_space_is_stopped() {
    let host = Setup::scripted("runc").start().await;
    host.send("!sleep 60000", "main", "1");
    running(&host).await;
    host.send("!reply waits", "main", "2");
    host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "queued").await;
    let answer = stop(&host, "main").await;
    assert_eq!((answer.status, answer.body), (200, json!({ "stopped": true, "dropped": 1 })));
    assert_eq!(stop(&host, "main").await.body, json!({ "stopped": false, "dropped": 0 }));
    for id in ["1", "2"] {
        let answer = host.chat(json!({ "text": "again", "messageId": id })).await;
        assert_eq!((answer.status, answer.code()), (409, "aborted"), "{:#}", answer.body);
        assert_eq!(answer.body["reply"], "Stopped.");
    }
    assert_eq!(host.ask("!reply on").await.reply(), "on");
    none_left(&host).await;
}

/// Who may: the role's permission, a header each, and no web page.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_needs_the_permission() {
    let host = Setup::scripted("runc").set("MERCURY_ADMINS", "api:root").start().await;
    let post =
        |headers: &'static [(&'static str, &'static str)]| host.request("POST", "/api/stop", headers, Bytes::new());
    let code = |answer: Answer| (answer.status, answer.code().to_owned());
    assert_eq!(code(post(&[("x-mercury-space", "main")]).await.unwrap()), (400, "missing_caller".into()));
    let member = post(&[("x-mercury-space", "main"), ("x-mercury-caller", "api:ada")]).await.unwrap();
    assert_eq!(code(member), (403, "forbidden".into()));
    let admin = post(&[("x-mercury-space", "main"), ("x-mercury-caller", "api:root")]).await.unwrap();
    assert_eq!(admin.status, 200);
    let host_itself = post(&[("x-mercury-space", "main"), ("x-mercury-caller", "system")]).await.unwrap();
    assert_eq!(code(host_itself), (403, "caller_reserved".into()), "nobody is the host by saying so");
    let page =
        post(&[("x-mercury-space", "main"), ("x-mercury-caller", "api:root"), ("origin", "https://evil.example")]);
    assert_eq!(code(page.await.unwrap()), (403, "foreign_origin".into()));
    drop(host);
    let host = Setup::scripted("runc").set("MERCURY_API_SECRET", "open-sesame-open").start().await;
    assert_eq!(stop(&host, "main").await.status, 401);
    drop(host);
    let host = Setup::scripted("runc").set("MERCURY_CHAT_API_KEY", "chat-sesame-open").start().await;
    assert_eq!(stop(&host, "main").await.status, 401, "a chat key closes this route, too");
}

/// container.md #36: a stop while the container is being created is answered at once, and what the
/// daemon makes after all is removed.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_while_being_created() {
    let proxy = Proxy::start().await;
    let host = Setup::scripted("runc").set("MERCURY_DOCKER_HOST", &proxy.host()).start().await;
    proxy.hold("/containers/create");
    host.send("!reply never", "main", "1");
    proxy.held().await;
    let began = Instant::now();
    assert_eq!(stop(&host, "main").await.body["stopped"], true);
    let answer = host.chat(json!({ "text": "again", "messageId": "1" })).await;
    assert_eq!((answer.status, answer.code()), (409, "aborted"));
    assert!(began.elapsed() < Duration::from_secs(15), "it waited for the daemon");
    proxy.release();
    assert_eq!(host.ask("!reply next").await.reply(), "next");
    none_left(&host).await;
}

/// What was promised is kept by the next start: the run ends as stopped, although it could be adopted.
#[tokio::test(flavor = "multi_thread")]
async fn a_promised_stop_outlives_the_host() {
    let proxy = Proxy::start().await;
    let mut host = Setup::scripted("runc").set("MERCURY_DOCKER_HOST", &proxy.host()).start().await;
    host.send("!sleep 60000\n!reply never", "main", "1");
    running(&host).await;
    proxy.hold("/kill");
    assert_eq!(stop(&host, "main").await.body["stopped"], true);
    proxy.held().await;
    host.kill();
    proxy.release();
    host.start().await;
    let answer = host.chat(json!({ "text": "again", "messageId": "1" })).await;
    assert_eq!((answer.status, answer.code()), (409, "aborted"), "{:#}", answer.body);
    none_left(&host).await;
}

async fn command(host: &Host, arguments: &[&str]) -> std::process::Output {
    let mut command = host.command(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// container.md #61 (as architecture.md has it): `mercury stop --now` kills running agents, and every
/// person is told before the listener closes. What is queued is kept for the next start.
#[tokio::test(flavor = "multi_thread")]
async fn stop_now_kills() {
    let mut host = Setup::scripted("runc").start().await;
    host.create_space("other");
    let long = |space: &str, id: &str| host.chat(json!({ "text": "!sleep 60000", "spaceId": space, "messageId": id }));
    let (first, second, stopped) = tokio::join!(long("main", "1"), long("other", "2"), async {
        host.until("SELECT CAST(count(*) AS TEXT) FROM runs WHERE state = 'running'", "2").await;
        host.send("!reply later", "main", "3");
        host.until("SELECT CAST(count(*) AS TEXT) FROM runs WHERE state = 'queued'", "1").await;
        at_work(&host.instance(), 2).await;
        command(&host, &["stop", "--now"]).await
    });
    assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
    for answer in [first, second] {
        assert_eq!((answer.status, answer.code()), (409, "aborted"), "{:#}", answer.body);
    }
    assert!(inspect_all(&host.instance()).await.is_empty(), "the agents are gone");
    assert_eq!(host.ended().await, Some(0));
    host.start().await;
    let later = host.chat(json!({ "text": "!reply later", "messageId": "3" })).await;
    assert_eq!(later.reply(), "later", "accepted is accepted");
}

/// Plain `mercury stop` hands over, says when the host has ended, and says where there is none.
#[tokio::test(flavor = "multi_thread")]
async fn stop_hands_over() {
    let mut host = Setup::scripted("runc").start().await;
    host.send("!sleep 5000\n!reply handed over", "main", "1");
    running(&host).await;
    // However long the stop takes, the agent is not done before it.
    pause_all(&host.instance(), true).await;
    let output = command(&host, &["stop"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(host.ended().await, Some(0));
    assert_eq!(inspect_all(&host.instance()).await.len(), 1, "the agent goes on");
    let output = command(&host, &["stop"]).await;
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("no host runs"));
    host.start().await;
    pause_all(&host.instance(), false).await;
    assert_eq!(host.chat(json!({ "text": "again", "messageId": "1" })).await.reply(), "handed over");
    let output = command(&host, &["stop", "--space", "main"]).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "Nothing is going on in main.");
}

/// Who has just broken the configuration of a running host can still end it.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_configuration_stops_no_stop() {
    let mut host = Setup::scripted("runc").start().await;
    std::fs::write(host.folder().join("mercury.yaml"), "budgets:\n  day_usd: fifty\n").unwrap();
    let output = command(&host, &["stop"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("budgets.day_usd must be a number"), "{said}");
    assert_eq!(host.ended().await, Some(0));
}

/// container.md #61: whoever asks twice is not kept waiting: exit code 1 at once.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_signal_ends_it_at_once() {
    let mut host = Setup::scripted("runc").start().await;
    // A request that is never finished keeps the listener's graceful end waiting. Its body is asked for once it is
    // being served.
    let mut half = TcpStream::connect(("127.0.0.1", host.port())).await.unwrap();
    let head = "POST /chat HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n";
    half.write_all(head.as_bytes()).await.unwrap();
    let mut asked = [0; 21];
    half.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue");
    half.write_all(b"{").await.unwrap();
    // Whoever waits for an answer is told of the first signal: two at once would be one.
    let (told, ()) = tokio::join!(host.ask("!sleep 60000"), async {
        host.until("SELECT CAST(count(*) AS TEXT) FROM inbound", "1").await;
        host.signal(rustix::process::Signal::TERM);
    });
    assert_eq!((told.status, told.code()), (503, "stopping"), "{:#}", told.body);
    let began = Instant::now();
    host.signal(rustix::process::Signal::TERM);
    assert_eq!(host.ended().await, Some(1));
    assert!(began.elapsed() < Duration::from_secs(8), "it waited for what is under way");
}
