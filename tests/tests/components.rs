//! Components that fail, and components of the operator's own.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use mercury_tests::{
    host::{Host, Setup},
    plugins,
};

/// The hostile guard, built with the other components.
fn hostile_wasm() -> PathBuf {
    plugins::fixture("hostile")
}

fn install(host: &Host, name: &str, provides: &str, wasm: &Path) {
    plugins::install(host, name, provides, &["mode"], wasm);
}

async fn hostile(mode: &str) -> Host {
    let mut host =
        Setup::scripted("runc").yaml(&format!("plugins:\n  hostile:\n    settings:\n      mode: {mode}\n")).prepare();
    install(&host, "hostile", "\"prompt-guard\"", &hostile_wasm());
    host.start().await;
    host
}

/// A guard that traps, loops, recurses, eats memory, floods or returns too much denies its own call.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_guard_fails_closed() {
    for mode in ["trap", "loop", "recurse", "grow", "flood", "huge"] {
        let host = hostile(mode).await;
        let before = resident_kib(&host);
        let answer = host.ask("!reply passed").await;
        assert_eq!((answer.status, answer.code()), (403, "denied_by_guard"), "{mode}: {:#}", answer.body);
        assert!(answer.body["error"].as_str().unwrap().contains("hostile is unavailable"), "{mode}: {:#}", answer.body);
        assert!(host.health().await.unwrap()["queue"].is_object(), "{mode}");
        assert!(resident_kib(&host) < before + (100 << 10), "{mode}: the host's memory stays bounded");
        assert_eq!(host.query::<i64>("SELECT count(*) FROM runs"), Some(0), "{mode}");
        if mode == "trap" {
            assert!(host.log().contains("hostile says boom"), "the author reads the guest's own words");
        }
    }
}

fn resident_kib(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// extensions.md #35: what was not granted is not there, and the refusal names the missing line.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_granted_by_default() {
    for (mode, expected) in
        [("ungranted", "quota-bytes"), ("people", "[inbox]"), ("files", "Err("), ("environment", "0 variables")]
    {
        let answer = hostile(mode).await.ask("hi").await;
        assert!(answer.body["error"].as_str().unwrap().contains(expected), "{mode}: {:#}", answer.body);
    }
}

/// One person's text that makes a guard fail must not close it for everybody: it is asked again.
#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_failed_is_asked_again() {
    let host = hostile("trap").await;
    for _ in 0..7 {
        assert!(host.ask("hi").await.body["error"].as_str().unwrap().contains("unavailable"));
    }
    assert_eq!(host.log().matches("hostile says boom").count(), 7, "every message reached the guard");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_can_be_switched_off() {
    let mut host = Setup::scripted("runc").yaml("plugins:\n  hostile:\n    enabled: false\n").prepare();
    install(&host, "hostile", "\"prompt-guard\"", &hostile_wasm());
    host.start().await;
    assert_eq!(host.ask("!reply passed").await.reply(), "passed");
}

/// A prompt guard is shown the files of a message, not its text alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_guard_is_shown_the_files() {
    let mut host =
        Setup::scripted("runc").yaml("plugins:\n  asking:\n    settings:\n      file: payroll.txt\n").prepare();
    plugins::install(&host, "asking", "\"prompt-guard\"", &["file"], &plugins::fixture("asking"));
    host.start().await;
    let send = async |name: &str| {
        let files = serde_json::json!([{ "name": name, "data": "eA==" }]);
        host.chat(serde_json::json!({ "text": "!reply taken", "callerId": "api:ada", "files": files })).await
    };
    assert_eq!(send("notes.txt").await.reply(), "taken");
    let denied = send("payroll.txt").await;
    assert_eq!((denied.status, denied.code()), (403, "denied_by_guard"), "{:#}", denied.body);
    assert!(denied.body["error"].as_str().unwrap().contains("no file payroll.txt"), "{:#}", denied.body);
}

/// The operator's own component takes the place of the built-in one of its name.
#[tokio::test(flavor = "multi_thread")]
async fn a_built_in_component_can_be_replaced() {
    let mut host = Setup::scripted("runc")
        .yaml("plugins:\n  permission-guard:\n    settings:\n      mode: environment\n")
        .prepare();
    install(&host, "permission-guard", "\"prompt-guard\"", &hostile_wasm());
    host.start().await;
    assert!(host.ask("hi").await.body["error"].as_str().unwrap().contains("0 variables"));
}

/// A guard that does not load stops the start: what it closes would stand open.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_component_stops_the_start() {
    let host = Setup::scripted("runc").prepare();
    std::fs::write(host.folder().join("no.wasm"), "not a component").unwrap();
    install(&host, "broken", "\"tool-guard\"", &host.folder().join("no.wasm"));
    let mut command = host.command(&["run"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for part in ["`broken`", "not a WebAssembly component", "wasm32-wasip2", "plugins.broken.enabled: false"] {
        assert!(error.contains(part), "`{part}` is missing in: {error}");
    }
}

/// A processor that does not load is left out and shown; one that a manifest promises but the
/// component lacks counts as such.
#[tokio::test(flavor = "multi_thread")]
async fn a_processor_that_does_not_load_is_left_out() {
    let mut host = Setup::scripted("runc").prepare();
    install(&host, "broken", "\"result-processor\"", &hostile_wasm());
    host.start().await;
    assert_eq!(host.ask("!reply passed").await.reply(), "passed");
    assert_eq!(host.health().await.unwrap()["plugins"]["broken"], false);
    assert!(host.log().contains("does not export mercury:plugin/result-processor"));
}

/// Compiled code that was changed on disk is not loaded: it is compiled anew.
#[tokio::test(flavor = "multi_thread")]
async fn changed_compiled_code_is_not_loaded() {
    let mut host = Setup::scripted("runc").prepare();
    let cache = host.data_dir().join("cache/components");
    std::fs::create_dir_all(&cache).unwrap();
    host.start().await;
    host.kill();
    for entry in std::fs::read_dir(&cache).unwrap().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "cwasm") {
            let mut code = std::fs::read(entry.path()).unwrap();
            let middle = code.len() / 2;
            code[middle] ^= 1;
            std::fs::write(entry.path(), code).unwrap();
        }
    }
    host.start().await;
    assert!(host.log().contains("compiled code was changed outside the host"));
    assert_eq!(host.ask("!reply safe").await.reply(), "safe");
}

/// The built-in processor takes secrets out of a reply.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_taken_out_of_replies() {
    let host = Setup::scripted("runc").start().await;
    let answer = host
        .ask("!reply the key is ghp_16C7e42F292c6912E7710c838347Ae178B4a and the file /spaces/main/outbox/x.txt")
        .await;
    assert_eq!(answer.reply(), "the key is [secret removed] and the file outbox/x.txt");
    let mut off = Setup::scripted("runc").yaml("plugins:\n  redact:\n    enabled: false\n").prepare();
    off.start().await;
    assert!(off.ask("!reply ghp_16C7e42F292c6912E7710c838347Ae178B4a").await.reply().starts_with("ghp_"));
}

/// Tool calls are decided by the guard, for the caller that the socket names (agent-entry.md #47).
#[tokio::test(flavor = "multi_thread")]
async fn tool_calls_are_decided_on_the_host() {
    let host = Setup::scripted("runc")
        .yaml("plugins:\n  permission-guard:\n    settings:\n      denied-clis: gws\n")
        .start()
        .await;
    for command in ["gws x", "/usr/bin/gws x", "env gws x", "bash -c 'gws x'", "echo a | xargs gws", "x=gws; $x list"] {
        let answer = host.ask(&format!("!tool bash {command}")).await;
        assert!(answer.reply().starts_with("deny: "), "{command}: {}", answer.reply());
    }
    for command in ["echo gws", "mynapkin x", "ls -la"] {
        assert_eq!(host.ask(&format!("!tool bash {command}")).await.reply(), "allow", "{command}");
    }
}
