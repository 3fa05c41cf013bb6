//! The voice plugins as an operator has them: switched on, with a key, asked in a chat; and what is said
//! where the provider refuses, is overloaded, late, or answers with too much.
#![allow(clippy::unwrap_used)]

use base64::{Engine, engine::general_purpose::STANDARD};
use mercury_tests::{
    host::{Answer, Host, Setup},
    speech::{KEY, Speech},
};
use serde_json::{Value, json};

const BOSS: &str = "api:boss";

fn setup(fake: &Speech) -> Setup {
    let yaml = format!(
        "plugins:\n  voice-synth:\n    stand_ins: {{ westeurope.tts.speech.microsoft.com: \"{0}\", texttospeech.googleapis.com: \"{0}\" }}\n  \
         voice-transcribe:\n    stand_ins: {{ api.openai.com: \"{0}\", generativelanguage.googleapis.com: \"{0}\" }}\n",
        fake.url()
    );
    Setup::scripted("runc").set("MERCURY_ADMINS", BOSS).yaml(&yaml)
}

async fn say(host: &Host, text: &str) -> Answer {
    host.chat(json!({ "text": text, "callerId": BOSS })).await
}

/// Nobody reads the key: not the agent, not the person, not in the log.
fn is_kept_secret(host: &Host, said: &str) {
    assert!(!said.contains(KEY), "{said}");
    assert!(!host.log().contains(KEY), "{}", host.log());
}

/// cli.md, `tts synthesize`: the variables and the command of the replaced system, and nothing else, give the
/// agent its voice; what it made in the outbox goes out with the answer.
#[tokio::test(flavor = "multi_thread")]
async fn the_old_variables_and_the_old_command_speak() {
    let fake = Speech::start().await;
    let host = setup(&fake)
        .set("MERCURY_AZURE_SPEECH_KEY", KEY)
        .set("MERCURY_AZURE_SPEECH_REGION", "westeurope")
        .set("MERCURY_TTS_PROVIDER", "azure")
        .start()
        .await;
    let answer = say(&host, "!mrctl tts synthesize --text hello --out outbox/hello.mp3").await;
    assert_eq!(answer.reply(), "0\n\nwrote outbox/hello.mp3 (audio/mpeg, 14 bytes)", "{}", host.log());
    let files = answer.body["files"].as_array().unwrap();
    assert_eq!((files.len(), files[0]["filename"].as_str()), (1, Some("hello.mp3")), "{files:?}");
    assert_eq!(STANDARD.decode(files[0]["data"].as_str().unwrap()).unwrap(), b"sound of hello");

    let kept = say(&host, "!mrctl tts synthesize --text hello --language en-US --out notes/hello.mp3").await;
    assert!(kept.reply().starts_with("0\n"), "{}", kept.reply());
    assert!(kept.body["files"].as_array().unwrap().is_empty(), "it was not put into the outbox");
    assert!(host.data_dir().join("spaces/main/notes/hello.mp3").is_file());

    let heard = fake.heard().len();
    let outside = say(&host, "!mrctl tts synthesize --text hello --out /etc/x").await;
    assert!(
        outside.reply().starts_with("1\n") && outside.reply().contains("no place for a file"),
        "{}",
        outside.reply()
    );
    assert_eq!(fake.heard().len(), heard, "nothing is asked for");
    let member =
        host.chat(json!({ "text": "!mrctl tts synthesize --text x --out x.mp3", "callerId": "api:ada" })).await;
    assert!(member.reply().contains("403") && member.reply().contains("tts.synthesize"), "{}", member.reply());
    assert_eq!(say(&host, "!env AZURE_SPEECH_KEY").await.reply(), "(unset)");
    is_kept_secret(&host, outside.reply());
}

/// http-api.md #26: the same by the old route, whose answer has the sound in it.
#[tokio::test(flavor = "multi_thread")]
async fn the_old_route_speaks() {
    let fake = Speech::start().await;
    let ask = async |host: &Host, caller: &str, body: Value| {
        let headers = [("x-mercury-caller", caller), ("x-mercury-space", "main")];
        host.request("POST", "/api/tts/synthesize", &headers, body.to_string().into()).await.unwrap()
    };
    let off = setup(&fake).start().await;
    let answer = ask(&off, BOSS, json!({ "text": "hello" })).await;
    assert_eq!((answer.status, answer.code()), (503, "unknown-capability"), "{:#}", answer.body);
    drop(off);
    let silent = setup(&fake).yaml("").set("MERCURY_TTS_PROVIDER", "google").set("MERCURY_AZURE_SPEECH_KEY", KEY);
    let silent = silent.set("MERCURY_AZURE_SPEECH_REGION", "westeurope").start().await;
    let answer = ask(&silent, BOSS, json!({ "text": "hello" })).await;
    assert_eq!((answer.status, answer.code()), (503, "not-configured"), "{:#}", answer.body);
    drop(silent);
    let host = setup(&fake)
        .set("MERCURY_AZURE_SPEECH_KEY", KEY)
        .set("MERCURY_AZURE_SPEECH_REGION", "westeurope")
        .start()
        .await;
    for (body, language) in [
        (json!({ "text": "hello" }), "en"),
        (json!({ "text": "שלום" }), "he"),
        (json!({ "text": "hello", "language": "he-IL" }), "he"),
        (json!({ "text": "hello", "language": "en-US", "provider": "azure" }), "en"),
    ] {
        let answer = ask(&host, BOSS, body.clone()).await;
        let sound = STANDARD.decode(answer.body["dataBase64"].as_str().unwrap_or_default()).unwrap();
        let spoken = format!("sound of {}", body["text"].as_str().unwrap());
        assert_eq!(String::from_utf8_lossy(&sound), spoken, "{body}: {:#}", answer.body);
        assert_eq!(answer.body["filename"], format!("mercury-tts-{language}.mp3"), "{body}");
        assert_eq!((&answer.body["mimeType"], &answer.body["sizeBytes"]), (&json!("audio/mpeg"), &json!(sound.len())));
    }
    let outbox = host.data_dir().join("spaces/main/outbox");
    assert!(std::fs::read_dir(outbox).map_or(true, |mut files| files.next().is_none()), "nothing is sent as well");
    let heard = fake.heard().len();
    for body in [
        json!({ "text": "" }),
        json!({ "text": " \n" }),
        json!({}),
        json!({ "text": "x".repeat(10_001) }),
        json!({ "text": "hello", "language": "fr-FR" }),
        json!({ "text": "hello", "provider": "somebody" }),
        json!({ "text": "hello", "voice": "deep" }),
    ] {
        assert_eq!(ask(&host, BOSS, body.clone()).await.status, 400, "{}", body.to_string().len());
    }
    let member = ask(&host, "api:ada", json!({ "text": "hello" })).await;
    assert_eq!(member.body["error"], "Forbidden: requires 'tts.synthesize' permission");
    assert_eq!(fake.heard().len(), heard, "nothing of it was asked for, and paid");
    fake.fail([418]);
    assert_eq!(ask(&host, BOSS, json!({ "text": "hello" })).await.status, 502);
    is_kept_secret(&host, &answer.body.to_string());
}

/// Without any of it the agent is told what the operator has to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_voice_that_is_off_says_so() {
    let fake = Speech::start().await;
    let host = setup(&fake).start().await;
    let off = say(&host, "!mrctl tts synthesize --text hello --out outbox/hello.mp3").await;
    assert!(
        off.reply().starts_with("1\n") && off.reply().contains("plugins.voice-synth.enabled: true"),
        "{}",
        off.reply()
    );
}

/// Each fault of the provider: clear words, whether to try again, and no key.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_is_explained() {
    let fake = Speech::start().await;
    for (provider, key, variable) in [
        ("azure", "MERCURY_AZURE_SPEECH_KEY", "MERCURY_AZURE_SPEECH_KEY"),
        ("google", "MERCURY_GOOGLE_TTS_API_KEY", "MERCURY_GOOGLE_TTS_API_KEY"),
    ] {
        let host = setup(&fake)
            .set(key, KEY)
            .set("MERCURY_AZURE_SPEECH_KEY", KEY)
            .set("MERCURY_AZURE_SPEECH_REGION", "westeurope")
            .set("MERCURY_TTS_PROVIDER", provider)
            .start()
            .await;
        let speak = "!mrctl capability voice-synth synthesize ;; {\"text\":\"hi\"}";
        for (status, words, retryable) in [
            (401, variable, false),
            (403, variable, false),
            (429, "quota", true),
            (500, "status 500", true),
            (418, "418", false),
        ] {
            fake.fail([status]);
            let answer = say(&host, speak).await;
            let (code, error) = answer.reply().split_once('\n').unwrap();
            let error: Value = serde_json::from_str(error).unwrap();
            assert_eq!(
                (code, &error["code"], &error["retryable"]),
                ("1", &json!("provider-failed"), &json!(retryable))
            );
            assert!(error["error"].as_str().unwrap().contains(words), "{provider} {status}: {error}");
            is_kept_secret(&host, answer.reply());
        }
        assert!(say(&host, speak).await.reply().starts_with("0\n"), "it works again");
    }
}

async fn hear(host: &Host, sound: &[u8]) -> String {
    let note = json!({ "name": "note.ogg", "data": STANDARD.encode(sound), "mimeType": "audio/ogg" });
    let answer = host.chat(json!({ "text": "listen", "callerId": BOSS, "files": [note] })).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    host.query("SELECT content FROM messages WHERE role = 'user' ORDER BY id DESC LIMIT 1").unwrap()
}

/// A voice message in a chat, written down for the agent; and what stands there where that failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_voice_message_is_written_down_or_said_not_to_be() {
    let fake = Speech::start().await;
    for (provider, key) in [("openai", "MERCURY_STT_API_KEY"), ("gemini", "MERCURY_STT_GEMINI_API_KEY")] {
        let enabled = format!("    enabled: true\n    settings: {{ provider: {provider} }}\n");
        let host = setup(&fake).yaml(&enabled).set(key, KEY).start().await;
        assert_eq!(hear(&host, b"shalom").await, "listen\n\n[Voice transcript]\nshalom", "{}", host.log());
        for (faults, words) in [
            (&[401][..], "does not take the key"),
            (&[403], "does not take the key"),
            (&[429, 429, 429], "overloaded"),
            (&[500, 502, 503], "had an error"),
            (&[400], "refused it"),
        ] {
            fake.fail(faults.iter().copied());
            let said = hear(&host, b"x").await;
            assert!(said.contains("(not transcribed: ") && said.contains(words), "{provider}: {said}");
            is_kept_secret(&host, &said);
        }
        assert_eq!(say(&host, &format!("!env {}", key.trim_start_matches("MERCURY_"))).await.reply(), "(unset)");
    }
    let host = setup(&fake).yaml("    enabled: true\n").start().await;
    assert!(hear(&host, b"x").await.contains("no key"), "without one it says so");
}
