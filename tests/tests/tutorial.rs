//! The tutorial for authors of plugins, as a stranger follows it.
#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    process::{Command, Stdio},
};

use mercury_tests::{docker, host::Port, minimal_image, required};

/// What stands in blocks of shell, in their order.
fn commands(page: &str) -> String {
    let mut script = String::new();
    let mut inside = false;
    for line in page.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => {
                script.push_str(line);
                script.push('\n');
            }
            _ => {}
        }
    }
    script
}

/// Every command of the tutorial, in an empty folder, with the scripted agent in place of a real one.
#[test]
fn the_tutorial_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(root.join("docs/plugins/tutorial.md")).unwrap();
    let binary = required("MERCURY_BIN");
    let folder = tempfile::tempdir().unwrap();
    let [host, platform] = [Port::reserve(), Port::reserve()];
    let port = host.number.to_string();
    // The machine may use these ports otherwise, and crates come in the versions that the components have.
    let script = commands(&page)
        // What `.env` names wins over the environment, which has the scripted agent.
        .replacen("mercury init\n", "mercury init\nsed -i '/^MERCURY_A/d' .env\n", 1)
        .replace("8787", &port)
        .replace("9900", &platform.number.to_string())
        .replacen("cd parrot\n", &format!("cd parrot\ncp {} .\n", root.join("components/Cargo.lock").display()), 1);
    let script = format!("set -euo pipefail\ntrap 'kill $(jobs -p)' EXIT\n{script}");
    std::fs::write(folder.path().join("tutorial.sh"), &script).unwrap();
    let binaries = Path::new(&binary).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    // nextest ends it a little later (`.config/nextest.toml`).
    let output = Command::new("timeout")
        .args(["840", "bash", "tutorial.sh"])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", binaries.parent().unwrap().join("scaffolds"))
        .env("MERCURY_PORT", &port)
        .env("MERCURY_DOCKER_HOST", required("DOCKER_HOST"))
        .env("MERCURY_CONTAINER_RUNTIME", "runc")
        .env("MERCURY_AGENT_IMAGE", minimal_image())
        .env("MERCURY_ANTHROPIC_API_KEY", docker::CANARY)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let project = folder.path().join("assistant");
    if let Ok(instance) = std::fs::read_to_string(project.join(".mercury/instance")) {
        docker::remove_all(instance.trim());
    }
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}\n{}\n{}\nthe host's log:\n{}",
        output.status,
        said(&output.stdout),
        said(&output.stderr),
        std::fs::read_to_string(project.join("host.log")).unwrap_or_default()
    );
    // What the page shows is what is said.
    let shown: Vec<_> = page.split("```text\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(shown.len(), 2, "what fails, and what is answered");
    for shown in shown {
        let (shown, said) = (shown.trim_end(), said(&output.stdout));
        assert!(said.contains(shown), "the page shows\n{shown}\nnot\n{said}");
    }
}
