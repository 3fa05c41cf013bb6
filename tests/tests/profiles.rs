//! Profiles, by the operator's own command and in a host that runs with one.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use mercury_tests::{
    full_image,
    host::{Answer, Host, Setup},
    model::{Model, Turn},
    parley::{self, bring, delivered, direct},
    plugins,
};
use serde_json::{Value, json};

/// A profile's folder in the project.
fn profile(host: &Host, name: &str, more: &str) -> PathBuf {
    let folder = host.folder().join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("AGENTS.md"), format!("# {name}\n")).unwrap();
    fs::write(folder.join("mercury-profile.yaml"), format!("name: {name}\nagents_md: ./AGENTS.md\n{more}")).unwrap();
    folder
}

/// A plugin in the profile's folder, which works or does not.
fn plugin(profile: &Path, name: &str, wasm: &str) {
    let folder = profile.join("extensions").join(name);
    fs::create_dir_all(&folder).unwrap();
    let manifest = format!(
        "name = \"{name}\"\nversion = \"1.0.0\"\ncomponent = \"{name}.wasm\"\nprovides = [\"result-processor\"]\n"
    );
    fs::write(folder.join("plugin.toml"), manifest).unwrap();
    fs::copy(plugins::fixture(wasm), folder.join(format!("{name}.wasm"))).unwrap();
}

/// A project that takes no folder of plugins unlocked.
fn project() -> Host {
    Setup::scripted("runc").set("MERCURY_PLUGIN_UNLOCKED_FOLDERS", "").prepare()
}

/// `mercury profiles …`: whether it succeeded, and all that it said.
async fn run(host: &Host, arguments: &[&str]) -> (bool, String) {
    let mut command = host.command(&[&["profiles"], arguments].concat());
    command.stdin(std::process::Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

async fn good(host: &Host, arguments: &[&str]) -> String {
    let (ok, said) = run(host, arguments).await;
    assert!(ok, "{arguments:?}: {said}");
    said
}

async fn bad(host: &Host, arguments: &[&str], says: &str) {
    let (ok, said) = run(host, arguments).await;
    assert!(!ok && said.contains(says), "{arguments:?}: {said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn agents(host: &Host) -> String {
    fs::read_to_string(host.data_dir().join("global/AGENTS.md")).unwrap_or_default()
}

fn record(host: &Host) -> Value {
    let record = fs::read(host.data_dir().join("active-profile.json"));
    record.map_or(Value::Null, |record| serde_json::from_slice(&record).unwrap())
}

/// Every file below the data directory, with its content, but for the host's caches.
fn data(host: &Host) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(folder: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                cache if cache.ends_with("cache") => {}
                path if path.is_dir() => walk(&path, all),
                path => drop(all.insert(path.clone(), fs::read(path).unwrap())),
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(&host.data_dir(), &mut all);
    all
}

/// cli.md #24 in its first half, and the record of cli.md #25.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_along_is_listed_shown_and_applied() {
    let host = project();
    let listed = good(&host, &["list"]).await;
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names[..3], ["coding", "general", "research"], "{listed}");
    bad(&host, &["show", "nope"], "there is no profile `nope`").await;
    assert!(good(&host, &["show", "research"]).await.contains("research 0.1.0"));
    bad(&host, &["apply", "research"], "--yes").await;
    assert_eq!((record(&host), agents(&host)), (Value::Null, String::new()));
    good(&host, &["apply", "research", "--yes"]).await;
    assert_eq!(record(&host), json!({ "name": "research", "memberPermissions": null, "profilePrompt": null }));
    assert!(agents(&host).contains("A researcher in a chat"));
    assert!(good(&host, &["list"]).await.lines().any(|line| line.starts_with("research") && line.ends_with("active")));
    fs::write(host.data_dir().join("global/AGENTS.md"), "mine").unwrap();
    let shown: Value = serde_json::from_str(&good(&host, &["apply", "coding", "--json"]).await).unwrap();
    assert_eq!((&shown["applied"], agents(&host).as_str()), (&json!(false), "mine"));
    assert!(good(&host, &["apply", "coding", "--yes"]).await.contains("in place of research"));
    assert_eq!(fs::read_to_string(host.data_dir().join("global/AGENTS.md.1")).unwrap(), "mine");
    good(&host, &["clear"]).await;
    assert_eq!(record(&host), Value::Null);
}

/// permissions.md #16, extensions.md #33 and cli.md #25: what is missing is named, and whatever fails, the profile
/// before stays active and nothing of the new one is left.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_applied_changes_nothing() {
    let host = project();
    let first = profile(&host, "first", "");
    good(&host, &["apply", text(&first), "--yes"]).await;
    let folder =
        profile(&host, "clinic", "capabilities: [gws]\nextensions: [{name: tidy, source: ./extensions/tidy}]\n");
    plugin(&folder, "tidy", "redact");
    let before = data(&host);
    bad(&host, &["apply", text(&folder), "--yes", "--allow-unsigned"], "the plugin `gws`: it is not installed").await;
    assert!(data(&host) == before, "{:#?}", data(&host).keys());

    // Without a word nothing unsigned comes in; and where the second does not work, the first goes again.
    let two =
        "extensions:\n  - {name: tidy, source: ./extensions/tidy}\n  - {name: wrong, source: ./extensions/wrong}\n";
    let folder = profile(&host, "clinic", two);
    plugin(&folder, "wrong", "hostile");
    bad(&host, &["apply", text(&folder), "--yes"], "--allow-unsigned").await;
    bad(&host, &["apply", text(&folder), "--allow-unsigned"], "--yes").await;
    assert!(data(&host) == before, "{:#?}", data(&host).keys());
    bad(&host, &["apply", text(&folder), "--yes", "--allow-unsigned"], "what was active before still is").await;
    assert_eq!((record(&host)["name"].as_str(), agents(&host).as_str()), (Some("first"), "# first\n"));
    let lock = fs::read_to_string(host.data_dir().join("plugins/plugins.lock")).unwrap();
    assert!(!lock.contains("tidy") && !lock.contains("wrong"), "{lock}");
    let strange = profile(&host, "strange", "memberPermissions: [prompt]\n");
    bad(&host, &["apply", text(&strange), "--yes"], "memberPermissions").await;
}

/// cli.md #24: what one project exports another one applies, plugins and persona.
#[tokio::test(flavor = "multi_thread")]
async fn an_exported_project_is_applied_elsewhere() {
    let (one, other) = (project(), project());
    let more = "member_permissions: [prompt, tidy]\nextensions: [{name: tidy, source: ./extensions/tidy}]\n";
    let folder = profile(&one, "clinic", more);
    plugin(&folder, "tidy", "redact");
    good(&one, &["apply", text(&folder), "--yes", "--allow-unsigned"]).await;
    let exported = one.folder().join("ours");
    good(&one, &["export", text(&exported)]).await;
    good(&other, &["apply", text(&exported), "--yes", "--allow-unsigned"]).await;
    assert_eq!(agents(&other), "# clinic\n");
    let members = ["prompt", "tidy", "media.receive", "media.send"];
    assert_eq!((&record(&other)["name"], &record(&other)["memberPermissions"]), (&json!("ours"), &json!(members)));
    let output = other.command(&["plugins", "list", "--json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tidy = listed["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == "tidy").unwrap();
    assert_eq!((&tidy["state"], &tidy["origin"]), (&json!("ready"), &json!("installed")), "{tidy}");
    bad(&one, &["export", text(&exported)], "is there already").await;
}

const BEARER: &str = "Bearer the-api-secret-0123";

/// Of members in Ada's own space, as she sees them, who is the operator's admin.
async fn members(host: &Host, method: &str, body: Value) -> Vec<String> {
    let headers = [("authorization", BEARER), ("x-mercury-caller", "parley:ada"), ("x-mercury-space", "dm-parley-ada")];
    let path = if method == "PUT" { "/api/permissions" } else { "/api/permissions?role=member" };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let Answer { status, body } = host.request(method, path, &headers, body.into()).await.unwrap();
    assert_eq!(status, 200, "{body:#}");
    serde_json::from_value(body["permissions"].clone()).unwrap()
}

/// permissions.md #14 #17 in a running host: the profile says what members hold and what agents are told; a space's
/// own word wins, what auto-space wrote yields; a plugin that members would have is named at the start.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_runs_with_a_profile() {
    let model = Model::start(["uno", "dos"].map(|text| Turn::Text(text.into()))).await;
    let setup = Setup::with_image("runc", &full_image())
        .set("MERCURY_MODEL_ENDPOINTS", &format!("{{\"anthropic\":\"{}\"}}", model.url()))
        .set("MERCURY_ADMINS", "parley:ada")
        .set("MERCURY_API_SECRET", "the-api-secret-0123")
        .set("MERCURY_DM_AUTO_SPACE_DEFAULT_MEMBER_PERMISSIONS", "prompt,stop")
        .set("MERCURY_DM_AUTO_SPACE_DEFAULT_SYSTEM_PROMPT", "Answer like a pirate.");
    let mut host = parley::prepare(setup, &[], "[agent]\npermission = true\ndefault-roles = [\"member\"]\n");
    let clinic =
        profile(&host, "clinic", "member_permissions: [prompt, rooms]\nprofile_prompt: Be kind to patients.\n");
    good(&host, &["apply", text(&clinic), "--yes"]).await;
    host.start().await;
    parley::running(&host).await;
    bring(&host, &[direct("1", "alpha")]).await;
    delivered(&host, "uno").await;
    let told = model.requests().last().unwrap().to_string();
    let places = ["# clinic", "Be kind to patients.", "Answer like a pirate."].map(|part| told.find(part));
    assert!(places.iter().all(Option::is_some), "{places:?}: {told}");
    assert!(places[1] < places[2], "the space's own word comes last");

    let of_profile = ["prompt", "media.receive", "media.send"];
    assert_eq!(members(&host, "GET", Value::Null).await, of_profile, "what auto-space wrote yields");
    let own = json!({ "role": "member", "permissions": ["prompt", "stop"] });
    assert_eq!(members(&host, "PUT", own).await, ["prompt", "stop"]);
    assert_eq!(members(&host, "DELETE", Value::Null).await, of_profile);
    let log = host.log();
    let line = |part: &str| log.lines().any(|line| line.contains(part) && line.contains("WARN"));
    assert!(line("plugin=\"parley\"") || line("plugin=parley"), "{log}");
    assert!(line("permission=\"rooms\"") || line("permission=rooms"), "{log}");
    assert!(good(&host, &["clear"]).await.contains("mercury stop"), "a host that runs is named");
    assert_eq!(members(&host, "GET", Value::Null).await, of_profile, "it is read at the start");

    host.terminate().await;
    host.start().await;
    let usual = ["prompt", "prefs.get", "media.receive", "media.send", "parley"];
    assert_eq!(members(&host, "GET", Value::Null).await, usual);
}
