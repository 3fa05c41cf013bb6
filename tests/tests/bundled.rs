//! The bundled plugins in the real engine, with the manifests that are carried.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::Arc};

use mercury::{
    clock,
    config::PluginConfig,
    media::{Folder, MediaStore},
    plugins::{
        BrokerError, Brokered, Compiler, Plugins, Prepared, Processed, Services,
        processor::{Failure, RunResult},
        run::Run,
        types::{Caller, Usage},
    },
    store::Store,
};
use serde_json::{Value, json};

/// Loaded plugins in a folder of their own.
struct Loaded {
    folder: tempfile::TempDir,
    plugins: Plugins,
    media: MediaStore,
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

    async fn load(self) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        let media = MediaStore::open(&folder.path().join("media"), clock::millis()).unwrap();
        let services = Services::new(Store::open(&folder.path().join("state.db")).unwrap())
            .with_media(media.clone())
            .with_admins(vec!["api:ada".into()]);
        let plugins = Plugins::load(folder.path(), &self.0, Compiler::InProcess, Arc::new(services)).await.unwrap();
        Loaded { folder, plugins, media }
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
        let processed = self.plugins.process(result, Vec::new()).await;
        let Processed::Deliver { reply, attachments, .. } = processed else { panic!("{processed:?}") };
        let mut sent = Vec::new();
        for (at, attachment) in attachments.iter().enumerate() {
            let path = self.folder.path().join(format!("sent-{at}"));
            attachment.take(&path).await.unwrap();
            let description = attachment.description();
            sent.push(Sent {
                name: description.file_name.clone().unwrap(),
                mime_type: description.mime_type.clone(),
                bytes: std::fs::read(path).unwrap(),
            });
        }
        (reply, sent)
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
        let outbox = Folder { workspace, name: "outbox", user: mercury::sandbox::AgentUser::current() };
        self.plugins.invoke(caller(person), "run", plugin, action, &arguments, outbox).await
    }
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
    assert_eq!(format!("{additions:?}"), format!("{:?}", mercury::domain::additions::Additions::default()));
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
