//! The built-in components in the real engine.

use super::*;
use crate::{config::PluginConfig, store::Store};

async fn load(settings: &[(&str, &str, &str)]) -> (tempfile::TempDir, Plugins) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    let mut configured = std::collections::BTreeMap::<String, PluginConfig>::new();
    for (plugin, key, value) in settings {
        configured.entry((*plugin).to_owned()).or_default().settings.insert((*key).to_owned(), (*value).to_owned());
    }
    let plugins =
        Plugins::load(folder.path(), &configured, Compiler::InProcess, Arc::new(Services::new(store.clone())))
            .await
            .unwrap();
    (folder, plugins)
}

fn caller(role: &str) -> Caller {
    Caller { person: "api:ada".into(), role: role.into(), space: "main".into(), conversation: None }
}

async fn check(plugins: &Plugins, role: &str, tool: &str, arguments: &str) -> Verdict {
    let mut opinions = plugins.consult(&caller(role), tool, arguments, &Consultation::default()).await;
    opinions.pop().expect("a guard").verdict
}

async fn bash(plugins: &Plugins, role: &str, command: &str) -> Verdict {
    check(plugins, role, "bash", &serde_json::json!({ "command": command }).to_string()).await
}

/// extensions.md #19: the commands that the old rule let pass are denied, harmless ones are not.
#[tokio::test(flavor = "multi_thread")]
async fn the_guard_sees_through_disguises() {
    let (_folder, plugins) = load(&[("permission-guard", "denied-clis", "gws")]).await;
    for command in [
        "gws;",
        "gws|cat",
        "gws>out",
        "/usr/local/bin/gws x",
        "env A=1 gws x",
        "\"gws\" x",
        "g\\ws x",
        "bash -c 'gws x'",
        "xargs gws",
        "sudo gws",
        "FOO=1 gws x",
        "if true; then gws x; fi",
        "{ gws x; }",
        "! gws x",
        "command gws x",
        "nohup gws x",
        "x=gws; $x y",
        "(gws)",
        "$(echo gws) x",
        "echo gws | sh",
        "eval \"gws x\"",
    ] {
        assert!(
            matches!(bash(&plugins, "member", command).await, Verdict::Deny(reason) if reason.contains("gws") || reason.contains("cannot")),
            "{command}"
        );
        assert!(matches!(bash(&plugins, "admin", command).await, Verdict::Allow), "an admin is exempt: {command}");
    }
    for command in ["echo gws", "echo \"a; gws b\"", "mynapkin x", "grep gws notes.txt"] {
        assert!(matches!(bash(&plugins, "member", command).await, Verdict::Allow), "{command}");
    }
}

/// A program of `ask-before` waits for an approver, for everybody and in every disguise; what was
/// allowed by the right role is not asked again, and what is denied anyway is not asked at all.
#[tokio::test(flavor = "multi_thread")]
async fn the_guard_asks_before_a_program() {
    let settings = [
        ("permission-guard", "ask-before", "rm,write"),
        ("permission-guard", "ask-approver", "moderator"),
        ("permission-guard", "ask-timeout-s", "90"),
    ];
    let (_folder, plugins) = load(&settings).await;
    for command in ["rm -rf x", "/bin/rm x", "ls; env rm x", "bash -c 'rm x'", "find . -exec rm {} +"] {
        for role in ["member", "admin"] {
            let Verdict::Ask(question) = bash(&plugins, role, command).await else { panic!("{command} is not asked") };
            assert_eq!((question.approver.as_str(), question.timeout_ms), ("moderator", 90_000));
            assert!(question.text.contains("`rm`"), "{}", question.text);
        }
    }
    assert!(matches!(bash(&plugins, "member", "ls -la rm").await, Verdict::Allow));
    assert!(matches!(check(&plugins, "member", "write", r#"{"path":"x","content":""}"#).await, Verdict::Ask(_)));
    assert!(matches!(bash(&plugins, "member", "rm /run/mercury/api.sock").await, Verdict::Deny(_)));
    let allowed =
        |role: &str| Consultation { after: None, approved: Some(("permission-guard".to_owned(), role.to_owned())) };
    let arguments = r#"{"command":"rm x"}"#;
    for (role, passes) in [("moderator", true), ("admin", true), ("member", false)] {
        let mut opinions = plugins.consult(&caller("member"), "bash", arguments, &allowed(role)).await;
        assert_eq!(matches!(opinions.pop().unwrap().verdict, Verdict::Allow), passes, "{role}");
    }
}

/// Paths are protected whatever the role, however they are written.
#[tokio::test(flavor = "multi_thread")]
async fn the_guard_protects_the_runs_own_files() {
    let (_folder, plugins) = load(&[]).await;
    for path in ["/run/mercury-io/input.json", "/run/../run/mercury-io/x", "../../run/mercury-io/x"] {
        let arguments = serde_json::json!({ "path": path }).to_string();
        assert!(matches!(check(&plugins, "admin", "read", &arguments).await, Verdict::Deny(_)), "{path}");
    }
    assert!(matches!(bash(&plugins, "admin", "cat /run/mercury-io/result.json").await, Verdict::Deny(_)));
    let arguments = serde_json::json!({ "path": "notes.txt" }).to_string();
    assert!(matches!(check(&plugins, "member", "read", &arguments).await, Verdict::Allow));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switched_off_plugin_is_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    let off = PluginConfig { enabled: Some(false), ..PluginConfig::default() };
    let configured =
        mercury_carried::COMPONENTS.iter().map(|component| (component.name.to_owned(), off.clone())).collect();
    let plugins =
        Plugins::load(folder.path(), &configured, Compiler::InProcess, Arc::new(Services::new(store.clone())))
            .await
            .unwrap();
    assert!(plugins.loaded().is_empty());
    assert_eq!(plugins.check_prompt(caller("member"), "anything", Vec::new()).await, Answer::Allow);
}
