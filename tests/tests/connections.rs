//! Plugins that stand for somebody's own service, and the guard on the sensitive ones, over real chats.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, path::Path, time::Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use mercury_tests::{
    docker,
    guests::{Guest, World},
    host::{Answer, Host, Setup},
    parley::{self, bring, called, delivered, direct, group, link_group, until},
    plugins::{fixture, install, install_with},
};
use serde_json::{Value, json};

const BEARER: &str = "Bearer the-api-secret-0123";
const ALLOWED: &str = "security.sensitive_connections_allowed";
const COMMAND: &str = "mrctl config set security.sensitive_connections_allowed true";
const QUESTION: &str = "Answer yes or no within 5 minutes";
/// Of the plugin `acme`, which is used nowhere.
const TOKEN: &str = "acme-token-canary-4711";

fn setup() -> Setup {
    let setup = Setup::scripted("runc").set("MERCURY_ADMINS", "parley:ada");
    setup.set("MERCURY_API_SECRET", "the-api-secret-0123").set("MERCURY_ACME_TOKEN", TOKEN)
}

/// A plugin with a connection. `more` is the rest of its manifest.
fn connect(host: &Host, name: &str, connection: &str, more: &str, wasm: &Path) {
    let manifest = format!(
        "[connection]\ndisplay-name = \"The {name}\"\ncategory = \"email\"\nauth-type = \"oauth2\"\n{connection}\n\
         [agent]\npermission = true\n{more}"
    );
    install_with(host, name, "\"connection-status\"", &manifest, wasm);
}

const SECRET: &str = "[[secrets]]\nname = \"token\"\nvariable = \"MERCURY_ACME_TOKEN\"\n";

fn modes(mode: &str, tell: &str) -> String {
    let setting = |key, value| format!("[settings.{key}]\ndescription = \"for the suites\"\ndefault = \"{value}\"\n");
    setting("mode", mode) + &setting("tell", tell)
}

/// The platform `parley` with its group linked to `main`, where Ada is an admin; and the sensitive connection.
async fn start(setup: Setup) -> Host {
    let mut host = parley::prepare(setup, &[], "");
    let connection = "secret = \"token\"\nsensitive = true";
    connect(&host, "acme", connection, &(modes("connected", "") + SECRET), &fixture("connection"));
    install(&host, "asking", "\"tool-guard\"", &["word", "never", "approver", "timeout-ms"], &fixture("asking"));
    host.start().await;
    parley::running(&host).await;
    link_group(&host).await;
    host
}

async fn ask(host: &Host, space: &str, method: &str, path: &str, body: &Value) -> Answer {
    let mut headers = vec![("authorization", BEARER), ("content-type", "application/json")];
    if !space.is_empty() {
        headers.extend([("x-mercury-caller", "parley:ada"), ("x-mercury-space", space)]);
    }
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    host.request(method, path, &headers, body).await.unwrap()
}

async fn allow(host: &Host, space: &str, value: &str) -> Answer {
    ask(host, space, "PUT", "/api/config", &json!({ "key": ALLOWED, "value": value })).await
}

/// Sends a message and waits for what is said to it.
async fn say(host: &Host, message: Value, expected: &str) {
    let before = called(host, "deliver").len();
    bring(host, std::slice::from_ref(&message)).await;
    let said = until(host, expected, async || called(host, "deliver").get(before).cloned()).await;
    let text = said["text"].as_str().unwrap();
    assert!(text.contains(expected), "{message} is answered with {text:?}, not {expected:?}");
}

fn of(person: &str, mut message: Value) -> Value {
    message["author"] = json!(person);
    message
}

fn runs(host: &Host) -> i64 {
    host.query("SELECT count(*) FROM runs").unwrap()
}

/// extensions.md #24, http-api.md #21: the plugin's word where there is one; who is late, traps or says what is no
/// status costs the others nothing; and no secret nor its name is told.
#[tokio::test(flavor = "multi_thread")]
async fn how_connections_stand() {
    let mut host = setup().prepare();
    let told = format!("token {TOKEN} of MERCURY_ACME_TOKEN");
    for (name, mode) in [
        ("a-good", "connected"),
        ("b-late", "park"),
        ("c-trap", "trap"),
        ("d-fail", "fail"),
        ("f-again", "needs-reauth"),
        ("g-tell", "tell"),
        ("h-broken", "broken"),
    ] {
        connect(&host, name, "secret = \"token\"", &(modes(mode, &told) + SECRET), &fixture("connection"));
    }
    let world = World::of_contract("export mercury:plugin/connection-status@0.2.0;");
    let data = BTreeMap::from([(1024, vec![0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0])]);
    let illegal = world.component(&Guest { body: "(i32.const 1024)".into(), data, ..Guest::default() });
    let wasm = host.folder().join("illegal.wasm");
    std::fs::write(&wasm, illegal).unwrap();
    connect(&host, "e-illegal", "", "", &wasm);
    // These have a secret and no word of their own.
    for (name, variable) in [("i-set", "MERCURY_ACME_TOKEN"), ("j-unset", "MERCURY_ACME_OTHER")] {
        let manifest = format!(
            "[connection]\ndisplay-name = \"{name}\"\nicon = \"https://acme.example/x.svg\"\ncategory = \"finance\"\n\
             auth-type = \"app-password\"\nscopes = [\"read\", \"trade\"]\nsecret = \"token\"\nsensitive = true\n\
             [agent]\npermission = true\n[[secrets]]\nname = \"token\"\nvariable = \"{variable}\"\noptional = true\n"
        );
        install_with(&host, name, "\"prompt-guard\"", &manifest, &fixture("asking"));
    }
    host.start().await;

    let began = Instant::now();
    let answer = ask(&host, "main", "GET", "/api/connections", &Value::Null).await;
    let took = began.elapsed().as_secs();
    assert_eq!(answer.status, 200, "{answer:?}");
    let all = answer.body["connections"].as_array().unwrap();
    let stand = |name: &str| {
        let found = all.iter().find(|connection| connection["name"] == name).unwrap();
        (found["status"].as_str().unwrap(), found["detail"].as_str(), found["error"].as_str())
    };
    assert_eq!(stand("a-good"), ("connected", Some("ada@acme.example"), None));
    assert_eq!(stand("b-late"), ("unknown", None, Some("The check took longer than 5 s")));
    assert!((4..30).contains(&took), "one after the other, or not waited for: {took} s");
    for name in ["c-trap", "d-fail", "e-illegal"] {
        assert_eq!(stand(name), ("unknown", None, Some("The check failed; the host's log says why")), "{name}");
    }
    assert_eq!(stand("f-again"), ("needs-reauth", None, None));
    assert_eq!(stand("g-tell"), ("broken", Some("token [secret] of [secret]"), None));
    assert_eq!(stand("h-broken"), ("broken", Some("two lines"), None));
    assert_eq!(stand("i-set"), ("connected", None, None));
    assert_eq!(stand("j-unset"), ("unknown", None, None));
    let shown = all.iter().find(|connection| connection["name"] == "i-set").unwrap();
    let presented = json!({
        "displayName": "i-set", "iconUrl": "https://acme.example/x.svg", "category": "finance",
        "authType": "app-password", "scopes": ["read", "trade"],
    });
    assert_eq!(
        *shown,
        json!({
            "name": "i-set", "displayName": "i-set", "iconUrl": "https://acme.example/x.svg", "category": "finance",
            "authType": "app-password", "scopes": ["read", "trade"], "status": "connected", "detail": null,
            "error": null, "sensitive": true,
        })
    );

    let extensions = ask(&host, "main", "GET", "/api/ext", &Value::Null).await.body;
    let entry = |name: &str| {
        let all = extensions["extensions"].as_array().unwrap();
        all.iter().find(|entry| entry["name"] == name).unwrap()["connection"].clone()
    };
    assert_eq!((entry("i-set"), entry("permission-guard")), (presented, Value::Null));
    let console = ask(&host, "", "GET", "/api/console/connections", &Value::Null).await;
    assert_eq!((console.status, console.body["connections"].as_array().unwrap().len()), (200, all.len()));
    for body in [&answer.body, &extensions, &console.body] {
        assert!(!body.to_string().contains("MERCURY_ACME") && !body.to_string().contains(TOKEN), "{body:#}");
    }
    let bare = host.request("GET", "/api/connections", &[], Bytes::new()).await.unwrap();
    assert_eq!(bare.status, 401);
}

/// config.md #18, http-api.md #12 and weakness 20: whoever sets it, only where a group is; never for all.
#[tokio::test(flavor = "multi_thread")]
async fn a_space_without_a_group_is_not_opened() {
    let mut host = parley::prepare(setup(), &[], "");
    host.start().await;
    parley::running(&host).await;
    bring(&host, &[direct("dm", "!reply hello")]).await;
    delivered(&host, "hello").await;
    let body = json!({ "key": ALLOWED, "value": "true" });
    let writers: [(&str, &str, Value); 3] = [
        ("dm-parley-ada", "/api/config", body.clone()),
        ("", "/api/config", json!({ "key": ALLOWED, "value": "true", "space": "dm-parley-ada" })),
        ("", "/api/console/spaces/dm-parley-ada/config", body.clone()),
    ];
    for (space, path, body) in &writers {
        let answer = ask(&host, space, "PUT", path, body).await;
        assert_eq!((answer.status, answer.code()), (400, "bad_setting"), "{path} {answer:?}");
        assert!(answer.body.to_string().contains("no effect in dm-parley-ada"), "{answer:?}");
    }
    assert_eq!(ask(&host, "", "PUT", "/api/config", &body).await.status, 400, "for all");
    assert_eq!(allow(&host, "dm-parley-ada", "maybe").await.status, 400);
    assert_eq!(allow(&host, "dm-parley-ada", "false").await.status, 200);
    assert_eq!(host.query::<i64>("SELECT count(*) FROM space_settings WHERE value = 'true'").unwrap(), 0);
    bring(&host, &[group("first", "@Mercury hi")]).await;
    parley::command(&host, &["conversations", "link", "parley:team", "dm-parley-ada"]);
    for (space, path, body) in &writers {
        assert_eq!(ask(&host, space, "PUT", path, body).await.status, 200, "{path}");
    }
}

/// pipeline.md #33, extensions.md #25, weaknesses W17 and W20: closed, asked, and answered by who was asked alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_not_let_near_by_others() {
    let mut host = start(setup().set("MERCURY_DM_AUTO_SPACE_ADMIN_IDS", "parley:ada")).await;
    say(&host, group("1", "@Mercury !reply mail"), COMMAND).await;
    // Said once, like any refusal that somebody could have the bot repeat.
    bring(&host, &[group("2", "@Mercury yes")]).await;
    say(&host, of("bob", json!({ "id": "3", "conversation": "bob", "direct": true, "text": "!reply own" })), "own")
        .await;
    let program = host.chat(json!({ "text": "!reply mail", "callerId": "api:eve" })).await;
    assert_eq!((program.status, program.code()), (403, "sensitive_disabled"), "{program:?}");
    assert_eq!(runs(&host), 1, "Bob's alone");
    assert_eq!(allow(&host, "main", "true").await.status, 200);

    say(&host, group("4", "@Mercury !reply mail"), "The acme can be reached from here").await;
    // Nobody else says it for her, and what he says to the bot is asked about in its turn.
    bring(&host, &[of("bob", group("5", "yes"))]).await;
    say(&host, of("bob", group("6", "@Mercury yes")), QUESTION).await;
    say(&host, direct("7", "yes"), QUESTION).await;
    assert_eq!(runs(&host), 1);
    say(&host, group("8", "Yes"), "mail").await;
    assert_eq!(
        host.query::<String>("SELECT content FROM messages WHERE role = 'user' ORDER BY id DESC").unwrap(),
        "@Mercury !reply mail",
        "what is kept is the request, not the yes"
    );
    say(&host, group("9", "@Mercury yes"), QUESTION).await;
    say(&host, group("10", "@Mercury no"), "I have left it undone.").await;
    say(&host, group("11", "@Mercury yes"), QUESTION).await;
    // Anything else is asked about in the place of what was.
    say(&host, group("12", "@Mercury !reply other"), QUESTION).await;
    say(&host, group("13", "@Mercury yes"), "other").await;

    // In time, and across a restart.
    say(&host, group("14", "@Mercury !reply late"), QUESTION).await;
    host.terminate().await;
    host.start().await;
    parley::running(&host).await;
    host.until("SELECT CAST((expires_at - unixepoch() * 1000) / 60000 IN (4, 5) AS TEXT) FROM unconfirmed WHERE person = 'parley:ada' AND conversation = 'parley:team'", "1").await;
    host.execute("UPDATE unconfirmed SET expires_at = expires_at - 300000");
    say(&host, group("15", "@Mercury yes"), QUESTION).await;
    host.execute("DELETE FROM unconfirmed");
    say(&host, group("16", "@Mercury !reply soon"), QUESTION).await;
    host.terminate().await;
    host.start().await;
    parley::running(&host).await;
    say(&host, group("17", "@Mercury yes"), "soon").await;

    // What is closed meanwhile stays closed.
    say(&host, group("18", "@Mercury !reply closed"), QUESTION).await;
    assert_eq!(allow(&host, "main", "false").await.status, 200);
    host.execute("DELETE FROM told");
    say(&host, group("19", "yes"), COMMAND).await;
    assert_eq!(runs(&host), 4);
}

/// Removing the bot from a group opens nothing to what was written there and waits: without its group the space
/// would be nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_group_said_stays_its_own() {
    let host = start(setup().set("MERCURY_DEBOUNCE_MS", "10000")).await;
    bring(&host, &[group("1", "@Mercury !reply mail")]).await;
    host.until("SELECT CAST(count(*) AS TEXT) FROM inbound WHERE decided = 0", "1").await;
    bring(&host, &[json!({ "id": "r", "kind": "removed", "conversation": "parley:team" })]).await;
    assert_eq!(host.query::<i64>("SELECT count(*) FROM conversations WHERE space = 'main' AND direct = 0"), Some(0));
    host.until("SELECT CAST(count(*) AS TEXT) FROM inbound WHERE decided = 0", "0").await;
    assert_eq!(runs(&host), 0);
}

/// Stops the newest run where it is at work, until it may go on.
async fn hold(host: &Host) {
    host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "running").await;
    docker::at_work(&host.instance(), 1).await;
    docker::pause_all(&host.instance(), true).await;
}

/// A run that waited for its turn is ruled on as things are when it begins: the space was closed meanwhile, or the
/// connection is new and nobody was asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waited_is_ruled_on_again() {
    let mut host = parley::prepare(setup(), &[], "");
    let kept = modes("connected", "") + "[kv]\nquota-bytes = 1000\n";
    connect(&host, "acme", "sensitive = true", &kept, &fixture("connection"));
    host.start().await;
    parley::running(&host).await;
    link_group(&host).await;
    assert_eq!(allow(&host, "main", "true").await.status, 200);
    let newest = async |state: &str| host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", state).await;
    let refused = async |expected: &str| {
        newest("failed").await;
        delivered(&host, expected).await;
        let failure: String = host.query("SELECT failure FROM runs ORDER BY id DESC LIMIT 1").unwrap();
        assert!(failure.contains("The acme"), "{failure}");
    };
    bring(&host, &[group("1", "@Mercury please\n!sleep 3000")]).await;
    hold(&host).await;
    bring(&host, &[group("2", "@Mercury !reply mail")]).await;
    newest("queued").await;
    host.execute("INSERT INTO plugin_kv VALUES ('acme', 'refresh', x'00')");
    docker::pause_all(&host.instance(), false).await;
    refused("Send it again, and I ask you first").await;

    say(&host, group("3", "@Mercury please\n!sleep 5000"), QUESTION).await;
    bring(&host, &[group("4", "@Mercury yes")]).await;
    hold(&host).await;
    bring(&host, &[group("5", "@Mercury !reply mail")]).await;
    host.until("SELECT CAST(count(*) AS TEXT) FROM unconfirmed", "1").await;
    bring(&host, &[group("6", "@Mercury yes")]).await;
    newest("queued").await;
    assert_eq!(allow(&host, "main", "false").await.status, 200);
    docker::pause_all(&host.instance(), false).await;
    refused(COMMAND).await;
}

/// A yes is to the connections that were named: what became active since is asked about in its turn.
#[tokio::test(flavor = "multi_thread")]
async fn a_yes_is_to_what_was_named() {
    let mut host = parley::prepare(setup(), &[], "");
    let kept = modes("connected", "") + "[kv]\nquota-bytes = 1000\n";
    let connection = "secret = \"token\"\nsensitive = true";
    connect(&host, "acme", connection, &(modes("connected", "") + SECRET), &fixture("connection"));
    connect(&host, "trade", "sensitive = true", &kept, &fixture("connection"));
    host.start().await;
    parley::running(&host).await;
    link_group(&host).await;
    assert_eq!(allow(&host, "main", "true").await.status, 200);
    say(&host, group("1", "@Mercury !reply mail"), "The acme can be reached").await;
    host.execute("INSERT INTO plugin_kv VALUES ('trade', 'refresh', x'00')");
    say(&host, group("2", "@Mercury yes"), "The acme, The trade can be reached").await;
    assert_eq!(runs(&host), 0);
    say(&host, group("3", "@Mercury yes"), "mail").await;
}

/// Who was asked two things says yes to the later one.
#[tokio::test(flavor = "multi_thread")]
async fn a_yes_is_to_the_later_question() {
    let host = start(setup()).await;
    assert_eq!(allow(&host, "main", "true").await.status, 200);
    let made = ask(&host, "", "POST", "/api/console/spaces", &json!({ "id": "temp", "name": "Temp" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    say(&host, group("1", "@Mercury !reply mail"), QUESTION).await;
    say(&host, group("2", "@Mercury /spaces delete temp"), "Delete the space temp").await;
    say(&host, group("3", "yes"), "temp").await;
    assert_eq!((runs(&host), host.query::<i64>("SELECT count(*) FROM spaces WHERE id = 'temp'")), (0, Some(0)));
    let made = ask(&host, "", "POST", "/api/console/spaces", &json!({ "id": "temp", "name": "Temp" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    say(&host, group("4", "@Mercury /spaces delete temp"), "Delete the space temp").await;
    say(&host, group("5", "@Mercury !reply mine"), QUESTION).await;
    say(&host, group("6", "yes"), "mine").await;
    assert_eq!(host.query::<i64>("SELECT count(*) FROM spaces WHERE id = 'temp'"), Some(1));
}

/// An admin's yes to what she has asked is none to the tool call of somebody's run, which she could allow.
#[tokio::test(flavor = "multi_thread")]
async fn a_yes_is_to_ones_own_request() {
    let setup = setup().set("MERCURY_ADMINS", "parley:ada,parley:bob");
    let host = start(setup.yaml("plugins:\n  asking:\n    settings: { word: rm }\n")).await;
    assert_eq!(allow(&host, "main", "true").await.status, 200);
    say(&host, of("bob", group("1", "@Mercury please\n!tool bash rm x")), QUESTION).await;
    bring(&host, &[of("bob", group("2", "@Mercury yes"))]).await;
    host.until("SELECT state FROM questions", "open").await;
    let held = "SELECT CAST(count(*) AS TEXT) FROM unconfirmed";
    bring(&host, &[group("3", "@Mercury !reply mine")]).await;
    host.until(held, "1").await;
    bring(&host, &[group("4", "@Mercury yes")]).await;
    host.until(held, "0").await;
    assert_eq!(host.query::<String>("SELECT state FROM questions").unwrap(), "open", "Bob's call still waits");
    // Nothing of her own is asked about any more: now it is to the call.
    bring(&host, &[group("5", "@Mercury yes")]).await;
    host.until("SELECT state FROM questions", "allowed").await;
}

/// pipeline.md #33 in Hebrew, and where it is not spoken.
#[tokio::test(flavor = "multi_thread")]
async fn yes_and_no_in_the_language() {
    let host = start(setup()).await;
    assert_eq!(allow(&host, "main", "true").await.status, 200);
    say(&host, group("1", "@Mercury !reply one"), QUESTION).await;
    say(&host, group("2", "@Mercury כן"), QUESTION).await;
    let hebrew = json!({ "key": "messages.locale", "value": "he" });
    assert_eq!(ask(&host, "main", "PUT", "/api/config", &hebrew).await.status, 200);
    for (id, text, yes) in [("3", "two", "כן"), ("5", "three", "yes")] {
        say(&host, group(id, &format!("@Mercury !reply {text}")), "ענו כן או לא").await;
        say(&host, group(&format!("{id}b"), &format!("@Mercury {yes}")), text).await;
    }
    say(&host, group("7", "@Mercury !reply four"), "The acme").await;
    say(&host, group("8", "@Mercury לא"), "לא עשיתי זאת").await;
    assert_eq!(runs(&host), 2);
}

/// Weakness W20: files of what was held are there when it runs; a program has the answer to its yes; and asking
/// costs nothing of what a person may ask.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_is_whole() {
    let host =
        start(setup().set("MERCURY_RATE_LIMIT_PER_USER", "2").set("MERCURY_RATE_LIMIT_WINDOW_MS", "3600000")).await;
    assert_eq!(allow(&host, "main", "true").await.status, 200);
    let send = async |text: &str, files: Value| {
        host.chat(json!({ "text": text, "callerId": "api:eve", "files": files })).await
    };
    for round in ["a", "b"] {
        let file = json!([{ "name": format!("{round}.txt"), "data": STANDARD.encode("x") }]);
        let asked = send("!ls /spaces/main/inbox", file).await;
        assert_eq!((asked.status, asked.code()), (403, "sensitive_confirm"), "{asked:?}");
        let answer = send("yes", json!([])).await;
        assert!(answer.reply().contains(&format!("{round}.txt")), "{answer:?}");
        let kept: String =
            host.query("SELECT group_concat(attachments) FROM inbound WHERE author = 'api:eve'").unwrap();
        assert!(kept.contains(&format!("{round}.txt")), "{kept}");
    }
    assert_eq!(send("!reply more", json!([])).await.code(), "rate_limit_burst");
}

/// Weakness W20: the clock is no way around; where the space allows it, a task runs unasked.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_needs_the_space() {
    let host = start(setup()).await;
    let task = json!({ "prompt": "!reply report", "cron": "0 0 29 2 *", "timezone": "Europe/Berlin" });
    let made = ask(&host, "main", "POST", "/api/tasks", &task).await;
    assert_eq!(made.status, 200, "{made:?}");
    let run = format!("/api/tasks/{}/run", made.body["id"]);
    assert_eq!(ask(&host, "main", "POST", &run, &Value::Null).await.status, 200);
    host.until("SELECT CAST(failures AS TEXT) FROM tasks", "1").await;
    assert_eq!(runs(&host), 0);
    assert_eq!(allow(&host, "main", "true").await.status, 200);
    assert_eq!(ask(&host, "main", "POST", &run, &Value::Null).await.status, 200);
    host.until("SELECT state FROM runs", "finished").await;
}

/// Which connections count: without a secret, one that keeps something; and the start says what is closed.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_connected_closes_nothing() {
    let mut host = parley::prepare(setup(), &[], "");
    let kept = modes("connected", "") + "[kv]\nquota-bytes = 1000\n";
    connect(&host, "acme", "sensitive = true", &kept, &fixture("connection"));
    connect(&host, "plain", "secret = \"token\"", &(modes("connected", "") + SECRET), &fixture("connection"));
    host.start().await;
    parley::running(&host).await;
    link_group(&host).await;
    say(&host, group("1", "@Mercury !reply free"), "free").await;
    host.terminate().await;
    let warning = "agents do not run in these spaces with groups";
    assert!(!host.log().contains(warning));
    host.change("INSERT INTO plugin_kv VALUES ('acme', 'refresh', x'00')");
    host.start().await;
    parley::running(&host).await;
    let log = host.log();
    let line = log.lines().find(|line| line.contains(warning)).unwrap();
    assert!(
        line.contains("The acme") && line.contains("main") && line.contains(COMMAND) && !line.contains("plain"),
        "{line}"
    );
    say(&host, group("2", "@Mercury !reply free"), COMMAND).await;
}
