//! The main job with the real agent: a message in, the answer and its files out.
#![allow(clippy::unwrap_used)]

use base64::{Engine, engine::general_purpose::STANDARD};
use mercury_tests::{
    docker::{CANARY, require_runsc},
    full_image,
    host::Setup,
    model::{Model, Turn},
    telegram::{self, Telegram, hosted},
};

async fn real_pi(runtime: &str) {
    let command = "mrctl whoami > outbox/who.json && printf secret > .hidden && echo done";
    let model = Model::start([Turn::Bash(command.into()), Turn::Text("All **done**.".into())]).await;
    let endpoints = format!("{{\"anthropic\":\"{}\"}}", model.url());
    let host = Setup::with_image(runtime, &full_image()).set("MERCURY_MODEL_ENDPOINTS", &endpoints).start().await;

    let answer =
        host.chat(serde_json::json!({ "text": "Who am I?", "callerId": "api:ada", "authorName": "Ada" })).await;
    assert_eq!(answer.reply(), "All **done**.", "{:#}", answer.body);
    let files = answer.body["files"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(files[0]["filename"], "who.json");
    assert_eq!(files[0]["mimeType"], "application/json");
    let content = STANDARD.decode(files[0]["data"].as_str().unwrap()).unwrap();
    let who: serde_json::Value = serde_json::from_slice(&content).unwrap();
    assert_eq!(
        (&who["callerId"], &who["spaceId"], &who["role"]),
        (&"api:ada".into(), &"main".into(), &"member".into())
    );

    // The model got the operator's key and the person's words.
    assert!(model.keys().iter().all(|key| key == CANARY), "the host put the credential in");
    let asked = model.requests()[0].to_string();
    assert!(asked.contains("Who am I?") && asked.contains("api:ada"));
    assert!(!asked.contains(CANARY));
    let stages = answer.body["run"]["stages"].as_array().unwrap();
    let names: Vec<_> = stages.iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "accept",
            "guard",
            "queue",
            "prepare",
            "create",
            "start",
            "agent start",
            "agent",
            "result noticed",
            "process",
            "deliver"
        ]
    );

    // The next message knows the conversation.
    host.chat(serde_json::json!({ "text": "And before?", "callerId": "api:ada" })).await;
    assert!(model.requests().last().unwrap().to_string().contains("Who am I?"));
}

#[tokio::test(flavor = "multi_thread")]
async fn under_runc() {
    real_pi("runc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_runsc() {
    require_runsc().await;
    real_pi("runsc").await;
}

/// A model that fails is reported in plain words, with a fitting status, and within seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_model_is_reported() {
    for (status, code) in [(401, "model_auth"), (500, "model_unavailable")] {
        let model = Model::start([Turn::Error(status, "the fake refuses".into())]).await;
        let endpoints = format!("{{\"anthropic\":\"{}\"}}", model.url());
        let host = Setup::with_image("runc", &full_image())
            .set("MERCURY_MODEL_ENDPOINTS", &endpoints)
            .set("MERCURY_MODEL_MAX_RETRIES_PER_LEG", "1")
            .start()
            .await;
        let answer = host.ask("hello").await;
        assert_eq!((answer.status, answer.code()), (502, code), "{:#}", answer.body);
        assert!(!answer.body["reply"].as_str().unwrap().contains(&status.to_string()));
    }
}

/// The guard decides about the real agent's tool calls, and the agent learns why.
#[tokio::test(flavor = "multi_thread")]
async fn a_denied_tool_call_is_not_made() {
    let model = Model::start([
        Turn::Bash("env gws list > outbox/leak.txt; touch outbox/leak.txt".into()),
        Turn::Text("I may not.".into()),
    ])
    .await;
    let endpoints = format!("{{\"anthropic\":\"{}\"}}", model.url());
    let host = Setup::with_image("runc", &full_image())
        .set("MERCURY_MODEL_ENDPOINTS", &endpoints)
        .yaml("plugins:\n  permission-guard:\n    settings:\n      denied-clis: gws\n")
        .start()
        .await;
    let answer = host.ask("list my files").await;
    assert_eq!(answer.reply(), "I may not.");
    assert!(answer.body["files"].as_array().unwrap().is_empty(), "the command was not run");
    let told = model.requests()[1]["messages"].to_string();
    assert!(told.contains("gws") && told.contains("hard boundary"), "{told}");
}

/// Without a key the demonstration says that it is one, and the real agent answers.
#[tokio::test(flavor = "multi_thread")]
async fn the_demonstration_needs_no_key() {
    let host = Setup::with_image("runc", &full_image()).set("MERCURY_ANTHROPIC_API_KEY", "").prepare();
    let mut command = host.command(&["demo"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(
        err.contains("DEMO") && out.contains("demonstration") && out.contains("\"callerId\": \"cli:user\""),
        "{out}{err}"
    );
    assert!(out.contains("agent start") && out.contains("What next"), "{out}");
}

/// In a project it listens to nobody and leaves the data alone: no model of a demonstration answers people.
#[tokio::test(flavor = "multi_thread")]
async fn a_demonstration_meets_nobody_of_the_project() {
    let fake = Telegram::start().await;
    let host = hosted::setup(&fake).prepare();
    fake.push(telegram::direct(5, serde_json::json!({ "text": "!reply to a person" })));
    let mut command = host.command(&["demo", "!reply to the operator"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("to the operator"), "{out}{err}");
    assert_eq!(fake.calls().len(), 0, "{:?}", fake.calls());
    assert!(!host.data_dir().join("state.db").exists() && host.folder().join(".local/state/mercury/demo").exists());
}
