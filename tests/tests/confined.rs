//! Agent runs that a plugin asks for and that can do less than others (`tasks.start-confined`).
#![allow(clippy::unwrap_used)]

use mercury_tests::{
    agent::{post, socket},
    docker::{self, gateway, require_runsc},
    full_image,
    host::{Host, Setup},
    model::{Model, Turn},
    plugins::{fixture, install_with},
    site::Site,
};
use serde_json::{Value, json};

const BOSS: &str = "api:boss";

const MANIFEST: &str = "\n[agent]\npermission = true\n[kv]\nquota-bytes = 100000\n[tasks]\nper-day = 20\n\
    [[folders]]\nspace-folder = \"vault\"\nwrite = true\n[[folders]]\nspace-folder = \"shared\"\n\
    [[broker.actions]]\nname = \"confined\"\n";

async fn host(setup: Setup) -> Host {
    let mut host = setup.set("MERCURY_ADMINS", BOSS).prepare();
    install_with(&host, "around", "\"broker\", \"task-listener\"", MANIFEST, &fixture("around"));
    host.start().await;
    let space = host.data_dir().join("spaces/main");
    for folder in ["vault", "shared"] {
        std::fs::create_dir_all(space.join(folder)).unwrap();
        std::fs::write(space.join(folder).join("note.md"), format!("a note of {folder}")).unwrap();
    }
    std::fs::write(space.join("secret.txt"), "a secret of the space").unwrap();
    host
}

/// Asks for a run through the plugin, by the socket of a run that is at work, and waits for its answer.
async fn confined(host: &Host, id: &str, arguments: Value) -> String {
    ask(host, id, arguments).await;
    let sql = format!(
        "SELECT CASE WHEN o.id IS NULL THEN 'none' ELSE 'there' END FROM plugin_tasks t \
         LEFT JOIN outbound o ON o.inbound = t.inbound WHERE t.id = '{id}'"
    );
    host.until(&sql, "there").await;
    let reply = "SELECT o.reply FROM plugin_tasks t JOIN outbound o ON o.inbound = t.inbound WHERE t.id";
    host.query(&format!("{reply} = '{id}'")).unwrap()
}

async fn ask(host: &Host, id: &str, mut arguments: Value) {
    arguments["id"] = json!(id);
    let message = format!("!mrctl capability around confined ;; {arguments}");
    let answer = host.chat(json!({ "text": message, "callerId": BOSS })).await;
    assert_eq!(answer.reply(), "0\n\"Ok(())\"", "{}", host.log());
}

/// examples.md #41, under both runtimes: no network, nothing of the workspace but the plugin's folders,
/// and there no more than the plugin itself may.
#[tokio::test(flavor = "multi_thread")]
async fn a_confined_run_reaches_its_folders_alone() {
    require_runsc().await;
    let site = Site::start().await;
    let near = format!("{}:{}", gateway("bridge").await, site.port());
    for runtime in ["runc", "runsc"] {
        let host = host(Setup::scripted(runtime)).await;
        let orders = [
            "!ls .".to_owned(),
            "!cat vault/note.md".to_owned(),
            "!cat secret.txt".to_owned(),
            "!write vault/new.md kept".to_owned(),
            "!write shared/new.md refused".to_owned(),
            "!write outbox/leak.txt gone".to_owned(),
            "!write loose.md gone".to_owned(),
            format!("!connect {near}"),
            "!env HTTP_PROXY".to_owned(),
        ];
        let prompt = orders.join("\n!reply --\n");
        let said = confined(&host, "1", json!({ "prompt": prompt, "denied": ["no-network", "own-folders"] })).await;
        let said: Vec<_> = said.split("\n--\n").collect();
        assert_eq!(said[..2], ["shared\nvault", "a note of vault"], "{runtime}: {said:?}");
        assert!(said[2].starts_with("error: "), "{said:?}");
        assert_eq!(said[3], "wrote vault/new.md");
        assert!(said[4].starts_with("error: "), "the plugin may not write there, and its agent no more: {said:?}");
        assert_eq!(said[5..7], ["wrote outbox/leak.txt", "wrote loose.md"]);
        assert!(said[7].starts_with("error: ") && said[8] == "(unset)", "{said:?}");
        let space = host.data_dir().join("spaces/main");
        assert_eq!(std::fs::read_to_string(space.join("vault/new.md")).unwrap(), "kept");
        for gone in ["loose.md", "outbox/leak.txt", "shared/new.md"] {
            assert!(!space.join(gone).exists(), "{gone}");
        }

        let prompt = "!write vault/x refused\n!reply --\n!cat vault/note.md\n!reply --\n!ls .";
        let said = confined(&host, "2", json!({ "prompt": prompt, "denied": ["read-only"] })).await;
        let said: Vec<_> = said.split("\n--\n").collect();
        assert!(said[0].starts_with("error: ") && said[1] == "a note of vault", "{said:?}");
        assert!(said[2].contains("secret.txt"), "all of it, to be read: {said:?}");
    }
    assert!(site.seen().is_empty());
}

/// The host refuses a tool that the run does not have before any guard is asked, and takes it so after a
/// restart as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_has_only_its_tools() {
    let mut host = host(Setup::scripted("runc")).await;
    let prompt = "!tool read x\n!tool bash ls\n!tool subagent x";
    let said = confined(&host, "1", json!({ "prompt": prompt, "tools": ["read"] })).await;
    assert_eq!(said, "allow\ndeny: this run has no tool `bash`\ndeny: this run has no tool `subagent`");
    let said = confined(&host, "2", json!({ "prompt": "!tool read x", "tools": [] })).await;
    assert_eq!(said, "deny: this run has no tool `read`");
    assert_eq!(confined(&host, "3", json!({ "prompt": "!tool bash ls" })).await, "allow");

    ask(&host, "4", json!({ "prompt": "!sleep 4000", "tools": ["read"], "denied": ["no-network"] })).await;
    socket(&host).await;
    docker::at_work(&host.instance(), 1).await;
    docker::pause_all(&host.instance(), true).await;
    host.kill();
    host.start().await;
    let socket = socket(&host).await;
    while tokio::net::UnixStream::connect(&socket).await.is_err() {
        // The run is being taken over.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let call = json!({ "tool": "bash", "arguments": { "command": "ls" } });
    let answer = post(&socket, "/agent/tool-calls", &[], &call).await;
    assert_eq!(answer.body, json!({ "verdict": "deny", "reason": "this run has no tool `bash`" }));
    docker::pause_all(&host.instance(), false).await;

    let bad = json!({ "id": "5", "prompt": "x", "tools": ["read,bash"] });
    let message = format!("!mrctl capability around confined ;; {bad}");
    let answer = host.chat(json!({ "text": message, "callerId": BOSS })).await;
    assert!(answer.reply().contains("is no name of a tool"), "{}", answer.reply());
}

/// The real agent: the model is shown the named tools and no others, and is asked without a network.
#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_shown_the_tools_that_there_are() {
    require_runsc().await;
    for runtime in ["runc", "runsc"] {
        let model = Model::start([
            Turn::Bash(r#"mrctl capability around confined '{"id":"1","prompt":"Note it.","tools":["read","write"],"denied":["no-network","own-folders"]}'"#.into()),
            Turn::Text("Asked for.".into()),
            Turn::Tool("write", json!({ "path": "vault/ada.md", "content": "sails" })),
            Turn::Text("Noted.".into()),
        ])
        .await;
        let endpoints = format!("{{\"anthropic\":\"{}\"}}", model.local_url());
        let host = host(Setup::with_image(runtime, &full_image()).set("MERCURY_MODEL_ENDPOINTS", &endpoints)).await;
        let answer = host.chat(json!({ "text": "go", "callerId": BOSS })).await;
        assert_eq!(answer.reply(), "Asked for.", "{:?}", model.requests());
        host.until("SELECT CAST(told AS TEXT) FROM plugin_tasks WHERE id = '1'", "1").await;
        let asked = model.requests();
        let tools = asked[2]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap());
        // pi's placeholder for tools that it would load later is none that can be called.
        let mut tools: Vec<_> = tools.filter(|name| !name.starts_with("__pi_")).collect();
        tools.sort_unstable();
        assert_eq!(tools, ["read", "write"], "{runtime}");
        assert!(asked[2].to_string().contains("You have no network"), "it is told why");
        let note = host.data_dir().join("spaces/main/vault/ada.md");
        assert_eq!(std::fs::read_to_string(note).unwrap(), "sails", "{:?}", asked.last());
    }
}

/// A model that containers ask themselves cannot be asked without a network: the run fails, and says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_out_of_reach_is_said() {
    let host = host(Setup::scripted("runc").set("MERCURY_AGENT_CREDENTIALS", "env")).await;
    confined(&host, "1", json!({ "prompt": "!reply ran", "denied": ["no-network"] })).await;
    let problem: String =
        host.query("SELECT o.problem FROM plugin_tasks t JOIN outbound o ON o.inbound = t.inbound").unwrap();
    assert!(problem.contains("agent.credentials"), "{problem}");
    assert_eq!(confined(&host, "2", json!({ "prompt": "!reply ran", "denied": ["own-folders"] })).await, "ran");
}
