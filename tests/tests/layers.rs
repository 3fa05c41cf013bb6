//! The programs of bundled plugins inside a container: the layer that the host builds, the command, the file in
//! the answer.
#![allow(clippy::unwrap_used)]

use std::{path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use mercury_tests::{
    docker::require_runsc,
    full_image,
    host::{Host, Setup},
    model::{Model, Turn},
    plugins::fixture,
};
use serde_json::Value;

/// The plugin as it is carried, but without the packages of its layer, which a test fetches from nowhere.
fn install(host: &Host, name: &str, component: &str, files: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/plugins").join(name);
    let folder = host.data_dir().join("plugins").join(name);
    std::fs::create_dir_all(folder.join("skill")).unwrap();
    let manifest = std::fs::read_to_string(source.join("plugin.toml")).unwrap();
    let bare: Vec<_> = manifest.lines().filter(|line| !line.starts_with("install = ")).collect();
    std::fs::write(folder.join("plugin.toml"), bare.join("\n")).unwrap();
    std::fs::copy(fixture(component), folder.join(format!("{component}.wasm"))).unwrap();
    for file in files {
        std::fs::copy(source.join(file), folder.join(file)).unwrap();
    }
}

/// Waits for the derived image.
async fn built(host: &Host) {
    while host.health().await.is_none_or(|health| health["extImage"].is_null()) {
        assert!(!host.log().contains("could not be built"), "{}", host.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The output of each shell command, as the model was told.
fn told(model: &Model) -> Vec<String> {
    let requests = model.requests();
    let messages = requests.last().unwrap()["messages"].as_array().unwrap().clone();
    let results = messages.iter().flat_map(|message| message["content"].as_array().cloned().unwrap_or_default());
    results.filter(|part| part["type"] == "tool_result").map(|part| part["content"].to_string()).collect()
}

const BARS: &str =
    r#"{"xAxis":{"type":"category","data":["a","b"]},"yAxis":{},"series":[{"type":"bar","data":[1,2]}]}"#;

/// examples.md #1 #2 #3, with the real agent under both runtimes: the command draws, the file is in the
/// answer, and what is too large leaves none.
#[tokio::test(flavor = "multi_thread")]
async fn a_chart_is_drawn_in_a_container() {
    require_runsc().await;
    for runtime in ["runc", "runsc"] {
        let function = r#"{"xAxis":{"data":["a"]},"yAxis":{"axisLabel":{"formatter":"function(){require('fs').writeFileSync('/tmp/was-run','')}"}},"series":[{"type":"bar","data":[1]}]}"#;
        let model = Model::start([
            Turn::Bash(format!("echo '{BARS}' | charts render -o outbox/c.svg")),
            Turn::Bash(format!("echo '{BARS}' | charts render -o outbox/large.png -W 5000; ls outbox")),
            Turn::Bash(format!("echo '{BARS}' | charts render -o outbox/c.png; ls outbox")),
            Turn::Bash(format!("cat <<'END' | charts render -o f.svg; ls /tmp\n{function}\nEND")),
            Turn::Bash("head -3 ~/.pi/agent/skills/charts/SKILL.md; charts schema --list".into()),
            Turn::Text("Drawn.".into()),
        ])
        .await;
        let endpoints = format!("{{\"anthropic\":\"{}\"}}", model.local_url());
        let mut host = Setup::with_image(runtime, &full_image()).set("MERCURY_MODEL_ENDPOINTS", &endpoints).prepare();
        install(&host, "charts", "charts", &["charts", "skill/SKILL.md"]);
        host.start().await;
        built(&host).await;
        let answer = host.ask("Draw it.").await;
        assert_eq!(answer.reply(), "Drawn.");
        let files: Vec<Value> = answer.body["files"].as_array().unwrap().clone();
        assert_eq!((files.len(), files[0]["filename"].as_str()), (1, Some("c.svg")), "{runtime}: {:?}", told(&model));
        let svg = String::from_utf8(STANDARD.decode(files[0]["data"].as_str().unwrap()).unwrap()).unwrap();
        assert!(svg.contains("width=\"800\" height=\"400\""), "{svg}");
        let told = told(&model);
        assert!(told[0].contains("c.svg"), "{told:?}");
        assert!(told[1].contains("\\\"limit\\\"") && !told[1].contains("large.png"), "{}", told[1]);
        assert!(told[2].contains("no-png") && told[2].contains("write an .svg instead"), "{}", told[2]);
        assert!(!told[3].contains("was-run"), "{}", told[3]);
        assert!(told[4].contains("name: charts") && told[4].contains("scatter"), "{}", told[4]);
    }
}
