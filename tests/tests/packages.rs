//! Plugins as packages: added, updated, exchanged and removed, by the operator's own command.
#![allow(clippy::unwrap_used)]

#[path = "packages/consent.rs"]
mod consent;
#[path = "packages/registries.rs"]
mod registries;

use std::path::{Path, PathBuf};

use mercury_tests::{
    host::{Host, Setup},
    plugins,
    registry::Registry,
};
use serde_json::Value;

const SECRET: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";

const SKILL: &str = "[agent]\nskill = \"skill\"\n";

/// A project that takes nothing unlocked, without the host's own leak filter.
fn project(yaml: &str) -> Host {
    Setup::scripted("runc")
        .set("MERCURY_PLUGIN_UNLOCKED_FOLDERS", "")
        .yaml(&format!("plugins:\n  redact:\n    enabled: false\n{yaml}"))
        .prepare()
}

/// The folder of a plugin that takes secrets out of replies.
fn plugin(host: &Host, name: &str, version: &str, more: &str) -> PathBuf {
    let folder = host.folder().join(format!("{name}-source"));
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = format!(
        "name = \"{name}\"\nversion = \"{version}\"\ncomponent = \"{name}.wasm\"\nprovides = [\"result-processor\"]\n\
         description = \"Takes secrets out of replies\"\n{more}"
    );
    std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
    std::fs::copy(plugins::fixture("redact"), folder.join(format!("{name}.wasm"))).unwrap();
    folder
}

struct Said {
    ok: bool,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }
}

/// `mercury plugins …`
async fn run(host: &Host, arguments: &[&str]) -> Said {
    run_with(host, arguments, &[]).await
}

/// With further variables.
async fn run_with(host: &Host, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = host.command(&[&["plugins"], arguments].concat());
    command.envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.stdin(std::process::Stdio::null()).output().unwrap());
    let output = output.await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { ok: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
}

async fn good(host: &Host, arguments: &[&str]) -> Said {
    let said = run(host, arguments).await;
    assert!(said.ok, "{arguments:?}: {}{}", said.out, said.err);
    said
}

async fn bad(host: &Host, arguments: &[&str], says: &str) -> Said {
    let said = run(host, arguments).await;
    assert!(!said.ok, "{arguments:?}: {}", said.out);
    assert!(said.err.contains(says) || said.out.contains(says), "{arguments:?}: {}{}", said.out, said.err);
    said
}

async fn version(host: &Host, name: &str) -> Option<String> {
    let listed = good(host, &["list", "--json"]).await.json();
    let plugin = listed["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == name)?.clone();
    assert_eq!(plugin["state"], "ready", "{plugin}");
    Some(plugin["version"].as_str().unwrap().to_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// extensions.md #2 and W7: what is asked for is shown, somebody has to agree, and before that nothing
/// of the package runs or is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_added_only_by_agreement() {
    let host = project("");
    let folder = plugin(&host, "tidy", "1.0.0", "[kv]\nquota-bytes = 1024\n");
    let unsigned = bad(&host, &["add", text(&folder)], "--allow-unsigned").await;
    assert!(unsigned.out.contains("read and change every reply") && unsigned.out.contains("1 KiB"), "{}", unsigned.out);
    bad(&host, &["add", text(&folder), "--allow-unsigned"], "--yes").await;
    let shown = good(&host, &["add", text(&folder), "--json"]).await.json();
    assert_eq!((&shown["added"], &shown["plugin"]["name"]), (&Value::Bool(false), &"tidy".into()));
    assert_eq!(shown["plugin"]["rights"]["kv quota-bytes"], 1024);
    assert_eq!(version(&host, "tidy").await, None);
    let left: Vec<_> = std::fs::read_dir(host.data_dir().join("plugins")).unwrap().flatten().collect();
    assert!(left.is_empty(), "what was only looked at leaves nothing: {left:?}");

    good(&host, &["add", text(&folder), "--yes", "--allow-unsigned"]).await;
    assert_eq!(version(&host, "tidy").await.as_deref(), Some("1.0.0"));
    bad(&host, &["add", text(&folder), "--yes", "--allow-unsigned"], "mercury plugins update tidy").await;
    let show = good(&host, &["show", "tidy"]).await.out;
    for part in ["by nobody whom you trust", "read and change every reply", "mercury:plugin@0.2.0"] {
        assert!(show.contains(part), "{part}: {show}");
    }
    good(&host, &["remove", "tidy"]).await;
    assert_eq!(version(&host, "tidy").await, None);
    bad(&host, &["remove", "tidy"], "no plugin `tidy` is installed").await;
    bad(&host, &["remove", "redact"], "enabled: false").await;

    let reserved = plugin(&host, "tasks", "1.0.0", "");
    bad(&host, &["add", text(&reserved), "--yes", "--allow-unsigned"], "belongs to the host").await;
    bad(&host, &["add", "nowhere"], "oci://").await;
}

/// A component that does not do what its manifest says is not installed, and nothing changes.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_work_is_not_installed() {
    let host = project("");
    let folder = plugin(&host, "tidy", "1.0.0", "");
    good(&host, &["add", text(&folder), "--yes", "--allow-unsigned"]).await;
    let lock = host.data_dir().join("plugins/plugins.lock");
    let before = std::fs::read_to_string(&lock).unwrap();
    plugin(&host, "tidy", "2.0.0", "");
    std::fs::copy(plugins::fixture("hostile"), folder.join("tidy.wasm")).unwrap();
    bad(&host, &["update", "tidy"], "does not export mercury:plugin/result-processor").await;
    std::fs::write(folder.join("tidy.wasm"), "no component").unwrap();
    bad(&host, &["update", "tidy"], "tidy.wasm").await;
    assert_eq!(std::fs::read_to_string(&lock).unwrap(), before);
    assert_eq!(version(&host, "tidy").await.as_deref(), Some("1.0.0"));
}

/// Signed by a key that the operator trusts: no further word is needed. By another: it is said whose.
#[tokio::test(flavor = "multi_thread")]
async fn a_signature_counts_if_its_key_is_trusted() {
    let author = project("");
    let folder = plugin(&author, "tidy", "1.0.0", "");
    let key = author.folder().join("author.key");
    let public = good(&author, &["keygen", text(&key)]).await.out.trim().to_owned();
    bad(&author, &["keygen", text(&key)], "cannot be made").await;
    good(&author, &["sign", text(&key), text(&folder)]).await;
    bad(&author, &["add", text(&folder), "--yes"], &public).await;

    let host = project(&format!("  trusted_keys:\n    ada: \"{public}\"\n"));
    let added = good(&host, &["add", text(&folder), "--yes"]).await;
    assert!(added.out.contains("by ada"), "{}", added.out);
    // Changed behind the signature: refused, whatever is allowed.
    let manifest = folder.join("plugin.toml");
    let changed = std::fs::read_to_string(&manifest).unwrap().replace("1.0.0", "1.0.1");
    std::fs::write(&manifest, changed).unwrap();
    bad(&host, &["update", "tidy", "--yes", "--allow-unsigned"], "was changed after it was signed").await;
    good(&author, &["sign", text(&key), text(&folder)]).await;
    good(&host, &["update", "tidy"]).await;
    // Without a signature it is another matter, also for an update.
    std::fs::remove_file(folder.join("plugin.sig")).unwrap();
    plugin(&author, "tidy", "1.0.2", "");
    bad(&host, &["update", "tidy", "--yes"], "--allow-unsigned").await;
    assert_eq!(version(&host, "tidy").await.as_deref(), Some("1.0.1"));
}

/// extensions.md #27 and #28, from a registry: what was resolved is what stays, an update that asks for
/// more is held, and bytes that are not those of their digest are refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_pinned_and_wider_rights_are_held() {
    let host = project("");
    let registry = Registry::start().await;
    registry.require_login("ada", "secret");
    let folder = plugin(&host, "tidy", "1.0.0", SKILL);
    std::fs::create_dir_all(folder.join("skill")).unwrap();
    std::fs::write(folder.join("skill/SKILL.md"), "# Tidy\n").unwrap();
    let first = registry.publish("stable", &folder, "tidy.wasm");
    let reference = registry.reference("stable");
    bad(&host, &["add", &reference, "--yes", "--allow-unsigned"], "does not give it").await;
    let docker = host.folder().join(".docker");
    std::fs::create_dir(&docker).unwrap();
    let login = serde_json::json!({ "auths": { registry.host(): { "auth": "YWRhOnNlY3JldA==" } } });
    std::fs::write(docker.join("config.json"), login.to_string()).unwrap();
    good(&host, &["add", &reference, "--yes", "--allow-unsigned"]).await;
    let agreed = good(&host, &["show", "tidy", "--json"]).await.json();
    assert_eq!(agreed["agreed"]["source"], format!("{reference}@{first}"));
    assert!(agreed["agreed"]["files"]["skill/SKILL.md"].is_string(), "{agreed:#}");
    assert!(good(&host, &["update"]).await.out.contains("up to date"));

    // The tag moves: nothing changes by itself.
    plugin(&host, "tidy", "1.1.0", SKILL);
    registry.publish("stable", &folder, "tidy.wasm");
    assert_eq!(version(&host, "tidy").await.as_deref(), Some("1.0.0"));
    good(&host, &["update"]).await;
    assert_eq!(version(&host, "tidy").await.as_deref(), Some("1.1.0"));

    // It wants more.
    plugin(&host, "tidy", "1.2.0", "[[http]]\nhosts = [\"api.evil.example\"]\n");
    let wider = registry.publish("stable", &folder, "tidy.wasm");
    let held = bad(&host, &["update", "--json"], "held").await.json();
    assert!(held["plugins"][0]["detail"].as_str().unwrap().contains("api.evil.example"), "{held:#}");
    assert_eq!(version(&host, "tidy").await.as_deref(), Some("1.1.0"));
    good(&host, &["update", "--yes"]).await;
    assert_eq!(version(&host, "tidy").await.as_deref(), Some("1.2.0"));

    // An older one is no update that goes through by itself.
    plugin(&host, "tidy", "1.0.9", SKILL);
    registry.publish("stable", &folder, "tidy.wasm");
    bad(&host, &["update"], "held").await;

    let pinned = format!("{reference}@{wider}");
    good(&host, &["remove", "tidy"]).await;
    registry.tamper();
    bad(&host, &["add", &pinned, "--yes", "--allow-unsigned"], "not what its digest").await;
    let other = registry.publish_layers("stable", "application/vnd.oci.image.config.v1+json", &[]);
    bad(&host, &["add", &reference, "--yes", "--allow-unsigned"], "no WebAssembly artefact").await;
    assert!(other.starts_with("sha256:") && registry.asked().iter().any(|asked| asked.path == "/token"));
    assert_eq!(version(&host, "tidy").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_comes_in_an_archive() {
    let host = project("");
    let folder = plugin(&host, "tidy", "1.0.0", "");
    let archive = host.folder().join("tidy.tar.gz");
    let packed = std::process::Command::new("tar")
        .args(["-czf", text(&archive), "-C", text(host.folder()), folder.file_name().unwrap().to_str().unwrap()])
        .status();
    assert!(packed.unwrap().success());
    good(&host, &["add", text(&archive), "--yes", "--allow-unsigned"]).await;
    assert_eq!(version(&host, "tidy").await.as_deref(), Some("1.0.0"));
}

/// Files that were changed after the installation are not loaded; an update puts them right, and the version before
/// is still there for when this one fails.
#[tokio::test(flavor = "multi_thread")]
async fn changed_files_are_refused_and_put_right() {
    let host = project("");
    let folder = plugin(&host, "tidy", "0.9.0", "");
    good(&host, &["add", text(&folder), "--yes", "--allow-unsigned"]).await;
    plugin(&host, "tidy", "1.0.0", "");
    good(&host, &["update", "tidy"]).await;
    let packages = host.data_dir().join("plugins/.packages");
    let all = || std::fs::read_dir(&packages).unwrap().flatten().map(|entry| entry.path());
    let is_new = |path: &PathBuf| std::fs::read_to_string(path.join("plugin.toml")).unwrap().contains("1.0.0");
    let installed = all().find(is_new).unwrap();
    std::fs::write(installed.join("plugin.toml"), "name = \"tidy\"\n").unwrap();
    let listed = good(&host, &["list", "--json"]).await.json();
    let tidy = listed["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == "tidy").unwrap().clone();
    assert!(tidy["state"].as_str().unwrap().starts_with("refused"), "{tidy}");
    good(&host, &["update", "tidy"]).await;
    assert_eq!(version(&host, "tidy").await.as_deref(), Some("1.0.0"));
    let lock = std::fs::read_to_string(host.data_dir().join("plugins/plugins.lock")).unwrap();
    assert!(lock.contains("version = \"0.9.0\"") && all().count() == 2, "{lock}");
}

/// A running host takes up what is added, exchanged and removed, while messages are answered; a version
/// that the host cannot use leaves the one before in its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_host_exchanges_plugins_without_losing_a_message() {
    let mut host = project("");
    host.start().await;
    let leak = format!("!reply the key is {SECRET}");
    assert_eq!(host.ask(&leak).await.reply(), format!("the key is {SECRET}"));

    let folder = plugin(&host, "tidy", "1.0.0", "[kv]\nquota-bytes = 1024\n");
    let added = good(&host, &["add", text(&folder), "--yes", "--allow-unsigned"]).await;
    assert!(added.out.contains("The running host has taken it up"), "{}", added.out);
    assert_eq!(host.ask(&leak).await.reply(), "the key is [secret removed]");
    assert_eq!(host.health().await.unwrap()["plugins"]["tidy"], true);

    let answers = futures_util::future::join_all((0..6).map(|_| host.ask(&leak)));
    let exchanges = async {
        for round in 1..=4 {
            plugin(&host, "tidy", &format!("1.{round}.0"), "");
            good(&host, &["update", "tidy"]).await;
        }
    };
    let (answers, ()) = tokio::join!(answers, exchanges);
    for answer in answers {
        assert_eq!(answer.reply(), "the key is [secret removed]");
    }

    // Behind the back of the command that tries everything: the host itself keeps what works.
    let packages = host.data_dir().join("plugins/.packages");
    for entry in std::fs::read_dir(&packages).unwrap().flatten() {
        std::fs::write(entry.path().join("tidy.wasm"), "no component").unwrap();
    }
    let reload = good(&host, &["reload", "--json"]).await.json();
    assert!(reload["refused"]["tidy"].as_str().unwrap().contains("were changed"), "{reload:#}");
    assert_eq!(host.ask(&leak).await.reply(), "the key is [secret removed]");

    good(&host, &["remove", "tidy", "--purge"]).await;
    assert_eq!(host.ask(&leak).await.reply(), format!("the key is {SECRET}"));
    assert_eq!(host.health().await.unwrap()["plugins"]["tidy"], Value::Null);
    assert_eq!(host.query::<i64>("SELECT count(*) FROM plugin_kv WHERE plugin = 'tidy'"), Some(0));
}

/// A guard that was put there by hand does not stand open and is not used: the start says what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_nobody_agreed_to_stops_the_start() {
    let host = project("");
    plugins::install(&host, "strict", "\"prompt-guard\"", &[], &plugins::fixture("permission_guard"));
    let mut command = host.command(&["run"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for part in ["`strict`", "mercury plugins add", "plugins.unlocked_folders"] {
        assert!(error.contains(part), "`{part}` is missing in: {error}");
    }
}
