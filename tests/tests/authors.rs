//! What an author of plugins does: scaffold, build, test, read a trap, record. Only Rust here, whose
//! toolchain every builder of Mercury has; `./dev examples` does the same in all languages.
#![allow(clippy::unwrap_used)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use mercury_tests::{host::Setup, plugins, required};
use serde_json::Value;

fn mercury(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(required("MERCURY_BIN")).args(arguments).current_dir(folder).output().unwrap()
}

fn target() -> PathBuf {
    PathBuf::from(required("MERCURY_BIN")).ancestors().nth(2).unwrap().join("scaffolds")
}

/// A scaffold outside of the checkout, with the versions of crates that the components have.
fn scaffold(folder: &Path, name: &str, kind: &str) -> PathBuf {
    let made = mercury(folder, &["plugins", "new", name, "--language", "rust", "--kind", kind]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::copy(root.join("components/Cargo.lock"), folder.join(name).join("Cargo.lock")).unwrap();
    folder.join(name)
}

fn build(folder: &Path, arguments: &[&str]) {
    let built =
        // Whoever builds Mercury without debug information still wants it in a scaffold's debug build.
        Command::new("./build.sh")
            .args(arguments)
            .current_dir(folder)
            .env("CARGO_TARGET_DIR", target())
            .env_remove("CARGO_PROFILE_DEV_DEBUG")
            .output();
    let built = built.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

fn play(folder: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = mercury(folder, &[&["plugins", "test", "--json"], arguments].concat());
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), report)
}

/// Every kind builds as it is, and passes its own recordings in the real engine; what an author breaks
/// then is shown by its place, and accepted on demand.
#[test]
fn scaffolds_build_and_pass() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["guard", "processor", "adapter", "broker", "hook", "job"] {
        let plugin = scaffold(folder.path(), &format!("my-{kind}"), kind);
        build(&plugin, &[]);
        let (code, report) = play(&plugin, &[]);
        assert_eq!((code, &report["failed"]), (Some(0), &0.into()), "{kind}: {report:#}");
        assert!(report["results"].as_array().unwrap().len() >= 2, "{kind}: {report:#}");
    }

    let guard = folder.path().join("my-guard");
    let recording = guard.join("tests/member.json");
    let text = std::fs::read_to_string(&recording).unwrap();
    std::fs::write(&recording, text.replace("bash is for admins", "no")).unwrap();
    let (code, report) = play(&guard, &["--filter", "member"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        report["results"][0]["differences"][0], "deny: expected \"no\", got \"bash is for admins\"",
        "{report:#}"
    );
    assert_eq!(play(&guard, &["--accept"]).0, Some(0));
    assert_eq!(play(&guard, &[]).0, Some(0));

    // Twice into the same folder would overwrite an author's work.
    let again = mercury(folder.path(), &["plugins", "new", "my-guard", "--language", "rust", "--kind", "guard"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("is not empty"));
}

/// A trap is shown with the guest's own words and the lines of its source.
#[test]
fn a_trap_names_the_line_of_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = scaffold(folder.path(), "fragile", "guard");
    let source = plugin.join("src/lib.rs");
    let text = std::fs::read_to_string(&source).unwrap();
    let broken = text.replace(
        "    if role != \"admin\"",
        "    if tool == \"bash\" { panic!(\"not today\") }\n    if role != \"admin\"",
    );
    let line = broken.lines().position(|line| line.contains("not today")).unwrap() + 1;
    std::fs::write(&source, broken).unwrap();
    build(&plugin, &["debug"]);
    let (code, report) = play(&plugin, &["--filter", "member"]);
    assert_eq!(code, Some(1), "{report:#}");
    let error = report["results"][0]["error"].as_str().unwrap();
    assert!(error.contains("not today"), "the guest's own words: {error}");
    assert!(error.contains(&format!("src/lib.rs:{line} (")), "a frame of the source: {error}");
}

/// Where there is nothing to play, the code says that it is no failure of the plugin.
#[test]
fn nothing_to_play_is_not_a_pass() {
    let folder = tempfile::tempdir().unwrap();
    let (code, report) = play(folder.path(), &[]);
    assert_eq!(code, Some(2));
    assert!(report["error"].as_str().unwrap().contains("A plugin is a folder with `plugin.toml`"), "{report:#}");

    let manifest = "name = \"p\"\nversion = \"1.0.0\"\ncomponent = \"p.wasm\"\nprovides = [\"job\"]\njobs = [{ name = \"j\", every-s = 60 }]\n";
    std::fs::write(folder.path().join("plugin.toml"), manifest).unwrap();
    let (code, report) = play(folder.path(), &[]);
    assert_eq!(code, Some(2));
    assert!(report["error"].as_str().unwrap().contains("there is no recording"), "{report:#}");

    std::fs::create_dir(folder.path().join("tests")).unwrap();
    let call = "{ \"interface\": \"job\", \"function\": \"run\", \"arguments\": [\"j\"] }";
    std::fs::write(folder.path().join("tests/j.json"), call).unwrap();
    let (code, report) = play(folder.path(), &[]);
    assert_eq!(code, Some(2));
    assert!(report["error"].as_str().unwrap().contains("Build the component first"), "{report:#}");
}

/// The operator's recordings of a running host, played in the author's folder.
#[tokio::test(flavor = "multi_thread")]
async fn recordings_of_a_running_host_are_played() {
    let host = Setup::scripted("runc").set("MERCURY_API_SECRET", "operator").start().await;
    let folder = tempfile::tempdir().unwrap();
    let tests = folder.path().join("tests");
    let refused =
        host.request("POST", "/api/plugins/permission-guard/recording", &[], bytes::Bytes::new()).await.unwrap();
    assert_eq!(refused.status, 401, "only for the operator: {:#}", refused.body);
    let unknown = host.command(&["plugins", "record", "nobody"]).output().unwrap();
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("No plugin nobody is loaded"));

    let arguments = ["plugins", "record", "permission-guard", "--calls", "2", "--out", tests.to_str().unwrap()];
    let recorder = host.command(&arguments).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while !host.log().contains("an operator records the calls of this plugin") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(host.ask("!reply one").await.reply(), "one");
    assert_eq!(host.ask("!reply two").await.reply(), "two");
    let output = tokio::task::spawn_blocking(move || recorder.wait_with_output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::copy(root.join("components/guards/permission-guard/plugin.toml"), folder.path().join("plugin.toml"))
        .unwrap();
    std::fs::copy(plugins::fixture("permission_guard"), folder.path().join("permission_guard.wasm")).unwrap();
    let (code, report) = play(folder.path(), &[]);
    assert_eq!((code, &report["failed"]), (Some(0), &0.into()), "{report:#}");
    let names: Vec<_> = report["results"].as_array().unwrap().iter().map(|result| &result["name"]).collect();
    assert_eq!(names, ["prompt-guard-check-001", "prompt-guard-check-002"]);
    let text = std::fs::read_to_string(tests.join("prompt-guard-check-001.json")).unwrap();
    assert!(text.contains("!reply one"), "{text}");
}

/// The example in Rust is built with the other components; its recordings pass, and those of the
/// other examples are what they say they are.
#[test]
fn the_examples_have_good_recordings() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("components/examples");
    let component = plugins::fixture("mail_guard");
    let (code, report) = play(&examples.join("rust"), &["--component", component.to_str().unwrap()]);
    assert_eq!((code, &report["failed"]), (Some(0), &0.into()), "{report:#}");
    for language in ["rust", "typescript", "python", "c"] {
        let folder = examples.join(language);
        mercury::plugins::Manifest::read(&folder).unwrap();
        assert!(mercury::plugins::replay::RecordingFile::all(&folder.join("tests")).unwrap().len() >= 3, "{language}");
    }
}
