//! Recordings of the built-in components, in the real engine.

use std::{path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::*;
use crate::{
    config::PluginConfig,
    plugins::{
        Compiler, Consultation, Manifest, Plugins, Services, capabilities::credentials::Redactor, types::Caller,
    },
    store::Store,
};

/// The folder of a built-in plugin, as an author has it.
fn folder_of(name: &str, manifest: impl Fn(&str) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let component = mercury_carried::COMPONENTS.iter().find(|component| component.name == name).unwrap();
    std::fs::write(folder.path().join("plugin.toml"), manifest(component.manifest)).unwrap();
    let file = Manifest::parse(Path::new("plugin.toml"), component.manifest).unwrap().component;
    std::fs::write(folder.path().join(file), component.wasm).unwrap();
    folder
}

async fn player(folder: &Path) -> Player {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || Player::load(&folder, None)).await.unwrap().unwrap()
}

fn redaction() -> Value {
    json!({
        "interface": "result-processor",
        "function": "process",
        "settings": { "host-paths": "/srv/mercury" },
        "arguments": [{
            "run": "r1",
            "caller": { "person": "api:ada", "role": "member", "space": "main" },
            "platform": "api",
            "prompt": "Where?",
            "scheduled": false,
            "reply": "See /srv/mercury/x.\nThat is all.",
            "attachments": [],
            "duration-ms": 5,
        }],
        "expected": { "ok": { "deliver": { "reply": "See [path removed].\nThat is all.", "attachments": [] } } },
    })
}

async fn verdict(player: &Player, recording: &Value) -> Verdict {
    player.play(&serde_json::from_value(recording.clone()).unwrap()).await.unwrap().verdict
}

/// Results are compared by their types; what differs is said by its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_recording_passes_or_says_where_it_differs() {
    let folder = folder_of("redact", str::to_owned);
    let player = player(folder.path()).await;
    let mut recording = redaction();
    let Verdict::Differs { actual, .. } = verdict(&player, &{
        let mut other = recording.clone();
        other["expected"]["ok"]["deliver"]["reply"] = json!("See nothing.\nThat is all.");
        other
    })
    .await
    else {
        panic!("another reply was expected");
    };
    let reply = actual["ok"]["deliver"]["reply"].as_str().unwrap().to_owned();
    assert!(!reply.contains("/srv/mercury"), "{reply}");
    recording["expected"]["ok"]["deliver"]["reply"] = json!(reply);
    assert_eq!(verdict(&player, &recording).await, Verdict::Passed);

    recording.as_object_mut().unwrap().remove("expected");
    assert!(matches!(verdict(&player, &recording).await, Verdict::Unknown { .. }));
}

/// What does not fit the contract is refused with its place, before anything is called.
#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_does_not_fit_says_why() {
    let folder = folder_of("redact", str::to_owned);
    let player = player(folder.path()).await;
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut recording = redaction();
        change(&mut recording);
        recording
    };
    type Change<'a> = &'a dyn Fn(&mut Value);
    let cases: [(Change<'_>, &str); 8] = [
        (&|r| r["interface"] = json!("broker"), "the manifest does not provide `broker`"),
        (&|r| r["function"] = json!("proces"), "result-processor has no function `proces`"),
        (&|r| r["arguments"] = json!([]), "arguments: process takes 1 (run-result), the recording has 0"),
        (
            &|r| r["arguments"][0]["caller"]["role"] = json!(3),
            "run-result.caller.role: a string is expected, 3 is there",
        ),
        (
            &|r| r["arguments"][0]["caller"]["rolle"] = json!("x"),
            "run-result.caller: there is no field `rolle`; it has person, role, space, conversation",
        ),
        (
            &|r| r["arguments"][0]["duration-ms"] = json!(-1),
            "run-result.duration-ms: a whole number from 0 to 18446744073709551615 is expected, -1 is there",
        ),
        (
            &|r| r["expected"] = json!({ "ok": "sing" }),
            "expected.ok: there is no case `sing`; it has deliver, suppress",
        ),
        (
            &|r| r["traffic"] = json!([{ "call": "http.post", "arguments": [], "answer": null }]),
            "traffic: the component does not import `http.post`",
        ),
    ];
    for (change, expected) in cases {
        let Verdict::Failed { message } = verdict(&player, &broken(change)).await else { panic!("{expected}") };
        assert_eq!(message, expected);
    }
}

/// Recorded answers stand in for the host's; a question that was not recorded fails, and so does an
/// answer that nobody asked for.
#[tokio::test(flavor = "multi_thread")]
async fn traffic_answers_for_the_host() {
    let folder = folder_of("redact", str::to_owned);
    let player = player(folder.path()).await;
    let mut recording = redaction();
    recording.as_object_mut().unwrap().remove("settings");
    recording["expected"]["ok"]["deliver"]["reply"] = json!("See /srv/mercury/x.\nThat is all.");
    let setting = |key: &str| json!({ "call": "settings.get", "arguments": [key, "main"], "answer": "/elsewhere" });

    recording["traffic"] = json!([setting("host-paths")]);
    assert_eq!(verdict(&player, &recording).await, Verdict::Passed);

    recording["traffic"] = json!([setting("paths")]);
    let Verdict::Failed { message } = verdict(&player, &recording).await else { panic!("it asked something else") };
    assert_eq!(
        message,
        "it called settings.get with other arguments than recorded:\n  key: expected \"paths\", got \"host-paths\""
    );

    recording["traffic"] = json!([setting("host-paths"), setting("more")]);
    let Verdict::Failed { message } = verdict(&player, &recording).await else { panic!("one answer is left") };
    assert_eq!(message, "it did not call settings.get, which is in the recording, with [\"more\",\"main\"]");
}

/// The limits of the manifest hold as in the host.
#[tokio::test(flavor = "multi_thread")]
async fn limits_hold() {
    let folder = folder_of("redact", |manifest| manifest.replace("memory-mib = 64", "memory-mib = 1"));
    let player = player(folder.path()).await;
    let mut recording = redaction();
    recording["arguments"][0]["reply"] = json!("word ".repeat(1 << 20));
    let Verdict::Failed { message } = verdict(&player, &recording).await else { panic!("it had more memory") };
    assert!(message.contains("trap") || message.contains("memory"), "{message}");
}

fn caller() -> Caller {
    Caller { person: "api:ada".into(), role: "member".into(), space: "main".into(), conversation: None }
}

/// What a running host writes down is played with the same outcome; nothing is written unasked, nor
/// beyond what was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn recorded_calls_play_again() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::open(&data.path().join("state.db")).unwrap();
    let mut settings = PluginConfig::default();
    settings.settings.insert("denied-clis".into(), "gws".into());
    let on = PluginConfig { enabled: Some(true), ..PluginConfig::default() };
    let configured = [("permission-guard".to_owned(), settings), ("telegram".to_owned(), on)].into();
    // Another plugin's: what a person writes may hold any.
    let secrets = [("MERCURY_TELEGRAM_BOT_TOKEN".to_owned(), CANARY.to_owned().into())].into();
    let services = Arc::new(Services::new(store).with_secrets(secrets));
    let plugins = Plugins::load(data.path(), &configured, Compiler::InProcess, services).await.unwrap();
    let ask = async |command: &str| {
        let arguments = json!({ "command": command }).to_string();
        plugins.consult(&caller(), "bash", &arguments, &Consultation::default()).await
    };

    ask("gws before").await;
    let mut running = plugins.record("permission-guard", 2).unwrap();
    assert!(matches!(plugins.record("permission-guard", 1), Err(Some(RecordingError::Running { .. }))));
    assert!(matches!(plugins.record("nobody", 1), Err(None)));
    ask(&format!("gws mail {CANARY}")).await;
    ask("ls").await;
    ask("gws after").await;
    let (first, second) = (running.next().await.unwrap(), running.next().await.unwrap());
    assert_eq!(running.next().await, None, "two were asked for");
    drop(running);
    drop(plugins.record("permission-guard", 1).unwrap());

    assert_eq!((first.interface.as_str(), first.function.as_str()), ("tool-guard", "check"));
    assert!(first.arguments[2].as_str().unwrap().contains("gws mail [secret]"), "{:?}", first.arguments);
    assert!(first.expected.as_ref().unwrap()["deny"].is_string() && second.expected == Some(json!("allow")));
    assert!(first.traffic.iter().any(|exchange| exchange.call == "settings.get"));

    let folder = folder_of("permission-guard", str::to_owned);
    let player = player(folder.path()).await;
    for recording in [first, second] {
        assert_eq!(player.play(&recording).await.unwrap().verdict, Verdict::Passed);
    }
}

const CANARY: &str = "canary/4f1c 9d20+77";

/// No secret stands in a recording, however it is spelled: not in what came in, not in what the
/// component asked or was told, not in what it answered.
#[tokio::test]
async fn secrets_are_taken_out() {
    let recorders = Arc::new(Recorders::default());
    let of_another = Redactor::new(["the-other-plugins-own"].into_iter());
    let mut running = recorders.start("p", 2, vec![of_another]).unwrap();
    let manifest = "name = \"p\"\nversion = \"1.0.0\"\ncomponent = \"p.wasm\"\nprovides = [\"broker\"]\n\
                    [settings.pin]\ndefault = \"\"\nsecret = true\n[settings.word]\ndefault = \"\"\n";
    let manifest = Manifest::parse(Path::new("plugin.toml"), manifest).unwrap();
    let begin = |arguments: &str| {
        let tape = recorders.tape("p", crate::plugins::Interface::Webhook, "handle", &(arguments, "hello"));
        tape.unwrap().without(Redactor::new([CANARY].into_iter()), &manifest)
    };
    let mut tape = begin(&format!("guess {CANARY}? or the-other-plugins-own"));
    let headers = json!([["x-token", CANARY], ["authorization", format!("Basic {}", STANDARD.encode(CANARY))]]);
    tape.note("credentials", "matches", json!(["token", CANARY]), &Ok::<_, ()>(true));
    tape.note("http", "fetch", json!([{ "headers": headers, CANARY: "canary%2F4f1c%209d20%2B77" }]), &"ok");
    let bytes = [&[0xff, 0x00], CANARY.as_bytes()].concat();
    tape.note("kv", "get", json!([{ "base64": STANDARD.encode(&bytes) }]), &"canary%2f4f1c+9d20%2b77");
    tape.note("settings", "get", json!(["pin", null]), &"4711-0815");
    tape.note("settings", "get", json!(["word", null]), &"plain");
    tape.finish(&format!("{CANARY} is right, and so is 4711-0815"));
    let recording = running.next().await.unwrap();
    let written = serde_json::to_string(&recording).unwrap();
    for piece in ["4f1c", "4711", "other-plugins", &STANDARD.encode(CANARY)[..20], &STANDARD.encode(&bytes)] {
        assert!(!written.contains(piece), "{piece} in {written}");
    }
    assert_eq!(recording.arguments[0], "guess [secret]? or [secret]");
    assert_eq!(
        recording.traffic[2].arguments[0]["base64"],
        STANDARD.encode([&[0xff, 0x00], &b"[secret]"[..]].concat())
    );
    assert_eq!((&recording.traffic[3].answer, &recording.traffic[4].answer), (&json!("[secret]"), &json!("plain")));
    assert_eq!(recording.expected, Some(json!("[secret] is right, and so is [secret]")));

    // A wrong guess is no secret, and a call that ends without a result is kept without one.
    let mut tape = begin("guess again");
    tape.note("credentials", "matches", json!(["token", "guess"]), &Ok::<_, ()>(false));
    drop(tape);
    let recording = running.next().await.unwrap();
    assert_eq!((recording.expected, &recording.traffic[0].arguments[1]), (None, &json!("guess")));
}

/// `telegram` says that the assistant is typing: one request with the bot's token in its path.
fn typing(answer: Value, expected: Value) -> Value {
    json!({
        "interface": "presence",
        "function": "indicate",
        "arguments": ["telegram:42", null, "thinking"],
        "traffic": [{
            "call": "http.fetch",
            "arguments": [{
                "method": "POST",
                "uri": "https://api.telegram.org/TOKEN/sendChatAction",
                "headers": [["content-type", "application/json"]],
                "credentials": [{ "secret": "bot-token", "place": { "path-segment": ["TOKEN", "bot"] } }],
                "body": { "content": { "text": r#"{"action":"typing","chat_id":42,"message_thread_id":null}"# } },
                "timeout-ms": 30000,
            }],
            "answer": answer,
        }],
        "expected": expected,
    })
}

/// A request beyond the manifest fails here as it would in a host, whatever its recording answers.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_manifest_does_not_grant_fails() {
    let answered =
        json!({ "ok": { "status": 200, "headers": [], "body": { "text": r#"{"ok":true,"result":true}"# } } });
    let recording = typing(answered, json!({ "ok": null }));
    let other = r#"hosts = ["api.example.com"]"#;
    let both = r#"hosts = ["api.telegram.org", "api.example.com"]"#;
    let (host, paths) = (r#"hosts = ["api.telegram.org"]"#, r#"paths = ["/bot*/*", "/file/bot*/**"]"#);
    type Change<'a> = &'a dyn Fn(&str) -> String;
    let cases: [(Change<'_>, &str); 6] = [
        (&|manifest| manifest.to_owned(), ""),
        (
            &|manifest| manifest.replace(host, other),
            "it called http.fetch, which the host refuses: http: api.telegram.org is not granted; add hosts = [\"api.telegram.org\"] under [[http]] of plugin.toml",
        ),
        (
            &|manifest| manifest.replace(r#"methods = ["GET", "POST"]"#, r#"methods = ["GET"]"#),
            "it called http.fetch, which the host refuses: http: POST of api.telegram.org is not granted; add methods = [\"POST\"] under the [[http]] of api.telegram.org in plugin.toml",
        ),
        (
            &|manifest| manifest.replace(paths, r#"paths = ["/bot*/getMe"]"#),
            "it called http.fetch, which the host refuses: http: the path /botSECRET/sendChatAction of api.telegram.org is not granted; add paths = [\"/botSECRET/sendChatAction\"] under the [[http]] of api.telegram.org in plugin.toml",
        ),
        (
            &|manifest| manifest.replacen(host, both, 1).replace(host, other),
            "it called http.fetch, which the host refuses: credentials: the secret `bot-token` is not bound to api.telegram.org; add hosts = [\"api.telegram.org\"] under its [[secrets]] in plugin.toml",
        ),
        (
            &|manifest| {
                let (before, rest) = manifest.split_once("[[http]]").unwrap();
                format!("{before}{}", &rest[rest.find("[settings").unwrap()..])
            },
            "traffic: the host refuses http.fetch: http needs [[http]], which plugin.toml does not have",
        ),
    ];
    for (change, expected) in cases {
        let folder = folder_of("telegram", change);
        let player = player(folder.path()).await;
        match verdict(&player, &recording).await {
            Verdict::Passed => assert_eq!(expected, ""),
            Verdict::Failed { message } => assert_eq!(message, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }

    // That it copes with a refusal can be shown: by a recorded one, and by leaving the request out.
    let folder = folder_of("telegram", |manifest| manifest.replace(host, other));
    let player = player(folder.path()).await;
    let refused = json!({ "err": { "kind": { "denied": "no" }, "message": "no", "request-sent": false } });
    assert_eq!(verdict(&player, &typing(refused, json!({ "err": "no" }))).await, Verdict::Passed);
    let mut recording = typing(Value::Null, Value::Null);
    recording["traffic"] = json!([]);
    recording.as_object_mut().unwrap().remove("expected");
    let played = player.play(&serde_json::from_value(recording).unwrap()).await.unwrap();
    let Verdict::Unknown { actual } = played.verdict else { panic!("{:?}", played.verdict) };
    assert!(actual["err"].as_str().unwrap().contains("api.telegram.org is not granted"), "{actual}");
    assert!(played.log.iter().any(|line| line.starts_with("refused by the host: http:")), "{:?}", played.log);
}
