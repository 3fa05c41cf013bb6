//! Messages that are written shortly after each other are one question.

use mercury_tests::{
    docker::{at_work, kill_all, pause_all},
    host::Setup,
    parley::{bring, delivered, direct, group, link_group, running},
};
use serde_json::json;

use super::{as_operator, bob, said, start};

fn patient() -> Setup {
    Setup::scripted("runc").set("MERCURY_DEBOUNCE_MS", "3000")
}

/// pipeline.md #35, #36, weakness W14: one answer, to the last; what others write, or elsewhere, is apart.
#[tokio::test(flavor = "multi_thread")]
async fn one_thought_in_several_messages() {
    let host = start(patient()).await;
    link_group(&host).await;
    let mut file = direct("2", "");
    file["file"] = json!({ "name": "notes.txt", "text": "six by nine" });
    let messages = [
        direct("1", "Look at this"),
        file,
        bob("3", "!reply for bob"),
        group("4", "@Mercury\n!reply for the team"),
        direct("5", "!ls inbox"),
        direct("6", "!reply both"),
    ];
    // Together, so that a busy machine cannot make them slower than what is waited for.
    bring(&host, &messages).await;
    delivered(&host, "notes.txt\nboth").await;
    assert_eq!(delivered(&host, "for bob").await["conversation"], "parley:bob");
    assert_eq!(delivered(&host, "for the team").await["replyTo"], "4");
    assert_eq!(host.query::<i64>("SELECT count(*) FROM runs").unwrap(), 3);
    assert_eq!(said(&host).len(), 3);
    let whole = "SELECT content FROM messages WHERE role = 'user' AND conversation = 'parley:ada'";
    assert_eq!(host.query::<String>(whole).unwrap(), "Look at this\n!ls inbox\n!reply both");

    // An edit of a part changes the part; one that is taken back takes the whole out of the conversation.
    let mut edit = direct("7", "Look at that");
    (edit["kind"], edit["message"]) = (json!("edited"), json!("1"));
    bring(&host, &[edit]).await;
    assert_eq!(host.query::<String>(whole).unwrap(), "Look at that\n!ls inbox\n!reply both");
    let deleted = json!({ "id": "8", "kind": "deleted", "conversation": "ada", "message": "1" });
    bring(&host, &[deleted]).await;
    assert_eq!(host.query::<String>(whole), None);
}

/// Weakness W15: `kill -9` while a batch waits loses nothing of it, and it is still one.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_survives_the_host() {
    let mut host = start(Setup::scripted("runc").set("MERCURY_DEBOUNCE_MS", "300")).await;
    let waiting = "SELECT CAST(count(*) AS TEXT) FROM inbound WHERE decided = 0";
    // As long as the same person's run is at work, a batch waits.
    bring(&host, &[direct("0", "!sleep 600000")]).await;
    host.until("SELECT state FROM runs", "running").await;
    at_work(&host.instance(), 1).await;
    bring(&host, &[direct("1", "!reply one"), direct("2", "!reply two")]).await;
    host.until(waiting, "2").await;
    host.kill();
    host.start().await;
    running(&host).await;
    bring(&host, &[direct("3", "!reply three")]).await;
    host.until(waiting, "3").await;
    kill_all(&host.instance()).await;
    delivered(&host, "one\ntwo\nthree").await;
    assert_eq!(host.query::<i64>("SELECT count(*) FROM runs").unwrap(), 2);
}

/// pipeline.md #35, weakness W12: what is written while the agent works is asked together behind it; a command
/// waits for nothing, and what was said before it was said before it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_meanwhile() {
    let host = start(Setup::scripted("runc").set("MERCURY_DEBOUNCE_MS", "300")).await;
    bring(&host, &[direct("1", "!sleep 4000\n!reply first")]).await;
    host.until("SELECT state FROM runs", "running").await;
    at_work(&host.instance(), 1).await;
    pause_all(&host.instance(), true).await;
    bring(&host, &[direct("2", "!reply second")]).await;
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    bring(&host, &[direct("3", "!reply third")]).await;
    host.until("SELECT CAST(count(*) AS TEXT) FROM inbound WHERE decided = 0", "2").await;
    pause_all(&host.instance(), false).await;
    delivered(&host, "second\nthird").await;
    assert_eq!(said(&host), ["first", "second\nthird"]);

    bring(&host, &[direct("4", "!sleep 600000")]).await;
    host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "running").await;
    bring(&host, &[direct("5", "!reply never"), direct("6", "stop")]).await;
    delivered(&host, "Stopped. 1 waiting message was dropped.").await;
    host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "aborted").await;
}

/// A stop from outside ends what waits for the same person's run as well, as one in the chat does.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_stopped_from_outside() {
    let host = start(Setup::scripted("runc").set("MERCURY_DEBOUNCE_MS", "300")).await;
    let busy = async |first: &str, second: &str| {
        bring(&host, &[direct(first, "!sleep 600000")]).await;
        host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "running").await;
        bring(&host, &[direct(second, "!reply never")]).await;
        host.until("SELECT CAST(count(*) AS TEXT) FROM inbound WHERE decided = 0", "1").await;
    };
    let aborted = async |runs: &str| {
        host.until("SELECT CAST(count(*) AS TEXT) FROM runs WHERE state = 'aborted'", runs).await;
        assert_eq!(host.query::<i64>("SELECT count(*) FROM inbound WHERE decided = 0"), Some(0));
    };
    busy("1", "2").await;
    let stopped = as_operator(&host, "POST", "/api/stop", "dm-parley-ada", &json!(null)).await;
    assert_eq!((stopped.status, stopped.body), (200, json!({ "stopped": true, "dropped": 1 })));
    aborted("2").await;
    busy("3", "4").await;
    let mut command = host.command(&["stop", "--space", "dm-parley-ada"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    aborted("4").await;
    assert_eq!(host.query::<i64>("SELECT count(*) FROM runs"), Some(4));
}
