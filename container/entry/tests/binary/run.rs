//! The `entry` binary with a stub `pi`: input, publishing, the prompts' way, the end of a run.

use std::fs;
use std::time::{Duration, Instant};

use crate::stage::{Stage, assistant};
use mercury_protocol::io::FailureKind;
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
        "--print\n--mode\njson\n--no-approve\n--no-session\n--provider\na\n--model\nm1\n--no-extensions\n-e\n{}\n-e\n{}\n--append-system-prompt\n{}\n",
        stage.path("tools/pi/tool-guard.ts").display(),
        stage.path("tools/pi/subagent.ts").display(),
        stage.path("home/.pi/agent/mercury-system-prompt.md").display(),
    );
    assert_eq!(arguments, expected);
    assert_eq!(stage.note("cwd").unwrap().trim(), fs::canonicalize(stage.path("space")).unwrap().to_str().unwrap());
}

/// agent-entry.md #19, #45: a model without tools gets none, is told so, and what it says beside a
/// call that it cannot make is its answer.
#[test]
fn a_model_without_tools_gets_none() {
    let leak = r#"So it is. {\\"command\\": \\"ls\\"}"#;
    let stage = Stage::new(&format!(
        "printf '%s ' \"$@\" > \"$STAGE/arguments\"\nfor last; do :; done\ncp \"$last\" \"$STAGE/system\"\ncat > /dev/null\ncat <<'END'\n{}\nEND",
        assistant("TEXT").replace("TEXT", leak).replace("\\\\", "\\")
    ))
    .with(json!({"model": {"chain": [{"provider": "a", "model": "m1", "capabilities": {"tools": false}}]}}));
    let (result, ..) = stage.run();
    assert_eq!(result.reply.as_deref(), Some("So it is."));
    assert!(stage.note("arguments").unwrap().contains("--model m1 --no-tools --no-skills --no-extensions -e "));
    assert!(stage.note("system").unwrap().contains("Tools are not available"));
}

/// A plugin's run that has some tools or none is shown no others.
#[test]
fn a_run_has_the_tools_that_it_was_given() {
    for (tools, expected) in [
        (json!(["read", "write"]), "--model m1 --tools read,write --no-extensions -e "),
        (json!([]), "--model m1 --no-tools --no-extensions -e "),
    ] {
        let stage =
            Stage::new("printf '%s ' \"$@\" > \"$STAGE/arguments\"; cat > /dev/null").with(json!({"tools": tools}));
        stage.run();
        let arguments = stage.note("arguments").unwrap();
        assert!(arguments.contains(expected), "{arguments}");
    }
}

/// agent-entry.md #4: without an IO directory, between two lines on stdout.
#[test]
fn a_run_by_hand_prints_its_reply() {
    let stage = Stage::new(&format!("cat > /dev/null; echo '{}'", assistant("by hand")))
        .with(json!({"nonce": "ab12", "model": {"chain": []}}))
        .variable("MODEL_CHAIN", r#"[{"provider":"a","model":"m1"}]"#)
        .variable("IO_DIR", "");
    let output = stage.by_hand();
    let out = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 3, "{out}");
    assert_eq!(lines[0], "---MERCURY_CONTAINER_RESULT_ab12_START---");
    assert_eq!(lines[2], "---MERCURY_CONTAINER_RESULT_ab12_END---");
    let result: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
    assert_eq!((&result["reply"], &result["usage"]["totalTokens"]), (&json!("by hand"), &json!(12)));
    assert!(output.status.success() && fs::read_dir(stage.path("io")).unwrap().next().is_none());
    let failed = Stage::new("echo boom >&2; exit 2").variable("IO_DIR", "").by_hand();
    assert!(failed.stdout.is_empty() && !failed.status.success());
    assert!(String::from_utf8_lossy(&failed.stderr).contains("boom"));
}

/// The result is sealed (`ended` looks), and pi has no way to the seal: no file, also not the
/// result's, no variable, no memory of its parent.
#[test]
fn the_seal_is_between_the_host_and_entry() {
    let probe = "cat > /dev/null; env > \"$STAGE/env\"; ls \"$SEEN_IO\" > \"$STAGE/ls\"
        for file in environ mem maps; do cat /proc/$PPID/$file > /dev/null 2>> \"$STAGE/refused\" || echo $file >> \"$STAGE/closed\"; done
        cat /proc/$$/environ > /dev/null && echo own >> \"$STAGE/closed\"";
    let seal = "5ea1".repeat(16);
    let stage = Stage::new(&format!("{probe}\necho '{}'", assistant("ok"))).with(json!({"seal": seal}));
    let io = stage.path("io");
    let stage = stage.variable("SEEN_IO", io.to_str().unwrap());
    let (result, ..) = stage.run();
    assert_eq!(result.reply.as_deref(), Some("ok"));
    assert!(!fs::read_to_string(io.join("result.json")).unwrap().contains("5ea1"));
    assert!(!stage.note("env").unwrap().contains("5ea1"));
    assert_eq!(stage.note("ls").unwrap(), "", "the request is gone");
    // Root may look into every process: there the containers' own suite shows it.
    if !rustix::process::geteuid().is_root() {
        assert_eq!(stage.note("closed").unwrap(), "environ\nmem\nmaps\nown\n");
    }
}

/// The kernel ended pi for want of memory: said so, and not tried again.
#[test]
fn an_agent_out_of_memory_is_told_apart() {
    for (kills, expected) in [(1, Some(FailureKind::OutOfMemory)), (0, None)] {
        let stage = Stage::new(&format!("printf 'oom 0\\noom_kill {kills}\\n' > \"$STAGE/memory.events\"; kill -9 $$"))
            .with(json!({"model": {"maxRetriesPerLeg": 1}}));
        fs::write(stage.path("notes/memory.events"), "oom 0\noom_kill 0\n").unwrap();
        let groups = stage.path("notes");
        let stage = stage.variable("MERCURY_CONTROL_GROUPS", groups.to_str().unwrap());
        let (result, ..) = stage.run();
        assert_eq!((result.ok, result.failure), (false, expected));
        assert_eq!(stage.calls(), if kills == 1 { 1 } else { 2 });
    }
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
    assert!(started.elapsed() < Duration::from_secs(18), "{:?}", started.elapsed());
}

/// The same, when what is left behind never stops writing.
#[test]
fn a_noisy_process_left_behind_does_not_hold_the_run() {
    let started = Instant::now();
    let stage = Stage::new(&format!("cat > /dev/null; echo '{}'; setsid timeout 20 yes &", assistant("ok")));
    let (result, ..) = stage.run();
    assert_eq!(result.reply.as_deref(), Some("ok"));
    assert!(started.elapsed() < Duration::from_secs(18), "{:?}", started.elapsed());
}

/// agent-entry.md, weakness E14: with what had been said so far, and its cost.
#[test]
fn a_stopped_run_says_so_and_leaves_no_pi() {
    let delta = r#"{"type":"message_update","assistantMessageEvent":{"type":"text_delta","delta":"half a"}}"#;
    let stage = Stage::new(&format!(
        "cat > /dev/null; echo '{}'; echo '{delta}'; echo $$ > \"$STAGE/pid\"; sleep 60",
        assistant("first")
    ));
    let child = stage.start();
    wait_for(|| stage.note("pid").is_some_and(|it| it.ends_with('\n')));
    let started = Instant::now();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    let (result, code, _) = stage.ended(child);
    assert_eq!((result.ok, result.error.as_deref(), code), (false, Some("stopped"), 1));
    assert_eq!((result.failure, result.reply.as_deref()), (Some(FailureKind::Stopped), Some("half a")));
    assert_eq!(result.usage.unwrap().input_tokens, 10);
    assert!(started.elapsed() < Duration::from_secs(20));
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
