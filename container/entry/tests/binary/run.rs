//! The `entry` binary with a stub `pi`: input, publishing, the prompts' way, the end of a run.

use std::fs;
use std::time::{Duration, Instant};

use crate::stage::{Stage, assistant};
use serde_json::json;

/// agent-entry.md #1
#[test]
fn a_reply_is_published() {
    let stage = Stage::new(&format!("cat > /dev/null\necho '{}'", assistant("Hello")));
    let (result, code, _) = stage.run();
    assert_eq!((result.ok, result.reply.as_deref(), result.error, code), (true, Some("Hello"), None, 0));
    let usage = result.usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (10, 2, Some(12)));
    let times = result.timings.unwrap();
    assert!(times.entry_started <= times.agent_spawned && times.agent_spawned <= times.agent_ready);
    assert!(times.agent_ready <= times.agent_ended);
}

/// agent-entry.md #2
#[test]
fn a_corrupt_request_is_reported() {
    let stage = Stage::new("");
    let child = stage.start_with("{");
    let (result, code, stderr) = stage.ended(child);
    assert_eq!((result.ok, code, stage.calls()), (false, 1, 0));
    assert!(result.error.as_deref().unwrap().starts_with("could not parse input.json"));
    assert!(stderr.contains("could not parse input.json"));
}

/// agent-entry.md #3
#[test]
fn a_failing_pi_is_reported_with_its_words() {
    let (result, code, _) = Stage::new("echo boom >&2; exit 2").run();
    let error = result.error.unwrap();
    assert_eq!((result.ok, code), (false, 1));
    assert!(error.contains("code 2") && error.contains("boom"), "{error}");
}

/// agent-entry.md #5
#[test]
fn the_result_is_never_half_there() {
    let text = "x".repeat(200_000);
    let stage = Stage::new("cat > /dev/null; cat \"$STAGE/answer\"");
    fs::write(stage.path("notes/answer"), format!("{}\n", assistant(&text))).unwrap();
    let file = stage.path("io/result.json");
    let mut child = stage.start();
    let mut seen = 0;
    while child.try_wait().unwrap().is_none() {
        if let Ok(bytes) = fs::read(&file) {
            serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
            seen += 1;
        }
    }
    let (result, ..) = stage.ended(child);
    assert_eq!(result.reply.map(|it| it.len()), Some(200_000), "seen {seen} times while it ran");
}

/// agent-entry.md #19: the argument order of 7.1.
#[test]
fn arguments_come_in_order() {
    let stage = Stage::new("printf '%s\\n' \"$@\" > \"$STAGE/arguments\"; pwd > \"$STAGE/cwd\"; cat > /dev/null");
    stage.run();
    let arguments = stage.note("arguments").unwrap();
    let expected = format!(
        "--print\n--mode\njson\n--no-approve\n--no-session\n--provider\na\n--model\nm1\n--no-extensions\n-e\n{}\n--append-system-prompt\n{}\n",
        stage.path("tools/pi/tool-guard.ts").display(),
        stage.path("home/.pi/agent/mercury-system-prompt.md").display(),
    );
    assert_eq!(arguments, expected);
    assert_eq!(stage.note("cwd").unwrap().trim(), fs::canonicalize(stage.path("space")).unwrap().to_str().unwrap());
}

/// agent-entry.md #20
#[test]
fn a_long_history_goes_through_stdin_and_the_system_prompt_is_a_file_for_a_while() {
    let stage = Stage::new(&format!(
        "cat > \"$STAGE/stdin\"\nfor last; do :; done\ncp \"$last\" \"$STAGE/system\"\necho '{}'",
        assistant("ok")
    ))
    .with(json!({"systemPrompt": "Speak Latin.", "messages": [{"role": "user", "content": "h".repeat(300_000), "createdAt": 0}]}));
    let (result, ..) = stage.run();
    assert_eq!(result.reply.as_deref(), Some("ok"));
    let stdin = stage.note("stdin").unwrap();
    assert!(stdin.len() > 300_000 && stdin.starts_with("<caller id=\"api:x\"") && stdin.ends_with("\n\nHi"));
    assert!(stage.note("system").unwrap().ends_with("Speak Latin."));
    assert!(!stage.path("home/.pi/agent/mercury-system-prompt.md").exists());
}

#[test]
fn a_prompt_of_three_mebibytes_arrives_whole() {
    let stage = Stage::new(&format!("wc -c > \"$STAGE/bytes\"; echo '{}'", assistant("ok")))
        .with(json!({"prompt": "p".repeat(3 << 20)}));
    let (result, ..) = stage.run();
    assert_eq!(result.reply.as_deref(), Some("ok"));
    assert!(stage.note("bytes").unwrap().trim().parse::<usize>().unwrap() > 3 << 20);
}

/// agent-entry.md #21
#[test]
fn pi_may_end_without_reading() {
    let (result, code, _) =
        Stage::new("echo 'bad flag' >&2; exit 3").with(json!({"prompt": "p".repeat(1 << 20)})).run();
    let error = result.error.unwrap();
    assert!(code == 1 && error.contains("bad flag"), "{error}");
}

#[test]
fn credentials_reach_pi_by_its_environment_only() {
    let stage = Stage::new("env > \"$STAGE/env\"; ls \"$SEEN_IO\" > \"$STAGE/ls\"; cat > /dev/null")
        .with(json!({"environment": {"TZ": "Europe/Berlin", "IO_DIR": "/x", "API_URL": "http://evil"}}));
    let io = stage.path("io");
    let stage = stage.variable("SEEN_IO", io.to_str().unwrap());
    fs::write(io.join("credentials.json"), r#"{"environment":{"A_API_KEY":"secret"}}"#).unwrap();
    stage.run();
    let environment = stage.note("env").unwrap();
    let has = |line: &str| environment.lines().any(|it| it == line);
    assert!(has("A_API_KEY=secret") && has("TZ=Europe/Berlin") && has("CALLER_ID=api:x") && has("SPACE_ID=s1"));
    assert!(has("API_URL=http://localhost") && has("PI_OFFLINE=1"));
    assert!(!environment.lines().any(|it| it.starts_with("IO_DIR=")));
    assert!(!stage.note("ls").unwrap().contains("credentials"));
}

#[test]
fn files_of_this_run_are_named() {
    let stage = Stage::new(&format!(
        "cat > /dev/null; echo x > outbox/new.txt; echo x >> outbox/old.txt; echo '{}'",
        assistant("ok")
    ));
    for name in ["old.txt", "untouched.txt"] {
        fs::write(stage.path("space/outbox").join(name), "1").unwrap();
    }
    let mut files = stage.run().0.files.unwrap();
    files.sort();
    assert_eq!(files, ["new.txt", "old.txt"]);
}

/// agent-entry.md, weakness E13
#[test]
fn a_process_left_behind_does_not_hold_the_run() {
    let started = Instant::now();
    let stage = Stage::new(&format!("cat > /dev/null; setsid sleep 20 & echo '{}'", assistant("ok")));
    let child = stage.start();
    // Waits for the process itself: its own pipes are not inherited by the stub.
    let (result, ..) = stage.ended(child);
    assert_eq!(result.reply.as_deref(), Some("ok"));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

/// The same, when what is left behind never stops writing.
#[test]
fn a_noisy_process_left_behind_does_not_hold_the_run() {
    let started = Instant::now();
    let stage = Stage::new(&format!("cat > /dev/null; echo '{}'; setsid timeout 20 yes &", assistant("ok")));
    let (result, ..) = stage.run();
    assert_eq!(result.reply.as_deref(), Some("ok"));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

/// agent-entry.md, weakness E14
#[test]
fn a_stopped_run_says_so_and_leaves_no_pi() {
    let stage = Stage::new("cat > /dev/null; echo $$ > \"$STAGE/pid\"; sleep 60");
    let child = stage.start();
    wait_for(|| stage.note("pid").is_some_and(|it| it.ends_with('\n')));
    let started = Instant::now();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    let (result, code, _) = stage.ended(child);
    assert_eq!((result.ok, result.error.as_deref(), code), (false, Some("stopped"), 1));
    assert!(started.elapsed() < Duration::from_secs(5));
    let pid = stage.note("pid").unwrap().trim().to_owned();
    assert!(!std::path::Path::new("/proc").join(&pid).join("exe").exists(), "pi {pid} still runs");
}

fn wait_for(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited in vain");
        #[allow(clippy::disallowed_methods, reason = "a test waits for a script")]
        std::thread::sleep(Duration::from_millis(5));
    }
}
