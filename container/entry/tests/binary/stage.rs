//! A stage for one run of the real `entry` binary: directories of its own and a `pi` that is a
//! shell script. Each run is a process, as in a container.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use hmac::{Hmac, KeyInit, Mac};
use mercury_protocol::io::{RunResult, Sealed};
use serde_json::{Value, json};
use sha2::Sha256;

pub(crate) struct Stage {
    dir: tempfile::TempDir,
    input: Value,
    variables: BTreeMap<String, String>,
}

/// One assistant message as pi prints it.
pub(crate) fn assistant(text: &str) -> String {
    json!({"type": "message_end", "message": {"role": "assistant", "stopReason": "stop",
        "content": [{"type": "text", "text": text}], "usage": {"input": 10, "output": 2}}})
    .to_string()
}

/// An assistant message that failed.
pub(crate) fn failed(error: &str) -> String {
    json!({"type": "message_end", "message": {"role": "assistant", "stopReason": "error", "content": [],
        "errorMessage": error, "usage": {"input": 1, "output": 0}}})
    .to_string()
}

impl Stage {
    /// `script` is the body of a POSIX shell script that is `pi`. In it, `$N` is the number of the
    /// call, from 1, and `$STAGE` a directory for its notes.
    pub(crate) fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| fs::create_dir_all(dir.path().join(name)).unwrap();
        ["io", "home", "bin", "notes", "space/outbox", "tools/bin", "tools/pi"].iter().for_each(|name| make(name));
        let notes = dir.path().join("notes");
        let script = format!(
            "#!/bin/sh\nSTAGE='{0}'\necho >> \"$STAGE/calls\"\nN=$(wc -l < \"$STAGE/calls\" | tr -d ' ')\ndate +%s%3N >> \"$STAGE/times\"\n{script}\n",
            notes.display()
        );
        let pi = dir.path().join("bin/pi");
        fs::write(&pi, script).unwrap();
        fs::set_permissions(&pi, fs::Permissions::from_mode(0o755)).unwrap();
        let input = json!({
            "runId": "r", "spaceId": "s1", "spaceWorkspace": dir.path().join("space"), "prompt": "Hi", "callerId": "api:x",
            "model": {"chain": [{"provider": "a", "model": "m1"}], "maxRetriesPerLeg": 0, "budgetMs": 30_000},
        });
        Self { dir, input, variables: BTreeMap::new() }
    }

    /// Changes fields of the request.
    pub(crate) fn with(mut self, changes: Value) -> Self {
        merge(&mut self.input, changes);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A note that the script left, if it did.
    pub(crate) fn note(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path("notes").join(name)).ok()
    }

    /// How often pi was started.
    pub(crate) fn calls(&self) -> usize {
        self.note("calls").map_or(0, |it| it.lines().count())
    }

    pub(crate) fn start(&self) -> Child {
        self.start_with(&self.input.to_string())
    }

    pub(crate) fn start_with(&self, input: &str) -> Child {
        fs::write(self.path("io/input.json"), input).unwrap();
        self.command().spawn().unwrap()
    }

    fn command(&self) -> Command {
        #[allow(clippy::disallowed_methods, reason = "a test of a program starts it")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_entry"));
        command
            .env("IO_DIR", self.path("io"))
            .env("HOME", self.path("home"))
            .env("API_SOCKET", self.path("api.sock"))
            .env("MERCURY_TOOLS_DIR", self.path("tools"))
            .env("MERCURY_GLOBAL_DIR", self.path("global"))
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// A whole run: its result, its exit code, and what it wrote to stderr.
    pub(crate) fn run(&self) -> (RunResult, i32, String) {
        self.ended(self.start())
    }

    /// Without an IO directory: the request on stdin.
    pub(crate) fn by_hand(&self) -> Output {
        let mut command = self.command();
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(self.input.to_string().as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    pub(crate) fn ended(&self, child: Child) -> (RunResult, i32, String) {
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        let result = fs::read(self.path("io/result.json")).unwrap();
        assert!(!self.path("io/result.json.tmp").exists());
        let result: Sealed = serde_json::from_slice(&result).unwrap();
        let seal = self.input["seal"].as_str().unwrap_or_default();
        let mac = Hmac::<Sha256>::new_from_slice(seal.as_bytes()).unwrap().chain_update(&result.sealed).finalize();
        let mac: String = mac.into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(result.mac, mac, "sealed as the host asked for");
        let result = serde_json::from_str(&result.sealed).unwrap();
        (result, status.code().unwrap_or(-1), String::from_utf8_lossy(&stderr).into_owned())
    }
}

fn merge(into: &mut Value, changes: Value) {
    match changes {
        Value::Object(changes) => changes.into_iter().for_each(|(key, value)| merge(&mut into[key], value)),
        other => *into = other,
    }
}
