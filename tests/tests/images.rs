//! The agent's image: found, pulled, extended by what plugins want, and found again when it is gone.
#![allow(clippy::unwrap_used)]

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use bytes::Bytes;
use mercury_tests::{
    host::{Host, Setup},
    proxy::Proxy,
    required,
};
use serde_json::{Value, json};

const SECRET: &str = "an-api-secret-of-tests";

/// An agent id of its own, whose images are removed at the end.
struct Agent(String);

impl Agent {
    fn new(name: &str) -> Self {
        Self(format!("{name}-{}", std::process::id()))
    }

    fn repository(&self) -> String {
        format!("mercury-agent-ext-{}", self.0)
    }

    fn tags(&self) -> Vec<String> {
        let output = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}", &self.repository()]);
        output.lines().map(str::to_owned).collect()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        for tag in self.tags() {
            docker(&["image", "rm", "-f", &tag]);
        }
    }
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)).trim().to_owned()
}

/// A plugin that changes nothing and wants a program in the agent's image.
fn install(host: &Host, name: &str, cli: &str, bin: Option<&str>) {
    let binary = PathBuf::from(required("MERCURY_BIN"));
    let wasm = binary.ancestors().nth(2).unwrap().join("carried/wasm32-wasip2/release/redact.wasm");
    let folder = host.data_dir().join("plugins").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = format!(
        "name = \"{name}\"\nversion = \"1.0.0\"\ncomponent = \"p.wasm\"\nprovides = [\"result-processor\"]\n[[agent.clis]]\n{cli}\n"
    );
    std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
    std::fs::copy(wasm, folder.join("p.wasm")).unwrap();
    if let Some(content) = bin {
        std::fs::write(folder.join("tool"), content).unwrap();
    }
}

async fn derived(host: &Host) -> String {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(Value::String(tag)) = host.health().await.map(|health| health["extImage"].clone()) {
            return tag;
        }
        assert!(Instant::now() < until, "no derived image; the log:\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const TOOL: &str = "name = \"tool\"\nbin = \"tool\"";

/// container.md #54: the base image serves while the build is under way, and then the derived one.
/// The second start finds it and builds nothing; another content is another image, and the old one
/// goes.
#[tokio::test(flavor = "multi_thread")]
async fn programs_get_into_the_image() {
    let agent = Agent::new("programs");
    let proxy = Proxy::start().await;
    proxy.hold("/build");
    let mut host =
        Setup::scripted("runc").set("MERCURY_AGENT_ID", &agent.0).set("MERCURY_DOCKER_HOST", &proxy.host()).prepare();
    install(&host, "tools", TOOL, Some("one"));
    host.start().await;
    proxy.held().await;
    assert!(!host.ask("!ls /usr/local/bin").await.reply().contains("tool"), "the base image meanwhile");
    assert_eq!(host.health().await.unwrap()["extImage"], Value::Null);
    host.kill();
    proxy.release();
    host.start().await;
    let first = derived(&host).await;
    assert!(first.starts_with(&format!("{}:", agent.repository())), "{first}");
    assert!(host.ask("!ls /usr/local/bin").await.reply().contains("tool"));
    assert_eq!(host.ask("!cat /usr/local/bin/tool").await.reply(), "one");
    host.terminate().await;
    host.start().await;
    assert_eq!(derived(&host).await, first);
    assert_eq!(host.log().matches("built the agent's image").count(), 1, "built once");
    host.terminate().await;
    install(&host, "tools", TOOL, Some("two"));
    host.start().await;
    let second = derived(&host).await;
    assert_ne!(second, first);
    assert_eq!(host.ask("!cat /usr/local/bin/tool").await.reply(), "two");
    let until = Instant::now() + Duration::from_secs(10);
    while agent.tags() != [second.clone()] {
        assert!(Instant::now() < until, "the old image stays: {:?}; the log:\n{}", agent.tags(), host.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// container.md #54: a build that fails costs the programs that had to be installed, and nothing else: what
/// plugins bring themselves is there. The minimal image has no shell, so no install line can run in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_build_leaves_what_plugins_bring() {
    let agent = Agent::new("fails");
    let mut host = Setup::scripted("runc").set("MERCURY_AGENT_ID", &agent.0).prepare();
    install(&host, "fetched", "name = \"fetched\"\ninstall = \"echo never\"", None);
    install(&host, "tools", TOOL, Some("brought"));
    host.start().await;
    derived(&host).await;
    let log = host.log();
    assert!(log.contains("an install line of the plugins' programs failed"), "{log}");
    assert_eq!(host.ask("!cat /usr/local/bin/tool").await.reply(), "brought");
    assert_eq!(host.ask("!which fetched").await.reply(), "nothing");
    assert_eq!(agent.tags().len(), 1);
}

/// extensions.md 7 [R], #18 without its dashboard: a plugin whose install line fails takes no program from the others of
/// a running host.
#[tokio::test(flavor = "multi_thread")]
async fn the_image_before_stays_in_use() {
    let agent = Agent::new("before");
    let mut host = Setup::scripted("runc").set("MERCURY_AGENT_ID", &agent.0).prepare();
    install(&host, "tools", TOOL, Some("brought"));
    host.start().await;
    let before = derived(&host).await;
    install(&host, "fetched", "name = \"fetched\"\ninstall = \"echo never\"", None);
    let reloaded = host.request("POST", "/api/plugins/reload", &[], Bytes::new()).await.unwrap();
    assert_eq!(reloaded.body["added"], json!(["fetched"]), "{:#}", reloaded.body);
    let until = Instant::now() + Duration::from_secs(60);
    while !host.log().contains(&format!("the image before, {before}, stays in use")) {
        assert!(Instant::now() < until, "{}", host.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(derived(&host).await, before);
    assert_eq!(host.ask("!cat /usr/local/bin/tool").await.reply(), "brought");
}

/// Where there is nothing but what failed, agents run on the base image.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_build_leaves_the_base() {
    let agent = Agent::new("base");
    let mut host = Setup::scripted("runc").set("MERCURY_AGENT_ID", &agent.0).prepare();
    install(&host, "tools", "name = \"tool\"\ninstall = \"echo never\"", None);
    host.start().await;
    let until = Instant::now() + Duration::from_secs(60);
    while !host.log().contains("an install line of the plugins' programs failed") {
        assert!(Instant::now() < until, "{}", host.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(host.ask("!reply without").await.reply(), "without");
    assert!(agent.tags().is_empty());
}

/// container.md #55: the image is gone when a container is created: every message is answered on the
/// base image, and one rebuild brings it back.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_image_is_recovered() {
    let agent = Agent::new("lost");
    let mut host =
        Setup::scripted("runc").set("MERCURY_AGENT_ID", &agent.0).set("MERCURY_MAX_CONCURRENCY", "4").prepare();
    install(&host, "tools", TOOL, Some("one"));
    host.start().await;
    let tag = derived(&host).await;
    for space in ["a", "b", "c"] {
        host.create_space(space);
    }
    docker(&["image", "rm", "-f", &tag]);
    let asks = ["a", "b", "c"].map(|space| host.chat(json!({ "text": "!reply ok", "spaceId": space })));
    for answer in futures_util::future::join_all(asks).await {
        assert_eq!(answer.reply(), "ok");
    }
    assert_eq!(derived(&host).await, tag);
    assert!(host.log().contains("the derived image is gone"));
    assert_eq!(host.log().matches("built the agent's image").count(), 2, "at first, and once again");
    assert_eq!(host.query::<i64>("SELECT max(attempts) FROM runs"), Some(1));
    assert_eq!(host.ask("!cat /usr/local/bin/tool").await.reply(), "one");
}

/// container.md #56: an image that a running container uses stays; one that an ended container pins
/// goes with it.
#[tokio::test(flavor = "multi_thread")]
async fn images_in_use_stay() {
    let agent = Agent::new("pinned");
    for (tag, name) in [("running", "agent-pins-running"), ("ended", "agent-pins-ended")] {
        let image = format!("{}:{tag}", agent.repository());
        let dockerfile =
            format!("FROM {}\nLABEL mercury.agent-id={}\nLABEL n={tag}\n", mercury_tests::minimal_image(), agent.0);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
        docker(&["build", "-q", "-t", &image, &folder.path().display().to_string()]);
        docker(&[
            "create",
            "--name",
            &format!("{name}-{}", std::process::id()),
            "--label",
            "mercury.managed=true",
            "-i",
            &image,
        ]);
    }
    let running = format!("agent-pins-running-{}", std::process::id());
    docker(&["start", &running]);
    let mut host = Setup::scripted("runc").set("MERCURY_AGENT_ID", &agent.0).prepare();
    install(&host, "tools", TOOL, Some("one"));
    host.start().await;
    let current = derived(&host).await;
    let until = Instant::now() + Duration::from_secs(20);
    let mut expected = vec![current, format!("{}:running", agent.repository())];
    expected.sort();
    loop {
        let mut tags = agent.tags();
        tags.sort();
        if tags == expected && host.log().contains("still in use") {
            break;
        }
        assert!(Instant::now() < until, "{tags:?}; the log:\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    docker(&["rm", "-f", &running]);
}

async fn prebuild(host: &Host, headers: &[(&str, &str)], body: Value) -> mercury_tests::host::Answer {
    host.request("POST", "/pre-build-ext-image", headers, Bytes::from(body.to_string())).await.unwrap()
}

/// container.md #58: who may, what is missing, and the name of the image that is there afterwards;
/// its programs work. Install lines run in the base's own shell.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_built_ahead() {
    let agent = Agent::new("ahead");
    let mut host =
        Setup::scripted("runc").set("MERCURY_AGENT_ID", &agent.0).set("MERCURY_API_SECRET", SECRET).prepare();
    install(
        &host,
        "shell",
        "name = \"greet\"\ninstall = \"printf '#!/bin/sh\\\\necho hello from the image\\\\n' > /usr/local/bin/greet && chmod 755 /usr/local/bin/greet\"",
        None,
    );
    install(&host, "tools", TOOL, Some("#!/bin/sh\necho hello from the plugin\n"));
    host.start().await;
    let target = json!({ "targetAgentImage": mercury_tests::full_image() });
    for header in
        ["Bearer wrong", "Bearer an-api-secret-of-testz", "bearer an-api-secret-of-tests", "an-api-secret-of-tests"]
    {
        assert_eq!(prebuild(&host, &[("authorization", header)], target.clone()).await.status, 401, "{header}");
    }
    assert_eq!(prebuild(&host, &[], target.clone()).await.status, 401);
    let bearer = format!("Bearer {SECRET}");
    let good = [("authorization", bearer.as_str())];
    let missing = prebuild(&host, &good, json!({})).await;
    assert_eq!((missing.status, missing.body["error"].as_str()), (400, Some("targetAgentImage is required")));
    let built = prebuild(&host, &good, target).await;
    assert_eq!((built.status, &built.body["status"]), (200, &json!("ok")), "{:#}", built.body);
    let tag = built.body["derivedImage"].as_str().unwrap().to_owned();
    assert!(tag.starts_with(&agent.repository()), "{tag}; the log:\n{}", host.log());
    let said = docker(&["run", "--rm", "--network", "none", &tag, "sh", "-c", "greet; tool; id -u"]);
    assert_eq!(said, "hello from the image\nhello from the plugin\n1000");
    // An install line that cannot reach its source: the base's name is the answer.
    host.terminate().await;
    install(&host, "net", "name = \"net\"\ninstall = \"curl -fsS http://127.0.0.1:9/x -o /usr/local/bin/net\"", None);
    host.start().await;
    let target = json!({ "targetAgentImage": mercury_tests::full_image() });
    let failed = prebuild(&host, &good, target).await;
    assert_eq!(failed.body["derivedImage"], mercury_tests::full_image(), "{:#}", failed.body);
    assert!(host.log().contains("curl"), "the log says what failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn building_ahead_needs_a_secret_to_be_set() {
    let host = Setup::scripted("runc").start().await;
    assert_eq!(prebuild(&host, &[], json!({ "targetAgentImage": "x" })).await.status, 503);
}

/// container.md #59: an image that is here is not pulled; one that is neither here nor to be had is
/// named, with what to do.
#[tokio::test(flavor = "multi_thread")]
async fn pulling() {
    let proxy = Proxy::start().await;
    proxy.refuse("/images/create", 500, "no such registry (scripted)");
    let host = Setup::scripted("runc").set("MERCURY_DOCKER_HOST", &proxy.host()).start().await;
    assert_eq!(host.ask("!reply here").await.reply(), "here");
    assert!(!host.log().contains("pulling"), "{}", host.log());
    drop(host);
    // Where a local build stands in for it, the operator is told; here none may.
    let mut host = Setup::scripted("runc")
        .set("MERCURY_DOCKER_HOST", &proxy.host())
        .set("MERCURY_AGENT_IMAGE", "127.0.0.1:9/nobody/agent:1")
        .prepare();
    let without_local = Proxy::start().await;
    without_local.refuse("/images/mercury-agent:latest/json", 404, "No such image: mercury-agent:latest");
    host.set("MERCURY_DOCKER_HOST", &without_local.host());
    host.start().await;
    let until = Instant::now() + Duration::from_secs(60);
    while !host.log().contains("pulling 127.0.0.1:9/nobody/agent:1 failed") {
        assert!(Instant::now() < until, "{}", host.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = host.ask("hi").await;
    assert_eq!((answer.status, answer.code()), (503, "image_missing"), "{:#}", answer.body);
    assert!(answer.body["next"].as_str().unwrap().contains("docker pull 127.0.0.1:9/nobody/agent:1"));
}
