//! `mercury auth` against the fake provider.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Output, Stdio},
};

use mercury_tests::{
    host::{Host, Setup},
    oauth::{Provider, browse},
};
use serde_json::{Value, json};

async fn project() -> (Host, Provider) {
    let provider = Provider::start(&[]).await;
    let setup = Setup::scripted("runc").set("MERCURY_OAUTH_STAND_IN", &provider.url());
    (setup.set("MERCURY_ANTHROPIC_API_KEY", "").prepare(), provider)
}

fn auth(host: &Host, arguments: &[&str]) -> Output {
    host.command(&[&["auth"], arguments].concat()).stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn signed_in(host: &Host) -> Value {
    let path = host.data_dir().join("global/auth.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn start(mut command: Command) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    (child, stderr)
}

/// The address that the command asks to open.
fn address(stderr: &mut impl BufRead) -> String {
    let line = stderr.lines().map(Result::unwrap).find(|line| line.trim_start().starts_with("http://127.0.0.1"));
    line.expect("an address").trim().to_owned()
}

/// The browser comes back by the loopback; codes with PKCE, for both providers that have them.
#[tokio::test(flavor = "multi_thread")]
async fn signing_in_with_a_browser() {
    let (host, _provider) = project().await;
    for provider in ["anthropic", "openai-codex"] {
        let (child, mut stderr) = start(host.command(&["auth", "login", provider, "--no-browser"]));
        let url = address(&mut stderr);
        assert_eq!(browse(&url).await, 200);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && stdout(&output).contains("auth.json"), "{}", stdout(&output));
    }
    let file = signed_in(&host);
    assert_eq!((&file["anthropic"]["type"], &file["anthropic"]["refresh"]), (&json!("oauth"), &json!("refresh-1")));
    assert_eq!(file["openai-codex"]["accountId"], "account-1");
    let status = stdout(&auth(&host, &["status"]));
    assert!(status.contains("✓ logged in") && status.contains("not logged in"), "{status}");
}

/// The browser is on another machine: its last address is pasted.
#[tokio::test(flavor = "multi_thread")]
async fn signing_in_by_pasting() {
    let (host, _provider) = project().await;
    let (mut child, mut stderr) = start(host.command(&["auth", "login", "anthropic"]));
    let url = url::Url::parse(&address(&mut stderr)).unwrap();
    // What the other machine's browser would show: its localhost answers nothing.
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<http_body_util::Empty<bytes::Bytes>>();
    let answer = client.get(url.as_str().parse().unwrap()).await.unwrap();
    let shown = answer.headers()["location"].to_str().unwrap();
    writeln!(child.stdin.take().unwrap(), "{shown}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stdout(&output));
    assert_eq!(signed_in(&host)["anthropic"]["refresh"], "refresh-1");
}

/// A pasted address of another sign-in is refused, and nothing is written.
#[tokio::test(flavor = "multi_thread")]
async fn pasting_another_sign_in() {
    let (host, _provider) = project().await;
    let (mut child, mut stderr) = start(host.command(&["auth", "login", "anthropic"]));
    address(&mut stderr);
    writeln!(child.stdin.take().unwrap(), "http://localhost:1/callback?code=x&state=forged").unwrap();
    let mut text = String::new();
    stderr.read_to_string(&mut text).unwrap();
    assert!(!child.wait().unwrap().success() && text.contains("another sign-in"), "{text}");
    assert!(!host.data_dir().join("global/auth.json").exists());
}

/// Device codes, for both providers that have them.
#[tokio::test(flavor = "multi_thread")]
async fn signing_in_with_a_device_code() {
    let (host, _provider) = project().await;
    let output = auth(&host, &["login", "github-copilot"]);
    assert!(output.status.success() && stderr(&output).contains("WDJB-MJHT"), "{}", stderr(&output));
    let entry = &signed_in(&host)["github-copilot"];
    assert_eq!((&entry["refresh"], &entry["availableModelIds"]), (&json!("ghu-1"), &json!(["gpt-5"])));

    let (host, _provider) = project().await;
    let output = auth(&host, &["login", "openai-codex", "--device-code"]);
    assert!(output.status.success() && stderr(&output).contains("ABCD-EFGH"), "{}", stderr(&output));
    assert_eq!(signed_in(&host)["openai-codex"]["accountId"], "account-1");
}

/// Ctrl-C in the middle changes nothing and says so.
#[tokio::test(flavor = "multi_thread")]
async fn cancelling() {
    let (host, _provider) = project().await;
    let (child, mut stderr) = start(host.command(&["auth", "login", "anthropic"]));
    address(&mut stderr);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let mut text = String::new();
    stderr.read_to_string(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success() && text.contains("cancelled"), "{text}");
    assert!(!host.data_dir().join("global/auth.json").exists());
}

/// cli.md #12
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_provider() {
    let (host, _provider) = project().await;
    let output = auth(&host, &["login", "nope"]);
    assert_eq!(output.status.code(), Some(1));
    for provider in ["anthropic", "github-copilot", "openai-codex"] {
        assert!(stderr(&output).contains(provider), "{}", stderr(&output));
    }
    assert!(stderr(&auth(&host, &["login"])).contains("Invalid selection."));
}

/// cli.md #13
#[tokio::test(flavor = "multi_thread")]
async fn outside_of_a_project() {
    let (host, _provider) = project().await;
    let said = |host: &Host| stderr(&auth(host, &["login", "github-copilot"])).contains("does not look like");
    assert!(!said(&host), "there is a mercury.yaml");
    std::fs::remove_file(host.folder().join("mercury.yaml")).unwrap();
    assert!(said(&host), "a bare data directory is no project");
    std::fs::write(host.folder().join(".env"), "").unwrap();
    assert!(!said(&host));
}

/// cli.md #14: `.env` beats the environment, which beats the file; a broken file is no obstacle.
#[tokio::test(flavor = "multi_thread")]
async fn where_sign_ins_are_kept() {
    let (mut host, _provider) = project().await;
    let place = |host: &Host| {
        let status: Value = serde_json::from_str(&stdout(&auth(host, &["status", "--json"]))).unwrap();
        status["authPath"].as_str().unwrap().to_owned()
    };
    std::fs::write(host.folder().join("mercury.yaml"), "runtime:\n  auth_path: by-file.json\n").unwrap();
    assert!(place(&host).ends_with("/by-file.json"));
    host.set("MERCURY_AUTH_PATH", "by-environment.json");
    assert!(place(&host).ends_with("/by-environment.json"));
    std::fs::write(host.folder().join(".env"), "MERCURY_AUTH_PATH=by-dot-env.json\n").unwrap();
    assert!(place(&host).ends_with("/by-dot-env.json"));
    std::fs::write(host.folder().join("mercury.yaml"), "runtime: [broken\n").unwrap();
    assert!(place(&host).ends_with("/by-dot-env.json"));
    assert!(stderr(&auth(&host, &["status"])).contains("warning:"));
    std::fs::write(host.folder().join(".env"), "MERCURY_AUTH_PATH=.mercury/spaces/main/auth.json\n").unwrap();
    std::fs::write(host.folder().join("mercury.yaml"), "").unwrap();
    let output = host.command(&["status"]).output().unwrap();
    assert!(!output.status.success() && stderr(&output).contains("where agents can read"), "{}", stderr(&output));
}

/// cli.md #15, #16
#[tokio::test(flavor = "multi_thread")]
async fn signing_out() {
    let (host, _provider) = project().await;
    let missing = auth(&host, &["logout", "anthropic"]);
    assert!(missing.status.success() && stdout(&missing).contains("No credentials found."));
    let path = host.data_dir().join("global/auth.json");
    let entry = json!({ "type": "oauth", "access": "a", "refresh": "r", "expires": 5 });
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, json!({ "anthropic": entry, "other": { "type": "api_key" } }).to_string()).unwrap();
    let status = stdout(&auth(&host, &["status"]));
    assert!(status.contains("expired (will auto-refresh)"), "{status}");
    assert!(stdout(&auth(&host, &["logout"])).contains("anthropic"));
    assert!(stdout(&auth(&host, &["logout", "nobody"])).contains("Nobody is signed in to nobody"));
    assert!(stdout(&auth(&host, &["logout", "anthropic"])).contains("Signed out of anthropic"));
    assert_eq!(signed_in(&host), json!({ "other": { "type": "api_key" } }));
}

/// A sign-in server that is not this machine is no stand-in.
#[tokio::test(flavor = "multi_thread")]
async fn no_stand_in_elsewhere() {
    let (mut host, _provider) = project().await;
    host.set("MERCURY_OAUTH_STAND_IN", "http://192.0.2.1:80");
    let output = auth(&host, &["login", "anthropic"]);
    assert!(!output.status.success() && stderr(&output).contains("must not leave this machine"), "{}", stderr(&output));
}
