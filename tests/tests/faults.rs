//! What breaks under the host: a daemon that hangs, a proxy that cuts, a disk that is full. Each ends
//! in exactly one answer, in plain words.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use mercury_tests::{
    docker::{at_work, inspect_all, pause_all},
    host::{Answer, Host, Setup},
    proxy::Proxy,
};
use serde_json::json;

fn assert_failed(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{:#}", answer.body);
    assert!(answer.body["next"].as_str().is_some_and(|next| !next.is_empty()));
    assert!(answer.body["reply"].as_str().is_some_and(|reply| !reply.to_lowercase().contains("docker")));
}

fn answers(host: &Host) -> i64 {
    host.query("SELECT count(*) FROM outbound").unwrap()
}

async fn proxied(setup: Setup) -> (Proxy, Host) {
    let proxy = Proxy::start().await;
    let host = setup.set("MERCURY_DOCKER_HOST", &proxy.host()).start().await;
    (proxy, host)
}

async fn none_left(host: &Host) {
    let until = Instant::now() + Duration::from_secs(60);
    while !inspect_all(&host.instance()).await.is_empty() {
        assert!(Instant::now() < until, "a container is left; the log:\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A daemon that takes the connection and never answers: 20 s, and then it is said.
#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_is_wedged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept() {
            held.push(connection);
        }
    });
    let host = Setup::scripted("runc").set("MERCURY_DOCKER_HOST", &format!("unix://{}", path.display())).start().await;
    let answer = host.ask("hi").await;
    assert_failed(&answer, 503, "docker_unavailable");
    assert!(answer.body["error"].as_str().unwrap().contains("no answer within"), "{:#}", answer.body);
    assert_eq!(host.health().await.unwrap()["status"], "degraded");
}

/// A proxy that carries neither attach nor long waits: no stream of events, and every exchange cut off
/// after 5 s. A run that takes longer is answered all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_cuts() {
    let proxy = Proxy::start().await;
    proxy.cut_after(Duration::from_secs(5));
    let host = Setup::scripted("runc").set("MERCURY_DOCKER_HOST", &proxy.host()).start().await;
    assert_eq!(host.ask("!sleep 8000\n!reply through").await.reply(), "through");
    assert_eq!(host.ask("!reply again").await.reply(), "again");
    none_left(&host).await;
}

/// container.md #39: an engine that cannot be asked for a while is no crash of the container.
#[tokio::test(flavor = "multi_thread")]
async fn a_hiccup_is_no_crash() {
    let proxy = Proxy::start().await;
    let host = Setup::scripted("runc").set("MERCURY_DOCKER_HOST", &proxy.host()).start().await;
    host.send("!sleep 6000\n!reply survived", "main", "1");
    host.until("SELECT state FROM runs", "running").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    proxy.refuse("/json", 500, "a hiccup");
    tokio::time::sleep(Duration::from_secs(5)).await;
    proxy.allow();
    let answer = host.chat(json!({ "text": "again", "messageId": "1" })).await;
    assert_eq!(answer.reply(), "survived");
    assert!(host.log().contains("trying again"), "it was noticed: {}", host.log());
}

/// container.md #37 #38: the engine's own words reach the operator; neither folder nor container stays.
#[tokio::test(flavor = "multi_thread")]
async fn create_and_start_are_refused() {
    let (proxy, host) = proxied(Setup::scripted("runc")).await;
    for call in ["/containers/create", "/start"] {
        proxy.refuse(call, 500, "the engine's own words");
        let answer = host.ask("hi").await;
        assert_failed(&answer, 503, "container_refused");
        assert!(answer.body["error"].as_str().unwrap().contains("the engine's own words"), "{call}: {:#}", answer.body);
        proxy.allow();
        none_left(&host).await;
        assert_eq!(host.ask("!reply free").await.reply(), "free", "{call}: the space is free again");
    }
    none_left(&host).await;
    let until = Instant::now() + Duration::from_secs(60);
    while std::fs::read_dir(host.data_dir().join("io")).unwrap().count() != 0 {
        assert!(Instant::now() < until, "a folder is left; the log:\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// container.md #38: a create that the engine never answers is given up after 20 s.
#[tokio::test(flavor = "multi_thread")]
async fn create_hangs() {
    let (proxy, host) = proxied(Setup::scripted("runc")).await;
    proxy.hold("/containers/create");
    let answer = host.ask("hi").await;
    assert_failed(&answer, 503, "docker_unavailable");
    assert!(answer.body["error"].as_str().unwrap().contains("no answer within 20 s"), "{:#}", answer.body);
    proxy.release();
    assert_eq!(host.ask("!reply free").await.reply(), "free");
}

/// container.md #33: time is up and the kill fails: the person is told in time, and the container is
/// removed as soon as the engine lets it be; until then its space is not used (W8).
#[tokio::test(flavor = "multi_thread")]
async fn the_kill_fails() {
    let (proxy, host) = proxied(Setup::scripted("runc").set("MERCURY_CONTAINER_TIMEOUT_MS", "10000")).await;
    host.send("!tool bash ls\n!hang", "main", "1");
    host.until("SELECT state FROM runs", "running").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    proxy.refuse("/kill", 500, "no");
    proxy.refuse("DELETE /", 500, "no");
    let answer = host.chat(json!({ "text": "again", "messageId": "1" })).await;
    assert_failed(&answer, 504, "timeout");
    host.send("!reply next", "main", "2");
    host.until("SELECT CAST(count(*) AS TEXT) FROM runs", "2").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(answers(&host), 1, "the space waits for its container");
    proxy.allow();
    assert_eq!(host.chat(json!({ "text": "again", "messageId": "2" })).await.reply(), "next");
    none_left(&host).await;
    assert_eq!(answers(&host), 2);
}

/// A result that is written late, in pieces, and renamed in the end: only the whole one counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_in_pieces() {
    let host = Setup::scripted("runc").start().await;
    let text = "!write /run/mercury-io/result.json.tmp {\"ok\":tr\n!sleep 1500\n!reply whole";
    assert!(host.ask(text).await.reply().ends_with("whole"));
}

/// container.md #68: the disk is full while the run's files are written: said at once, and nothing of
/// the run is left.
#[tokio::test(flavor = "multi_thread")]
async fn no_room_for_the_runs_files() {
    let mut host = Setup::scripted("runc").set("MERCURY_CONTEXT_MODE", "clear").prepare();
    let io = host.data_dir().join("io");
    std::fs::create_dir_all(&io).unwrap();
    let mount =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&io).status().unwrap();
    assert!(mount.success(), "mounting needs root");
    host.start().await;
    let answer = host.ask(&format!("{}\n!reply never", "x".repeat(100_000))).await;
    assert_failed(&answer, 507, "storage");
    let until = Instant::now() + Duration::from_secs(60);
    while std::fs::read_dir(&io).unwrap().count() != 0 {
        assert!(Instant::now() < until, "the run's folder stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(host.ask("!reply small").await.reply(), "small", "the space is free again");
    host.kill();
    none_left_after_kill(&host).await;
    let _ = std::process::Command::new("umount").arg("-l").arg(&io).status();
}

async fn none_left_after_kill(host: &Host) {
    mercury_tests::docker::remove_all(&host.instance());
}

/// container.md #66: what a crash left in `io/` is gone after the next start; a run that is taken up
/// keeps its folder.
#[tokio::test(flavor = "multi_thread")]
async fn leftovers_are_swept() {
    let mut host = Setup::scripted("runc").start().await;
    host.send("!sleep 4000\n!reply adopted", "main", "1");
    host.until("SELECT state FROM runs", "running").await;
    at_work(&host.instance(), 1).await;
    pause_all(&host.instance(), true).await;
    host.kill();
    let io = host.data_dir().join("io");
    std::fs::create_dir_all(io.join("mercury-0000")).unwrap();
    std::fs::write(io.join("mercury-0000/credentials.json"), "{}").unwrap();
    host.start().await;
    assert!(!io.join("mercury-0000").exists());
    assert_eq!(std::fs::read_dir(&io).unwrap().count(), 1, "the adopted run's");
    pause_all(&host.instance(), false).await;
    assert_eq!(host.chat(json!({ "text": "again", "messageId": "1" })).await.reply(), "adopted");
}

/// The engine is stopped and started again while an agent works, as its upgrade does it. With
/// live-restore the agent goes on and is answered; without, it is killed with the engine, and that is
/// said. Either way there is one answer, and the next message works.
async fn the_engine_restarts(live_restore: bool) {
    let mut engine = Engine::start(live_restore);
    let host = Setup::scripted("runc")
        .set("MERCURY_DOCKER_HOST", &engine.host())
        .set("MERCURY_AGENT_NETWORK", "none")
        .start()
        .await;
    host.send("!sleep 12000\n!reply survived", "main", "1");
    host.until("SELECT state FROM runs", "running").await;
    engine.at_work();
    engine.restart();
    let answer = host.chat(json!({ "text": "again", "messageId": "1" })).await;
    if live_restore {
        assert_eq!(answer.reply(), "survived");
    } else {
        assert_eq!(answer.status, 502, "{:#}", answer.body);
        assert!(["container_crashed", "out_of_memory", "agent_failed"].contains(&answer.code()), "{:#}", answer.body);
    }
    assert_eq!(host.ask("!reply on").await.reply(), "on");
    assert_eq!(answers(&host), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_restarts_under_a_running_agent() {
    the_engine_restarts(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_restarts_and_takes_the_agent_along() {
    the_engine_restarts(false).await;
}

/// An engine of the test's own, in a folder of its own. Never the shared one.
struct Engine {
    folder: tempfile::TempDir,
    daemon: std::process::Child,
    live_restore: bool,
}

impl Engine {
    fn start(live_restore: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("engine").tempdir().unwrap();
        // Not the machine's own /etc/docker/daemon.json.
        std::fs::write(folder.path().join("daemon.json"), "{}").unwrap();
        let daemon = Self::launch(folder.path(), live_restore);
        let engine = Self { folder, daemon, live_restore };
        let image = mercury_tests::minimal_image();
        let archive = engine.folder.path().join("image.tar");
        for (host, arguments) in [
            (mercury_tests::required("DOCKER_HOST"), ["save", "-o", archive.to_str().unwrap(), &image].as_slice()),
            (engine.host(), ["load", "-q", "-i", archive.to_str().unwrap()].as_slice()),
        ] {
            let output = std::process::Command::new("docker").arg("-H").arg(host).args(arguments).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        engine
    }

    fn launch(folder: &std::path::Path, live_restore: bool) -> std::process::Child {
        let place = |name: &str| folder.join(name).display().to_string();
        let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let mut child = std::process::Command::new("unshare")
            // A network of its own: a daemon without a bridge removes the one that it finds.
            .args(["--net", "--", "dockerd"])
            .args(["--data-root", &place("data"), "--exec-root", &place("exec"), "--pidfile", &place("pid")])
            .args(["--host", &format!("unix://{}", place("docker.sock")), "--config-file", &place("daemon.json")])
            .args(["--bridge", "none", "--iptables=false", "--ip6tables=false"])
            .arg(format!("--live-restore={live_restore}"))
            .stderr(log)
            .spawn()
            .unwrap();
        for _ in 0..300 {
            let host = format!("unix://{}", place("docker.sock"));
            if std::process::Command::new("docker").args(["-H", &host, "version"]).output().unwrap().status.success() {
                return child;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = child.kill();
        let _ = child.wait();
        panic!("the engine does not start:\n{}", std::fs::read_to_string(folder.join("log")).unwrap());
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    /// Waits for a container that runs.
    fn at_work(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let listed = std::process::Command::new("docker")
                .args(["-H", &self.host(), "ps", "-q", "--filter", "status=running"])
                .output()
                .unwrap();
            if !listed.stdout.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "no container runs: {}", String::from_utf8_lossy(&listed.stderr));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn end(&mut self) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.daemon), rustix::process::Signal::TERM)
            .unwrap();
        self.daemon.wait().unwrap();
    }

    fn restart(&mut self) {
        self.end();
        std::thread::sleep(Duration::from_secs(1));
        self.daemon = Self::launch(self.folder.path(), self.live_restore);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let host = self.host();
        let listed = std::process::Command::new("docker").args(["-H", &host, "ps", "-aq"]).output();
        for id in String::from_utf8_lossy(&listed.map(|output| output.stdout).unwrap_or_default()).split_whitespace() {
            let _ = std::process::Command::new("docker").args(["-H", &host, "rm", "-f", id]).output();
        }
        self.end();
    }
}
