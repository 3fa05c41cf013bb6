//! The built host with the fake provider: what its containers get, and what its people read.

use std::time::{SystemTime, UNIX_EPOCH};

use mercury_tests::{
    docker::{at_work, inspect_all},
    host::{Host, Setup},
    oauth::{Console, Provider},
};
use serde_json::{Value, json};

fn ending_in(seconds: i64) -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64 + seconds * 1000
}

/// The drop-in mode, in which the agent gets an access token to be looked at.
fn setup(provider: &Provider) -> Setup {
    Setup::scripted("runc")
        .set("MERCURY_AGENT_CREDENTIALS", "env")
        .set("MERCURY_ANTHROPIC_API_KEY", "")
        .set("MERCURY_OAUTH_STAND_IN", &provider.url())
}

fn blob(refresh: &str, seconds: i64) -> String {
    json!({ "access": "access-canary-0", "refresh": refresh, "expires": ending_in(seconds) }).to_string()
}

/// Files below the project that hold `text`, the database and the log among them.
fn files_with(host: &Host, text: &str) -> Vec<String> {
    let output = std::process::Command::new("grep").args(["-rl", text]).arg(host.folder()).output().unwrap();
    let names = String::from_utf8(output.stdout).unwrap();
    names.lines().map(|name| name.rsplit('/').next().unwrap().to_owned()).collect()
}

/// oauth.md #27, #53: the agent sees exactly the renewed access token. No refresh token is in its
/// environment, in what Docker knows, in the run's folders, in the log or in the database.
#[tokio::test(flavor = "multi_thread")]
async fn the_agent_sees_the_access_token_and_nothing_else() {
    let provider = Provider::start(&["refresh-canary-0"]).await;
    let host = setup(&provider).set("MERCURY_ANTHROPIC_OAUTH_TOKEN", &blob("refresh-canary-0", 30)).start().await;
    let orders = "!env ANTHROPIC_OAUTH_TOKEN\n!env ANTHROPIC_API_KEY\n!ls /run/mercury-global\n!ls /run/mercury-io";
    let reply = host.ask(orders).await;
    let lines: Vec<_> = reply.reply().lines().collect();
    assert_eq!(lines[..2], ["sk-ant-oat01-1", "(unset)"], "{lines:?}");
    assert!(!reply.reply().contains("auth.json") && !reply.reply().contains("credentials"), "{lines:?}");
    assert_eq!(provider.refreshes(), ["refresh-canary-0"]);

    host.send("!sleep 60000\n!reply x", "main", "1");
    host.until("SELECT state FROM runs WHERE state = 'running'", "running").await;
    at_work(&host.instance(), 1).await;
    let inspected = Value::from(inspect_all(&host.instance()).await).to_string();
    assert!(inspected.contains("mercury.run"), "a container runs");
    for token in ["refresh-canary-0", "refresh-1", "access-canary-0", "sk-ant-oat01-1", "auth.json", "credentials.json"]
    {
        assert!(!inspected.contains(token), "docker inspect shows {token}");
        assert!(!host.log().contains(token) || token.ends_with(".json"), "the log shows {token}");
    }
    assert_eq!(files_with(&host, "refresh-canary-0"), [""; 0]);
    assert_eq!(files_with(&host, "refresh-1"), ["credentials.json"], "the host's own copy");
}

/// oauth.md #52: who asks in a chat is told to reconnect, and where; the operator reads why.
#[tokio::test(flavor = "multi_thread")]
async fn reconnecting_is_asked_for() {
    let provider = Provider::start(&[]).await;
    let console = Console::start().await;
    let credential = blob("refresh-canary-0", 30);
    console.hold(serde_json::from_str(&credential).unwrap());
    let host = setup(&provider)
        .set("MERCURY_ANTHROPIC_OAUTH_TOKEN", &credential)
        .set("MERCURY_CONSOLE_URL", &console.url())
        .set("MERCURY_CONSOLE_INTERNAL_SECRET", Console::SECRET)
        .set("MERCURY_AGENT_ID", "agent-7")
        .start()
        .await;
    let answer = host.ask("hi").await;
    assert_eq!((answer.status, answer.code()), (503, "reconnect_needed"), "{:#}", answer.body);
    let reply = answer.body["reply"].as_str().unwrap();
    assert!(reply.contains("reconnect") && reply.contains(&format!("{}dashboard/model", console.url())), "{reply}");
    let error = answer.body["error"].as_str().unwrap();
    assert!(error.contains("invalid_grant") && error.contains("MERCURY_ANTHROPIC_OAUTH_TOKEN"), "{error}");
    assert!(inspect_all(&host.instance()).await.is_empty(), "no container was made");
    assert_eq!(files_with(&host, "refresh-canary-0"), [""; 0]);
    assert!(!host.log().contains(Console::SECRET));
}

/// oauth.md #24, #49: nothing configured, and what is configured is corrupt.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_configured() {
    let provider = Provider::start(&[]).await;
    let mut host = setup(&provider).start().await;
    let answer = host.ask("hi").await;
    assert_eq!((answer.status, answer.code()), (503, "no_credentials"), "{:#}", answer.body);
    assert!(answer.body["error"].as_str().unwrap().contains("global/auth.json"), "{:#}", answer.body);
    let next = answer.body["next"].as_str().unwrap();
    assert!(next.contains("MERCURY_ANTHROPIC_API_KEY") && next.contains("mercury auth login anthropic"), "{next}");
    assert!(inspect_all(&host.instance()).await.is_empty(), "no container was made");

    host.kill();
    host.set("MERCURY_ANTHROPIC_OAUTH_TOKEN", "{\"refresh\":\"refresh-canary-0\"");
    host.start().await;
    let answer = host.ask("hi").await;
    assert!(answer.body["error"].as_str().unwrap().contains("corrupt"), "{:#}", answer.body);
    assert!(!host.log().contains("refresh-canary-0"));
}

/// oauth.md #51: a chain without Anthropic is not refused for Anthropic, and a broken first leg does
/// not stop the second.
#[tokio::test(flavor = "multi_thread")]
async fn the_chain_decides() {
    let provider = Provider::start(&[]).await;
    let chain = |providers: &[&str]| {
        let legs: Vec<_> = providers.iter().map(|name| json!({ "provider": name, "model": "m" })).collect();
        Value::from(legs).to_string()
    };
    let mut host = setup(&provider)
        .set("MERCURY_OPENAI_API_KEY", "openai-key")
        .set("MERCURY_MODEL_CHAIN", &chain(&["openai"]))
        .start()
        .await;
    assert_eq!(host.ask("!env OPENAI_API_KEY").await.reply(), "openai-key");
    host.kill();
    host.set("MERCURY_MODEL_CHAIN", &chain(&["anthropic", "openai"]));
    host.set("MERCURY_ANTHROPIC_OAUTH_TOKEN", &blob("unknown", 30));
    host.start().await;
    assert_eq!(host.ask("!env OPENAI_API_KEY").await.reply(), "openai-key");
    assert!(host.log().contains("reconnect the account"), "{}", host.log());
}

/// A sign-in while the host runs is used by the next message.
#[tokio::test(flavor = "multi_thread")]
async fn signing_in_beside_a_running_host() {
    let provider = Provider::start(&[]).await;
    let host = setup(&provider).start().await;
    assert_eq!(host.ask("hi").await.code(), "no_credentials");
    let entry = json!({ "type": "oauth", "access": "access-canary-0", "refresh": "r", "expires": ending_in(7200) });
    let path = host.data_dir().join("global/auth.json");
    std::fs::write(path, json!({ "anthropic": entry }).to_string()).unwrap();
    let reply = host.ask("!env ANTHROPIC_OAUTH_TOKEN\n!ls /run/mercury-global").await;
    assert!(reply.reply().starts_with("access-canary-0"), "{}", reply.reply());
    assert!(!reply.reply().contains("auth.json"));
    let elsewhere = files_with(&host, "access-canary-0");
    assert!(!elsewhere.iter().any(|name| name == "host.log" || name == "credentials.json"), "{elsewhere:?}");
}
