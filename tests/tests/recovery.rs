//! `kill -9` of the host at each state of a run: nothing is lost, nothing is answered twice.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use mercury_tests::{
    docker::{at_work, inspect_all, kill_all, pause_all, require_runsc},
    host::{Host, Setup},
    proxy::Proxy,
};
use serde_json::json;

const STATE: &str = "SELECT state FROM runs ORDER BY id DESC LIMIT 1";

/// The same message again: it must get the first one's answer.
async fn again(host: &Host, text: &str, id: &str) -> mercury_tests::host::Answer {
    host.chat(json!({ "text": text, "messageId": id })).await
}

fn runs(host: &Host) -> i64 {
    host.query("SELECT count(*) FROM runs").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_queued() {
    let proxy = Proxy::start().await;
    let setup = Setup::scripted("runc").set("MERCURY_MAX_CONCURRENCY", "1").set("MERCURY_DOCKER_HOST", &proxy.host());
    let mut host = setup.start().await;
    host.create_space("other");
    proxy.hold("/containers/create");
    host.send("!reply first", "other", "1");
    proxy.held().await;
    host.send("!reply second", "main", "2");
    host.until(STATE, "queued").await;
    host.kill();
    proxy.release();
    host.start().await;
    assert_eq!(again(&host, "!reply second", "2").await.reply(), "second");
    let first = host.chat(json!({ "text": "!reply first", "spaceId": "other", "messageId": "1" })).await;
    assert_eq!((first.reply(), runs(&host)), ("first", 2));
}

/// Held at the create request: the container does not exist, the run begins once more.
#[tokio::test(flavor = "multi_thread")]
async fn killed_while_preparing() {
    let proxy = Proxy::start().await;
    let mut host = Setup::scripted("runc").set("MERCURY_DOCKER_HOST", &proxy.host()).start().await;
    proxy.hold("/containers/create");
    host.send("!reply prepared", "main", "1");
    proxy.held().await;
    host.until(STATE, "preparing").await;
    host.kill();
    proxy.release();
    host.start().await;
    assert_eq!(again(&host, "!reply prepared", "1").await.reply(), "prepared");
    assert_eq!(host.query::<i64>("SELECT attempts FROM runs"), Some(2));
}

/// Held at the start request: the container was created, the run begins once more.
#[tokio::test(flavor = "multi_thread")]
async fn killed_between_create_and_start() {
    let proxy = Proxy::start().await;
    let mut host = Setup::scripted("runc").set("MERCURY_DOCKER_HOST", &proxy.host()).start().await;
    proxy.hold("/start");
    host.send("!reply created", "main", "1");
    proxy.held().await;
    host.until(STATE, "running").await;
    host.kill();
    proxy.release();
    host.start().await;
    assert_eq!(again(&host, "!reply created", "1").await.reply(), "created");
}

/// storage.md #30: the container is adopted, and its socket speaks for the same caller as before.
async fn killed_while_running(runtime: &str) {
    let mut host = Setup::scripted(runtime).start().await;
    let text = "!sleep 5000\n!whoami";
    host.send(text, "main", "1");
    host.until(STATE, "running").await;
    at_work(&host.instance(), 1).await;
    host.kill();
    host.start().await;
    let answer = again(&host, text, "1").await;
    assert!(answer.reply().contains("\"callerId\": \"api:anonymous\""), "{}", answer.reply());
    assert!(answer.reply().contains("\"spaceId\": \"main\""));
    assert_eq!((runs(&host), host.query::<i64>("SELECT attempts FROM runs")), (1, Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_running_under_runc() {
    killed_while_running("runc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_running_under_runsc() {
    require_runsc().await;
    killed_while_running("runsc").await;
}

/// What the real agent asks while no host is there waits for the next one: here its model, by the host's gateway. The
/// tool call behind it is decided by the new host.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_call_waits_for_the_host() {
    use mercury_tests::model::{Model, Turn};
    let model = Model::start([
        Turn::Bash("touch begun; sleep 2; touch ended".into()),
        Turn::Bash("mrctl whoami > outbox/who.json".into()),
        Turn::Text("both".into()),
    ])
    .await;
    let mut host = Setup::with_image("runc", &mercury_tests::full_image())
        .set("MERCURY_MODEL_ENDPOINTS", &format!("{{\"anthropic\":\"{}\"}}", model.url()))
        .start()
        .await;
    host.send("do both", "main", "1");
    let made = async |host: &Host, file: &str| {
        let path = host.data_dir().join("spaces/main").join(file);
        let until = Instant::now() + Duration::from_secs(60);
        while !path.exists() {
            assert!(Instant::now() < until, "there is no file `{file}`; the log:\n{}", host.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // The first call was allowed and sleeps.
    made(&host, "begun").await;
    host.kill();
    // Behind its end the agent asks its model, and waits some seconds for a host.
    made(&host, "ended").await;
    assert_eq!(model.requests().len(), 1);
    host.start().await;
    let answer = again(&host, "do both", "1").await;
    assert_eq!(answer.reply(), "both");
    let told = model.requests().last().map(|request| request["messages"].to_string()).unwrap_or_default();
    assert_eq!(answer.body["files"][0]["filename"], "who.json", "the agent was told: {told}");
}

/// The agent finishes while no host is there: its result is used.
#[tokio::test(flavor = "multi_thread")]
async fn the_result_came_while_no_host_was_there() {
    let mut host = Setup::scripted("runc").start().await;
    let text = "!sleep 1500\n!write outbox/late.txt hello\n!reply late";
    host.send(text, "main", "1");
    host.until(STATE, "running").await;
    at_work(&host.instance(), 1).await;
    host.kill();
    let io = host.data_dir().join("io");
    let until = Instant::now() + Duration::from_secs(60);
    while !std::fs::read_dir(&io).unwrap().flatten().any(|run| run.path().join("result.json").exists()) {
        assert!(Instant::now() < until, "there is no result; the log:\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    host.start().await;
    let answer = again(&host, text, "1").await;
    assert!(answer.reply().ends_with("late"), "{}", answer.reply());
    assert_eq!(answer.body["files"][0]["filename"], "late.txt");
}

/// storage.md #30: the container is gone and left nothing: the person is told, and nothing runs twice.
#[tokio::test(flavor = "multi_thread")]
async fn the_container_vanished_while_no_host_was_there() {
    let mut host = Setup::scripted("runc").start().await;
    host.send("!sleep 20000\n!reply never", "main", "1");
    host.until(STATE, "running").await;
    at_work(&host.instance(), 1).await;
    host.kill();
    mercury_tests::docker::remove_all(&host.instance());
    host.start().await;
    let answer = again(&host, "!sleep 20000\n!reply never", "1").await;
    assert_eq!((answer.status, answer.code()), (502, "lost"), "{:#}", answer.body);
    assert_eq!(runs(&host), 1);
}

/// The container ended with an exit code while no host was there: the code is still read.
#[tokio::test(flavor = "multi_thread")]
async fn the_container_was_killed_while_no_host_was_there() {
    let mut host = Setup::scripted("runc").start().await;
    host.send("!sleep 20000", "main", "1");
    host.until(STATE, "running").await;
    at_work(&host.instance(), 1).await;
    host.kill();
    kill_all(&host.instance()).await;
    host.start().await;
    let answer = again(&host, "!sleep 20000", "1").await;
    assert_eq!((answer.status, answer.code()), (502, "out_of_memory"), "137 without a result: {:#}", answer.body);
}

/// The result is on disk but not processed: the next start processes and answers it.
#[tokio::test(flavor = "multi_thread")]
async fn killed_between_result_and_answer() {
    let mut host = Setup::scripted("runc").start().await;
    assert_eq!(again(&host, "!reply once", "1").await.reply(), "once");
    host.kill();
    // As if the host had ended just before it wrote the answer.
    let db = rusqlite::Connection::open(host.data_dir().join("state.db")).unwrap();
    db.execute_batch(
        "DELETE FROM outbound; DELETE FROM messages WHERE role = 'assistant'; UPDATE runs SET answered = 0",
    )
    .unwrap();
    drop(db);
    host.start().await;
    assert_eq!(again(&host, "!reply once", "1").await.reply(), "once");
    assert_eq!((runs(&host), host.query::<i64>("SELECT count(*) FROM outbound")), (1, Some(1)));
}

/// A message that was accepted and not decided is decided at the next start.
#[tokio::test(flavor = "multi_thread")]
async fn killed_between_acceptance_and_decision() {
    let mut host = Setup::scripted("runc").start().await;
    host.kill();
    let db = rusqlite::Connection::open(host.data_dir().join("state.db")).unwrap();
    db.execute_batch(
        "INSERT INTO inbound (platform, event, space, conversation, author, text, attachments, received_at)
         VALUES ('api', 'api:anonymous:main:1', 'main', 'api:api:anonymous', 'api:anonymous', '!reply decided', '[]', 1)",
    )
    .unwrap();
    drop(db);
    host.start().await;
    assert_eq!(again(&host, "!reply decided", "1").await.reply(), "decided");
}

/// SIGTERM hands a running agent to the next start, and tells who waits (container.md #61 as
/// architecture.md has it).
#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_hands_over() {
    let mut host = Setup::scripted("runc").start().await;
    let text = "!sleep 5000\n!reply handed over";
    host.send(text, "main", "1");
    host.until(STATE, "running").await;
    at_work(&host.instance(), 1).await;
    // However long the stop takes, the agent is not done before it.
    pause_all(&host.instance(), true).await;
    assert_eq!(host.terminate().await, Some(0));
    assert_eq!(inspect_all(&host.instance()).await.len(), 1, "the container goes on");
    host.start().await;
    pause_all(&host.instance(), false).await;
    assert_eq!(again(&host, text, "1").await.reply(), "handed over");
}

/// container.md #71 (as architecture.md has it): a second host of the directory stands by, and
/// takes over when the first ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_host_stands_by() {
    let mut first = Setup::scripted("runc").start().await;
    let mut second = first.start_second().await;
    assert_eq!(first.ask("!reply first").await.reply(), "first");
    assert_eq!(second.try_wait().unwrap(), None, "it waits");
    first.kill();
    let until = Instant::now() + Duration::from_secs(180);
    let answer = loop {
        if let Ok(found) = first.try_chat(json!({ "text": "!reply second" })).await
            && found.status == 200
        {
            break found;
        }
        assert!(Instant::now() < until, "the second host does not answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    second.kill().unwrap();
    second.wait().unwrap();
    assert_eq!(answer.reply(), "second");
}

/// container.md #47 (as architecture.md has it): containers of this data directory that belong to no
/// unfinished run are removed; another host's are not touched.
#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_removed() {
    let mut host = Setup::scripted("runc").start().await;
    let instance = host.instance();
    host.terminate().await;
    let create = |instance: &str, run: &str| {
        let labels =
            [format!("mercury.instance={instance}"), format!("mercury.run={run}"), "mercury.managed=true".into()];
        let output = std::process::Command::new("docker")
            .arg("create")
            .args(labels.iter().flat_map(|label| ["--label", label]))
            .arg(mercury_tests::minimal_image())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    create(&instance, "unknown-1");
    create(&instance, "unknown-2");
    let other = format!("{instance}-other");
    create(&other, "unknown-3");
    host.start().await;
    let until = Instant::now() + Duration::from_secs(60);
    while !host.log().contains("belong to no unfinished run") {
        assert!(Instant::now() < until, "they are not removed; the log:\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(host.log().contains("count=2"), "{}", host.log());
    assert!(inspect_all(&instance).await.is_empty(), "the log:\n{}", host.log());
    assert_eq!(inspect_all(&other).await.len(), 1, "another host's");
    mercury_tests::docker::remove_all(&other);
}
