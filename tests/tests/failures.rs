//! Bad input and failure: each gives one clear error in one shape, and nothing accepted is lost.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use mercury_tests::{
    docker::{inspect_all, kill_all},
    host::{Answer, Host, Setup},
    proxy::Proxy,
};
use serde_json::json;

/// One shape: what, which, and what to do.
fn assert_error(answer: &Answer, status: u16, code: &str, names: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{:#}", answer.body);
    let error = answer.body["error"].as_str().unwrap();
    assert!(error.contains(names), "`{error}` does not name `{names}`");
    assert!(answer.body["next"].as_str().is_some_and(|next| !next.is_empty()), "{:#}", answer.body);
}

/// The message and its ending are kept.
fn assert_kept(host: &Host) {
    let kept: i64 = host
        .query("SELECT count(*) FROM inbound i JOIN outbound o ON o.inbound = i.id WHERE o.problem IS NOT NULL")
        .unwrap();
    assert_eq!(kept, 1);
}

async fn post(host: &Host, body: impl Into<Bytes>) -> Answer {
    host.request("POST", "/chat", &[], body.into()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests() {
    let host = Setup::scripted("runc").start().await;
    assert_error(&post(&host, "{").await, 400, "bad_json", "not what /chat takes");
    assert_error(&post(&host, "[]").await, 400, "bad_json", "not what /chat takes");
    assert_error(&post(&host, r#"{"text":"  "}"#).await, 400, "missing_text", "'text'");
    assert_error(&post(&host, r#"{"text":"x","spaceId":"nowhere"}"#).await, 404, "space_not_found", "nowhere");
    assert_eq!(post(&host, r#"{"text":"x","spaceId":"../x"}"#).await.code(), "bad_space");
    assert_error(&post(&host, r#"{"text":"x","files":[{"name":"a","data":"%%%"}]}"#).await, 400, "bad_file", "`a`");
    let files: Vec<_> = (0..21).map(|_| json!({ "name": "a", "data": "eA==" })).collect();
    assert_error(&post(&host, json!({ "text": "x", "files": files }).to_string()).await, 400, "too_many_files", "20");
    assert_eq!(host.request("GET", "/nothing", &[], Bytes::new()).await.unwrap().status, 404);
    let reserved = post(&host, r#"{"text":"x","callerId":"system"}"#).await;
    assert_eq!((reserved.status, reserved.code()), (403, "caller_reserved"));
    assert_eq!(host.query::<i64>("SELECT count(*) FROM runs"), Some(0));
}

/// Over 50 MiB, with a declared length.
#[tokio::test(flavor = "multi_thread")]
async fn too_large_a_body() {
    let host = Setup::scripted("runc").start().await;
    let body = vec![b' '; (50 << 20) + 1];
    // The host answers before it has read everything, and the client hears it.
    assert_error(&post(&host, body).await, 413, "body_too_large", "50 MiB");
    let length = [("content-length", "52428801")];
    let head = host.request("POST", "/chat", &length, Bytes::new()).await;
    assert!(head.is_err() || head.unwrap().status == 413);
    assert_eq!(host.ask("!reply still here").await.reply(), "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chat_key_is_asked_for() {
    let host = Setup::scripted("runc").set("MERCURY_CHAT_API_KEY", "open-sesame").start().await;
    assert_error(&host.ask("hi").await, 401, "unauthorized", "Unauthorized");
    let headers = [("authorization", "Bearer open-sesame")];
    let answer = host.request("POST", "/chat", &headers, Bytes::from(r#"{"text":"!whoami"}"#)).await.unwrap();
    assert!(answer.reply().contains("\"role\": \"admin\""), "{}", answer.reply());
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_is_not_running() {
    let host = Setup::scripted("runc").set("MERCURY_DOCKER_HOST", "unix:///nonexistent/docker.sock").start().await;
    let answer = host.ask("hi").await;
    assert_error(&answer, 503, "docker_unavailable", "/nonexistent/docker.sock");
    assert!(!answer.body["reply"].as_str().unwrap().contains("docker"), "a person reads no machinery");
    assert_kept(&host);
}

/// http-api.md W18: health is health. Whoever watches the host sees that Docker is away, and that it is back.
#[tokio::test(flavor = "multi_thread")]
async fn docker_comes_up_later() {
    let mut host = Setup::scripted("runc").prepare();
    let socket = host.folder().join("docker.sock");
    host.set("MERCURY_DOCKER_HOST", &format!("unix://{}", socket.display()));
    host.start().await;
    let seen = async |docker: bool| {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let health = host.health().await.unwrap();
            if health["docker"] == docker {
                return health["status"].as_str().unwrap().to_owned();
            }
            assert!(Instant::now() < until, "{health:#}; the log:\n{}", host.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let status = async || {
        let mut command = host.command(&["status"]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(seen(false).await, "degraded");
    let said = status().await;
    assert!(said.contains("does not answer") && said.contains("mercury doctor"), "{said}");
    let real = mercury_tests::required("DOCKER_HOST");
    std::os::unix::fs::symlink(real.strip_prefix("unix://").unwrap(), &socket).unwrap();
    assert_eq!(seen(true).await, "ok");
    assert!(!status().await.contains("does not answer"));
    assert_eq!(host.ask("!reply again").await.reply(), "again");
    assert!(host.log().contains("Docker answers again"), "{}", host.log());
}

/// `runsc` never falls back to `runc`.
#[tokio::test(flavor = "multi_thread")]
async fn the_runtime_is_not_registered() {
    let proxy = Proxy::start().await;
    let host = Setup::scripted("runsc").set("MERCURY_DOCKER_HOST", &proxy.host()).start().await;
    proxy.refuse("/containers/create", 400, "Unknown runtime specified runsc");
    assert_error(&host.ask("hi").await, 503, "runtime_missing", "`runsc`");
    assert!(inspect_all(&host.instance()).await.is_empty());
    assert_kept(&host);
}

/// container.md #55 (its cause): a missing image is known by Docker's answer.
#[tokio::test(flavor = "multi_thread")]
async fn the_image_is_missing() {
    let proxy = Proxy::start().await;
    let host = Setup::scripted("runc").set("MERCURY_DOCKER_HOST", &proxy.host()).start().await;
    proxy.refuse("/containers/create", 404, "No such image: mercury-agent-minimal:latest");
    assert_error(&host.ask("hi").await, 503, "image_missing", "mercury-agent-minimal:latest");
    assert_kept(&host);
}

/// container.md #29: an exit without a result is an error within seconds.
#[tokio::test(flavor = "multi_thread")]
async fn the_container_is_killed() {
    let host = Setup::scripted("runc").start().await;
    host.send("!sleep 60000", "main", "1");
    host.until("SELECT state FROM runs", "running").await;
    kill_all(&host.instance()).await;
    let answer = host.chat(json!({ "text": "!sleep 60000", "messageId": "1" })).await;
    assert_error(&answer, 502, "out_of_memory", "137");
    assert_kept(&host);
}

/// container.md #26: the entry program's own failure.
#[tokio::test(flavor = "multi_thread")]
async fn the_agent_fails() {
    let host = Setup::scripted("runc").set("MERCURY_MODEL_MAX_RETRIES_PER_LEG", "0").start().await;
    assert_error(&host.ask("!exit 3").await, 502, "agent_failed", "3");
    let answer = host.ask("!model-error 429 rate limit").await;
    assert_error(&answer, 502, "model_rate_limit", "429");
    assert!(!answer.body["reply"].as_str().unwrap().contains("429"));
}

/// container.md #30 #70: out of memory is told apart, every time.
#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory() {
    let host = Setup::scripted("runc")
        .set("MERCURY_AGENT_MEMORY_MB", "128")
        .set("MERCURY_MODEL_MAX_RETRIES_PER_LEG", "0")
        .start()
        .await;
    for _ in 0..2 {
        let answer = host.ask("!eat-memory 1024").await;
        assert_error(&answer, 502, "out_of_memory", "128 MiB");
    }
}

/// container.md #33: time is up, also for an agent that never writes a result.
#[tokio::test(flavor = "multi_thread")]
async fn time_is_up() {
    let host = Setup::scripted("runc").set("MERCURY_CONTAINER_TIMEOUT_MS", "10000").start().await;
    assert_error(&host.ask("!tool bash ls\n!hang").await, 504, "timeout", "10 s");
    assert_kept(&host);
    assert_eq!(host.ask("!reply and on").await.reply(), "and on", "the space is free again");
}

/// container.md #28: what is no result is said to be none.
#[tokio::test(flavor = "multi_thread")]
async fn the_result_is_not_json() {
    let host = Setup::scripted("runc").start().await;
    assert_error(&host.ask("!result-raw this is not JSON\n!hang").await, 502, "bad_result", "result.json");
    assert_kept(&host);
}

/// container.md #25: afterwards neither container nor folders are left.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_behind() {
    let host = Setup::scripted("runc").start().await;
    assert_eq!(host.ask("!reply x").await.reply(), "x");
    for _ in 0..600 {
        let left =
            inspect_all(&host.instance()).await.len() + std::fs::read_dir(host.data_dir().join("io")).unwrap().count();
        if left == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("a container or its folder is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_locked() {
    let host = Setup::scripted("runc").start().await;
    let db = rusqlite::Connection::open(host.data_dir().join("state.db")).unwrap();
    db.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_error(&host.ask("hi").await, 503, "database_locked", "state.db");
    db.execute_batch("ROLLBACK").unwrap();
    assert_eq!(host.ask("!reply free").await.reply(), "free");
}

/// A data directory on a file system of its own, which fills up.
#[tokio::test(flavor = "multi_thread")]
async fn the_disk_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Mount::tmpfs(folder.path());
    let mut host = Setup::scripted("runc").set("MERCURY_DATA_DIR", &folder.path().display().to_string()).start().await;
    let filler = std::process::Command::new("dd")
        .args(["if=/dev/zero", "bs=4096", &format!("of={}", folder.path().join("filler").display())])
        .output()
        .unwrap();
    assert!(!filler.status.success(), "the disk is full");
    // SQLite may still have room in its log: a large message has none.
    let answer = host.ask(&"x".repeat(1 << 20)).await;
    assert_error(&answer, 507, "disk_full", "full");
    std::fs::remove_file(folder.path().join("filler")).unwrap();
    assert_eq!(host.ask("!reply room again").await.reply(), "room again");
    host.kill();
    mercury_tests::docker::remove_all(std::fs::read_to_string(folder.path().join("instance")).unwrap().trim());
    drop(mounted);
}

struct Mount(std::path::PathBuf);

impl Mount {
    fn tmpfs(path: &std::path::Path) -> Self {
        let status = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(path)
            .status()
            .unwrap();
        assert!(status.success(), "mounting needs root");
        Self(path.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
