//! Whose files reach the agent, whose are sent, and how many there is room for.

use base64::{Engine, engine::general_purpose::STANDARD};
use mercury_tests::{
    docker, full_image,
    host::{Answer, Host, Setup},
    model::{Model, Turn},
};
use serde_json::{Value, json};

use super::{as_operator, start};

/// Says what members may do in `main`.
async fn let_members(host: &Host, permissions: &[&str]) {
    let body = json!({ "role": "member", "permissions": permissions });
    let answer = as_operator(host, "PUT", "/api/permissions", "main", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn file(name: &str, bytes: &[u8]) -> Value {
    json!({ "name": name, "data": STANDARD.encode(bytes) })
}

async fn send(host: &Host, caller: &str, text: &str, files: Value) -> Answer {
    host.chat(json!({ "text": text, "callerId": caller, "files": files })).await
}

/// Names in a folder of `main`.
fn names(host: &Host, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(host.data_dir().join("spaces/main").join(folder)).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// permissions.md #20: nothing of a file is kept or shown, the agent is told how many there were, and the text is
/// answered.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_withheld_from_the_agent() {
    let model = Model::start(["one", "two", "three"].map(|text| Turn::Text(text.into()))).await;
    let endpoints = format!("{{\"anthropic\":\"{}\"}}", model.url());
    let host = start(Setup::with_image("runc", &full_image()).set("MERCURY_MODEL_ENDPOINTS", &endpoints)).await;
    let told = || model.requests().last().unwrap().to_string();
    let_members(&host, &["prompt", "media.send", "media.purge"]).await;
    let two = json!([file("secret-plan.txt", b"canary-1"), file("b.txt", b"canary-2"), file("", b"x")]);
    assert_eq!(send(&host, "api:bob", "what is in them?", two).await.reply(), "one");
    assert!(told().contains("2 files: withheld"), "{}", told());
    assert!(!told().contains("secret-plan") && told().contains("what is in them?"), "{}", told());
    assert!(names(&host, "inbox").is_empty());
    assert_eq!(host.query::<String>("SELECT attachments FROM inbound").unwrap(), "[]");
    assert!(host.log().contains("files are withheld from the agent"));

    assert_eq!(send(&host, "api:bob", "and now?", json!([])).await.reply(), "two");
    assert!(!told().contains("withheld"), "there was no file: {}", told());
    // Of the space's admins nothing is withheld, whatever a list leaves out.
    host.execute("INSERT INTO role_permissions VALUES ('main', 'admin', '[\"prompt\"]', 'x', 1)");
    assert_eq!(send(&host, "parley:ada", "this?", json!([file("mine.txt", b"x")])).await.reply(), "three");
    assert!(told().contains("mine.txt") && !told().contains("withheld"), "{}", told());
}

/// permissions.md #20: what was taken in time is taken away again, where the permission goes before its run.
#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_goes_takes_waiting_files_along() {
    let host = start(Setup::scripted("runc")).await;
    host.send("!sleep 600000", "main", "slow");
    host.until("SELECT state FROM runs", "running").await;
    let waiting = json!({ "text": "!ls /spaces/main/inbox", "callerId": "api:bob", "messageId": "1", "files": [file("a.txt", b"x")] });
    host.send_message(&waiting);
    host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "queued").await;
    assert_eq!(names(&host, "inbox").len(), 1);
    let_members(&host, &["prompt"]).await;
    docker::kill_all(&host.instance()).await;
    let answer = host.chat(waiting).await;
    assert_eq!(answer.reply(), "Done.", "there is nothing");
    assert!(names(&host, "inbox").is_empty());
    let kept = "SELECT group_concat(attachments) FROM inbound WHERE author = 'api:bob'";
    assert_eq!(host.query::<String>(kept).unwrap(), "[]");
}

/// permissions.md #21: files stay in the outbox, and the reply says how many; of whoever may, nothing is kept back.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_not_sent() {
    let host = start(Setup::scripted("runc")).await;
    let make = "!write outbox/a.txt A\n!write outbox/b.txt B\n!reply made";
    let files = |answer: &Answer| answer.body["files"].as_array().unwrap().len();
    let default = send(&host, "api:bob", make, json!([])).await;
    assert_eq!(files(&default), 2, "by default members are sent files: {:#}", default.body);
    let_members(&host, &["prompt", "media.receive"]).await;
    let withheld = send(&host, "api:bob", make, json!([])).await;
    assert_eq!(files(&withheld), 0, "{:#}", withheld.body);
    assert!(
        withheld.reply().ends_with(
            "made\n\n(Not sent: 2 file(s). You may not receive files here; an admin of this space can grant it.)"
        ),
        "{}",
        withheld.reply()
    );
    let mut left = names(&host, "outbox");
    left.sort();
    assert_eq!(left, ["a.txt", "b.txt"]);
    let said: String =
        host.query("SELECT content FROM messages WHERE role = 'assistant' ORDER BY id DESC LIMIT 1").unwrap();
    assert!(said.contains("(Not sent: 2"), "{said}");
    let run = withheld.body["run"]["id"].as_str().unwrap();
    assert!(!host.data_dir().join("delivery").join(run).exists(), "no copy is left");
    assert_eq!(files(&send(&host, "parley:ada", make, json!([])).await), 2);
    let unchanged = send(&host, "api:bob", "!reply nothing made", json!([])).await;
    assert_eq!(unchanged.reply(), "nothing made");
}

/// permissions.md #21: whoever may be sent no files reads the whole answer that a processor would put into one.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_stays_whole_where_files_are_not_sent() {
    let processor =
        "plugins:\n  long-reply:\n    enabled: true\n    settings: { max-chars: \"500\", keep-chars: \"100\" }\n";
    let host = start(Setup::scripted("runc").yaml(processor)).await;
    let long = format!("!write outbox/a.txt A\n!reply {} and the last words", "much of it ".repeat(60));
    let sent = send(&host, "api:bob", &long, json!([])).await;
    assert!(sent.reply().contains("answer.md") && !sent.reply().contains("last words"), "{}", sent.reply());
    assert_eq!(sent.body["files"].as_array().unwrap().len(), 2);
    let_members(&host, &["prompt", "media.receive"]).await;
    let withheld = send(&host, "api:bob", &long, json!([])).await;
    assert!(withheld.reply().contains("and the last words\n\n(Not sent: 1 file(s)."), "{}", withheld.reply());
    assert!(!withheld.reply().contains("answer.md") && withheld.body["files"].as_array().unwrap().is_empty());
    // Admins are never held up, whatever a list leaves out.
    host.execute("INSERT INTO role_permissions VALUES ('main', 'admin', '[\"prompt\"]', 'x', 1)");
    let admin = send(&host, "parley:ada", &long, json!([])).await;
    assert_eq!(admin.body["files"].as_array().unwrap().len(), 2, "{:#}", admin.body);
}

/// http-api.md 2.6: a file that finds no room is refused before anything is kept; words need none.
#[tokio::test(flavor = "multi_thread")]
async fn the_disk_has_a_quota() {
    let host = start(Setup::scripted("runc").set("MERCURY_MAX_DISK_MB", "1")).await;
    let large = vec![b'x'; 600 << 10];
    assert_eq!(send(&host, "api:bob", "!reply kept", json!([file("1.bin", &large)])).await.reply(), "kept");
    let refused = send(&host, "api:bob", "!reply no", json!([file("2.bin", &large)])).await;
    assert_eq!((refused.status, refused.code()), (413, "storage_quota"), "{:#}", refused.body);
    assert!(refused.body["error"].as_str().unwrap().starts_with("Storage quota exceeded"));
    assert_eq!(names(&host, "inbox").len(), 1);
    assert_eq!(send(&host, "api:bob", "!reply words", json!([])).await.reply(), "words");
}
