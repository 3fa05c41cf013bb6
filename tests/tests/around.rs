//! What plugins do around runs: hooks, calls of the agent, jobs, tasks, settings, panels.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use mercury_tests::{
    agent::{post, socket},
    docker::{at_work, pause_all, require_runsc},
    host::{Answer, Host, Setup},
    plugins::fixture,
};
use serde_json::{Value, json};

const BOSS: &str = "api:boss";

/// `around` with these interfaces, and more of its manifest; its settings are YAML.
async fn host_with(setup: Setup, provides: &str, manifest: &str, settings: &str) -> Host {
    let mut host = prepare(setup, provides, manifest, settings);
    host.start().await;
    host
}

fn prepare(setup: Setup, provides: &str, manifest: &str, settings: &str) -> Host {
    let yaml = format!("plugins:\n  around:\n    settings: {{ {settings} }}\n");
    let host = setup.set("MERCURY_ADMINS", BOSS).yaml(&yaml).prepare();
    install(&host, "around", provides, manifest);
    host
}

fn install(host: &Host, name: &str, provides: &str, manifest: &str) {
    let folder = host.data_dir().join("plugins").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let mut text = format!(
        "name = \"{name}\"\nversion = \"0.1.0\"\ncomponent = \"around.wasm\"\nprovides = [{provides}]\n{manifest}\n"
    );
    for key in ["hook", "variable", "system-prompt", "prompt", "forbid", "replace", "job-takes-ms", "deaf"] {
        text.push_str(&format!("[settings.{key}]\n"));
    }
    std::fs::write(folder.join("plugin.toml"), text).unwrap();
    std::fs::copy(fixture("around"), folder.join("around.wasm")).unwrap();
}

fn scripted() -> Setup {
    Setup::scripted("runc")
}

async fn say(host: &Host, caller: &str, text: &str) -> Answer {
    host.chat(json!({ "text": text, "callerId": caller })).await
}

fn notes(host: &Host, key: &str) -> String {
    host.query(&format!("SELECT CAST(value AS TEXT) FROM plugin_kv WHERE key = '{key}'")).unwrap_or_default()
}

async fn get(host: &Host, path: &str) -> Answer {
    host.request("GET", path, &[], Bytes::new()).await.unwrap()
}

async fn send(host: &Host, method: &str, path: &str, body: Value) -> Answer {
    let headers = [("content-type", "application/json")];
    host.request(method, path, &headers, Bytes::from(body.to_string())).await.unwrap()
}

async fn mercury(host: &Host, arguments: &[&str]) -> (bool, String) {
    let mut command = host.command(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// What `mrctl` printed for the agent: its exit code and the document, or the error.
async fn call(host: &Host, caller: &str, words: &str) -> (i64, Value) {
    let said = say(host, caller, &format!("!mrctl {words}")).await.reply().to_owned();
    let (code, document) = said.split_once('\n').unwrap_or((&said, "null"));
    (code.parse().unwrap(), serde_json::from_str(document).unwrap_or_else(|_| Value::String(document.to_owned())))
}

/// extensions.md #5 #8: texts and a declared variable reach the run; an identity does not change.
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_adds_to_a_run() {
    let manifest = "[run-hook]\nenvironment = [\"WEATHER\"]";
    let settings = "variable: WEATHER, prompt: \"!env WEATHER\"";
    let host = host_with(scripted(), "\"run-hook\"", manifest, settings).await;
    assert_eq!(host.ask("!env CALLER_ID").await.reply(), "from the hook");
    let stored: String = host.query("SELECT content FROM messages WHERE role = 'user'").unwrap();
    assert_eq!(stored, "!env CALLER_ID\n\n!env WEATHER", "it is part of what the person said");

    let settings = "variable: CALLER_ID";
    let host = host_with(scripted(), "\"run-hook\"", manifest, settings).await;
    assert_eq!(say(&host, "api:ada", "!env CALLER_ID").await.reply(), "api:ada");
    assert!(host.log().contains("variables of a run hook were dropped"), "{}", host.log());
}

/// extensions.md #6, pipeline.md #41: nothing runs, nothing stays of it, and the person reads the reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_blocks_a_run() {
    let mut host = prepare(scripted(), "\"run-hook\"", "", "hook: block");
    install(&host, "later", "\"run-hook\"", "");
    host.start().await;
    let answer = host.ask("hi").await;
    assert_eq!((answer.status, answer.code(), &answer.body["reply"]), (403, "blocked", &json!("quota")));
    assert_eq!(host.query::<i64>("SELECT count(*) FROM messages"), Some(0));
    assert_eq!(host.query::<i64>("SELECT count(*) FROM runs WHERE started_at IS NOT NULL"), Some(0));
}

/// extensions.md #7, pipeline.md #41: it fails closed with words that tell nothing, or open where the manifest says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_fails_closes_unless_it_is_optional() {
    for mode in ["fail", "trap"] {
        let host = host_with(scripted(), "\"run-hook\"", "", &format!("hook: {mode}")).await;
        let answer = host.ask("!reply ran").await;
        assert_eq!((answer.status, answer.code()), (502, "hook_failed"), "{:#}", answer.body);
        assert!(!answer.body.to_string().contains("own words"), "{:#}", answer.body);
        assert!(host.log().contains("the hook's own words"), "the operator reads why");

        let optional = "[run-hook]\noptional = true";
        let host = host_with(scripted(), "\"run-hook\"", optional, &format!("hook: {mode}, prompt: unseen")).await;
        assert_eq!(host.ask("!reply ran").await.reply(), "ran");
    }
}

/// extensions.md W4: a hook is asked only for callers who hold its plugin's permission, and sees the
/// person's files as handles.
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_sees_only_those_whom_it_serves() {
    let manifest = "[agent]\npermission = true\n[media]\nread = true";
    let host = host_with(scripted(), "\"run-hook\"", manifest, "").await;
    for (caller, expected) in [(BOSS, "!reply x\n\na.txt hello"), ("api:ada", "!reply x")] {
        let file = json!({ "name": "a.txt", "data": STANDARD.encode("hello world"), "mimeType": "text/plain" });
        let message = json!({ "text": "!reply x", "callerId": caller, "files": [file] });
        host.chat(message).await;
        let sql = format!(
            "SELECT m.content FROM messages m JOIN runs r ON r.id = m.run JOIN inbound i ON i.id = r.inbound WHERE i.author = '{caller}' AND m.role = 'user'"
        );
        assert_eq!(host.query::<String>(&sql).as_deref(), Some(expected), "{}", host.log());
    }
}

const BROKER: &str = "[agent]\npermission = true\n[kv]\nquota-bytes = 100000\n[media]\ncreate = true\n[tasks]\nper-day = 2\n[history]\nread = true\n\
    [broker]\nper-minute = 8\n\
    [[broker.actions]]\nname = \"echo\"\ndescription = \"Says it again\"\nschema = { type = \"object\", required = [\"room\"], properties = { room = { type = \"string\" } } }\n\
    [[broker.actions]]\nname = \"refuse\"\n[[broker.actions]]\nname = \"trap\"\n[[broker.actions]]\nname = \"file\"\n\
    [[broker.actions]]\nname = \"may\"\n[[broker.actions]]\nname = \"history\"\n[[broker.actions]]\nname = \"task\"\n[[broker.actions]]\nname = \"notes\"\n[[broker.actions]]\nname = \"setting\"\n";

/// extensions.md #22, http-api.md #25, permissions.md #26: identity by the socket alone, permission, schema, and every
/// refusal with its code; a plugin's own status is passed on, and of its fault nothing but that there was one (502).
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_calls_a_plugin() {
    let host = host_with(scripted(), "\"broker\"", BROKER, "").await;
    let (code, answer) = call(&host, BOSS, "capability around echo ;; {\"room\":\"A3\"}").await;
    let expected = json!({ "person": BOSS, "space": "main", "role": "admin", "arguments": { "room": "A3" } });
    assert_eq!((code, answer), (0, expected));
    for (words, expected) in [
        ("capability around echo ;; {\"room\":3}", "invalid-arguments"),
        ("capability around echo ;; {}", "invalid-arguments"),
        ("capability around missing", "unknown-action"),
        ("capability absent echo", "unknown-capability"),
        ("capability around refuse", "taken"),
        ("capability around trap", "failed"),
    ] {
        let (code, error) = call(&host, BOSS, words).await;
        assert_eq!((code, error["code"].as_str()), (1, Some(expected)), "{words}: {error}");
        assert!(!error.to_string().contains("own words"), "{error}");
    }
    assert_eq!(
        call(&host, "api:ada", "capability around echo ;; {\"room\":\"A3\"}").await.1["code"],
        "permission-missing"
    );
    let (_, list) = call(&host, BOSS, "capability list").await;
    assert_eq!(list["capabilities"][0]["description"], "Says it again");
    assert_eq!(call(&host, "api:ada", "capability list").await.1, json!({ "capabilities": [] }));
    let log = host.log();
    assert!(log.contains("a capability was called") && log.contains("permission-missing"), "one line a call");

    // Whatever a request claims, the socket says who it is.
    host.send("!sleep 3000", "main", "slow");
    let socket = socket(&host).await;
    at_work(&host.instance(), 1).await;
    pause_all(&host.instance(), true).await;
    let claims = [("x-mercury-caller", BOSS), ("x-mercury-space", "other"), ("authorization", "Bearer x")];
    let answer = post(&socket, "/api/capability/around/echo", &claims, &json!({ "room": "A3" })).await;
    assert_eq!((answer.status, &answer.body["code"]), (403, &json!("permission-missing")));
    pause_all(&host.instance(), false).await;
    host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "finished").await;
    host.send_message(&json!({ "text": "!sleep 60000", "callerId": BOSS, "messageId": "boss" }));
    host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "running").await;
    let own = mercury_tests::agent::socket(&host).await;
    let large = json!({ "room": "x".repeat(1 << 20) });
    let answer = post(&own, "/api/capability/around/echo", &[], &large).await;
    assert_eq!((answer.status, &answer.body["code"]), (400, &json!("invalid-json")), "{:#}", answer.body);
    assert!(answer.body["error"].as_str().unwrap().contains("more than 1048576 bytes"), "{:#}", answer.body);
    // What waits for its turn is not read: calls that are begun and never ended hold up their own run alone.
    let mut halves = Vec::new();
    for _ in 0..4 {
        let mut half = tokio::net::UnixStream::connect(&own).await.unwrap();
        let head = "POST /api/capability/around/echo HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
            content-length: 10\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut half, head.as_bytes()).await.unwrap();
        // Said when its body is asked for: it has its turn.
        let mut go_on = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut half, &mut go_on).await.unwrap();
        assert_eq!(go_on, *b"HTTP/1.1 100");
        halves.push(half);
    }
    let room = json!({ "room": "A3" });
    let mut fifth = std::pin::pin!(post(&own, "/api/capability/around/echo", &[], &room));
    assert!(tokio::time::timeout(std::time::Duration::from_secs(1), &mut fifth).await.is_err(), "it has its turn");
    halves.pop();
    assert_eq!(fifth.await.status, 200);
    drop(halves);
    for (action, status, code) in [("refuse", 409, "taken"), ("trap", 502, "failed")] {
        let answer = post(&own, &format!("/api/capability/around/{action}"), &[], &json!({})).await;
        assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{:#}", answer.body);
        assert!(!answer.body.to_string().contains("own words"), "{:#}", answer.body);
    }
}

/// A plugin is called as often as its manifest says, and a guard on such calls is asked before it.
#[tokio::test(flavor = "multi_thread")]
async fn calls_are_bounded_and_guarded() {
    let provides = "\"broker\", \"api-guard\"";
    let manifest = BROKER.replace("per-minute = 8", "per-minute = 2");
    let host = host_with(scripted(), provides, &manifest, "forbid: refuse").await;
    let (_, guarded) = call(&host, BOSS, "capability around refuse").await;
    assert_eq!(
        guarded,
        json!({ "error": "POST of around is forbidden", "code": "denied-by-guard", "retryable": false })
    );
    for _ in 0..2 {
        assert_eq!(call(&host, BOSS, "capability around notes").await.0, 0);
    }
    let (code, error) = call(&host, BOSS, "capability around notes").await;
    assert_eq!((code, &error["code"], &error["retryable"]), (1, &json!("rate-limited"), &json!(true)));
}

/// A file that a plugin made for the agent goes out with the reply, under both runtimes.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_an_answer_is_sent() {
    require_runsc().await;
    for runtime in ["runc", "runsc"] {
        let host = host_with(Setup::scripted(runtime), "\"broker\"", BROKER, "").await;
        let answer = say(&host, BOSS, "!mrctl capability around file ;; {\"name\":\"a.txt\"}").await;
        assert!(answer.reply().starts_with("0\n{\n  \"made\": true\n}\nattached: outbox/"), "{}", answer.reply());
        let files = answer.body["files"].as_array().unwrap();
        assert_eq!(files.len(), 1, "{files:?}");
        assert!(files[0]["filename"].as_str().unwrap().ends_with("a.txt"));
        assert_eq!(STANDARD.decode(files[0]["data"].as_str().unwrap()).unwrap(), b"made here");
    }
}

/// examples.md #52: an answer that is too long for a model is cut, and the whole is a file of the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_is_cut() {
    let manifest = format!("{BROKER}[[broker.actions]]\nname = \"large\"\n");
    let host = host_with(scripted(), "\"broker\"", &manifest, "").await;
    let answer = say(&host, BOSS, "!mrctl capability around large ;; {\"letters\":1000}").await;
    assert!(!answer.reply().contains("truncated") && answer.body["files"].as_array().unwrap().is_empty());
    let answer = say(&host, BOSS, "!mrctl capability around large ;; {\"letters\":131072}").await;
    let said = answer.reply();
    assert!(said.contains("\"truncated\": true") && said.contains("\"bytes\": 262146"), "{}", &said[..200]);
    assert!(said.len() < 40_000 && said.contains("attached: outbox/"), "{}", said.len());
    let file = STANDARD.decode(answer.body["files"][0]["data"].as_str().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<String>(&file).unwrap().chars().count(), 131_072);
}

/// permissions.md #2 #6: a plugin's permission is there while the plugin is, and said to the agent.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_brings_a_permission() {
    let manifest = BROKER.replace("permission = true", "permission = true\ndefault-roles = [\"member\"]");
    let host = host_with(scripted(), "\"broker\"", &manifest, "").await;
    let who: Value = serde_json::from_str(say(&host, "api:ada", "!whoami").await.reply()).unwrap();
    assert_eq!(who["permissions"].as_array().unwrap().last(), Some(&json!("around")));
    for (person, permission, expected) in
        [("api:ada", "around", true), ("api:ada", "stop", false), (BOSS, "stop", true), (BOSS, "absent", false)]
    {
        let arguments = json!({ "person": person, "permission": permission });
        let (_, answer) = call(&host, "api:ada", &format!("capability around may ;; {arguments}")).await;
        assert_eq!(answer, json!(expected), "{person} {permission}");
    }
    // What the space says of members reaches everything that the plugin has for agents.
    let without = json!({ "role": "member", "permissions": ["prompt", "media.send"] });
    let as_boss = [("x-mercury-caller", BOSS), ("x-mercury-space", "main"), ("content-type", "application/json")];
    let set = async |method: &str, body: Value| {
        let path = if method == "PUT" { "/api/permissions" } else { "/api/permissions?role=member" };
        let answer = host.request(method, path, &as_boss, Bytes::from(body.to_string())).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    set("PUT", without).await;
    assert_eq!(call(&host, "api:ada", "capability list").await.1, json!({ "capabilities": [] }));
    assert_eq!(call(&host, "api:ada", "capability around notes").await.1["code"], "permission-missing");
    let arguments = json!({ "person": "api:ada", "permission": "around" });
    assert_eq!(call(&host, BOSS, &format!("capability around may ;; {arguments}")).await.1, json!(false));
    set("DELETE", json!({})).await;
    let (_, said) = call(&host, "api:ada", "capability around history ;; {\"after\":0}").await;
    assert_eq!(said[0], "Author::Person: !whoami", "{said}");
    assert_eq!(said.as_array().unwrap().len(), 2, "a page");
}

/// extensions.md #14: a job never overlaps itself; its last run is kept, and what was missed is run once.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_one_at_a_time() {
    let manifest = "[kv]\nquota-bytes = 100000\n[limits]\ndeadline-ms = 10000\n[[jobs]]\nname = \"tick\"\nevery-s = 1\n\
        [[jobs]]\nname = \"broken\"\ncron = \"0 0 1 1 *\"\ntime-zone = \"UTC\"";
    let mut host = prepare(scripted(), "\"job\"", manifest, "job-takes-ms: 1500");
    host.start().await;
    let count =
        "SELECT CASE WHEN CAST(value AS TEXT) LIKE '%ends%ends%' THEN 'twice' END FROM plugin_kv WHERE key = 'jobs'";
    host.until(count, "twice").await;
    let lines: Vec<_> = notes(&host, "jobs").lines().map(str::to_owned).collect();
    for pair in lines.chunks(2).filter(|pair| pair.len() == 2) {
        assert_eq!(pair, ["tick begins", "tick ends"], "{lines:?}");
    }
    let jobs = get(&host, "/api/plugins/jobs").await.body;
    let [broken, tick] = [&jobs["jobs"][1], &jobs["jobs"][0]];
    assert_eq!((&tick["job"], &tick["timing"]), (&json!("tick"), &json!("every 1 s")), "{jobs:#}");
    assert_eq!((&broken["timing"], &broken["lastOutcome"]), (&json!("0 0 1 1 * (UTC)"), &Value::Null));
    assert!(broken["nextAt"].as_i64() > Some(1_700_000_000_000));
    let (ok, listed) = mercury(&host, &["plugins", "jobs"]).await;
    assert!(ok && listed.contains("around:tick  every 1 s"), "{listed}");

    // Long missed: once at the next start, and the failure is kept.
    host.kill();
    let db = rusqlite::Connection::open(host.data_dir().join("state.db")).unwrap();
    db.execute("INSERT INTO plugin_jobs (plugin, job, started_at) VALUES ('around', 'broken', 1)", []).unwrap();
    drop(db);
    host.start().await;
    let due = loop {
        let jobs = get(&host, "/api/plugins/jobs").await.body;
        let broken = &jobs["jobs"][1];
        if broken["lastOutcome"] == "failed" {
            // It was its turn already.
            return;
        }
        assert!(broken["lastOutcome"] == "interrupted" || broken["running"] == true, "{jobs:#}");
        if let Some(next) = broken["nextAt"].as_i64() {
            break next - now_ms();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!((-1_000..=61_000).contains(&due), "within a minute, not at New Year: {due}");
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// extensions.md W1: start, new spaces and shutdown are told, each once.
#[tokio::test(flavor = "multi_thread")]
async fn plugins_hear_of_the_hosts_life() {
    let manifest = "[kv]\nquota-bytes = 100000";
    let mut host = prepare(scripted(), "\"lifecycle\"", manifest, "");
    host.start().await;
    assert_eq!(notes(&host, "life"), "startup\nspace main\n");
    host.create_space("team");
    host.chat(json!({ "text": "!reply x", "spaceId": "team" })).await;
    // One that comes while the host runs is started like the others.
    install(&host, "later", "\"lifecycle\"", manifest);
    assert!(mercury(&host, &["plugins", "reload"]).await.0);
    let told = "SELECT CAST(value AS TEXT) FROM plugin_kv WHERE plugin = 'later' AND key = 'life'";
    assert_eq!(host.query::<String>(told).as_deref(), Some("startup\n"));
    host.terminate().await;
    assert_eq!(notes(&host, "life"), "startup\nspace main\nspace team\nshutdown\n");
    host.start().await;
    assert_eq!(notes(&host, "life"), "startup\nspace main\nspace team\nshutdown\nstartup\n");
}

/// container.md #60, pipeline.md #51 (as architecture.md has it): at its end the host tells every plugin, also where one
/// fails, hands the run at work over, and leaves a whole database.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_at_the_end_stops_nobody() {
    // Without a place to write to, every one of its notes fails.
    let mut host = prepare(scripted(), "\"lifecycle\"", "", "");
    install(&host, "other", "\"lifecycle\"", "[kv]\nquota-bytes = 100000");
    host.start().await;
    host.send("!sleep 60000", "main", "1");
    host.until("SELECT state FROM runs", "running").await;
    at_work(&host.instance(), 1).await;
    assert_eq!(host.terminate().await, Some(0), "the log:\n{}", host.log());
    assert!(host.log().contains("event=\"shutdown\""), "the log:\n{}", host.log());
    assert_eq!(notes(&host, "life"), "startup\nspace main\nshutdown\n");
    assert_eq!(
        host.query::<String>("SELECT state FROM runs").as_deref(),
        Some("running"),
        "the next start takes it up"
    );
    assert_eq!(host.query::<String>("PRAGMA integrity_check").as_deref(), Some("ok"));
}

/// extensions.md #26: panels are safe to show, and one that fails leaves a word in its place.
#[tokio::test(flavor = "multi_thread")]
async fn panels_are_sanitised() {
    let manifest =
        "[[widgets]]\nname = \"vault\"\nlabel = \"Vault\"\n[[widgets]]\nname = \"broken\"\nlabel = \"Broken\"";
    let host = host_with(scripted().set("MERCURY_API_SECRET", "s3cret"), "\"widget\"", manifest, "").await;
    assert_eq!(get(&host, "/api/plugins/widgets").await.status, 401);
    let bearer = [("authorization", "Bearer s3cret")];
    let path = "/api/plugins/widgets?space=main";
    let panels = host.request("GET", path, &bearer, Bytes::new()).await.unwrap().body["widgets"].clone();
    assert_eq!((&panels[0]["html"], &panels[0]["label"]), (&json!("<b>main</b>"), &json!("Vault")));
    assert!(panels[1]["html"].is_null() && panels[1]["problem"].is_string(), "{panels:#}");
    assert!(!panels.to_string().contains("own words"));
}

const VOICE: &str = "[agent]\npermission = false\n[kv]\nquota-bytes = 1000\n[broker]\nactions = [{ name = \"setting\" }]\n\
    [settings.provider]\ntype = \"choice\"\nchoices = [\"local\", \"openai\", \"gemini\", \"api\"]\ndefault = \"local\"\n\
    [settings.token]\nsecret = true\n";

/// extensions.md #12 #13, config.md #16: the space's value, the one for all, the configuration's, the default; and what
/// does not fit is refused wherever it is set.
#[tokio::test(flavor = "multi_thread")]
async fn settings_are_resolved_and_checked() {
    let host = host_with(scripted(), "\"broker\"", VOICE, "provider: openai").await;
    let value = async || call(&host, BOSS, "capability around setting ;; {\"key\":\"provider\"}").await.1;
    assert_eq!(value().await, "openai");
    let put = async |body: Value| send(&host, "PUT", "/api/config", body).await;
    let set = put(json!({ "key": "around.provider", "value": "gemini", "space": "@global" })).await;
    assert_eq!(set.status, 200, "{:#}", set.body);
    assert_eq!(value().await, "gemini");
    let (ok, shown) = mercury(&host, &["plugins", "settings", "around", "provider", "api", "--space", "main"]).await;
    assert!(ok && shown.contains("around.provider = api (space)"), "{shown}");
    assert_eq!(value().await, "api");

    for (body, status, word) in [
        (json!({ "key": "around.provider", "value": "x" }), 400, "not one of local, openai, gemini, api"),
        (json!({ "key": "around.provder", "value": "api" }), 400, "nearest is `around.provider`"),
        (json!({ "key": "around.provider", "value": "api", "space": "nowhere" }), 404, "no space"),
        (json!({ "key": "around.provider", "value": ["api"] }), 400, "text, a number or a flag"),
    ] {
        let answer = put(body).await;
        assert!(answer.status == status && answer.body["error"].as_str().unwrap().contains(word), "{:#}", answer.body);
    }
    put(json!({ "key": "around.token", "value": "hunter2" })).await;
    let listed = get(&host, "/api/config?space=main").await.body;
    assert_eq!(listed["config"]["around.provider"], "api");
    assert_eq!(listed["config"]["around.token"], "(set)", "a secret is not shown");

    for space in ["main", "@global"] {
        let path = format!("/api/config?key=around.provider&space={space}");
        assert_eq!(host.request("DELETE", &path, &[], Bytes::new()).await.unwrap().status, 200);
    }
    assert_eq!(value().await, "openai");
}

/// extensions.md #13: a value of the configuration that does not fit stops the start, with its key.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_refused_at_start() {
    let mut host = prepare(scripted(), "\"broker\"", VOICE, "provider: x");
    host.spawn();
    assert_ne!(host.ended().await, Some(0));
    let log = host.log();
    assert!(log.contains("plugins.around.settings.provider: `x` is not one of local, openai, gemini, api"), "{log}");
}

/// A task is an agent run of its own: silent, once for its id, as often as granted, with the plugin's own
/// permission and no other; its end is told until the plugin takes note, over a kill as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_asks_for_agent_runs() {
    let provides = "\"broker\", \"task-listener\", \"result-processor\"";
    let mut host = prepare(scripted(), provides, BROKER, "deaf: 1");
    host.start().await;
    let start = async |host: &Host, id: &str, prompt: &str| {
        let arguments = json!({ "id": id, "prompt": prompt });
        call(host, BOSS, &format!("capability around task ;; {arguments}")).await.1
    };
    assert_eq!(start(&host, "day-1", "!reply distilled").await, "Ok(())");
    assert_eq!(start(&host, "day-1", "!reply again").await, "Ok(())", "the same task");
    let told = "SELECT CAST(value AS TEXT) FROM plugin_kv WHERE key = 'tasks'";
    host.until(told, "day-1 in main: Ending::Finished(\"distilled\")\n").await;
    assert_eq!(notes(&host, "attempts"), "day-1\nday-1\n", "told until it took note");
    assert!(notes(&host, "results").contains("scheduled true, failure ``, prompt !reply distilled"));
    let said = "SELECT count(*) FROM messages WHERE content LIKE '%distilled%' AND role = 'assistant'";
    assert_eq!(host.query::<i64>(said), Some(0), "no conversation hears of it");

    assert_eq!(start(&host, "day-2", "!sleep 4000\n!whoami").await, "Ok(())");
    host.until("SELECT state FROM runs WHERE role = 'plugin:around' ORDER BY id DESC LIMIT 1", "running").await;
    at_work(&host.instance(), 1).await;
    host.kill();
    host.start().await;
    host.until("SELECT CAST(told AS TEXT) FROM plugin_tasks WHERE id = 'day-2'", "1").await;
    let ended = notes(&host, "tasks");
    assert!(ended.contains("day-2 in main") && ended.contains("plugin:around") && !ended.contains("prompt"), "{ended}");
    // Nobody is there who could be asked (examples.md 1.3).
    let (_, asked) = call(&host, BOSS, "capability around notes ;; {\"key\":\"tasks\"}").await;
    assert!(asked.as_str().unwrap().contains("distilled"), "{asked}");
    let busy = start(&host, "day-3", "x").await;
    assert!(busy.as_str().unwrap().contains("Busy"), "{busy}");
}

/// extensions.md #9 #10 #11, pipeline.md #42 (its files: a_file_of_an_answer_is_sent): processors are chained in the configured order; a failure is theirs to see,
/// and to change only with the grant.
#[tokio::test(flavor = "multi_thread")]
async fn processors_have_their_order_and_their_limits() {
    let yaml = "plugins:\n  order: [upper, exclaim]\n  upper: { settings: { replace: upper } }\n  exclaim: { settings: { replace: '! a' } }\n";
    let mut host = scripted().yaml(yaml).prepare();
    let manifest = "[kv]\nquota-bytes = 100000";
    install(&host, "exclaim", "\"result-processor\"", manifest);
    install(&host, "upper", "\"result-processor\"", manifest);
    host.start().await;
    assert_eq!(host.ask("!reply ok").await.reply(), "OK! a", "by name it would be `OK! A`");
    let stored: String = host.query("SELECT content FROM messages WHERE role = 'assistant'").unwrap();
    assert_eq!(stored, "OK! a");
    let failed = host.ask("!crash").await;
    assert!(failed.status >= 500 && !failed.body["reply"].as_str().unwrap().ends_with("! a"), "{:#}", failed.body);
    assert!(notes(&host, "results").contains("failure `error`"), "{}", notes(&host, "results"));

    let granted = format!("override-errors = true\n{manifest}");
    let host = host_with(scripted(), "\"result-processor\"", &granted, "replace: ' All fine.'").await;
    let answer = host.ask("!crash").await;
    assert!(answer.reply().ends_with(" All fine."), "{}", answer.reply());

    let host = host_with(scripted(), "\"result-processor\"", manifest, "replace: suppress").await;
    host.ask("!reply ok").await;
    assert_eq!(host.query::<String>("SELECT state FROM outbound").as_deref(), Some("suppressed"));
    assert_eq!(host.query::<i64>("SELECT count(*) FROM messages WHERE role = 'assistant'"), Some(0));
}

/// extensions.md #31 #32: skills of plugins whose needs a model meets, for callers with the permission,
/// beside the operator's own; and what is missing in the image is said.
#[tokio::test(flavor = "multi_thread")]
async fn skills_reach_the_agent() {
    let host = scripted().set("MERCURY_ADMINS", BOSS).set("MERCURY_MODEL_CAPABILITIES", "{\"tools\":true}").prepare();
    let agent = |more: &str| format!("[agent]\nskill = \"skill\"\n{more}");
    for (name, manifest) in [
        ("open", agent("")),
        ("guarded", agent("permission = true")),
        ("sighted", agent("requires = [\"vision\"]")),
        ("own", agent("")),
    ] {
        install(&host, name, "\"job\"", &manifest);
        let folder = host.data_dir().join("plugins").join(name).join("skill");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("SKILL.md"), format!("{name} of a plugin")).unwrap();
    }
    let own = host.data_dir().join("global/skills/own");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("SKILL.md"), "own of the operator").unwrap();
    let mut host = host;
    host.start().await;
    let skills = "!ls /home/mercury/.pi/agent/skills";
    assert_eq!(say(&host, "api:ada", skills).await.reply(), "open\nown");
    assert_eq!(say(&host, BOSS, skills).await.reply(), "guarded\nopen\nown");
    let read = |name: &str| format!("!cat /home/mercury/.pi/agent/skills/{name}/SKILL.md");
    assert_eq!(say(&host, "api:ada", &read("open")).await.reply(), "open of a plugin");
    assert_eq!(say(&host, "api:ada", &read("own")).await.reply(), "own of the operator");
    let log = host.log();
    assert!(log.contains("no model of the chain can do what it needs") && log.contains("sighted"), "{log}");
}

/// extensions.md #19 #20: without any setting, a program of a plugin is denied to whoever lacks its
/// permission, and is not there to be run.
#[tokio::test(flavor = "multi_thread")]
async fn programs_follow_the_permission() {
    require_runsc().await;
    for runtime in ["runc", "runsc"] {
        let mut host = Setup::scripted(runtime).set("MERCURY_ADMINS", BOSS).prepare();
        install(&host, "gws", "\"job\"", "[agent]\npermission = true\nclis = [{ name = \"gws\", bin = \"gws\" }]");
        std::fs::write(host.data_dir().join("plugins/gws/gws"), "#!/nowhere\n").unwrap();
        host.start().await;
        let mut answer = String::new();
        for _ in 0..200 {
            // The derived image is built in the background.
            answer = say(&host, BOSS, "!which gws").await.reply().to_owned();
            if answer != "nothing" {
                break;
            }
        }
        assert_eq!(answer, "/usr/local/bin/gws", "{}", host.log());
        assert_eq!(say(&host, "api:ada", "!which gws").await.reply(), "nothing");
        for command in ["gws;", "/usr/local/bin/gws x", "env A=1 gws x", "bash -c \"gws x\"", "x=gws; $x y"] {
            let told = say(&host, "api:ada", &format!("!tool bash {command}")).await;
            assert!(told.reply().starts_with("deny:"), "{command}: {}", told.reply());
            assert_eq!(say(&host, BOSS, &format!("!tool bash {command}")).await.reply(), "allow", "{command}");
        }
        assert_eq!(say(&host, "api:ada", "!tool bash echo gws").await.reply(), "allow");
    }
}
