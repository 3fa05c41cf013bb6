//! Tool calls that wait for a person: asked, answered by whoever may, across restarts of the host.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::{
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use mercury_tests::{
    docker::{kill_all, pause_all, require_runsc},
    full_image,
    host::{Answer, Host, Setup},
    model::{Model, Turn},
    plugins::{fixture, install},
};
use serde_json::{Value, json};

const SETTINGS: &[&str] = &["word", "never", "approver", "timeout-ms"];
const BOSS: &str = "api:boss";

/// Guards of these names, each with its settings as YAML; `api:boss` is an admin.
async fn host_with(setup: Setup, guards: &[(&str, &str)]) -> Host {
    let mut yaml = "plugins:\n".to_owned();
    for (name, settings) in guards {
        yaml.push_str(&format!("  {name}:\n    settings: {{ {settings} }}\n"));
    }
    let mut host = setup.set("MERCURY_ADMINS", BOSS).yaml(&yaml).prepare();
    for (name, _) in guards {
        install(&host, name, "\"tool-guard\"", SETTINGS, &fixture("asking"));
    }
    host.start().await;
    host
}

async fn asking(runtime: &str) -> Host {
    host_with(Setup::scripted(runtime), &[("asking", "word: rm, never: forbidden")]).await
}

/// A message whose sender wants to hear of questions.
async fn send(host: &Host, caller: &str, text: &str, id: &str) -> Answer {
    host.chat(json!({ "text": text, "callerId": caller, "messageId": id, "questions": true })).await
}

/// The same, where a question must come.
async fn question(host: &Host, caller: &str, text: &str, id: &str) -> Value {
    let answer = send(host, caller, text, id).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    assert!(answer.body.get("reply").is_none(), "{:#}", answer.body);
    assert!(answer.body["question"]["id"].is_i64(), "{:#}\n{}", answer.body, host.log());
    answer.body["question"].clone()
}

async fn say(host: &Host, caller: &str, text: &str) -> Answer {
    host.chat(json!({ "text": text, "callerId": caller })).await
}

/// The final answer to a message that was sent before.
async fn reply(host: &Host, caller: &str, id: &str) -> String {
    host.chat(json!({ "text": "again", "callerId": caller, "messageId": id })).await.reply().to_owned()
}

async fn mercury(host: &Host, arguments: &[&str]) -> (bool, String) {
    let mut command = host.command(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn verdicts(host: &Host) -> String {
    let sql =
        "SELECT group_concat(plugin || ' ' || verdict, ', ') FROM (SELECT plugin, verdict FROM decisions ORDER BY id)";
    host.query(sql).unwrap_or_default()
}

/// The question comes early to a client that asks for it; its answer by number is acknowledged; the
/// run goes on, and the first message sent again gets the run's answer.
#[tokio::test(flavor = "multi_thread")]
async fn asked_and_answered_in_the_conversation() {
    require_runsc().await;
    for runtime in ["runc", "runsc"] {
        let host = asking(runtime).await;
        assert_eq!(say(&host, BOSS, "!tool bash ls").await.reply(), "allow");

        let asked = question(&host, BOSS, "!tool bash rm x", "1").await;
        let text = asked["text"].as_str().unwrap();
        for part in ["Shall bash do rm?", "    rm x", "1. Allow once", "2. Deny", "for admin", "within 10 min"] {
            assert!(text.contains(part), "`{part}` is missing in:\n{text}");
        }
        assert_eq!(asked["choices"][0], json!({ "id": "allow", "label": "Allow once", "number": 1 }));
        assert_eq!(asked["arguments"], json!({ "command": "rm x" }));
        assert!(asked["expiresAt"].as_i64() > asked["askedAt"].as_i64());
        assert_eq!(question(&host, BOSS, "again", "1").await["id"], asked["id"], "the same question, not a second");
        assert_eq!(say(&host, BOSS, "1").await.reply(), "Allowed once. The assistant goes on.");
        assert_eq!(reply(&host, BOSS, "1").await, "allow");

        question(&host, BOSS, "!tool bash rm x", "2").await;
        say(&host, BOSS, "2 not today").await.reply();
        let denied = reply(&host, BOSS, "2").await;
        assert!(denied.starts_with("deny: api:boss was asked") && denied.contains("(\"not today\")"), "{denied}");

        question(&host, BOSS, "!tool bash rm x", "3").await;
        say(&host, BOSS, "edit ls -la").await.reply();
        assert_eq!(reply(&host, BOSS, "3").await, r#"edit: {"command":"ls -la"}"#);
        assert_eq!(host.query::<i64>("SELECT count(*) FROM runs"), Some(4), "no answer became a run");
        assert_eq!(
            verdicts(&host),
            "asking allow, permission-guard allow, \
             asking ask, asking allowed, permission-guard allow, \
             asking ask, asking denied, \
             asking ask, asking edited, asking allow, permission-guard allow"
        );
        let by: String = host.query("SELECT person FROM decisions WHERE verdict = 'edited'").unwrap();
        assert_eq!(by, BOSS);
    }
}

/// What a guard denies cannot be edited in, and what another one asks about is asked.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_checked_like_any_call() {
    let guards = [("asking", "word: rm, never: forbidden"), ("second", "word: sudo, approver: moderator")];
    let host = host_with(Setup::scripted("runc"), &guards).await;
    question(&host, BOSS, "!tool bash rm x", "1").await;
    let refused = say(&host, BOSS, "edit cat forbidden").await;
    assert_eq!((refused.status, refused.code()), (422, "edit_denied"), "{:#}", refused.body);
    assert!(refused.body["error"].as_str().unwrap().contains("never forbidden"));
    // The guard of its own that comes last is asked as well: the paths of the host are closed.
    let refused = say(&host, BOSS, "edit rm /run/mercury/api.sock").await;
    assert_eq!(refused.code(), "edit_denied", "{:#}", refused.body);

    say(&host, BOSS, "edit sudo rm y").await.reply();
    let second = question(&host, BOSS, "again", "1").await;
    assert_eq!((&second["plugin"], &second["approver"]), (&json!("second"), &json!("moderator")));
    assert_eq!(second["arguments"], json!({ "command": "sudo rm y" }));
    assert_eq!(second["choices"][0]["number"], 3, "no number is used twice");
    let late = say(&host, BOSS, "1").await;
    assert_eq!((late.status, late.code()), (409, "question_settled"), "an old number answers nothing new");
    say(&host, BOSS, "3").await.reply();
    assert_eq!(reply(&host, BOSS, "1").await, r#"edit: {"command":"sudo rm y"}"#);
}

/// permissions.md #22: a member is told who may, whatever way they answer; an admin of the space may
/// answer from elsewhere, and what is no answer is a message.
#[tokio::test(flavor = "multi_thread")]
async fn only_an_approver_answers() {
    let host = asking("runc").await;
    let asked = question(&host, "api:ada", "!tool bash rm x", "1").await;
    let id = asked["id"].as_i64().unwrap();
    for text in ["1", "yes", "edit ls", "2"] {
        let refused = say(&host, "api:ada", text).await;
        assert_eq!((refused.status, refused.code()), (403, "not_approver"), "{text}: {:#}", refused.body);
        let error = refused.body["reply"].as_str().unwrap();
        assert!(error.contains("the role admin") && error.contains("your role here is member"), "{error}");
    }
    let refused = host.chat(json!({ "text": "allow", "callerId": "api:eve", "question": id })).await;
    assert_eq!(refused.code(), "not_approver");
    let refused = host.chat(json!({ "text": "perhaps", "callerId": BOSS, "question": id })).await;
    assert_eq!((refused.status, refused.code()), (400, "bad_answer"));
    host.create_space("other");
    let refused = host.chat(json!({ "text": "allow", "callerId": BOSS, "question": id, "spaceId": "other" })).await;
    assert_eq!((refused.status, refused.code()), (404, "question_unknown"));
    let accepted = host.chat(json!({ "text": "allow", "callerId": BOSS, "question": id })).await;
    assert_eq!(accepted.reply(), "Allowed once. The assistant goes on.");
    assert_eq!(reply(&host, "api:ada", "1").await, "allow");
}

/// The host dies while the question is open. It is still open for the next one, and the tool call
/// that waited in the container goes on with the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_outlives_the_host() {
    require_runsc().await;
    for runtime in ["runc", "runsc"] {
        let mut host = asking(runtime).await;
        let id = question(&host, BOSS, "!tool bash rm x\n!reply went on", "1").await["id"].to_string();
        host.kill();
        tokio::time::sleep(Duration::from_secs(3)).await;
        host.start().await;
        let (_, listed) = mercury(&host, &["approvals", "--json"]).await;
        let listed: Value = serde_json::from_str(&listed).unwrap();
        assert_eq!(listed["questions"][0]["id"].to_string(), id, "{listed:#}");
        assert_eq!(listed["questions"].as_array().unwrap().len(), 1);
        let (done, said) = mercury(&host, &["approvals", "allow", &id, "--edit", "ls"]).await;
        assert!(done && said.contains("with your arguments"), "{said}");
        assert_eq!(reply(&host, BOSS, "1").await, "edit: {\"command\":\"ls\"}\nwent on");
        assert_eq!(host.query::<i64>("SELECT count(*) FROM questions"), Some(1));
    }
}

/// The host dies between the answer and the moment in which the container hears of it, and the same
/// answer sent again changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_the_host() {
    let mut host = asking("runc").await;
    question(&host, BOSS, "!tool bash rm x", "1").await;
    pause_all(&host.instance(), true).await;
    let answer = json!({ "text": "1", "callerId": BOSS, "messageId": "2" });
    assert_eq!(host.chat(answer.clone()).await.reply(), "Allowed once. The assistant goes on.");
    host.kill();
    host.start().await;
    assert_eq!(host.chat(answer).await.reply(), "Allowed once. The assistant goes on.");
    pause_all(&host.instance(), false).await;
    assert_eq!(reply(&host, BOSS, "1").await, "allow");
    assert_eq!(verdicts(&host), "asking ask, asking allowed, permission-guard allow");
}

/// A client that knows nothing of questions waits while the operator answers.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_client_gets_its_answer_and_nothing_else() {
    let host = asking("runc").await;
    let operator = async {
        host.until("SELECT state FROM questions", "open").await;
        let (done, said) = mercury(&host, &["approvals", "deny", "1", "--reason", "use the trash"]).await;
        assert!(done && said.contains("Denied"), "{said}");
    };
    let (answer, ()) = tokio::join!(say(&host, "api:ada", "!tool bash rm x"), operator);
    assert!(answer.reply().contains("the operator was asked") && answer.reply().contains("use the trash"));
    let (done, said) = mercury(&host, &["approvals", "allow", "1"]).await;
    assert!(!done && said.contains("denied already, by the operator"), "{said}");
    let (_, log) = mercury(&host, &["approvals", "log"]).await;
    assert!(log.lines().next().unwrap().contains("denied") && log.contains("rm x"), "{log}");
}

/// Nobody answers: denied after the question's own time, which is not the container's.
#[tokio::test(flavor = "multi_thread")]
async fn unanswered_is_denied() {
    let setup = Setup::scripted("runc").set("MERCURY_CONTAINER_TIMEOUT_MS", "10000");
    let host = host_with(setup, &[("asking", "word: rm, timeout-ms: \"12000\"")]).await;
    let began = Instant::now();
    let answer = say(&host, "api:ada", "!tool bash rm x\n!sleep 1000\n!reply and on").await;
    let reply = answer.reply();
    assert!(reply.starts_with("deny: This call needs the approval of somebody with the role admin"), "{reply}");
    assert!(reply.contains("within 12 s") && reply.ends_with("and on"), "{reply}");
    assert!(began.elapsed() > Duration::from_secs(12), "the container's 10 s stood still meanwhile");
    assert_eq!(verdicts(&host), "asking ask, asking expired");
    // The time of the agent itself is bounded as before.
    let answer = say(&host, "api:ada", "!tool bash ls\n!sleep 20000\n!reply late").await;
    assert_eq!(answer.code(), "timeout");
}

/// Two calls of one run wait at once: a number means one of them, a word neither.
#[tokio::test(flavor = "multi_thread")]
async fn two_questions_at_once() {
    let host = asking("runc").await;
    let first = question(&host, BOSS, "!tools bash rm a ;; rm b", "1").await;
    host.until("SELECT CAST(count(*) AS TEXT) FROM questions WHERE state = 'open'", "2").await;
    let more = json!({ "text": "again", "callerId": BOSS, "messageId": "1", "questions": true, "questionsAfter": first["id"] });
    let second = host.chat(more).await.body["question"].clone();
    assert_eq!(second["choices"][0]["number"], 3);
    let refused = say(&host, BOSS, "yes").await;
    assert_eq!((refused.status, refused.code()), (409, "ambiguous_answer"));
    say(&host, BOSS, "4").await.reply();
    say(&host, BOSS, "1").await.reply();
    let said = reply(&host, BOSS, "1").await;
    let lines: Vec<_> = said.lines().collect();
    let first_is_a = first["arguments"]["command"] == "rm a";
    let (allowed, denied) = if first_is_a { (0, 1) } else { (1, 0) };
    assert!(lines[allowed] == "allow" && lines[denied].starts_with("deny: "), "{said}");
}

/// A run that ends takes its question with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_ends_with_its_run() {
    let host = asking("runc").await;
    let id = question(&host, BOSS, "!tool bash rm x", "1").await["id"].to_string();
    kill_all(&host.instance()).await;
    host.until("SELECT state FROM questions", "withdrawn").await;
    let (done, said) = mercury(&host, &["approvals", "allow", &id]).await;
    assert!(!done && said.contains("withdrawn already"), "{said}");
    let (_, said) = mercury(&host, &["approvals"]).await;
    assert!(said.contains("Nothing waits"), "{said}");
    assert_eq!(say(&host, BOSS, "!tool bash ls").await.reply(), "allow", "the space is free again");
}

/// What nobody could read before answering is not asked; nor is what cannot be shown as it is shown.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_not_asked() {
    let host = asking("runc").await;
    let long = format!("!tool bash rm x; {}", "true; ".repeat(2_000));
    let answer = say(&host, BOSS, &long).await;
    assert!(answer.reply().contains("too long for a person to read"), "{}", answer.reply());
    let asked = question(&host, BOSS, "!tool bash rm x\u{202e}\u{1b}[2K # harmless", "1").await;
    assert!(asked["text"].as_str().unwrap().contains("rm x\\u{202e}\\u{1b}[2K # harmless"), "{asked:#}");
}

/// permissions.md #31: no secret of a call's arguments is in the record or in the log.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_recorded() {
    let host = asking("runc").await;
    let secret = "hunter2-canary";
    say(&host, BOSS, &format!("!tool bash curl -H 'Authorization: Bearer {secret}' https://x:{secret}@x.example"))
        .await;
    question(&host, BOSS, &format!("!tool bash rm --password {secret}"), "1").await;
    say(&host, BOSS, "2").await.reply();
    reply(&host, BOSS, "1").await;
    let kept: String = host.query("SELECT group_concat(excerpt || coalesce(reason, '')) FROM decisions").unwrap();
    assert!(!kept.contains(secret) && kept.contains("rm --password"), "{kept}");
    assert!(!host.log().contains(secret), "the log");
}

/// The operator's routes are closed to whoever lacks the secret.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_routes_need_the_secret() {
    let setup = Setup::scripted("runc").set("MERCURY_API_SECRET", "operators-secret-canary");
    let host = host_with(setup, &[("asking", "word: rm")]).await;
    let id = question(&host, BOSS, "!tool bash rm x", "1").await["id"].clone();
    let path = format!("/approvals/{id}");
    for (method, path, body) in [
        ("GET", "/approvals", ""),
        ("GET", "/approvals/decisions", ""),
        ("POST", path.as_str(), r#"{"choice":"allow"}"#),
    ] {
        let headers = [("content-type", "application/json")];
        let answer = host.request(method, path, &headers, body.into()).await.unwrap();
        assert_eq!(answer.status, 401, "{method} {path}: {:#}", answer.body);
    }
    let (done, said) = mercury(&host, &["approvals", "allow", &id.to_string()]).await;
    assert!(done, "the CLI has it from the project: {said}");
    assert_eq!(reply(&host, BOSS, "1").await, "allow");
}

/// The built-in guard's `ask-before`, with the real agent: the host dies while somebody is asked, and
/// pi runs what the approver made of the call. agent-entry.md #47: the guard sees the call whatever
/// the agent calls it.
async fn real_pi(runtime: &str) {
    let script = [
        Turn::Bash("env touch outbox/danger.txt".into()),
        Turn::Bash("touch outbox/again.txt".into()),
        Turn::Text("I did what I could.".into()),
    ];
    let model = Model::start(script).await;
    let endpoints = format!("{{\"anthropic\":\"{}\"}}", model.url());
    let mut host = Setup::with_image(runtime, &full_image())
        .set("MERCURY_MODEL_ENDPOINTS", &endpoints)
        .set("MERCURY_ADMINS", BOSS)
        .yaml("plugins:\n  permission-guard:\n    settings:\n      ask-before: touch\n")
        .start()
        .await;
    let asked = question(&host, BOSS, "Make a file", "1").await;
    assert!(asked["text"].as_str().unwrap().contains("wants to run `touch`"), "{asked:#}");
    host.kill();
    tokio::time::sleep(Duration::from_secs(2)).await;
    host.start().await;
    say(&host, BOSS, "edit echo edited > outbox/edited.txt").await.reply();
    let second = question(&host, BOSS, "again", "1").await;
    assert_eq!(second["arguments"]["command"], "touch outbox/again.txt");
    say(&host, BOSS, "deny: enough").await.reply();
    let answer = host.chat(json!({ "text": "again", "callerId": BOSS, "messageId": "1" })).await;
    assert_eq!(answer.reply(), "I did what I could.");
    let files = answer.body["files"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(files[0]["filename"], "edited.txt");
    assert_eq!(STANDARD.decode(files[0]["data"].as_str().unwrap()).unwrap(), b"edited\n");
    let last = model.requests().last().unwrap().to_string();
    assert!(last.contains("denied it (\\\"enough\\\")") || last.contains("enough"), "the agent reads why: {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn real_pi_under_runc() {
    real_pi("runc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_pi_under_gvisor() {
    require_runsc().await;
    real_pi("runsc").await;
}

/// `mercury chat` on a terminal shows the question, takes the answer, and shows the reply; elsewhere
/// it says who can answer, and waits.
#[tokio::test(flavor = "multi_thread")]
async fn mercury_chat_asks_on_a_terminal() {
    let host = asking("runc").await;
    let binary = std::env::var("MERCURY_BIN").unwrap();
    let chat = format!("{binary} --project {} chat --caller {BOSS} '!tool bash rm x'", host.folder().display());
    let mut terminal = Command::new("script")
        .args(["-qec", &chat, "/dev/null"])
        .env("MERCURY_PORT", host.port().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    host.until("SELECT state FROM questions", "open").await;
    terminal.stdin.as_mut().unwrap().write_all(b"perhaps\n1\n").unwrap();
    let output = tokio::task::spawn_blocking(move || terminal.wait_with_output().unwrap()).await.unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    for part in ["Shall bash do rm?", "Your answer: ", "does not answer question", "Allowed once.", "allow\r\n"] {
        assert!(shown.contains(part), "`{part}` is missing in:\n{shown}");
    }

    let waiting = mercury(&host, &["chat", "--caller", BOSS, "!tool bash rm y"]);
    let operator = async {
        host.until("SELECT state FROM questions ORDER BY id DESC LIMIT 1", "open").await;
        mercury(&host, &["approvals", "allow", "2"]).await
    };
    let ((done, said), _) = tokio::join!(waiting, operator);
    assert!(done && said.contains("mercury approvals allow 2") && said.contains("allow\n"), "{said}");
}
