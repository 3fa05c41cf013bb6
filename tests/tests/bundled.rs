//! The bundled plugins in the real engine, with the manifests that are carried.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::Arc};

use mercury::{
    clock,
    config::{PluginConfig, StandIn},
    domain::{egress::Pattern, media::Kind},
    media::{Folder, Lent, MediaStore},
    plugins::{
        BrokerError, Brokered, Compiler, Keeping, Plugins, Prepared, Processed, Services,
        processor::{Failure, RunResult},
        run::Run,
        types::{Caller, Usage},
    },
    sandbox::AgentUser,
    store::Store,
};
use mercury_tests::speech::{KEY, Speech};
use serde_json::{Value, json};

/// Loaded plugins in a folder of their own.
struct Loaded {
    folder: tempfile::TempDir,
    plugins: Plugins,
}

/// Plugins that run, each with its settings; all others are switched off.
struct Wanted(BTreeMap<String, PluginConfig>);

impl Wanted {
    fn only(names: &[&str]) -> Self {
        let mut wanted = Self(BTreeMap::new());
        for name in ["permission-guard", "redact", "tidy-markdown", "rtl-marks"] {
            wanted.plugin(name).enabled = Some(false);
        }
        for name in names {
            wanted.plugin(name).enabled = Some(true);
        }
        wanted
    }

    fn plugin(&mut self, name: &str) -> &mut PluginConfig {
        self.0.entry(name.to_owned()).or_default()
    }

    fn set(mut self, name: &str, key: &str, value: &str) -> Self {
        self.plugin(name).settings.insert(key.to_owned(), value.to_owned());
        self
    }

    /// What goes to `host` goes to the fake.
    fn stand_in(mut self, name: &str, host: &str, fake: &Speech) -> Self {
        let stand_in =
            StandIn { host: host.into(), pattern: Pattern::parse(host).unwrap(), url: fake.url().parse().unwrap() };
        self.plugin(name).stand_ins.push(stand_in);
        self
    }

    async fn load(self) -> Loaded {
        self.load_with(|_| ()).await
    }

    /// With what `prepare` puts into the data directory.
    async fn load_with(self, prepare: impl FnOnce(&std::path::Path)) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let media = MediaStore::open(&folder.path().join("media"), clock::millis()).unwrap();
        let keys = [
            "MERCURY_STT_API_KEY",
            "MERCURY_STT_GEMINI_API_KEY",
            "MERCURY_HF_TOKEN",
            "MERCURY_GOOGLE_TTS_API_KEY",
            "MERCURY_AZURE_SPEECH_KEY",
        ];
        let services = Services::new(Store::open(&folder.path().join("state.db")).unwrap())
            .with_media(media)
            .with_secrets(keys.into_iter().map(|name| (name.to_owned(), KEY.to_owned().into())).collect())
            .with_admins(mercury::domain::admins::Admins::new(["api:ada"]));
        let plugins = Plugins::load(folder.path(), &self.0, Compiler::InProcess, Arc::new(services)).await.unwrap();
        Loaded { folder, plugins }
    }
}

fn caller(person: &str) -> Caller {
    let role = if person == "api:ada" { "admin" } else { "member" };
    Caller { person: person.into(), role: role.into(), space: "main".into(), conversation: None }
}

fn result(reply: &str) -> RunResult {
    RunResult {
        run: "run".into(),
        caller: caller("api:ada"),
        platform: "telegram".into(),
        prompt: "?".into(),
        scheduled: false,
        reply: reply.into(),
        failure: None,
        attachments: Vec::new(),
        usage: Some(Usage {
            input_tokens: 1_200,
            output_tokens: 87,
            cache_read_tokens: 0,
            cache_write_tokens: 0,
            cost_micro_usd: 12_345,
            model: None,
        }),
        duration_ms: 4_200,
    }
}

/// A file of an answer: its name, type and bytes.
#[derive(Debug, PartialEq)]
struct Sent {
    name: String,
    mime_type: String,
    bytes: Vec<u8>,
}

impl Loaded {
    async fn process(&self, result: RunResult) -> (String, Vec<Sent>) {
        self.process_into("sent", true, result).await
    }

    /// With files moved to the folder, where they may be sent.
    async fn process_into(&self, folder: &str, is_allowed: bool, result: RunResult) -> (String, Vec<Sent>) {
        let folder = self.folder.path().join(folder);
        let processed = self.plugins.process(result, Vec::new(), Keeping { folder: &folder, is_allowed }).await;
        let Processed::Deliver { reply, attachments, .. } = processed else { panic!("{processed:?}") };
        let sent = attachments.iter().map(|attachment| {
            let description = attachment.description();
            Sent {
                name: description.file_name.clone().unwrap(),
                mime_type: description.mime_type.clone(),
                bytes: std::fs::read(attachment.moved().unwrap()).unwrap(),
            }
        });
        (reply, sent.collect())
    }

    async fn invoke(
        &self,
        person: &str,
        plugin: &str,
        action: &str,
        arguments: Value,
    ) -> Result<Brokered, BrokerError> {
        let workspace = self.folder.path().join("space");
        std::fs::create_dir_all(workspace.join("outbox")).unwrap();
        let user = AgentUser { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        let outbox = Folder { workspace, name: "outbox", user };
        self.plugins.invoke(caller(person), "run", plugin, action, &arguments, outbox).await
    }
}

impl Loaded {
    /// What stands behind the prompt of a message with these voice notes.
    async fn transcript(&self, notes: &[&[u8]]) -> Option<String> {
        let lent = notes.iter().enumerate().map(|(at, sound)| {
            let path = self.folder.path().join(format!("note-{at}"));
            std::fs::write(&path, sound).unwrap();
            Lent::of_host(&path, Kind::Voice, "audio/ogg; codecs=opus".into(), Some(format!("{at}.ogg"))).unwrap()
        });
        let prepared = self.plugins.before_run(run("api:bob"), lent.collect()).await;
        let Prepared::Proceed(additions) = prepared else { panic!("{prepared:?}") };
        additions.prompt()
    }
}

fn transcribing(provider: &str, fake: &Speech) -> Wanted {
    let mut wanted = Wanted::only(&["voice-transcribe"]).set("voice-transcribe", "provider", provider);
    for host in ["api.openai.com", "generativelanguage.googleapis.com", "router.huggingface.co"] {
        wanted = wanted.stand_in("voice-transcribe", host, fake);
    }
    wanted
}

/// examples.md #44, #45: through the host's own client, with the key that the component never sees.
#[tokio::test(flavor = "multi_thread")]
async fn voice_notes_are_written_down_by_openai() {
    let fake = Speech::start().await;
    let loaded = transcribing("openai", &fake).set("voice-transcribe", "language", "he").load().await;
    assert_eq!(loaded.transcript(&[b" shalom "]).await.unwrap(), "[Voice transcript]\nshalom");
    let heard = fake.heard().pop().unwrap();
    assert_eq!((heard.service, heard.mime_type.as_str(), heard.file_name.as_str()), ("openai", "audio/ogg", "0.ogg"));
    assert_eq!(heard.sound, b" shalom ");
    let fields: BTreeMap<_, _> = heard.fields.into_iter().collect();
    let expected = [("model", "gpt-4o-mini-transcribe"), ("response_format", "json"), ("language", "he")];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());

    fake.fail([500, 500, 500]);
    assert_eq!(
        loaded.transcript(&[b"first", b"second"]).await.unwrap(),
        "[Voice transcript]\n1. (not transcribed: the speech provider had an error)\n2. second"
    );
    // A redirect is not followed (examples.md #47).
    fake.fail([302]);
    assert!(loaded.transcript(&[b"x"]).await.unwrap().contains("not transcribed"));
    fake.fail([429]);
    assert_eq!(loaded.transcript(&[b"again"]).await.unwrap(), "[Voice transcript]\nagain");
    assert_eq!(loaded.transcript(&[]).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn voice_notes_are_written_down_by_gemini_and_hugging_face() {
    let fake = Speech::start().await;
    let loaded = transcribing("gemini", &fake).load().await;
    // Larger than what one call reads.
    let long = "a ".repeat(2_500_000);
    assert_eq!(
        loaded.transcript(&[long.as_bytes()]).await.unwrap(),
        format!("[Voice transcript]\n{}", long[..64].trim())
    );
    let heard = fake.heard().pop().unwrap();
    assert_eq!((heard.service, heard.mime_type.as_str(), heard.sound.len()), ("gemini", "audio/ogg", long.len()));
    assert_eq!(heard.fields[0].1, "gemini-2.5-flash");
    // examples.md #46
    let said = loaded.transcript(&[&vec![b'x'; 15_000_000]]).await.unwrap();
    assert!(said.contains("too large") && fake.heard().len() == 1, "{said}");

    let loaded = transcribing("api", &fake).load().await;
    assert_eq!(loaded.transcript(&[b"hi"]).await.unwrap(), "[Voice transcript]\nhi");
    let heard = fake.heard().pop().unwrap();
    assert_eq!((heard.service, heard.mime_type.as_str()), ("hugging-face", "audio/ogg"));
    assert_eq!(heard.fields[0].1, "mike249/whisper-tiny-he-2");
}

fn speaking(mode: &str, provider: &str, fake: &Speech) -> Wanted {
    Wanted::only(&["voice-synth"])
        .set("voice-synth", "mode", mode)
        .set("voice-synth", "provider", provider)
        .set("voice-synth", "azure-region", "westeurope")
        .stand_in("voice-synth", "westeurope.tts.speech.microsoft.com", fake)
        .stand_in("voice-synth", "texttospeech.googleapis.com", fake)
}

/// examples.md #49
#[tokio::test(flavor = "multi_thread")]
async fn replies_are_read_aloud_for_whoever_may() {
    let fake = Speech::start().await;
    let loaded = speaking("auto", "azure", &fake).load().await;
    let (said, sent) = loaded.process(result("**Hi** [docs](https://x.y)")).await;
    assert_eq!(said, "**Hi** [docs](https://x.y)");
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (sent[0].name.as_str(), sent[0].bytes.as_slice()),
        ("mercury-tts-en.ogg", b"sound of Hi docs".as_slice())
    );
    assert!(sent[0].mime_type.starts_with("audio/ogg"), "{}", sent[0].mime_type);
    let elsewhere = RunResult { platform: "api".into(), ..result("שלום") };
    let (_, sent) = loaded.process(elsewhere).await;
    assert_eq!((sent[0].name.as_str(), sent[0].mime_type.as_str()), ("mercury-tts-he.mp3", "audio/mpeg"));
    assert_eq!(fake.heard()[1].fields[0].1, "he-IL-HilaNeural");

    let (said, sent) = loaded.process(RunResult { caller: caller("api:bob"), ..result("hi") }).await;
    assert_eq!((said.as_str(), sent.len()), ("hi", 0));
    let (_, sent) = loaded.process(RunResult { scheduled: true, ..result("hi") }).await;
    assert!(sent.is_empty() && fake.heard().len() == 2);
    fake.fail([500]);
    let (said, sent) = loaded.process(result("hi")).await;
    assert_eq!((said.as_str(), sent.len()), ("hi", 0), "the reply goes out as text");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_asks_for_sound() {
    let fake = Speech::start().await;
    let loaded = speaking("", "auto", &fake).load().await;
    let (_, sent) = loaded.process(result("hi")).await;
    assert!(sent.is_empty(), "nothing is read unasked");
    let spoken = loaded.invoke("api:ada", "voice-synth", "synthesize", json!({ "text": "hi" })).await.unwrap();
    assert_eq!(spoken.output["mimeType"], "audio/mpeg");
    let sound = std::fs::read(loaded.folder.path().join("space/outbox").join(&spoken.files[0])).unwrap();
    assert_eq!((sound.as_slice(), fake.heard()[0].service), (b"sound of hi".as_slice(), "google"));

    let refused = |person: &'static str, arguments| {
        let loaded = &loaded;
        async move { loaded.invoke(person, "voice-synth", "synthesize", arguments).await.unwrap_err() }
    };
    assert_eq!(refused("api:bob", json!({ "text": "hi" })).await.status(), 403);
    assert_eq!(refused("api:ada", json!({ "text": "" })).await.status(), 422);
    assert_eq!(refused("api:ada", json!({ "text": "🎉" })).await.status(), 400);
    fake.fail([503]);
    let failed = refused("api:ada", json!({ "text": "hi" })).await;
    assert_eq!((failed.status(), failed.code(), failed.retryable()), (502, "provider-failed", true));
}

fn run(person: &str) -> Run {
    Run { id: "run".into(), caller: caller(person), prompt: "hi".into(), attachments: Vec::new(), scheduled: false }
}

/// Secrets go first, so that no file and no other processor has them; marks go last.
#[tokio::test(flavor = "multi_thread")]
async fn the_processors_have_their_order() {
    let wanted = Wanted::only(&["redact", "tidy-markdown", "rtl-marks", "long-reply", "usage-footer"])
        .set("long-reply", "max-chars", "500")
        .set("long-reply", "keep-chars", "100");
    let loaded = wanted.load().await;
    let secret = format!("ghp_{}", "aB3dE6gH9j".repeat(4));
    let reply = format!("שלום  \n\n\n\n- token {secret}\n\n{}\n\n```\nopen", "ארוך מאוד. ".repeat(60));
    let (said, sent) = loaded.process(result(&reply)).await;
    assert!(said.starts_with("\u{200F}שלום\n\n- \u{200F}token [secret removed]"), "{said}");
    assert!(said.contains("\u{200F}התשובה המלאה בקובץ answer.md."), "{said}");
    assert!(said.ends_with("\n\n\u{200F}_1,200 tokens in, 87 out · $0.01 · 4.2 s_"), "{said}");
    let whole = String::from_utf8(sent[0].bytes.clone()).unwrap();
    assert_eq!((sent.len(), sent[0].name.as_str(), sent[0].mime_type.as_str()), (1, "answer.md", "text/markdown"));
    assert!(whole.ends_with("```\nopen\n```") && !whole.contains(&secret), "{whole}");
}

/// What cannot be sent as a file stays in the message, and no later processor is passed by.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_stays_whole_without_its_file() {
    let wanted = Wanted::only(&["redact", "long-reply", "usage-footer"]).set("long-reply", "max-chars", "500").set(
        "long-reply",
        "keep-chars",
        "100",
    );
    let loaded = wanted.load().await;
    std::fs::write(loaded.folder.path().join("file"), "").unwrap();
    let secret = format!("ghp_{}", "aB3dE6gH9j".repeat(4));
    let reply = format!("{}\n\ntoken {secret}, and the last words", "much of it ".repeat(60));
    // Who may be sent none; and a disk that takes none.
    for (folder, is_allowed) in [("none", false), ("file/none", true)] {
        let (said, sent) = loaded.process_into(folder, is_allowed, result(&reply)).await;
        assert!(said.contains("token [secret removed], and the last words\n\n_1,200 tokens in"), "{said}");
        assert!(!said.contains("answer.md") && !said.contains(&secret) && sent.is_empty(), "{said}");
    }
    let (said, sent) = loaded.process(result(&reply)).await;
    assert!(said.contains("answer.md") && !said.contains("the last words") && sent.len() == 1, "{said}");
}

/// Failures are left as the host words them.
#[tokio::test(flavor = "multi_thread")]
async fn failures_have_no_footer() {
    let loaded = Wanted::only(&["usage-footer", "long-reply"]).load().await;
    let failure = Some(Failure { reason: "error".into(), message: "x".into() });
    let (said, sent) = loaded.process(RunResult { failure, ..result("It failed.") }).await;
    assert_eq!((said.as_str(), sent.len()), ("It failed.", 0));
}

/// Only what an operator expects runs by itself, and what needs a plugin that is not there does not
/// run at all (examples.md #13).
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_by_itself() {
    let loaded = Wanted(BTreeMap::new()).load().await;
    let names: Vec<_> = loaded.plugins.loaded().iter().map(|plugin| plugin.name().to_owned()).collect();
    assert_eq!(names, ["permission-guard", "redact", "rtl-marks", "tidy-markdown"]);

    let loaded = Wanted::only(&["web-search"]).load().await;
    assert!(loaded.plugins.loaded().is_empty());
    let (name, reason) = &loaded.plugins.disabled()[0];
    assert!(name == "web-search" && reason.contains("`web-browser`"), "{reason}");
    let Prepared::Proceed(additions) = loaded.plugins.before_run(run("api:ada"), Vec::new()).await else { panic!() };
    assert_eq!((additions.system_prompt(), additions.prompt()), (None, None));
}

/// examples.md #1, #2
#[tokio::test(flavor = "multi_thread")]
async fn charts_are_drawn_for_whoever_may() {
    let loaded = Wanted::only(&["charts"]).load().await;
    let option = json!({"xAxis": {"type": "category", "data": ["a", "b"]}, "yAxis": {}, "series": [{"type": "bar", "data": [1, 2]}]});
    let drawn = loaded.invoke("api:bob", "charts", "render", json!({ "option": option })).await.unwrap();
    assert_eq!(drawn.output["mimeType"], "image/svg+xml");
    let svg = std::fs::read_to_string(loaded.folder.path().join("space/outbox").join(&drawn.files[0])).unwrap();
    assert!(svg.contains("width=\"800\" height=\"400\"") && drawn.files.len() == 1, "{svg}");

    let inline = json!({ "option": option.to_string(), "inline": true });
    let drawn = loaded.invoke("api:bob", "charts", "render", inline).await.unwrap();
    assert_eq!((drawn.output["svg"].as_str().unwrap(), drawn.files.len()), (svg.as_str(), 0));

    let refused =
        loaded.invoke("api:bob", "charts", "render", json!({ "option": option, "width": 5000 })).await.unwrap_err();
    assert_eq!((refused.status(), refused.code()), (422, "limit"));
    let schema = loaded.invoke("api:bob", "charts", "schema", json!({})).await.unwrap();
    assert_eq!(schema.output["types"], json!(["bar", "line", "pie", "scatter"]));
}

/// A bundled plugin as somebody would have it who agreed to nothing: without any grant of its manifest.
fn install_bare(folder: &std::path::Path, name: &str, component: &str) {
    const GRANTS: [&str; 10] =
        ["http", "secrets", "media", "kv", "history", "tasks", "folders", "messenger", "timers", "sockets"];
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/plugins").join(name);
    let place = folder.join("plugins").join(name);
    std::fs::create_dir_all(place.join("skill")).unwrap();
    let manifest = std::fs::read_to_string(source.join("plugin.toml")).unwrap();
    let mut granted = false;
    let mut bare = String::new();
    for line in manifest.lines().filter(|line| !line.starts_with("depends")) {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_start_matches('[');
            granted = GRANTS.iter().any(|grant| table.strip_prefix(grant).is_some_and(|rest| rest.starts_with(']')));
        }
        if !granted {
            bare.push_str(line);
            bare.push('\n');
        }
    }
    std::fs::write(place.join("plugin.toml"), bare).unwrap();
    for file in ["skill/SKILL.md", name] {
        let _ = std::fs::copy(source.join(file), place.join(file));
    }
    std::fs::copy(mercury_tests::plugins::fixture(component), place.join(format!("{component}.wasm"))).unwrap();
}

/// examples.md #51: whatever is denied, each loads, no hook blocks a run, and an action that needs what it
/// was not granted says so.
#[tokio::test(flavor = "multi_thread")]
async fn without_grants_nothing_blocks() {
    let all = [
        ("charts", "charts"),
        ("napkin", "napkin"),
        ("pdf", "pdf"),
        ("voice-synth", "voice_synth"),
        ("voice-transcribe", "voice_transcribe"),
        ("web-search", "web_search"),
    ];
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let wanted = Wanted::only(&names).set("voice-synth", "azure-region", "westeurope").set(
        "voice-transcribe",
        "provider",
        "openai",
    );
    let loaded =
        wanted.load_with(|folder| all.iter().for_each(|(name, component)| install_bare(folder, name, component))).await;
    let mut found: Vec<_> = loaded.plugins.loaded().iter().map(|plugin| plugin.name().to_owned()).collect();
    found.sort();
    assert_eq!(found, names, "{:?}", loaded.plugins.disabled());

    let said = loaded.transcript(&[b"sound"]).await;
    assert!(said.unwrap().contains("not transcribed"), "a run goes on, and it is said");
    for (plugin, action, arguments, code) in [
        ("charts", "render", json!({ "option": { "series": [{ "type": "pie", "data": [1] }] } }), "denied"),
        // A secret that it was not granted is one that is not set.
        ("voice-synth", "synthesize", json!({ "text": "hi" }), "not-configured"),
    ] {
        let refused = loaded.invoke("api:ada", plugin, action, arguments).await.unwrap_err();
        assert_eq!(refused.code(), code, "{plugin}: {refused}");
    }
    let (said, sent) = loaded.process(result("hi")).await;
    assert_eq!((said.as_str(), sent.len()), ("hi", 0));
}
