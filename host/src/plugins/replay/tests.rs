//! Recordings of the built-in components, in the real engine.

use std::{path::Path, sync::Arc};

use serde_json::{Value, json};

use super::*;
use crate::{
    config::PluginConfig,
    plugins::{Compiler, Consultation, Plugins, Services, types::Caller},
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

use crate::plugins::Manifest;

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
    let configured = [("permission-guard".to_owned(), settings)].into();
    let plugins =
        Plugins::load(data.path(), &configured, Compiler::InProcess, Arc::new(Services::new(store))).await.unwrap();
    let ask = async |command: &str| {
        let arguments = json!({ "command": command }).to_string();
        plugins.consult(&caller(), "bash", &arguments, &Consultation::default()).await
    };

    ask("gws before").await;
    let mut running = plugins.record("permission-guard", 2).unwrap();
    assert!(matches!(plugins.record("permission-guard", 1), Err(Some(RecordingError::Running { .. }))));
    assert!(matches!(plugins.record("nobody", 1), Err(None)));
    ask("gws mail").await;
    ask("ls").await;
    ask("gws after").await;
    let (first, second) = (running.next().await.unwrap(), running.next().await.unwrap());
    assert_eq!(running.next().await, None, "two were asked for");
    drop(running);
    drop(plugins.record("permission-guard", 1).unwrap());

    assert_eq!((first.interface.as_str(), first.function.as_str()), ("tool-guard", "check"));
    assert!(first.arguments[2].as_str().unwrap().contains("gws mail"));
    assert!(first.expected.as_ref().unwrap()["deny"].is_string() && second.expected == Some(json!("allow")));
    assert!(first.traffic.iter().any(|exchange| exchange.call == "settings.get"));

    let folder = folder_of("permission-guard", str::to_owned);
    let player = player(folder.path()).await;
    for recording in [first, second] {
        assert_eq!(player.play(&recording).await.unwrap().verdict, Verdict::Passed);
    }
}

/// A text that was compared with a secret and was it stands nowhere in the recording.
#[tokio::test]
async fn secrets_are_taken_out() {
    let recorders = Arc::new(Recorders::default());
    let mut running = recorders.start("p", 2).unwrap();
    let begin = || {
        let headers = vec![("x-token".to_owned(), "s3cret-token".to_owned())];
        recorders.tape("p", crate::plugins::Interface::Webhook, "handle", &(headers, "guess s3cret-token?")).unwrap()
    };
    let mut tape = begin();
    tape.note("credentials", "matches", json!(["webhook-token", "s3cret-token"]), &Ok::<_, ()>(true));
    tape.finish(&"s3cret-token is right");
    let written = serde_json::to_string(&running.next().await.unwrap()).unwrap();
    assert!(!written.contains("s3cret-token"), "{written}");
    assert!(written.contains("[secret removed]?"));

    // A wrong guess is no secret, and a call that ends without a result is kept without one.
    let mut tape = begin();
    tape.note("credentials", "matches", json!(["webhook-token", "guess"]), &Ok::<_, ()>(false));
    drop(tape);
    let recording = running.next().await.unwrap();
    assert_eq!(recording.expected, None);
    assert!(serde_json::to_string(&recording).unwrap().contains("guess s3cret-token?"));
}
