//! What an agent reaches that tries to get out of its container.
//!
//! Both suites run the same probes: once as the agent of a real run, where every boundary has to
//! hold, and once in a container without any of them, where the probes have to say so. Without the
//! second a probe that cannot find anything would pass for a boundary.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD};
use mercury_tests::{
    docker::require_runsc,
    full_image,
    host::Setup,
    model::{Model, Turn},
};

const PROBES: &str = include_str!("escape/probes.py");

/// Probe → what it reached, or nothing.
type Found = BTreeMap<String, Option<String>>;

async fn as_the_agent(runtime: &str) -> Found {
    let command = format!("printf %s {} | base64 -d | python3 - > outbox/found.json", STANDARD.encode(PROBES));
    let model = Model::start([Turn::Bash(command), Turn::Text("Done.".into())]).await;
    let endpoints = format!("{{\"anthropic\":\"{}\"}}", model.url());
    let host = Setup::with_image(runtime, &full_image())
        .set("MERCURY_MODEL_ENDPOINTS", &endpoints)
        .set("MERCURY_API_SECRET", "host-api-canary-0123456789")
        // The soft layer would refuse some probes before the hard ones are asked.
        .yaml("plugins:\n  permission-guard:\n    enabled: false\n")
        .start()
        .await;
    host.create_space("other");
    let answer = host.chat(serde_json::json!({ "text": "Go.", "callerId": "api:eve" })).await;
    assert_eq!(answer.reply(), "Done.", "{:#}", answer.body);
    let file = &answer.body["files"][0];
    let content = STANDARD.decode(file["data"].as_str().unwrap_or_default()).unwrap();
    serde_json::from_slice(&content).unwrap_or_else(|error| {
        panic!("{error}: {}; the model saw: {:#?}", String::from_utf8_lossy(&content), model.requests().last())
    })
}

/// Sixteen probes, as the agent, under both runtimes: nothing is reached.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_does_not_get_out() {
    require_runsc().await;
    for runtime in ["runc", "runsc"] {
        let found = as_the_agent(runtime).await;
        assert!(found.len() >= 16, "{found:#?}");
        let reached: Found = found.into_iter().filter(|(_, reached)| reached.is_some()).collect();
        assert!(reached.is_empty(), "{runtime}: {reached:#?}");
    }
}

/// The same probes where nothing is closed: those that ask for a boundary of the container say that
/// there is none. They change nothing of the machine: the container has devices and settings of its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_probes_find_an_open_door() {
    let script = format!("printf %s {} | base64 -d | API_SOCKET=/nowhere python3 -", STANDARD.encode(PROBES));
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "--user", "0", "--network", "none", "--cap-add", "SYS_ADMIN"]);
    command.args(["--security-opt", "seccomp=unconfined", "--tmpfs", "/spaces", "--tmpfs", "/home/mercury:exec"]);
    command.args(["--workdir", "/spaces/main", "--entrypoint", "sh", &full_image(), "-c", &script]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let found: Found = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    for probe in [
        "writing_the_image",
        "executing_from_tmpfs",
        "privileges",
        "becoming_root",
        "mounting",
        "leaving_by_a_user_namespace",
        "raw_sockets",
        "kernel_settings",
        "forged_identity",
    ] {
        assert!(found[probe].is_some(), "{probe} found nothing in an open container: {found:#?}");
    }
}

/// A fork bomb and a memory hog end at their container's limits: whatever becomes of that run, the
/// host answers it, and the next one is served.
#[tokio::test(flavor = "multi_thread")]
async fn a_greedy_agent_harms_only_itself() {
    require_runsc().await;
    for runtime in ["runc", "runsc"] {
        for command in [
            "python3 -c 'import os, signal\nwhile True:\n  if os.fork() == 0: signal.pause()'",
            "python3 -c 'b = []\nwhile True: b.append(bytearray(1 << 24))'",
        ] {
            let model = Model::start([Turn::Bash(command.into()), Turn::Text("Survived.".into())]).await;
            let endpoints = format!("{{\"anthropic\":\"{}\"}}", model.url());
            let host = Setup::with_image(runtime, &full_image())
                .set("MERCURY_MODEL_ENDPOINTS", &endpoints)
                .set("MERCURY_AGENT_MEMORY_MB", "512")
                .set("MERCURY_AGENT_PIDS", "128")
                .set("MERCURY_CONTAINER_TIMEOUT_MS", "60000")
                .start()
                .await;
            let greedy = host.ask("Go.").await;
            let answered =
                greedy.status == 200 || ["out_of_memory", "container_crashed", "timeout"].contains(&greedy.code());
            assert!(answered || greedy.code() == "agent_failed", "{runtime}: {:#}", greedy.body);
            assert_eq!(host.ask("And now?").await.status, 200, "{runtime}: the next one");
        }
    }
}
